//! Statements that write fewer rows than they must.

use super::*;

fn counting(keys: &str, on_violation: &str) -> Guarded {
    let rules = format!(
        "version: 1\ntables:\n  - table: public.ex\n    rules:\n      - {{name: ex_lost, affects_rows: {{{keys}}}, on_violation: {on_violation}}}\n"
    );
    Guarded::with_schema(&rules, IDS)
}

const LOST: &str = "UPDATE ex SET note = 'x' WHERE id = 4711";
const FOUND: &str = "UPDATE ex SET note = 'x' WHERE id = 1";

#[test]
fn an_update_that_meets_no_row_is_told_before_its_tag() {
    let guarded = counting("operations: [update]", "warn");
    let mut talk = guarded.login();
    let replies = talk.query(LOST);
    assert_eq!(tags(&replies), "NCZ");
    let fields = replies[0].fields();
    let field = |code: char| fields.get(&code).map_or("", String::as_str);
    assert_eq!(
        (field('S'), field('C'), field('s'), field('t'), field('n')),
        ("WARNING", "01000", "public", "ex", "ex_lost")
    );
    assert_eq!(field('M'), "UPDATE of relation \"ex\" violates timestamp rule \"ex_lost\"");
    assert_eq!(field('D'), "It wrote 0 rows; at least 1 is required.");
    assert!(field('H').starts_with("The row may not be there yet"), "{}", field('H'));
    assert_eq!(replies[1].command(), "UPDATE 0");
    let samples = guarded.await_outcome("warned", 1);
    let labels = [("rule", "ex_lost"), ("action", "warn"), ("cause", "other")];
    assert!((samples.sum("violations_total", &labels) - 1.0).abs() < 0.5);
    assert!(guarded.proxy.log().contains("rule=\"ex_lost\""));
    assert_eq!(done(&talk.query(FOUND)), Done::Passed);
    // No guard is needed for it.
    talk.run("UPDATE ex SET note = current_query() WHERE id = 2");
    assert_eq!(guarded.landed("SELECT note FROM ex WHERE id = 2"), "UPDATE ex SET note = current_query() WHERE id = 2");
}

#[test]
fn in_every_position() {
    let guarded = counting("operations: [update]", "warn");
    let mut talk = guarded.login();
    talk.run(&format!("PREPARE by_sql AS {LOST}"));
    talk.pipeline(&[fe::parse("by_parse", LOST)]);
    let run = [fe::bind("", "by_parse", &[]), fe::execute("", 0)].concat();
    for _ in 0..2 {
        assert_eq!(done(&talk.query(LOST)), Done::Warned);
        talk.send(&fe::extended(LOST, &[]));
        assert_eq!(done(&talk.ready()), Done::Warned);
        assert_eq!(done(&talk.pipeline(std::slice::from_ref(&run))), Done::Warned);
        assert_eq!(done(&talk.query("EXECUTE by_sql")), Done::Warned);
        assert_eq!(done(&talk.query("EXECUTE by_parse")), Done::Warned);
        assert_eq!(
            done(&talk.pipeline(&[fe::parse("", FOUND), fe::bind("", "", &[]), fe::execute("", 0), run.clone()])),
            Done::Warned
        );
        talk.run("BEGIN");
        assert_eq!(done(&talk.pipeline(std::slice::from_ref(&run))), Done::Warned);
        talk.run("COMMIT");
        assert_eq!(tags(&talk.query(format!("{FOUND}; {LOST}; {FOUND}"))), "CNC*Z");
        // Prepared long ago, by what is in force now.
        guarded.proxy.observe_only(true);
        assert_eq!(done(&talk.query(LOST)), Done::Passed);
        assert_eq!(done(&talk.pipeline(std::slice::from_ref(&run))), Done::Passed);
        assert_eq!(done(&talk.query("EXECUTE by_sql")), Done::Passed);
        guarded.proxy.observe_only(false);
    }
    let samples = guarded.proxy.await_metric("violations_total", &[("rule", "ex_lost")], 22.0);
    assert!((samples.sum("violations_total", &[("action", "observe")]) - 6.0).abs() < 0.5);
}

/// Of a portal that is read in parts the last tag counts the last rows only.
#[test]
fn a_portal_read_in_parts_has_written_all_its_rows() {
    let guarded = counting("operations: [update], min: 4", "warn");
    let mut talk = guarded.login();
    let update = "UPDATE ex SET note = 'x' WHERE id <= $1::int RETURNING id";
    for (rows, warned) in [("5", false), ("4", false), ("3", true), ("0", true)] {
        let replies = talk.pipeline(&[
            fe::parse("", update),
            fe::bind("p", "", &[rows]),
            fe::execute("p", 2),
            fe::execute("p", 2),
            fe::execute("p", 2),
            fe::execute("p", 2),
        ]);
        let warnings = replies.iter().filter(|m| m.tag == b'N').count();
        assert_eq!(warnings, usize::from(warned), "{rows}: {replies:?}");
    }
}

#[test]
fn other_kinds_of_write() {
    let guarded = counting("operations: [insert, copy]", "warn");
    let mut talk = guarded.login();
    assert_eq!(done(&talk.query(LOST)), Done::Passed, "an update");
    assert_eq!(done(&talk.query("INSERT INTO ex (id) VALUES (1) ON CONFLICT DO NOTHING")), Done::Warned);
    assert_eq!(done(&talk.query("INSERT INTO ex (id) SELECT 1 WHERE false")), Done::Warned);
    assert_eq!(done(&talk.query(GOOD)), Done::Passed);
    talk.send(&fe::query("COPY ex (id) FROM STDIN"));
    talk.until(b"G");
    talk.send(&fe::copy_done());
    assert_eq!(done(&talk.ready()), Done::Warned);
    // An error is no small number of rows.
    let failed = talk.query("INSERT INTO ex (id) VALUES (1)");
    assert_eq!(tags(&failed), "EZ");
}

#[test]
fn where_the_server_does_not_tell_is_counted() {
    let guarded = counting("operations: [update]", "warn");
    let mut talk = guarded.login();
    assert_eq!(done(&talk.query(format!("WITH x AS ({LOST} RETURNING id) SELECT count(*) FROM x"))), Done::Passed);
    guarded.await_unguardable("rows_unknown", 1);
    talk.run(&format!("EXPLAIN ANALYZE {LOST}"));
    guarded.await_unguardable("rows_unknown", 2);
    talk.run(&format!("PREPARE p AS {LOST}"));
    talk.run("EXPLAIN ANALYZE EXECUTE p");
    assert_eq!(guarded.proxy.metrics().sum("violations_total", &[("rule", "ex_lost")]), 0.0);
}

#[test]
fn beside_a_rule_about_rows() {
    let rules = "version: 1\ntables:\n  - table: public.ex\n    on_violation: warn\n    rules:\n      - {name: ex_lost, affects_rows: {operations: [update], min: 2}}\n      - {name: ex_order, order: [created_at, started_at], on_violation: reject}\nexemptions: [{rules: [ex_lost], match: {application_name: 'quiet*'}, reason: r, expires: 2999-01-01}]\n";
    let guarded = Guarded::with_schema(rules, IDS);
    let mut talk = guarded.login();
    let one = "UPDATE ex SET started_at = '2026-06-01' WHERE id = 1";
    assert_eq!(tags(&talk.query(one)), "NCZ");
    assert_eq!(tags(&talk.query(format!("{one} RETURNING id"))), "TDNCZ");
    assert_eq!(done(&talk.query("UPDATE ex SET started_at = '2020-01-01' WHERE id = 1")), Done::Refused);
    assert_eq!(tags(&talk.query("UPDATE ex SET started_at = '2026-06-01' WHERE id IN (1, 2)")), "CZ");
    talk.run("SET application_name = 'quiet please'");
    assert_eq!(tags(&talk.query(one)), "CZ");
    guarded.await_outcome("exempt", 1);
}

/// Row security filters what an UPDATE sees; a rule that needs no guard judges what the server tells.
#[test]
fn a_table_that_cannot_be_guarded() {
    let guarded = counting("operations: [update]", "warn");
    guarded.direct().run("CREATE ROLE control_counted LOGIN; ALTER TABLE ex ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON ex FOR UPDATE USING (id < 3)");
    let mut talk = guarded.login_as("control_counted");
    assert_eq!(done(&talk.query("UPDATE ex SET note = 'x'")), Done::Passed);
    assert_eq!(guarded.landed("SELECT count(*) FROM ex WHERE note = 'x'"), "2");
    assert_eq!(guarded.proxy.metrics().sum("unguardable_total", &[]), 0.0);
}
