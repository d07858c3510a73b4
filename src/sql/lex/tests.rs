use super::*;

fn lex_with(text: &str, options: LexOptions) -> Vec<(Kind, &str)> {
    Lexer::new(text.as_bytes(), options).map(|t| (t.kind, &text[t.start..t.end])).collect()
}

fn lex(text: &str) -> Vec<(Kind, &str)> {
    lex_with(text, LexOptions::default())
}

fn old(text: &str) -> Vec<(Kind, &str)> {
    lex_with(text, LexOptions { standard_conforming_strings: false })
}

fn parts(text: &str) -> Vec<&str> {
    lex(text).into_iter().map(|(_, t)| t).collect()
}

#[test]
fn strings() {
    for s in [
        "''",
        "'it''s'",
        r"'\'",
        r"E'\''",
        "e'a\\\\'",
        "B'01'",
        "x'fF'",
        "N'a'",
        "U&'d\\0061t'",
        "u&'!0061' uescape '!'",
        "$$a'b$$",
        "$a_1$ $$ $b$ $a_1$",
        "'a'\n'b'",
        "'a' -- c'\n  'b'",
        "'a'\r'b'",
        "E'a'\n'\\''",
        "$é$x$é$",
    ] {
        assert_eq!(lex(s), [(Kind::Str, s)], "{s}");
    }
    assert_eq!(parts("'a' 'b'"), ["'a'", "'b'"]);
    assert_eq!(parts("'a' /* \n */ 'b'"), ["'a'", "'b'"]);
    assert_eq!(parts("'a' -- no break"), ["'a'"]);
    assert_eq!(parts("B'0''1'"), ["B'0'", "'1'"]);
    assert_eq!(old(r"'\'' x"), [(Kind::Str, r"'\''"), (Kind::Ident, "x")]);
    assert_eq!(old(r"N'\'' x").len(), 2);
}

#[test]
fn dollars() {
    assert_eq!(parts("$a$x$$a$ y"), ["$a$x$$a$", "y"]);
    assert_eq!(parts("$$a$b$$ y"), ["$$a$b$$", "y"]);
    assert_eq!(lex("$12"), [(Kind::Param, "$12")]);
    assert_eq!(lex("a$b$"), [(Kind::Ident, "a$b$")]);
    assert_eq!(parts("$ab c"), ["$", "ab", "c"]);
}

#[test]
fn names() {
    assert_eq!(lex("\"a\"\"b\""), [(Kind::Quoted, "\"a\"\"b\"")]);
    assert_eq!(lex("U&\"a\" UESCAPE '!'"), [(Kind::UnicodeIdent, "U&\"a\" UESCAPE '!'")]);
    assert_eq!(parts("U&\"a\" uescaped"), ["U&\"a\"", "uescaped"]);
    assert_eq!(lex("ünï_1$"), [(Kind::Ident, "ünï_1$")]);
    assert_eq!(parts("a.b.\"c\""), ["a", ".", "b", ".", "\"c\""]);
    assert_eq!(parts("u & \"a\""), ["u", "&", "\"a\""]);
}

#[test]
fn numbers() {
    for n in ["1", "1_000", "0x1F", "0b01", "1.5", ".5", "1.", "1e10", "1.5e-3", "1_0.0_1"] {
        assert_eq!(lex(n), [(Kind::Number, n)], "{n}");
    }
    assert_eq!(lex("1..10"), [(Kind::Number, "1"), (Kind::DotDot, ".."), (Kind::Number, "10")]);
    assert_eq!(parts("1e"), ["1", "e"]);
    assert_eq!(parts("t.a"), ["t", ".", "a"]);
}

#[test]
fn operators() {
    assert_eq!(lex("a=>1")[1], (Kind::EqualsGreater, "=>"));
    assert_eq!(lex("a:=1")[1], (Kind::ColonEquals, ":="));
    assert_eq!(lex("a::b")[1], (Kind::Typecast, "::"));
    assert_eq!(lex("=-"), [(Kind::Char(b'='), "="), (Kind::Char(b'-'), "-")]);
    assert_eq!(lex("@-"), [(Kind::Op, "@-")]);
    assert_eq!(lex("#>>"), [(Kind::Op, "#>>")]);
    assert_eq!(lex("*/* c */b"), [(Kind::Char(b'*'), "*"), (Kind::Ident, "b")]);
    assert_eq!(lex("+--c\nb"), [(Kind::Char(b'+'), "+"), (Kind::Ident, "b")]);
    assert_eq!(parts("a<-1"), ["a", "<", "-", "1"]);
    assert_eq!(parts("!=-1"), ["!=-", "1"]);
    assert_eq!(parts("a[1:2];"), ["a", "[", "1", ":", "2", "]", ";"]);
}

#[test]
fn comments() {
    assert_eq!(parts("a /* /* */ ' */ b -- '\nc --\rd"), ["a", "b", "c", "d"]);
    assert_eq!(parts("/**/a/*/*/**/*/*/b"), ["a", "b"]);
}

#[test]
fn what_is_not_closed_runs_to_the_end() {
    for s in ["'a", "'a''", "\"a", "E'a\\'", "E'\\", "$$a$", "/* /* */", "U&\"x", "'a'\n'b", "B'0", "/*/"] {
        assert_eq!(lex(s), [(Kind::Unterminated, s)], "{s}");
    }
}

proptest::proptest! {
    #[test]
    fn tokens_are_in_order_and_in_bounds(text: Vec<u8>, conforming: bool) {
        let mut last = 0;
        for t in Lexer::new(&text, LexOptions { standard_conforming_strings: conforming }) {
            assert!(last <= t.start && t.start < t.end && t.end <= text.len());
            last = t.end;
        }
    }

    #[test]
    fn sql_like_bytes_too(text in "[-'\"$a1_/*\\\\U&EBX .:;=<>()\n@]{0,60}") {
        let mut last = 0;
        for t in Lexer::new(text.as_bytes(), LexOptions::default()) {
            assert!(last <= t.start && t.start < t.end && t.end <= text.len());
            last = t.end;
        }
    }
}
