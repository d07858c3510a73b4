use super::*;

fn map(text: &str) -> Vec<(Node, Node)> {
    match parse(text).unwrap().unwrap().value {
        Value::Map(entries) => entries,
        other => panic!("{other:?}"),
    }
}

fn at(line: u32, column: u32, length: u32) -> At {
    At { line, column, length }
}

#[test]
fn scalars_keep_type_and_place() {
    let entries = map("a: 5ms\nö: 12\nc:   true\nd: ~\ne: \"x y\"\nf: 2000-01-01\ng: yes\nh: .inf\ni: 1.5\n");
    let values: Vec<_> = entries.iter().map(|(_, v)| v.value.clone()).collect();
    let text = |t: &str| Value::Text(t.to_owned());
    assert_eq!(
        values,
        [
            text("5ms"),
            Value::Number("12".to_owned()),
            Value::Bool(true),
            Value::Null,
            text("x y"),
            text("2000-01-01"),
            text("yes"),
            text(".inf"),
            Value::Number("1.5".to_owned()),
        ]
    );
    assert_eq!(entries[0].0.at, at(1, 1, 1));
    assert_eq!(entries[0].1.at, at(1, 4, 3));
    assert_eq!(entries[1].1.at, at(2, 4, 2));
    assert_eq!(entries[2].1.at, at(3, 6, 4));
    assert_eq!(entries[4].1.at, at(5, 4, 5));
}

#[test]
fn nested_nodes_keep_their_places() {
    let entries = map("tables:\n  - {table: a, null: [x, y]}\n");
    let Value::List(items) = &entries[0].1.value else { panic!() };
    assert_eq!(items[0].at, at(2, 5, 1));
    let Value::Map(inner) = &items[0].value else { panic!() };
    assert_eq!(inner[1].0.as_key().as_deref(), Some("null"));
    assert_eq!(inner[1].0.at, at(2, 16, 4));
    let Value::List(list) = &inner[1].1.value else { panic!() };
    assert_eq!(list[1].at, at(2, 26, 1));
}

#[test]
fn duplicate_keys_arrive_twice() {
    let keys: Vec<_> = map("a: 1\nb: 2\na: 3\n").into_iter().map(|(k, _)| k.as_key().unwrap()).collect();
    assert_eq!(keys, ["a", "b", "a"]);
}

#[test]
fn anchors_and_merges_are_resolved() {
    let entries = map("base: &b {x: 1}\nuse:\n  <<: *b\n  y: 2\n");
    let Value::Map(used) = &entries[1].1.value else { panic!() };
    let mut keys: Vec<_> = used.iter().map(|(k, _)| k.as_key().unwrap()).collect();
    keys.sort();
    assert_eq!(keys, ["x", "y"]);
}

#[test]
fn empty_texts_are_no_error() {
    for text in ["", "  \n", "# only a comment\n", "---\n"] {
        assert_eq!(parse(text), Ok(None), "{text:?}");
    }
}

#[test]
fn syntax_errors_have_a_place() {
    for (text, line) in [("a: [1, 2\nb: 3\n", 2), ("a: 1\n  b: 2\n", 2), ("a: 1\n---\nb: 2\n", 3), ("a: *nobody\n", 1)]
    {
        let error = parse(text).unwrap_err();
        assert_eq!(error.at.line, line, "{text:?}: {error:?}");
        assert!(!error.message.is_empty() && !error.message.contains('\n'));
        assert!(!error.message.contains("from_multiple"), "{}", error.message);
    }
}

#[test]
fn an_alias_bomb_is_an_error() {
    let mut text = String::from("l0: &l0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let below = level - 1;
        text += &format!(
            "l{level}: &l{level} [*l{below}, *l{below}, *l{below}, *l{below}, *l{below}, *l{below}, *l{below}, *l{below}, *l{below}]\n"
        );
    }
    assert!(parse(&text).is_err());
}

#[test]
fn deep_nesting_is_an_error() {
    assert!(parse(&"[".repeat(100_000)).is_err());
    assert!(parse(&"- ".repeat(100_000)).is_err());
    assert!(parse(&"{a: ".repeat(100_000)).is_err());
}

#[test]
fn block_scalars_and_aliases_have_their_own_places() {
    let entries = map("a: |\n  x\n  y\nb: >-\n  folded\n  text\nc: &n [p]\nd: *n\n");
    assert_eq!(entries[0].1.value, Value::Text("x\ny\n".to_owned()));
    assert_eq!((entries[0].1.at.line, entries[1].1.at.line), (2, 5));
    assert_eq!(entries[1].1.value, Value::Text("folded text".to_owned()));
    // An alias is where its text is: that is what a person must change.
    assert_eq!((entries[3].0.at.line, entries[3].1.at.line), (8, 7));
}
