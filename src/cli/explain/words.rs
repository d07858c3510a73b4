//! Why something cannot be guarded, and what to do about it, in a sentence each.

use crate::guard::Reason;

/// Why it is so.
pub(super) fn why(reason: Reason) -> &'static str {
    match reason {
        Reason::NoSelectPrivilege => "The role may write, but not read, a column that the rule reads.",
        Reason::RowSecurity => {
            "Row security holds for this role, and a guard would apply its SELECT policies to a statement that does not need them."
        }
        Reason::InsteadRule => "An INSTEAD rule rewrites the write, and PostgreSQL allows no RETURNING there.",
        Reason::View => {
            "It is a view over a guarded table, and not one that PostgreSQL writes through with the table's own columns."
        }
        Reason::InsteadOfTrigger => "The view's trigger decides what is stored.",
        Reason::ForeignTable => "It is a foreign table: a guard would make every row a round trip.",
        Reason::MergeBefore17 => "MERGE has no RETURNING before PostgreSQL 17.",
        Reason::Unreadable => "The statement could not be read to its end.",
        Reason::CteReturning => "The write is inside WITH in a form that has no place for a guard.",
        Reason::CopyTrigger => {
            "COPY is judged before the BEFORE triggers run, so the stored row may differ, and this one cannot go through a stage."
        }
        Reason::CopySubquery => {
            "COPY allows no sub-query, so no other row can be looked at, and this one cannot go through a stage."
        }
        Reason::NoticesSilenced => {
            "`client_min_messages` silences notices, the only channel that COPY and WITH leave for a finding."
        }
        Reason::ColumnMissing => "The table has no column of that name.",
        Reason::ColumnType => "The rule cannot judge a column of that type.",
        Reason::Parent => {
            "The parent table does not exist, or the role may not read it, or row security hides its rows."
        }
        Reason::ParentSameStatement => "The same statement writes the parent too, so the guard cannot see it yet.",
        Reason::MessageTooLarge => "The message is larger than `message_cap`.",
        Reason::ClientEncoding => "The client's encoding may hide SQL characters inside others.",
        Reason::OtherRelation => {
            "Its rows may land in the guarded table or elsewhere: that is a partition below, or an earlier statement may change what the name means."
        }
        Reason::BreakerOpen => "The guard failed a moment ago.",
        Reason::CatalogUnknown => "The catalog could not be asked.",
        Reason::TooManyColumns => "The result would have more than 1,664 columns.",
        Reason::RowsUnknown => "Inside WITH and EXPLAIN the server does not tell how many rows a write has written.",
        Reason::UpsertUnknown => {
            "Whether ON CONFLICT DO UPDATE makes a new row cannot be told here, and it sets none of the rule's columns: the rule only observes."
        }
        Reason::OldRow => {
            "The rule needs the row as it was before, and before PostgreSQL 18, or where a BEFORE UPDATE trigger runs, that takes a WHERE without sub-select, and no FROM, or a column that can be assigned to itself: \
             one that the statement does not set, the role may read and set, and no index, key, generated column or UPDATE OF trigger is about."
        }
        Reason::SetConfig => {
            "The rule needs the row as it was before, which set_config carries before PostgreSQL 18 and where a BEFORE UPDATE trigger runs, and the role may not call that."
        }
    }
}

/// What to do about it.
pub(super) fn what_to_do(reason: Reason) -> &'static str {
    match reason {
        Reason::NoSelectPrivilege => "GRANT SELECT on the columns of the rule to the role.",
        Reason::RowSecurity => {
            "Let the statement read a column of the table (in WHERE, RETURNING, a conflict target), or use a CHECK constraint."
        }
        Reason::InsteadRule => "Replace the rule by a trigger.",
        Reason::View => "Write to the table itself, or write rules for the view.",
        Reason::InsteadOfTrigger => "Put a CHECK constraint on the table that the trigger writes.",
        Reason::ForeignTable => "Guard the table at the other end.",
        Reason::MergeBefore17 => "Use INSERT … ON CONFLICT, or PostgreSQL 17.",
        Reason::Unreadable => "If PostgreSQL accepts it, please report it.",
        Reason::CteReturning => "Give every item of its RETURNING a name.",
        Reason::CopyTrigger | Reason::CopySubquery => {
            "Let it go through a stage: docs/LIMITS.md, COPY, lists what keeps it from that."
        }
        Reason::NoticesSilenced => "Leave `client_min_messages` at `notice` in that session.",
        Reason::ColumnMissing | Reason::ColumnType => {
            "`chronoguard check --database URL` says which, and what it expected."
        }
        Reason::Parent => "GRANT SELECT on the parent's columns to the role.",
        Reason::ParentSameStatement => "Write the parent in a statement of its own, in the same transaction.",
        Reason::MessageTooLarge => "Send smaller batches, use COPY, or raise the cap.",
        Reason::ClientEncoding => "Set `client_encoding` to UTF8.",
        Reason::OtherRelation => {
            "Write rules for the relation that is named; or name the schema, or send the statements one by one."
        }
        Reason::BreakerOpen | Reason::CatalogUnknown => "Try again.",
        Reason::TooManyColumns => "Return fewer columns.",
        Reason::RowsUnknown => "Make it a statement of its own.",
        Reason::UpsertUnknown => "Set always: true on the rule, or set one of its columns in DO UPDATE.",
        Reason::OldRow => "Put the rows to be updated into the WHERE by their key, or use PostgreSQL 18.",
        Reason::SetConfig => "GRANT EXECUTE ON FUNCTION pg_catalog.set_config to the role.",
    }
}
