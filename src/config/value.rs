//! Texts of the configuration → values. Each function says what it expected.

use std::{fmt, time::Duration};

/// A host and a port. The host is a name, an IPv4 address, or an IPv6 address (without its brackets).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HostPort {
    /// Name or address.
    pub host: String,
    /// Port; 0 in an address to listen on means any free one.
    pub port: u16,
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// What a value should have been.
type Expected = String;

/// `host:port`, `[v6]:port`, and if there is a default port also `host` and `[v6]`.
pub(super) fn host_port(text: &str, default_port: Option<u16>) -> Result<HostPort, Expected> {
    let expected = || {
        let example =
            if default_port.is_some() { "db.internal:5432 or [::1]:5432" } else { "127.0.0.1:6432 or [::1]:6432" };
        format!("expected HOST:PORT, such as {example}")
    };
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').ok_or_else(expected)?;
            host.parse::<std::net::Ipv6Addr>().map_err(|_| expected())?;
            (host, rest.strip_prefix(':').or_else(|| rest.is_empty().then_some("")).ok_or_else(expected)?)
        }
        None => match text.split_once(':') {
            Some((_, port)) if port.contains(':') => {
                return Err("an IPv6 address needs brackets, such as [::1]:5432".into());
            }
            Some((host, port)) if !port.is_empty() => (host, port),
            Some(_) => return Err(expected()),
            None => (text, ""),
        },
    };
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    if host.is_empty() || !host.chars().all(good) {
        return Err(expected());
    }
    let port = match (port, default_port) {
        ("", Some(port)) => port,
        (port, _) => port.parse().map_err(|_| expected())?,
    };
    Ok(HostPort { host: host.to_owned(), port })
}

/// A whole number in a range.
pub(super) fn count(text: &str, least: u64, most: u64) -> Result<u64, Expected> {
    text.parse()
        .ok()
        .filter(|n| (least..=most).contains(n))
        .ok_or_else(|| format!("expected a whole number from {least} to {most}"))
}

/// `true` or `false`.
pub(super) fn switch(text: &str) -> Result<bool, Expected> {
    text.parse().map_err(|_| "expected true or false".into())
}

/// A number of bytes, also with `KiB`, `MiB` or `GiB`.
pub(super) fn bytes(text: &str, least: u64, most: u64) -> Result<usize, Expected> {
    let units = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("", 1u64)];
    let parsed = units.iter().find_map(|(unit, factor)| {
        let number = text.strip_suffix(unit)?.trim_end();
        number.parse::<u64>().ok()?.checked_mul(*factor)
    });
    parsed
        .filter(|n| (least..=most).contains(n))
        .and_then(|n| usize::try_from(n).ok())
        .ok_or_else(|| format!("expected a size from {} to {}", size(least), size(most)))
}

fn size(bytes: u64) -> String {
    match bytes {
        b if b % (1 << 30) == 0 => format!("{}GiB", b >> 30),
        b if b % (1 << 20) == 0 => format!("{}MiB", b >> 20),
        b => format!("{}KiB", b >> 10),
    }
}

/// A length of time with one unit: `500ms`, `15s`, `2m`, `1h`.
pub(super) fn duration(text: &str, least: Duration, most: Duration) -> Result<Duration, Expected> {
    let units = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000u64)];
    let parsed = units.iter().find_map(|(unit, millis)| {
        let number = text.strip_suffix(unit)?.trim_end();
        number.parse::<u64>().ok()?.checked_mul(*millis).map(Duration::from_millis)
    });
    parsed
        .filter(|d| (least..=most).contains(d))
        .ok_or_else(|| format!("expected a length of time such as 500ms, 15s, 2m or 1h, from {least:?} to {most:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let parsed = |text, default| host_port(text, default).map(|a| a.to_string()).ok();
        for (text, default, expected) in [
            ("127.0.0.1:6432", None, Some("127.0.0.1:6432")),
            ("localhost:0", None, Some("localhost:0")),
            ("[::1]:6432", None, Some("[::1]:6432")),
            ("db.internal", Some(5432), Some("db.internal:5432")),
            ("[::1]", Some(5432), Some("[::1]:5432")),
            ("db.internal", None, None),
            ("[::1]", None, None),
            ("::1", Some(5432), None),
            ("::1:5432", Some(5432), None),
            ("db:", Some(5432), None),
            ("[::1]5432", None, None),
            ("[db]:5432", None, None),
            (":5432", None, None),
            ("", Some(5432), None),
            ("db:65536", None, None),
            ("db:-1", None, None),
            ("postgres://db/x", Some(5432), None),
        ] {
            assert_eq!(parsed(text, default).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn sizes() {
        for (text, expected) in [
            ("65536", Ok(65_536)),
            ("64KiB", Ok(65_536)),
            ("16 MiB", Ok(16 << 20)),
            ("1GiB", Ok(1 << 30)),
            ("1KiB", Err("expected a size from 64KiB to 1GiB")),
            ("2GiB", Err("expected a size from 64KiB to 1GiB")),
            ("16MB", Err("expected a size from 64KiB to 1GiB")),
            ("99999999999999999999GiB", Err("expected a size from 64KiB to 1GiB")),
        ] {
            assert_eq!(
                bytes(text, 64 << 10, 1 << 30).as_ref().map_err(String::as_str),
                expected.as_ref().map_err(|e| *e),
                "{text}"
            );
        }
    }

    #[test]
    fn lengths_of_time() {
        let parsed = |text| duration(text, Duration::from_millis(10), Duration::from_secs(3_600)).ok();
        assert_eq!(parsed("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(parsed("15s"), Some(Duration::from_secs(15)));
        assert_eq!(parsed("2m"), Some(Duration::from_secs(120)));
        assert_eq!(parsed("1h"), Some(Duration::from_secs(3_600)));
        for bad in ["2h", "1ms", "15", "", "s", "-5s", "1.5s", "99999999999999999h"] {
            assert_eq!(parsed(bad), None, "{bad}");
        }
    }
}
