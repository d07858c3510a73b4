//! What a guard says, read back: the text of the guard column, of an error or of a notice.
//!
//! ```text
//! verdict  = "" | findings | stranger | lost
//! findings = finding { finding }                        the column holds one for each rule violated; an error or a notice holds one
//! finding  = rule [ done ] { "|" value } ";"            rule: its number; done: where it varies, see [`super::decision`]; values: the key columns, then the rule's slots
//! value    = ""                                         NULL
//!          | "t" seconds | "w" seconds | "d" seconds    timestamptz, timestamp, date: since the epoch, or Infinity, -Infinity
//!          | "i" seconds                                interval
//!          | "n" text                                   a number, uuid or boolean as it is
//!          | "x" hex                                    the first 40 characters of anything else, in the database's encoding
//!          | ( "T" | "W" | "D" | "I" | "F" | "G" ) key  timestamptz, timestamp, date, integer, double precision, real as it was recorded, see `carry`
//! stranger = "!" oid ";"                                the row went into another relation
//! lost     = "?;"                                       what was recorded of the row before is another row's; last in the column, if at all
//! message  = … "CG" mark "|" ( finding | stranger | lost ) …  whatever is around it, in whatever language
//!          | … "CG" mark "|" finding "@" line …          where the rows of a COPY come from their stage
//! ```
//! A client can send such a text too. So only a text with this process's mark, or from the column we added, is looked at, and only rules
//! that were compiled into that very guard are believed; anything of another shape is no verdict.

use std::sync::Arc;

use super::{
    Guard, Slot,
    time::{Moment, Style},
};
use crate::rules::set::{Action, Exemption, Unit};

/// No guard writes more findings than rules; a longer text is not ours.
const MOST_FINDINGS: usize = 4_096;

/// What a guard said about one row.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// It violates nothing.
    Good,
    /// It was stored in the relation with this OID, for which the guard was not made: nothing was judged.
    OtherRelation(u32),
    /// At least one.
    Findings(Vec<Finding>),
    /// No finding, but what was recorded of the row before is another row's: rules that need it did not judge. See also [`is_lost`].
    Lost,
}

/// One rule violated by one row.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// Index in `TableRules::rules`.
    pub rule: usize,
    /// What was done.
    pub action: Action,
    /// [`Action::Exempt`]: by which exemption.
    pub exemption: Option<Arc<Exemption>>,
    /// Key columns and their values; empty if not known.
    pub key: Vec<(String, Value)>,
    /// The values the rule looked at.
    pub values: Vec<(Slot, Value)>,
}

/// A value as it came from the server.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// NULL.
    Null,
    /// A `timestamptz`.
    Instant(Moment),
    /// A `timestamp`, as if it were UTC.
    Timestamp(Moment),
    /// A `date`, its midnight as if it were UTC.
    Date(Moment),
    /// An `interval`, in seconds since the epoch's zero.
    Interval(Moment),
    /// A number, uuid or boolean.
    Plain(String),
    /// Anything else, cut after 40 characters.
    Text(String),
}

impl Value {
    /// The value as a time; a number counts `unit`.
    pub fn moment(&self, unit: Option<Unit>) -> Option<Moment> {
        match self {
            Self::Instant(moment) | Self::Timestamp(moment) | Self::Date(moment) | Self::Interval(moment) => {
                Some(*moment)
            }
            Self::Plain(text) => Moment::parse(text, unit?.per_second()),
            Self::Null | Self::Text(_) => None,
        }
    }

    /// Whether two are one value, as PostgreSQL compares: `1.0` and `1.00` are one number.
    pub(super) fn same(&self, other: &Self) -> bool {
        let plain = |text: &str| match text.contains(['.']) && !text.contains(['e', 'E']) {
            true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
            false => text.to_owned(),
        };
        match (self, other) {
            (Self::Plain(one), Self::Plain(another)) => plain(one) == plain(another),
            _ => self == other,
        }
    }

    /// For people and logs.
    pub fn display(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Instant(moment) => Style::Instant.format(*moment),
            Self::Timestamp(moment) => Style::Wall.format(*moment),
            Self::Date(moment) => Style::Date.format(*moment),
            Self::Interval(Moment::Finite(nanos)) => super::time::Length(*nanos).signed(),
            Self::Interval(moment) => Style::Date.format(*moment),
            Self::Plain(text) | Self::Text(text) => text.clone(),
        }
    }
}

/// Reads the text of the guard column.
///
/// `None`: not a verdict of this guard.
pub fn from_column(text: &[u8], guard: &Guard) -> Option<Verdict> {
    if text.is_empty() {
        return Some(Verdict::Good);
    }
    let (text, rest) = text.split_at(text.len() - 1);
    if rest != b";" {
        return None;
    }
    if text.first() == Some(&b'!') {
        return stranger(text);
    }
    let mut findings = Vec::new();
    for part in text.split(|&byte| byte == b';').filter(|part| *part != LOST) {
        findings.push(finding(part, guard)?);
        if findings.len() > MOST_FINDINGS {
            return None;
        }
    }
    Some(if findings.is_empty() { Verdict::Lost } else { Verdict::Findings(findings) })
}

/// Whether the text of a guard column says, beside what was found, that rules that need the row before did not judge.
pub fn is_lost(text: &[u8]) -> bool {
    text.split(|&byte| byte == b';').any(|part| part == LOST)
}

const LOST: &[u8] = b"?";

/// Finds the verdict in the primary message of an error or a notice.
///
/// `None`: it carries none of this guard with this mark.
pub fn from_message(message: &[u8], mark: &str, guard: &Guard) -> Option<Verdict> {
    let label = format!("CG{mark}|");
    // The notice names the identifier twice, whole and truncated, and a translation may swap the two.
    memchr::memmem::find_iter(message, label.as_bytes()).find_map(|at| {
        let text = &message[at + label.len()..];
        let text = &text[..memchr::memchr(b';', text)?];
        if text.first() == Some(&b'!') {
            return stranger(text);
        }
        if text == LOST {
            return Some(Verdict::Lost);
        }
        Some(Verdict::Findings(vec![finding(text, guard)?]))
    })
}

/// The line of a COPY that the verdict in a message is about, if it says so.
pub fn line(message: &[u8], mark: &str) -> Option<u64> {
    let at = memchr::memmem::find(message, format!("CG{mark}|").as_bytes())?;
    let text = &message[at..];
    let text = text[memchr::memchr(b';', text)? + 1..].strip_prefix(b"@")?;
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&text[..digits]).ok()?.parse().ok()
}

fn stranger(text: &[u8]) -> Option<Verdict> {
    let oid = std::str::from_utf8(text).ok()?.strip_prefix('!')?.parse().ok()?;
    Some(Verdict::OtherRelation(oid))
}

fn finding(text: &[u8], guard: &Guard) -> Option<Finding> {
    let text = std::str::from_utf8(text).ok().filter(|text| text.is_ascii())?;
    let mut parts = text.split('|');
    let label = parts.next()?;
    let (rule, done) = label.split_at(label.find(|c: char| !c.is_ascii_digit()).unwrap_or(label.len()));
    let rule = number(rule)?;
    let index = guard.judged.iter().position(|(judged, _)| *judged == rule)?;
    let (decided, slots) = (guard.decisions.get(index)?.read(done)?, guard.slots.get(index)?);
    let values = parts.map(value).collect::<Option<Vec<_>>>()?;
    if values.len() != guard.key.len() + slots.len() {
        return None;
    }
    let mut values = values.into_iter();
    let key = guard.key.iter().cloned().zip(values.by_ref().take(guard.key.len())).collect();
    let values = slots.iter().cloned().zip(values).collect();
    Some(Finding { rule, action: decided.action, exemption: decided.exemption.cloned(), key, values })
}

/// As the compiler writes it: digits only.
pub(super) fn number(text: &str) -> Option<usize> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
}

fn value(text: &str) -> Option<Value> {
    let Some(tag) = text.chars().next() else { return Some(Value::Null) };
    let body = &text[tag.len_utf8()..];
    let time = |wrap: fn(Moment) -> Value| match body {
        "" => Some(Value::Null),
        _ => Moment::parse(body, 1).map(wrap),
    };
    match tag {
        't' => time(Value::Instant),
        'w' => time(Value::Timestamp),
        'd' => time(Value::Date),
        'i' => time(Value::Interval),
        'n' | 'T' | 'W' | 'D' | 'I' | 'F' | 'G' if body.is_empty() => Some(Value::Null),
        'n' => body.bytes().all(|b| b.is_ascii_graphic() && b != b'"').then(|| Value::Plain(body.to_owned())),
        'T' => recorded_time(body, 16, MICROSECOND).map(Value::Instant),
        'W' => recorded_time(body, 16, MICROSECOND).map(Value::Timestamp),
        'D' => recorded_time(body, 8, DAY).map(Value::Date),
        'I' => recorded_integer(body).map(|number| Value::Plain(number.to_string())),
        'F' => recorded_float(body).map(|number| Value::Plain(float_text(number, &number.to_string()))),
        #[expect(clippy::cast_possible_truncation, reason = "it was widened from this")]
        'G' => recorded_float(body).map(|number| Value::Plain(float_text(number, &(number as f32).to_string()))),
        'x' => hex(body).map(|bytes| Value::Text(String::from_utf8_lossy(&bytes).into_owned())),
        _ => None,
    }
}

/// Nanoseconds in the units of `timestamptz` and `date`, which count from 2000-01-01.
const MICROSECOND: i128 = 1_000;
const DAY: i128 = 86_400_000_000_000;
const YEAR_2000: i128 = 946_684_800 * super::time::NANOS;

/// The integer of a key: a sign, and two's complement in hexadecimal digits.
fn recorded_integer(key: &str) -> Option<i64> {
    let digits = key.strip_prefix(['0', '-']).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))?;
    Some(match digits.len() {
        4 => u16::from_str_radix(digits, 16).ok()?.cast_signed().into(),
        8 => u32::from_str_radix(digits, 16).ok()?.cast_signed().into(),
        16 => u64::from_str_radix(digits, 16).ok()?.cast_signed(),
        _ => return None,
    })
}

fn recorded_time(key: &str, digits: usize, unit: i128) -> Option<Moment> {
    let count = recorded_integer(key).filter(|_| key.len() == digits + 1)?;
    let (least, most) = if digits == 16 { (i64::MIN, i64::MAX) } else { (i32::MIN.into(), i32::MAX.into()) };
    Some(match count {
        _ if count == least => Moment::NegInfinity,
        _ if count == most => Moment::Infinity,
        _ => Moment::Finite(YEAR_2000 + i128::from(count) * unit),
    })
}

fn recorded_float(key: &str) -> Option<f64> {
    if key == "0n" {
        return Some(f64::NAN);
    }
    let hexadecimal = |digits: &&str| digits.len() == 16 && digits.bytes().all(|b| b.is_ascii_hexdigit());
    let digits = key.get(1..).filter(hexadecimal)?;
    let bits = u64::from_str_radix(digits, 16).ok()?;
    match key.as_bytes()[0] {
        b'0' => Some(f64::from_bits(bits)),
        b'-' => Some(f64::from_bits(!bits)),
        _ => None,
    }
}

/// As PostgreSQL spells it.
fn float_text(number: f64, text: &str) -> String {
    match (number.is_infinite(), number < 0.0) {
        (true, false) => "Infinity".to_owned(),
        (true, true) => "-Infinity".to_owned(),
        _ => text.to_owned(),
    }
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|&[high, low]| Some(digit(high)? << 4 | digit(low)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::{Decision, Source, testing};

    const MARK: &str = "0123456789abcdef";

    fn guard() -> Guard {
        let slot = |column: &str| Slot { source: Source::Row, column: column.to_owned() };
        let mut guard = testing::guard();
        guard.judged = vec![(0, Action::Observe), (3, Action::Reject)];
        guard.decisions = guard.judged.iter().map(|(_, action)| Decision::always(*action)).collect();
        guard.slots = vec![vec![slot("a"), slot("b")], vec![slot("c")]];
        guard.key = vec!["id".to_owned()];
        guard
    }

    #[test]
    fn reads_a_column() {
        let guard = guard();
        assert_eq!(from_column(b"", &guard), Some(Verdict::Good));
        assert_eq!(from_column(b"!16402;", &guard), Some(Verdict::OtherRelation(16402)));
        let Some(Verdict::Findings(findings)) = from_column(b"0|n7|t1.5|tInfinity;3|x61C3a9|;", &guard) else {
            panic!()
        };
        assert_eq!(findings.len(), 2);
        assert_eq!(findings[0].key, [("id".to_owned(), Value::Plain("7".to_owned()))]);
        assert_eq!(findings[0].values[0].1, Value::Instant(Moment::Finite(1_500_000_000)));
        assert_eq!(findings[0].values[1].1, Value::Instant(Moment::Infinity));
        assert_eq!(findings[1].action, Action::Reject);
        assert_eq!(findings[1].key[0].1, Value::Text("aé".to_owned()));
        assert_eq!(findings[1].values[0].1, Value::Null);
    }

    #[test]
    fn believes_no_other_shape() {
        let guard = guard();
        for text in [
            "x",
            ";",
            "0",
            "0;",
            "0|n7|t1.5;",
            "0|n7|t1.5|t2|t3;",
            "1|n7|t1;",
            "+0|n7|t1|t1;",
            "0|n7|t1|tx;",
            "0|n7|t1|x6;",
            "0|n7|t1|x6g;",
            "0|n7|t1|q1;",
            "!;",
            "!x;",
            "!99999999999;",
            "0|n7|t1|t1;;",
            "0|n\"|t1|t1;",
            "0|n7|t1|n\u{e9};",
            "99999999999999999999|n7|t1;",
            "0o|n7|t1|t1;",
            "3r|n7|t1;",
            "0e0|n7|t1|t1;",
        ] {
            assert_eq!(from_column(text.as_bytes(), &guard), None, "{text}");
        }
        assert_eq!(from_column(b"0|n7|t1|x\xff;", &guard), None);
    }

    #[test]
    fn reads_what_was_recorded() {
        let guard = guard();
        let shown = |text: &str| match from_column(format!("3|n1|{text};").as_bytes(), &guard) {
            Some(Verdict::Findings(findings)) => Some(findings[0].values[0].1.display()),
            None => None,
            other => panic!("{text}: {other:?}"),
        };
        for (text, value) in [
            ("T00000000000000000", Some("2000-01-01 00:00:00+00")),
            ("T-ffffffffffffffff", Some("1999-12-31 23:59:59.999999+00")),
            ("T07fffffffffffffff", Some("infinity")),
            ("T-8000000000000000", Some("-infinity")),
            ("W00000000000000001", Some("2000-01-01 00:00:00.000001")),
            ("D00000000a", Some("2000-01-11")),
            ("D-80000000", Some("-infinity")),
            ("I-ffff", Some("-1")),
            ("I000000005", Some("5")),
            ("I07fffffffffffffff", Some("9223372036854775807")),
            ("F03ff8000000000000", Some("1.5")),
            ("F-4007ffffffffffff", Some("-1.5")),
            ("F07ff0000000000000", Some("Infinity")),
            ("F-000fffffffffffff", Some("-Infinity")),
            ("F0n", Some("NaN")),
            ("G03fb99999a0000000", Some("0.1")),
            ("T", Some("null")),
            ("I", Some("null")),
            ("T0", None),
            ("T0000", None),
            ("D00000000000000000", None),
            ("I0+fff", None),
            ("F+3ff8000000000000", None),
            ("F0\u{e9}f8000000000000", None),
            ("I0zzzz", None),
        ] {
            assert_eq!(shown(text).as_deref(), value, "{text}");
        }
    }

    #[test]
    fn says_that_the_row_before_is_not_known() {
        let guard = guard();
        assert_eq!(from_column(b"?;", &guard), Some(Verdict::Lost));
        assert!(is_lost(b"?;") && is_lost(b"3|n1|n2;?;") && !is_lost(b"3|n1|n2;"));
        let Some(Verdict::Findings(findings)) = from_column(b"3|n1|n2;?;", &guard) else { panic!() };
        assert_eq!(findings.len(), 1);
        assert_eq!(from_message(b"\"CG0123456789abcdef|?;...\"", MARK, &guard), Some(Verdict::Lost));
        assert_eq!(from_message(b"\"CGffffffffffffffff|?;...\"", MARK, &guard), None);
    }

    #[test]
    fn finds_the_mark_in_any_language() {
        let guard = guard();
        for message in [
            "invalid input syntax for type integer: \"CG0123456789abcdef|3|n7|t1.5;\"",
            "Syntaxe invalide : « CG0123456789abcdef|3|n7|t1.5; »",
            "identifier \"CG0123456789abcdef|3|n7|\" is what is left of \"CG0123456789abcdef|3|n7|t1.5;.....\"",
        ] {
            let Some(Verdict::Findings(findings)) = from_message(message.as_bytes(), MARK, &guard) else {
                panic!("{message}")
            };
            assert_eq!((findings.len(), findings[0].rule), (1, 3));
        }
        assert_eq!(from_message(b"\"CG0123456789abcdef|!12;...\"", MARK, &guard), Some(Verdict::OtherRelation(12)));
        assert_eq!(from_message(b"\"CGffffffffffffffff|3|n7|t1.5;\"", MARK, &guard), None);
        assert_eq!(from_message(b"\"CG0123456789abcdef|3|n7|t1.5\"", MARK, &guard), None);
        assert_eq!(from_message(b"\"CG0123456789abcdef|1|n7|t1.5;\"", MARK, &guard), None);
    }

    #[test]
    fn the_line_follows_the_finding() {
        for (message, want) in [
            ("integer: \"CG0123456789abcdef|3|n7|t1.5;@500\"", Some(500)),
            ("integer: \"CG0123456789abcdef|3|n7|t1.5;\"", None),
            ("integer: \"CG0123456789abcdef|3|n7|t1.5;@\"", None),
            ("integer: \"CGffffffffffffffff|3|n7|t1.5;@500\"", None),
            ("integer: \"CG0123456789abcdef|3|n7|t1.5;@99999999999999999999\"", None),
        ] {
            assert_eq!(line(message.as_bytes(), MARK), want, "{message}");
        }
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text: Vec<u8>, shaped in "[0-3!|;?tnwdixTWDIFG\\-.Eea-f0-9]{0,40}") {
            let guard = guard();
            let _ = from_column(&text, &guard);
            let _ = from_message(&text, MARK, &guard);
            let _ = from_column(shaped.as_bytes(), &guard);
            let _ = from_message(format!("CG{MARK}|{shaped};").as_bytes(), MARK, &guard);
            let _ = line(format!("CG{MARK}|{shaped};@{shaped}").as_bytes(), MARK);
        }
    }
}
