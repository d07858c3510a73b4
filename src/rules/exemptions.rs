//! `exemptions:` and `trusted_roles:` of a rule file: writers that rules do not act upon for a while.
//!
//! ```yaml
//! exemptions:
//!   - rules: [executions_no_reuse]
//!     match: {role: migrator, application_name: "backfill-*"}      # also: database, client; all that are given must match
//!     reason: backfill of 2025 rows
//!     owner: data-team                                             # optional
//!     expires: 2027-01-31                                          # from then on it does not apply
//! trusted_roles: [migrator]                                        # their application_name is believed
//! ```

use super::{
    diagnostic::{Code, Diagnostic},
    fields::{Context, Fields, Keys},
    set::{Exemption, Matches},
    values,
    yaml::Node,
};

/// Keys of an exemption.
pub const KEYS: [&str; 5] = ["rules", "match", "reason", "owner", "expires"];

/// Keys of `match`.
pub const MATCH_KEYS: [&str; 4] = ["role", "database", "application_name", "client"];

/// What says whom an exemption is for.
const MATCH: &str = "at least one of `role`, `database`, `application_name` and `client`: `match: {role: migrator}`";

/// Reads the list; adds the rules that it names to `mentioned`.
pub fn read(cx: &mut Context, node: &Node, mentioned: &mut Vec<(String, Diagnostic)>) -> Vec<Exemption> {
    let items = cx.list(node, "`exemptions`", "a list: `- rules: [jobs_order]` with `match`, `reason` and `expires`");
    items.unwrap_or_default().iter().filter_map(|item| exemption(cx, item, mentioned)).collect()
}

fn exemption(cx: &mut Context, node: &Node, mentioned: &mut Vec<(String, Diagnostic)>) -> Option<Exemption> {
    let fields = Fields::open(cx, node, "an exemption", &Keys { known: &KEYS, later: &[] })?;
    let rules = fields
        .required(cx, "rules", "the rules it is about: `rules: [jobs_order]`")
        .and_then(|node| rules(cx, node, mentioned));
    let matches = fields.required(cx, "match", MATCH).and_then(|node| matches(cx, node));
    let reason = fields
        .required(cx, "reason", "why: `reason: backfill of 2025 rows`")
        .and_then(|node| cx.text(node, "`reason`").map(str::to_owned));
    let owner = fields.optional_text(cx, "owner");
    let expires = fields
        .required(cx, "expires", "the day or instant from which it does not apply: `expires: 2027-01-31`")
        .and_then(|node| values::instant(cx, node, "`expires`"));
    Some(Exemption {
        rules: rules?,
        matches: matches?,
        reason: reason?,
        owner: owner?,
        expires: expires?,
        place: cx.place(node.at),
    })
}

fn rules(cx: &mut Context, node: &Node, mentioned: &mut Vec<(String, Diagnostic)>) -> Option<Vec<String>> {
    const RULES: &str = "a list of rule names, at least one: `[jobs_order]`";
    let mut names = Vec::new();
    for item in cx.list(node, "`rules`", RULES)? {
        let name = cx.text(item, "the rule")?;
        let d = cx.error(Code::BadValue, item.at, format!("there is no rule `{name}`")).expected("the name of a rule");
        mentioned.push((name.to_owned(), d));
        names.push(name.to_owned());
    }
    if names.is_empty() {
        let d = cx.error(Code::BadValue, node.at, "`rules` names no rule").expected(RULES);
        return cx.report(d);
    }
    Some(names)
}

fn matches(cx: &mut Context, node: &Node) -> Option<Matches> {
    let fields = Fields::open(cx, node, "`match`", &Keys { known: &MATCH_KEYS, later: &[] })?;
    let role = fields.optional(cx, "role", values::pattern);
    let database = fields.optional(cx, "database", values::pattern);
    let application_name = fields.optional(cx, "application_name", |cx, node, what| {
        let pattern = values::pattern(cx, node, what)?;
        if pattern.is_ascii() {
            return Some(pattern);
        }
        let d = cx.error(Code::BadValue, node.at, format!("{what} is not ASCII"));
        cx.report(d.help("PostgreSQL replaces other characters in an application_name: put `*` for them"))
    });
    let client = fields.optional(cx, "client", values::network);
    let matches = Matches { role: role?, database: database?, application_name: application_name?, client: client? };
    if matches == Matches::default() {
        if !fields.has_strangers {
            let d = cx.error(Code::MissingKey, node.at, "`match` says nothing about the writer").expected(MATCH);
            cx.report::<()>(d);
        }
        return None;
    }
    Some(matches)
}

/// Roles whose `application_name` is believed.
pub fn trusted_roles(cx: &mut Context, node: &Node) -> Vec<String> {
    let items = cx.list(node, "`trusted_roles`", "a list of roles: `[migrator]`").unwrap_or_default();
    items.iter().filter_map(|item| cx.text(item, "the role").map(str::to_owned)).collect()
}
