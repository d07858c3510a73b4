use proptest::prelude::*;

use super::*;

const OWNER: Owner<'static> = Owner { schema: "public", table: "executions" };

fn columns(text: &str) -> Vec<String> {
    parse(text, OWNER).unwrap_or_else(|e| panic!("{text}: {e}")).columns
}

#[test]
fn columns_are_folded_and_in_order_of_first_use() {
    for (text, expected) in [
        ("status IN ('completed','failed')", vec!["status"]),
        ("completed_at - started_at < interval '1 day'", vec!["completed_at", "started_at"]),
        ("Status = 'x' AND \"createdAt\" > created_at AND status <> 'y'", vec!["status", "createdAt", "created_at"]),
        ("executions.status = 'x'", vec!["status"]),
        ("executions.a = 1 OR Executions.b = 2", vec!["a", "b"]),
        ("a ~ '^\\d+$' -- a number", vec!["a"]),
        ("a = /* x /* y */ */ 1", vec!["a"]),
        ("created_at <= current_timestamp AND now() > created_at", vec!["created_at"]),
        ("a BETWEEN b AND c", vec!["a", "b", "c"]),
        ("a IS DISTINCT FROM b AND c IS NOT NULL", vec!["a", "b", "c"]),
        ("extract(epoch FROM a) >= 0", vec!["a"]),
        ("meta->>'k' = 'v' AND tags @> ARRAY['x'] AND meta ? 'k'", vec!["meta", "tags"]),
        ("CASE WHEN a THEN b ELSE c = 1 END", vec!["a", "b", "c"]),
        ("a LIKE 'x%' AND b ILIKE '%y' AND c ~ '^z'", vec!["a", "b", "c"]),
        ("coalesce(a, b) AND (c)::boolean", vec!["a", "b", "c"]),
        ("done", vec!["done"]),
        ("NOT done", vec!["done"]),
        ("a = ANY (ARRAY['x','y'])", vec!["a"]),
        ("a AT TIME ZONE 'UTC' < b", vec!["a", "b"]),
        ("a OPERATOR(pg_catalog.<) b", vec!["a", "b"]),
        ("a = E'\\u00e4'", vec!["a"]),
        ("\"user\" = 'x' AND user = 'y'", vec!["user"]),
    ] {
        assert_eq!(columns(text), expected, "{text}");
    }
}

#[test]
fn what_is_no_condition_says_why() {
    for (text, why) in [
        ("", "expected"),
        ("a =", "expected an expression"),
        ("a = 1; DROP TABLE x", "`;`"),
        ("a = 1) OR (b = 2", "left over"),
        ("a = 1 b", "left over"),
        ("a = 1 /* open", ""),
        ("-- only a comment", "expected"),
        ("public.executions.a = 1", "without the schema"),
        ("a = U&'x'", "standard_conforming_strings"),
        ("a = (SELECT 1)", "sub-select"),
        ("EXISTS (SELECT 1)", "sub-select"),
        ("a IN (SELECT 1)", "sub-select"),
        ("a = ANY (SELECT 1)", "sub-select"),
        ("a = ARRAY(SELECT 1)", "sub-select"),
        ("count(*) > 1", "single row"),
        ("sum(a) FILTER (WHERE b) > 1", "single row"),
        ("pg_catalog.max(a) > 1", "single row"),
        ("row_number() OVER (ORDER BY a) = 1", "window"),
        ("a = $1", "parameter"),
        ("jobs.a = 1", "no column of `executions`"),
        ("other.executions.a = 1", "no column of `executions`"),
        ("now() > '2000-01-01'", "no column"),
        ("true", "no column"),
        ("a + 1", "not boolean"),
        ("'x'", "not boolean"),
        ("(5)", "not boolean"),
        ("xmin = 1", "system column"),
        ("a = current_role", "value of the session"),
        ("SELECT 1", ""),
        ("a = 'open", ""),
        ("executions.*", ""),
    ] {
        let error = parse(text, OWNER).unwrap_err();
        assert!(error.contains(why), "{text}: {error}");
    }
    assert!(parse(&"a AND ".repeat(1000), OWNER).unwrap_err().contains("longer"));
    assert!(parse(&"(".repeat(2000), OWNER).is_err());
}

#[test]
fn arithmetic_is_not_total_unless_guarded() {
    let computes = |text: &str| !parse(text, OWNER).unwrap().warnings().is_empty();
    assert!(computes("completed_at - started_at < interval '1 day'"));
    assert!(computes("a::int > 1"));
    assert!(!computes("a > '2000-01-01'::timestamptz"));
    assert!(!computes("status = 'x' OR a > b"));
    assert!(!computes("CASE WHEN isfinite(a) AND isfinite(b) THEN a - b < interval '1 day' END"));
    assert!(computes("a = 'größe'"));
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        let _ = parse(&text, OWNER);
    }

    #[test]
    fn any_tokens_are_read_or_refused(words in prop::collection::vec(prop::sample::select(vec![
        "a", "executions.b", "(", ")", "AND", "OR", "NOT", "=", "<", "-", "+", "interval", "'1 day'", "CASE", "WHEN", "THEN", "END", "IN",
        "IS", "NULL", "::", "text", "[", "]", ",", ".", "*", "\"", "E'\\'", "$$", "between", "at time zone", "select", "from", "any", "array",
    ]), 0..40)) {
        let _ = parse(&words.join(" "), OWNER);
    }

    #[test]
    fn a_long_chain_needs_no_stack(n in 1usize..2000) {
        let _ = parse(&vec!["a"; n].join("+"), OWNER);
        let _ = parse(&("NOT ".repeat(n / 4) + "a"), OWNER);
    }
}
