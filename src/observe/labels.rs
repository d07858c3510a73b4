//! The closed sets that metric labels are taken from. A label that is not in here comes from a rule file.

/// Declares an enum whose variants are the values of one label.
macro_rules! closed_set {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $label:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$vdoc])* $variant,)+ }

        impl $name {
            /// Every value, in order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The label's value.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $label,)+ }
            }
        }
    };
}

closed_set! {
    /// What became of one write to a guarded table. The worst finding of the statement decides.
    Outcome {
        /// Judged and good, or not concerned by any rule.
        Passed = "passed",
        /// Violated a rule that only observes.
        Observed = "observed",
        /// Violated a rule that warns; the client got a NOTICE.
        Warned = "warned",
        /// Violated a rule that rejects; the client got an error.
        Rejected = "rejected",
        /// Violated a rule, under an exemption.
        Exempt = "exempt",
        /// Bad already before this statement.
        Preexisting = "preexisting",
        /// Could not be guarded.
        Unguardable = "unguardable",
        /// The server refused it for a reason of its own.
        Error = "error",
    }
}

closed_set! {
    /// How the transaction of a write ended.
    WriteResult {
        /// The server said that it is committed.
        Committed = "committed",
        /// The client, or an error later in the transaction, took it back.
        RolledBack = "rolled_back",
        /// The statement itself failed.
        Failed = "failed",
        /// The connection ended before the server told the result.
        Lost = "lost",
    }
}

closed_set! {
    /// Whose side of a session an error happened on.
    Side {
        /// The connection to the client.
        Client = "client",
        /// The connection to the server.
        Server = "server",
        /// In chronoguard.
        Proxy = "proxy",
    }
}

closed_set! {
    /// Why a session ended badly.
    ErrorKind {
        /// The connection could not be made.
        Connect = "connect",
        /// No answer in time.
        Timeout = "timeout",
        /// The peer went away in the middle of something.
        Closed = "closed",
        /// Reading or writing failed.
        Io = "io",
        /// Bytes that are not the protocol.
        Protocol = "protocol",
        /// A message above a limit.
        TooLarge = "too_large",
        /// Refused because of a limit of connections, or because chronoguard is draining.
        Refused = "refused",
        /// A mistake of chronoguard.
        Internal = "internal",
    }
}

closed_set! {
    /// How far a session is.
    SessionState {
        /// From accept to the server's first ReadyForQuery.
        Startup = "startup",
        /// From then to its end.
        Open = "open",
    }
}

closed_set! {
    /// Which way bytes went.
    Direction {
        /// From the client to the server.
        ToServer = "to_server",
        /// From the server to the client.
        ToClient = "to_client",
    }
}

closed_set! {
    /// Why something was sent to the server a second time.
    RetryReason {
        /// The guard itself failed, and the client's own statement ran without it.
        GuardFailed = "guard_failed",
    }
}

/// The SQLSTATEs that are told one by one; of others only the class.
const SQLSTATES: &[&str] = &[
    "08000", "08003", "08006", "0A000", "21000", "22001", "22003", "22007", "22008", "22012", "22021", "22P02",
    "22P04", "22P05", "23000", "23001", "23502", "23503", "23505", "23514", "23P01", "25001", "25006", "25P02",
    "25P03", "26000", "28000", "28P01", "34000", "3D000", "3F000", "40001", "40003", "40P01", "42501", "42601",
    "42703", "42702", "42804", "42883", "42P01", "42P05", "42P10", "428C9", "44000", "53100", "53200", "53300",
    "53400", "54000", "54001", "54011", "55000", "55006", "55P03", "57014", "57P01", "57P02", "57P03", "57P05",
    "58000", "58030", "58P01", "P0001", "XX000", "XX001", "XX002",
];

/// Classes of SQLSTATE (PostgreSQL docs, `errcodes-appendix.html`), with the label for a code of theirs that is not in [`SQLSTATES`].
const CLASSES: &[(&str, &str)] = &[
    ("01", "01___"),
    ("02", "02___"),
    ("03", "03___"),
    ("08", "08___"),
    ("09", "09___"),
    ("0A", "0A___"),
    ("21", "21___"),
    ("22", "22___"),
    ("23", "23___"),
    ("24", "24___"),
    ("25", "25___"),
    ("26", "26___"),
    ("27", "27___"),
    ("28", "28___"),
    ("2B", "2B___"),
    ("2D", "2D___"),
    ("2F", "2F___"),
    ("34", "34___"),
    ("38", "38___"),
    ("39", "39___"),
    ("3B", "3B___"),
    ("3D", "3D___"),
    ("3F", "3F___"),
    ("40", "40___"),
    ("42", "42___"),
    ("44", "44___"),
    ("53", "53___"),
    ("54", "54___"),
    ("55", "55___"),
    ("57", "57___"),
    ("58", "58___"),
    ("F0", "F0___"),
    ("HV", "HV___"),
    ("P0", "P0___"),
    ("XX", "XX___"),
];

/// The label for a SQLSTATE. Functions in the server can raise any code they like, so the label is the code itself only if it is a
/// well-known one; else its class (`23___`), else `other`.
pub(super) fn sqlstate_label(code: &str) -> &'static str {
    if let Some(known) = SQLSTATES.iter().find(|known| **known == code) {
        return known;
    }
    let class = code.get(..2).filter(|_| code.len() == 5);
    CLASSES.iter().find(|(name, _)| Some(*name) == class).map_or("other", |(_, label)| label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sqlstate_outside_the_known_ones_becomes_its_class() {
        assert_eq!(sqlstate_label("23514"), "23514");
        assert_eq!(sqlstate_label("23ABC"), "23___");
        assert_eq!(sqlstate_label("ZZ123"), "other");
        assert_eq!(sqlstate_label("23"), "other");
        assert_eq!(sqlstate_label(""), "other");
        assert_eq!(sqlstate_label("é1234"), "other");
    }

    #[test]
    fn the_known_sqlstates_are_sorted_into_known_classes() {
        for code in SQLSTATES {
            assert!(CLASSES.iter().any(|(class, _)| code.starts_with(class)), "{code}");
        }
    }
}
