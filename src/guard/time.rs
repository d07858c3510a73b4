//! Times as the guard sends them: seconds since the epoch as decimal text, exact to the nanosecond, over PostgreSQL's whole range
//! (4713 BC to 5874897 AD), which is more than `jiff` can hold.

use std::fmt::{self, Write as _};

/// Nanoseconds in a second.
pub const NANOS: i128 = 1_000_000_000;
const DAY: i128 = 86_400 * NANOS;

/// A point on the time line, or beyond its ends. NaN counts as [`Moment::Infinity`], as it sorts in PostgreSQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Moment {
    /// `-infinity`.
    NegInfinity,
    /// Nanoseconds since 1970-01-01 00:00:00 UTC.
    Finite(i128),
    /// `infinity`.
    Infinity,
}

impl Moment {
    /// Reads decimal text (`1767348000.123456`, `-Infinity`, `1e+15`) that counts `per_second` units a second.
    pub fn parse(text: &str, per_second: u64) -> Option<Self> {
        match text {
            "Infinity" | "NaN" => Some(Self::Infinity),
            "-Infinity" => Some(Self::NegInfinity),
            _ => decimal(text).map(|nanos| Self::scale(nanos, per_second)),
        }
    }

    fn scale(nano_units: Scaled, per_second: u64) -> Self {
        match nano_units {
            Scaled::Low => Self::NegInfinity,
            Scaled::High => Self::Infinity,
            Scaled::Nanos(n) => Self::Finite(n / i128::from(per_second)),
        }
    }

    /// Nanoseconds from `other` to `self`, if both are finite.
    pub fn since(self, other: Self) -> Option<i128> {
        match (self, other) {
            (Self::Finite(a), Self::Finite(b)) => Some(a - b),
            _ => None,
        }
    }
}

enum Scaled {
    Low,
    Nanos(i128),
    High,
}

/// More digits than any number that does not saturate: bounds the work on text such as `0e999999999`.
const MOST_DIGITS: i32 = 1_000;

/// Decimal text in units of 10⁻⁹; saturates far outside of everything that is a time.
fn decimal(text: &str) -> Option<Scaled> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, exponent) = match digits.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (digits, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
        return None;
    }
    let point = i32::try_from(whole.len()).ok()?.saturating_add(exponent).saturating_add(9);
    let mut nanos: i128 = 0;
    let all = whole.bytes().chain(fraction.bytes()).chain(std::iter::repeat(b'0'));
    for digit in all.take(usize::try_from(point.clamp(0, MOST_DIGITS)).unwrap_or(0)) {
        if nanos > i128::MAX / 100 {
            return Some(if negative { Scaled::Low } else { Scaled::High });
        }
        nanos = nanos * 10 + i128::from(digit - b'0');
    }
    Some(Scaled::Nanos(if negative { -nanos } else { nanos }))
}

/// Seconds as a decimal SQL constant: `0.005`.
pub(super) fn seconds_constant(nanos: u64) -> String {
    decimal_constant(i128::from(nanos), NANOS)
}

/// `count / per_one` as an exact decimal constant; `per_one` is a power of ten. Negative ones are in parentheses.
pub(super) fn decimal_constant(count: i128, per_one: i128) -> String {
    let (whole, rest) = (count.unsigned_abs() / per_one.unsigned_abs(), count.unsigned_abs() % per_one.unsigned_abs());
    let mut text = whole.to_string();
    if rest != 0 {
        let width = per_one.to_string().len() - 1;
        let fraction = format!("{rest:0width$}");
        let _ = write!(text, ".{}", fraction.trim_end_matches('0'));
    }
    if count < 0 { format!("(-{text})") } else { text }
}

/// How a moment is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// `2026-01-02 10:00:00.123+00`
    Instant,
    /// `2026-01-02 10:00:00.123`
    Wall,
    /// `2026-01-02`
    Date,
}

impl Style {
    /// The text, as PostgreSQL writes it with `DateStyle = ISO` and `TimeZone = UTC`.
    pub fn format(self, moment: Moment) -> String {
        let nanos = match moment {
            Moment::NegInfinity => return "-infinity".to_owned(),
            Moment::Infinity => return "infinity".to_owned(),
            Moment::Finite(nanos) => nanos,
        };
        let (days, of_day) = (nanos.div_euclid(DAY), nanos.rem_euclid(DAY));
        let (year, month, day) = civil(days);
        let (shown, era) = if year > 0 { (year, "") } else { (1 - year, " BC") };
        let mut text = format!("{shown:04}-{month:02}-{day:02}");
        if self != Self::Date {
            let seconds = of_day / NANOS;
            let _ = write!(text, " {:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60);
            let fraction = format!("{:09}", of_day % NANOS);
            let fraction = fraction.trim_end_matches('0');
            if !fraction.is_empty() {
                let _ = write!(text, ".{fraction}");
            }
        }
        if self == Self::Instant {
            text.push_str("+00");
        }
        text + era
    }
}

/// Proleptic Gregorian date of a day number since 1970-01-01.
///
/// Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
fn civil(days: i128) -> (i128, i128, i128) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i128::from(month <= 2);
    (year, month, day)
}

/// A length of time for people: `38.033 ms`, `1 h 2 min 3 s`.
pub struct Length(pub i128);

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.unsigned_abs();
        let single = |f: &mut fmt::Formatter<'_>, per: u128, unit| {
            let text = format!("{}.{:09}", nanos / per, nanos % per * 1_000_000_000 / per);
            write!(f, "{} {unit}", text.trim_end_matches('0').trim_end_matches('.'))
        };
        match nanos {
            0..1_000 => write!(f, "{nanos} ns"),
            1_000..1_000_000 => single(f, 1_000, "us"),
            1_000_000..1_000_000_000 => single(f, 1_000_000, "ms"),
            1_000_000_000..60_000_000_000 => single(f, 1_000_000_000, "s"),
            _ => self.long(f),
        }
    }
}

impl Length {
    /// With its sign.
    pub(super) fn signed(self) -> String {
        format!("{}{self}", if self.0 < 0 { "-" } else { "" })
    }

    /// Days to milliseconds, two units or more, zero ones left out.
    fn long(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.unsigned_abs() / 1_000_000;
        let parts = [
            (millis / 86_400_000, "d"),
            (millis / 3_600_000 % 24, "h"),
            (millis / 60_000 % 60, "min"),
            (millis / 1_000 % 60, "s"),
            (millis % 1_000, "ms"),
        ];
        let mut first = true;
        for (count, unit) in parts.into_iter().filter(|(count, _)| *count > 0) {
            write!(f, "{}{count} {unit}", if first { "" } else { " " })?;
            first = false;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_like_postgresql() {
        let at = |nanos| Style::Instant.format(Moment::Finite(nanos));
        assert_eq!(at(0), "1970-01-01 00:00:00+00");
        assert_eq!(at(1_767_348_000 * NANOS + 123_000_000), "2026-01-02 10:00:00.123+00");
        assert_eq!(at(-210_866_803_200 * NANOS), "4714-11-24 00:00:00+00 BC");
        assert_eq!(at(9_224_318_015_999_999_999_000), "294276-12-31 23:59:59.999999+00");
        assert_eq!(Style::Date.format(Moment::Finite(185_331_706_992_000 * NANOS)), "5874897-12-31");
        assert_eq!(Style::Wall.format(Moment::Infinity), "infinity");
    }

    #[test]
    fn agrees_with_jiff_where_jiff_reaches() {
        for seconds in (-62_000_000_000_i64..250_000_000_000).step_by(1_234_567_891) {
            let ours = Style::Wall.format(Moment::Finite(i128::from(seconds) * NANOS));
            let theirs = jiff::Timestamp::from_second(seconds).unwrap().to_string();
            assert_eq!(ours, theirs.replace('T', " ").trim_end_matches('Z'), "{seconds}");
        }
    }

    #[test]
    fn reads_decimal_text() {
        assert_eq!(Moment::parse("1767348000.123456", 1), Some(Moment::Finite(1_767_348_000_123_456_000)));
        assert_eq!(Moment::parse("-0.5", 1), Some(Moment::Finite(-500_000_000)));
        assert_eq!(Moment::parse("1767348000123", 1_000), Some(Moment::Finite(1_767_348_000_123_000_000)));
        assert_eq!(Moment::parse("1.7e+15", 1_000_000), Some(Moment::Finite(1_700_000_000_000_000_000)));
        assert_eq!(Moment::parse("1e300", 1), Some(Moment::Infinity));
        assert_eq!(Moment::parse("-9e60", 1), Some(Moment::NegInfinity));
        assert_eq!(Moment::parse("1e-300", 1), Some(Moment::Finite(0)));
        assert_eq!(Moment::parse("NaN", 1), Some(Moment::Infinity));
        for wrong in ["", ".", "-", "1x", "1.2.3", "1e", "infinity"] {
            assert_eq!(Moment::parse(wrong, 1), None, "{wrong}");
        }
    }

    #[test]
    fn writes_constants_and_lengths() {
        assert_eq!(seconds_constant(5_000_000), "0.005");
        assert_eq!(seconds_constant(86_400_000_000_000), "86400");
        assert_eq!(decimal_constant(-1_500, 1_000), "(-1.5)");
        for (nanos, text) in [
            (38_033_000, "38.033 ms"),
            (-1_500, "1.5 us"),
            (59_000_000_000, "59 s"),
            (3_723_004_000_000, "1 h 2 min 3 s 4 ms"),
            (172_800_000_000_000, "2 d"),
        ] {
            assert_eq!(Length(nanos).to_string(), text);
        }
    }
}
