use proptest::prelude::*;

use super::*;

#[test]
fn spans() {
    for (text, nanos) in [
        ("5ms", 5_000_000),
        ("1us", 1_000),
        ("250ns", 250),
        ("90s", 90_000_000_000),
        ("1h30m", 5_400_000_000_000),
        ("1h 30m", 5_400_000_000_000),
        ("30d", 2_592_000_000_000_000),
        ("0s", 0),
        ("1d2h3m4s5ms6us7ns", 93_784_005_006_007),
    ] {
        assert_eq!(parse_span(text), Ok(Span { nanos }), "{text}");
    }
}

#[test]
fn wrong_spans_say_why() {
    for (text, why) in [
        ("", "empty"),
        ("5", "no unit"),
        ("1h30", "no unit"),
        ("ms", "number is missing"),
        ("-5ms", "never negative"),
        ("1.5s", "no fractions"),
        ("5 minutes", "unknown unit"),
        ("30m1h", "before smaller units"),
        ("1s1s", "once"),
        ("5M", "unknown unit"),
        ("600y", "unknown unit"),
        ("300000d", "584 years"),
        ("99999999999999999999ns", "584 years"),
    ] {
        let error = parse_span(text).unwrap_err();
        assert!(error.contains(why), "{text}: {error}");
    }
}

#[test]
fn names_fold_as_postgresql_folds() {
    let names = |text: &str| parse_name(text).map(|p| p.into_iter().map(|p| p.name).collect::<Vec<_>>());
    assert_eq!(names("jobs"), Ok(vec!["jobs".to_owned()]));
    assert_eq!(names("Migration.Discovery_Flows"), Ok(vec!["migration".to_owned(), "discovery_flows".to_owned()]));
    assert_eq!(names("public.\"My\"\"Table.x\""), Ok(vec!["public".to_owned(), "My\"Table.x".to_owned()]));
    assert_eq!(names("größe$1"), Ok(vec!["größe$1".to_owned()]));
    assert_eq!(names("ÄB"), Ok(vec!["Äb".to_owned()]));
    for wrong in ["", ".", "a.", "1a", "a b", "a-b", "\"a", "\"\"", "a.\"\"", "$a", "a;b", &"x".repeat(64)] {
        assert!(parse_name(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn zones() {
    for zone in ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+5", "America/Port-au-Prince"] {
        assert!(zone_names().any(|name| name == zone), "{zone}");
    }
    for zone in ["CET", "+02", "Europe/", "utc", "Europe/Ber'lin", "/", "Europe Berlin"] {
        assert!(!zone_names().any(|name| name == zone), "{zone}");
    }
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        let _ = parse_span(&text);
        let _ = parse_name(&text);
    }

    #[test]
    fn a_quoted_name_is_that_name(name in "[a-zA-Z\". ]{1,30}") {
        let quoted = format!("\"{}\"", name.replace('"', "\"\""));
        prop_assert_eq!(parse_name(&quoted), Ok(vec![NamePart { name, folded: false }]));
    }
}
