//! Messages of the frontend: views for looking, and the few changes that a guard needs.

use std::ops::Range;

use super::{
    WireError,
    frame::{HEADER, patch_length, take, take_cstr, take_i32, take_u16},
};

/// Type bytes of frontend messages.
pub mod tag {
    #![allow(missing_docs, reason = "the names are those of the protocol documentation")]
    pub const BIND: u8 = b'B';
    pub const CLOSE: u8 = b'C';
    pub const COPY_DATA: u8 = b'd';
    pub const COPY_DONE: u8 = b'c';
    pub const COPY_FAIL: u8 = b'f';
    pub const DESCRIBE: u8 = b'D';
    pub const EXECUTE: u8 = b'E';
    pub const FLUSH: u8 = b'H';
    pub const FUNCTION_CALL: u8 = b'F';
    pub const PARSE: u8 = b'P';
    pub const PASSWORD: u8 = b'p';
    pub const QUERY: u8 = b'Q';
    pub const SYNC: u8 = b'S';
    pub const TERMINATE: u8 = b'X';

    /// Whether the protocol has this message.
    pub fn known(tag: u8) -> bool {
        matches!(
            tag,
            BIND | CLOSE
                | COPY_DATA
                | COPY_DONE
                | COPY_FAIL
                | DESCRIBE
                | EXECUTE
                | FLUSH
                | FUNCTION_CALL
                | PARSE
                | PASSWORD
                | QUERY
                | SYNC
                | TERMINATE
        )
    }
}

fn malformed(message: &'static str, what: &'static str) -> WireError {
    WireError::Malformed { message, what }
}

/// The SQL text of a `Query` message, without its terminator. `message` is the whole frame.
///
/// # Errors
/// [`WireError::Malformed`] without a terminator at the very end.
pub fn query_text(message: &[u8]) -> Result<&[u8], WireError> {
    let mut body = &message[HEADER..];
    let text = take_cstr(&mut body).ok_or(malformed("Query", "the text is not terminated"))?;
    if body.is_empty() { Ok(text) } else { Err(malformed("Query", "bytes follow the text")) }
}

/// A view of `Parse`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parse<'a> {
    /// Name of the prepared statement; empty: the unnamed one.
    pub name: &'a [u8],
    /// SQL text.
    pub query: &'a [u8],
    /// The parameter type section as it came: `Int16` count, then OIDs.
    pub types: &'a [u8],
}

/// Looks into a whole `Parse` frame.
///
/// # Errors
/// [`WireError::Malformed`] if a string is not terminated or the type list has another size than it says.
pub fn parse(message: &[u8]) -> Result<Parse<'_>, WireError> {
    let mut body = &message[HEADER..];
    let name = take_cstr(&mut body).ok_or(malformed("Parse", "the statement name is not terminated"))?;
    let query = take_cstr(&mut body).ok_or(malformed("Parse", "the query is not terminated"))?;
    let types = body;
    let count = take_u16(&mut body).ok_or(malformed("Parse", "no parameter count"))?;
    if body.len() != usize::from(count) * 4 {
        return Err(malformed("Parse", "the parameter types have another size than their count says"));
    }
    Ok(Parse { name, query, types })
}

/// Builds a `Parse` frame with the parameter types of another one.
pub fn write_parse(out: &mut Vec<u8>, name: &[u8], query: &[u8], types: &[u8]) {
    let start = out.len();
    out.extend_from_slice(&[tag::PARSE, 0, 0, 0, 0]);
    out.extend_from_slice(name);
    out.push(0);
    out.extend_from_slice(query);
    out.push(0);
    out.extend_from_slice(types);
    patch_length(&mut out[start..]);
}

/// Builds a `Query` frame.
pub fn write_query(out: &mut Vec<u8>, text: &[u8]) {
    let start = out.len();
    out.extend_from_slice(&[tag::QUERY, 0, 0, 0, 0]);
    out.extend_from_slice(text);
    out.push(0);
    patch_length(&mut out[start..]);
}

/// A view of `Bind`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind<'a> {
    /// Name of the portal; empty: the unnamed one.
    pub portal: &'a [u8],
    /// Name of the prepared statement.
    pub statement: &'a [u8],
    /// Where the result format section starts in the frame: `Int16` count, then codes.
    pub result_formats: Range<usize>,
    /// How many result format codes there are.
    pub result_format_count: u16,
}

/// Only the two names of a `Bind`, which stand at its front.
///
/// # Errors
/// [`WireError::Malformed`] if a name is not terminated.
pub fn bind_names(message: &[u8]) -> Result<(&[u8], &[u8]), WireError> {
    let mut body = &message[HEADER..];
    let portal = take_cstr(&mut body).ok_or(malformed("Bind", "the portal name is not terminated"))?;
    let statement = take_cstr(&mut body).ok_or(malformed("Bind", "the statement name is not terminated"))?;
    Ok((portal, statement))
}

/// Looks into a whole `Bind` frame.
///
/// # Errors
/// [`WireError::Malformed`] if a count or length points past the end, or bytes are left over.
pub fn bind(message: &[u8]) -> Result<Bind<'_>, WireError> {
    let short = || malformed("Bind", "a count or length points past the end");
    let mut body = &message[HEADER..];
    let portal = take_cstr(&mut body).ok_or(malformed("Bind", "the portal name is not terminated"))?;
    let statement = take_cstr(&mut body).ok_or(malformed("Bind", "the statement name is not terminated"))?;
    let formats = take_u16(&mut body).ok_or_else(short)?;
    take(&mut body, usize::from(formats) * 2).ok_or_else(short)?;
    let parameters = take_u16(&mut body).ok_or_else(short)?;
    for _ in 0..parameters {
        let length = take_i32(&mut body).ok_or_else(short)?;
        if let Ok(length) = usize::try_from(length) {
            take(&mut body, length).ok_or_else(short)?;
        }
    }
    let start = message.len() - body.len();
    let result_format_count = take_u16(&mut body).ok_or_else(short)?;
    take(&mut body, usize::from(result_format_count) * 2).ok_or_else(short)?;
    if !body.is_empty() {
        return Err(malformed("Bind", "bytes follow the result formats"));
    }
    Ok(Bind { portal, statement, result_formats: start..message.len(), result_format_count })
}

/// Writes a `Bind` frame whose result formats fit the guarded statement.
///
/// `whole`: the client has no result, so every code it sent (any number is accepted then) is dropped. Otherwise the guard column needs a code of its
/// own where the codes number one per column; one code, or none, serves all columns, and text reads the same in both formats.
pub fn write_bind(out: &mut Vec<u8>, message: &[u8], bind: &Bind<'_>, whole: bool) {
    let start = out.len();
    if whole {
        out.extend_from_slice(&message[..bind.result_formats.start]);
        out.extend_from_slice(&[0, 0]);
    } else if bind.result_format_count >= 2 {
        let count = bind.result_format_count.saturating_add(1);
        out.extend_from_slice(&message[..bind.result_formats.start]);
        out.extend_from_slice(&count.to_be_bytes());
        out.extend_from_slice(&message[bind.result_formats.start + 2..]);
        out.extend_from_slice(&[0, 0]);
    } else {
        out.extend_from_slice(message);
    }
    patch_length(&mut out[start..]);
}

/// What `Describe` and `Close` name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named<'a> {
    /// A prepared statement.
    Statement(&'a [u8]),
    /// A portal.
    Portal(&'a [u8]),
}

/// Looks into a whole `Describe` or `Close` frame.
///
/// # Errors
/// [`WireError::Malformed`] if it names neither a statement nor a portal.
pub fn named(message: &[u8]) -> Result<Named<'_>, WireError> {
    let mut body = &message[HEADER..];
    let kind = take(&mut body, 1).ok_or(malformed("Describe or Close", "no kind"))?[0];
    let name = take_cstr(&mut body).ok_or(malformed("Describe or Close", "the name is not terminated"))?;
    match kind {
        b'S' if body.is_empty() => Ok(Named::Statement(name)),
        b'P' if body.is_empty() => Ok(Named::Portal(name)),
        _ => Err(malformed("Describe or Close", "it names neither a statement nor a portal")),
    }
}

/// Portal name and row limit (0: none) of a whole `Execute` frame.
///
/// # Errors
/// [`WireError::Malformed`] if it is too short or bytes are left over.
pub fn execute(message: &[u8]) -> Result<(&[u8], i32), WireError> {
    let mut body = &message[HEADER..];
    let portal = take_cstr(&mut body).ok_or(malformed("Execute", "the portal name is not terminated"))?;
    let rows = take_i32(&mut body).ok_or(malformed("Execute", "no row limit"))?;
    if body.is_empty() { Ok((portal, rows)) } else { Err(malformed("Execute", "bytes follow the row limit")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(tag: u8, body: &[u8]) -> Vec<u8> {
        let mut out = vec![tag, 0, 0, 0, 0];
        out.extend_from_slice(body);
        patch_length(&mut out);
        out
    }

    #[test]
    fn parse_round_trip() {
        let mut out = Vec::new();
        write_parse(&mut out, b"s1", b"select $1", &[0, 1, 0, 0, 0, 23]);
        let view = parse(&out).unwrap();
        assert_eq!((view.name, view.query, view.types), (&b"s1"[..], &b"select $1"[..], &[0, 1, 0, 0, 0, 23][..]));
        for n in HEADER..out.len() {
            assert!(parse(&out[..n]).is_err(), "prefix of {n} bytes");
        }
    }

    #[test]
    fn bind_finds_the_result_formats_behind_null_and_long_parameters() {
        let mut body = b"p\0s\0\0\x01\0\x01\0\x02\xff\xff\xff\xff\0\0\0\x03abc".to_vec();
        body.extend_from_slice(&[0, 2, 0, 1, 0, 0]);
        let message = frame(tag::BIND, &body);
        let view = bind(&message).unwrap();
        assert_eq!((view.portal, view.statement, view.result_format_count), (&b"p"[..], &b"s"[..], 2));
        for n in HEADER..message.len() {
            assert!(bind(&message[..n]).is_err(), "prefix of {n} bytes");
        }
        let mut cut = Vec::new();
        write_bind(&mut cut, &message, &view, false);
        let longer = bind(&cut).unwrap();
        assert_eq!(&cut[longer.result_formats], &[0, 3, 0, 1, 0, 0, 0, 0]);
        let mut none = Vec::new();
        write_bind(&mut none, &message, &view, true);
        assert_eq!(bind(&none).unwrap().result_format_count, 0);
    }

    #[test]
    fn one_result_format_serves_the_guard_column_too() {
        let message = frame(tag::BIND, b"\0\0\0\0\0\0\0\x01\0\x01");
        let view = bind(&message).unwrap();
        let mut out = Vec::new();
        write_bind(&mut out, &message, &view, false);
        assert_eq!(out, message);
    }

    #[test]
    fn describe_close_execute() {
        assert_eq!(named(&frame(tag::CLOSE, b"Sx\0")), Ok(Named::Statement(b"x")));
        assert_eq!(named(&frame(tag::DESCRIBE, b"P\0")), Ok(Named::Portal(b"")));
        assert!(named(&frame(tag::DESCRIBE, b"Q\0")).is_err());
        assert_eq!(execute(&frame(tag::EXECUTE, b"p\0\0\0\0\x05")), Ok((&b"p"[..], 5)));
        assert!(execute(&frame(tag::EXECUTE, b"p\0\0\0\0")).is_err());
    }
}
