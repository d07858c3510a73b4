//! `tests:` of a rule file. Their shape is checked here, so that they can be written today; running them comes with `chronoguard test`.
//!
//! ```yaml
//! tests:
//!   - name: a completion before its start
//!     setup: "INSERT INTO jobs …"      # optional
//!     sql: "INSERT INTO executions …"
//!     expect: {violations: [executions_order], rejected: true}
//! ```

use super::{
    diagnostic::{Code, Diagnostic},
    fields::{Context, Fields, Keys},
    yaml::Node,
};

/// Checks the shape; adds the rules that the tests name to `mentioned`.
pub fn read(cx: &mut Context, node: &Node, mentioned: &mut Vec<(String, Diagnostic)>) {
    for item in cx.list(node, "`tests`", "a list of tests: `- name: …`").unwrap_or_default() {
        test(cx, item, mentioned);
    }
}

fn test(cx: &mut Context, node: &Node, mentioned: &mut Vec<(String, Diagnostic)>) -> Option<()> {
    let keys = Keys { known: &["name", "setup", "sql", "expect"], later: &[] };
    let fields = Fields::open(cx, node, "a test", &keys)?;
    for (key, expected) in [("name", "a name for reports"), ("sql", "the statements that are judged")] {
        if let Some(node) = fields.required(cx, key, expected) {
            cx.text(node, &format!("`{key}`"));
        }
    }
    fields.optional_text(cx, "setup");
    let expect = fields.required(cx, "expect", "what must happen: `expect: {violations: [rule], rejected: true}`")?;
    let keys = Keys { known: &["violations", "rejected"], later: &[] };
    let expect = Fields::open(cx, expect, "`expect`", &keys)?;
    expect.flag(cx, "rejected");
    let names = cx.list(expect.value("violations")?, "`violations`", "a list of rule names: `[jobs_order]`")?;
    for name in names {
        if let Some(text) = cx.text(name, "the rule") {
            let d =
                cx.error(Code::BadValue, name.at, format!("there is no rule `{text}`")).expected("the name of a rule");
            mentioned.push((text.to_owned(), d));
        }
    }
    Some(())
}
