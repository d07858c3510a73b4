//! `${now}` in the texts of a test: the server's clock when the test begins.
//!
//! The guard of `near_now` asks the server what time it is, and so do column defaults; a clock that stands still would need another guard than the
//! one in production. So the clock goes on, and a test says its times by it:
//!
//! | in a text | becomes |
//! | --- | --- |
//! | `${now}` | `2026-03-01 12:00:00.000000+00` |
//! | `${now - 5m}`, `${now + 1h30m}` | the same, earlier or later by a length of time |
//! | `${now - 5m in us}` | the whole number of microseconds since the epoch; also `s`, `ms`, `ns` |

use jiff::{SignedDuration, Timestamp};

use crate::rules::{set::Unit, values};

/// How a placeholder begins; anything else after `$` is SQL's own.
const OPEN: &str = "${now";

/// What a placeholder looks like, for messages.
pub const EXPECTED: &str = "`${now}`, `${now - 5m}` or `${now + 1h in us}`";

/// Puts the instant into a text.
///
/// # Errors
/// A placeholder that is none: says which, and what is wrong with it.
pub fn fill(text: &str, now: Timestamp) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(OPEN) {
        out.push_str(&rest[..at]);
        let inside = &rest[at + OPEN.len()..];
        let end = inside.find('}').ok_or_else(|| format!("`{OPEN}` is not closed by `}}`"))?;
        let value = value(&inside[..end], now).map_err(|why| format!("`{OPEN}{}}}`: {why}", &inside[..end]))?;
        out.push_str(&value);
        rest = &inside[end + 1..];
    }
    out.push_str(rest);
    Ok(out)
}

/// `- 5m in us`: each part may be missing.
fn value(text: &str, now: Timestamp) -> Result<String, String> {
    let (shift, unit) = match text.split_once(" in ") {
        Some((shift, unit)) => {
            (shift.trim(), Some(values::parse_unit(unit.trim()).ok_or("the unit is s, ms, us or ns")?))
        }
        None => (text.trim(), None),
    };
    let span = |text: &str| {
        let nanos = values::parse_span(text)?.nanos;
        i64::try_from(nanos).map(SignedDuration::from_nanos).map_err(|_| "too long".to_owned())
    };
    let shift = match (shift.strip_prefix('-'), shift.strip_prefix('+')) {
        (Some(back), _) => -span(back)?,
        (_, Some(on)) => span(on)?,
        _ if shift.is_empty() => SignedDuration::ZERO,
        _ => return Err("`-` or `+` is missing".to_owned()),
    };
    let at = now.checked_add(shift).map_err(|_| "beyond the calendar".to_owned())?;
    Ok(match unit {
        None => at.strftime("%Y-%m-%d %H:%M:%S%.6f+00").to_string(),
        Some(Unit::S) => at.as_second().to_string(),
        Some(Unit::Ms) => at.as_millisecond().to_string(),
        Some(Unit::Us) => at.as_microsecond().to_string(),
        Some(Unit::Ns) => at.as_nanosecond().to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str) -> Result<String, String> {
        fill(text, "2026-03-01T12:00:00.5Z".parse().unwrap())
    }

    #[test]
    fn placeholders_become_times_and_numbers() {
        for (text, expected) in [
            ("SELECT '${now}'", "SELECT '2026-03-01 12:00:00.500000+00'"),
            ("${now - 5m} ${now+1h30m}", "2026-03-01 11:55:00.500000+00 2026-03-01 13:30:00.500000+00"),
            ("${now in s} ${now - 500ms in ms}", "1772366400 1772366400000"),
            ("${now in us} ${now + 1ns in ns}", "1772366400500000 1772366400500000001"),
            ("$1, $$body$$, ${other}, $${\"a\": 1}$$", "$1, $$body$$, ${other}, $${\"a\": 1}$$"),
        ] {
            assert_eq!(filled(text).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn a_placeholder_that_is_none_is_named() {
        for (text, why) in [
            ("a ${now", "`${now` is not closed by `}`"),
            ("${now 5m}", "`${now 5m}`: `-` or `+` is missing"),
            ("${nowadays}", "`${nowadays}`: `-` or `+` is missing"),
            ("${now - 5}", "`${now - 5}`: `5` has no unit"),
            ("${now - }", "`${now - }`: it is empty"),
            ("${now in minutes}", "`${now in minutes}`: the unit is s, ms, us or ns"),
        ] {
            assert_eq!(filled(text), Err(why.to_owned()));
        }
    }
}
