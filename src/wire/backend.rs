//! Messages of the backend: views for looking, and the cutting of the guard column.

use super::{
    WireError,
    frame::{HEADER, patch_length, take, take_cstr, take_i32, take_u16},
};

/// Type bytes of backend messages.
pub mod tag {
    #![allow(missing_docs, reason = "the names are those of the protocol documentation")]
    pub const AUTHENTICATION: u8 = b'R';
    pub const BACKEND_KEY_DATA: u8 = b'K';
    pub const BIND_COMPLETE: u8 = b'2';
    pub const CLOSE_COMPLETE: u8 = b'3';
    pub const COMMAND_COMPLETE: u8 = b'C';
    pub const COPY_BOTH_RESPONSE: u8 = b'W';
    pub const COPY_DATA: u8 = b'd';
    pub const COPY_DONE: u8 = b'c';
    pub const COPY_IN_RESPONSE: u8 = b'G';
    pub const COPY_OUT_RESPONSE: u8 = b'H';
    pub const DATA_ROW: u8 = b'D';
    pub const EMPTY_QUERY_RESPONSE: u8 = b'I';
    pub const ERROR_RESPONSE: u8 = b'E';
    pub const FUNCTION_CALL_RESPONSE: u8 = b'V';
    pub const NEGOTIATE_PROTOCOL_VERSION: u8 = b'v';
    pub const NO_DATA: u8 = b'n';
    pub const NOTICE_RESPONSE: u8 = b'N';
    pub const NOTIFICATION_RESPONSE: u8 = b'A';
    pub const PARAMETER_DESCRIPTION: u8 = b't';
    pub const PARAMETER_STATUS: u8 = b'S';
    pub const PARSE_COMPLETE: u8 = b'1';
    pub const PORTAL_SUSPENDED: u8 = b's';
    pub const READY_FOR_QUERY: u8 = b'Z';
    pub const ROW_DESCRIPTION: u8 = b'T';
}

/// `NoData`.
pub const NO_DATA: [u8; 5] = [tag::NO_DATA, 0, 0, 0, 4];

fn malformed(message: &'static str, what: &'static str) -> WireError {
    WireError::Malformed { message, what }
}

/// The fields of an `ErrorResponse` or `NoticeResponse`, in order: field type and raw bytes in the client's encoding.
///
/// Source: PostgreSQL docs, `protocol-error-fields.html`.
///
/// # Errors
/// [`WireError::Malformed`] if a field is not terminated.
pub fn fields(message: &[u8]) -> Result<Vec<(u8, &[u8])>, WireError> {
    let mut body = &message[HEADER..];
    let mut fields = Vec::with_capacity(12);
    loop {
        let kind = take(&mut body, 1).ok_or(malformed("ErrorResponse", "the list of fields is not terminated"))?[0];
        if kind == 0 {
            return Ok(fields);
        }
        let text = take_cstr(&mut body).ok_or(malformed("ErrorResponse", "a field is not terminated"))?;
        fields.push((kind, text));
    }
}

/// The value of one field, or nothing.
pub fn field<'a>(fields: &[(u8, &'a [u8])], kind: u8) -> Option<&'a [u8]> {
    fields.iter().find(|(k, _)| *k == kind).map(|(_, text)| *text)
}

/// Builds an `ErrorResponse` or `NoticeResponse` (by `tag`) from fields.
pub fn write_fields(out: &mut Vec<u8>, tag: u8, fields: &[(u8, impl AsRef<[u8]>)]) {
    let start = out.len();
    out.extend_from_slice(&[tag, 0, 0, 0, 0]);
    for (kind, text) in fields {
        out.push(*kind);
        out.extend_from_slice(text.as_ref());
        out.push(0);
    }
    out.push(0);
    patch_length(&mut out[start..]);
}

/// Cuts the guard column, always the last one, off a `RowDescription`.
///
/// # Errors
/// [`WireError::Malformed`] if the message has no column or its size is another than the count says.
pub fn cut_row_description(out: &mut Vec<u8>, message: &[u8]) -> Result<(), WireError> {
    let mut body = &message[HEADER..];
    let count = take_u16(&mut body).ok_or(malformed("RowDescription", "no column count"))?;
    let kept = count.checked_sub(1).ok_or(malformed("RowDescription", "the guard column is missing"))?;
    for _ in 0..kept {
        take_cstr(&mut body).ok_or(malformed("RowDescription", "a column name is not terminated"))?;
        take(&mut body, 18).ok_or(malformed("RowDescription", "a column is cut short"))?;
    }
    let end = message.len() - body.len();
    let start = out.len();
    out.extend_from_slice(&message[..end]);
    out[start + HEADER..start + HEADER + 2].copy_from_slice(&kept.to_be_bytes());
    patch_length(&mut out[start..]);
    Ok(())
}

/// The guard column of a `DataRow`: where its value starts with its length word, and the value (`None` for NULL).
///
/// # Errors
/// [`WireError::Malformed`] if a length points past the end of the message.
pub fn guard_column(message: &[u8]) -> Result<(usize, Option<&[u8]>), WireError> {
    let short = || malformed("DataRow", "a length points past the end");
    let mut body = &message[HEADER..];
    let count = take_u16(&mut body).ok_or_else(short)?;
    let kept = count.checked_sub(1).ok_or(malformed("DataRow", "the guard column is missing"))?;
    for _ in 0..kept {
        if let Ok(length) = usize::try_from(take_i32(&mut body).ok_or_else(short)?) {
            take(&mut body, length).ok_or_else(short)?;
        }
    }
    let at = message.len() - body.len();
    let value = match usize::try_from(take_i32(&mut body).ok_or_else(short)?) {
        Ok(length) => Some(take(&mut body, length).ok_or_else(short)?),
        Err(_) => None,
    };
    if body.is_empty() { Ok((at, value)) } else { Err(malformed("DataRow", "bytes follow the last column")) }
}

/// Writes a `DataRow` without its last column, which starts at `at` (see [`guard_column`]).
pub fn cut_data_row(out: &mut Vec<u8>, message: &[u8], at: usize) {
    let start = out.len();
    out.extend_from_slice(&message[..at]);
    let count = u16::from_be_bytes([message[HEADER], message[HEADER + 1]]) - 1;
    out[start + HEADER..start + HEADER + 2].copy_from_slice(&count.to_be_bytes());
    patch_length(&mut out[start..]);
}

/// The value of the single column of a `DataRow`.
///
/// # Errors
/// [`WireError::Malformed`] if a length points past the end of the message.
pub fn single_column(message: &[u8]) -> Result<Option<&[u8]>, WireError> {
    guard_column(message).map(|(_, value)| value)
}

/// The tag text of a `CommandComplete`, e.g. `INSERT 0 1`.
pub fn command_tag(message: &[u8]) -> &[u8] {
    let body = &message[HEADER..];
    body.strip_suffix(b"\0").unwrap_or(body)
}

/// Builds a `CommandComplete` with this tag.
pub fn write_command_complete(out: &mut Vec<u8>, command: &[u8]) {
    let start = out.len();
    out.extend_from_slice(&[tag::COMMAND_COMPLETE, 0, 0, 0, 0]);
    out.extend_from_slice(command);
    out.push(0);
    patch_length(&mut out[start..]);
}

/// The number at the end of a command tag: rows written.
pub fn tag_rows(tag: &[u8]) -> u64 {
    let digits = tag.rsplit(|b| *b == b' ').next().unwrap_or_default();
    std::str::from_utf8(digits).ok().and_then(|d| d.parse().ok()).unwrap_or(0)
}

/// Name and value of a `ParameterStatus`.
///
/// # Errors
/// [`WireError::Malformed`] if one is not terminated.
pub fn parameter_status(message: &[u8]) -> Result<(&[u8], &[u8]), WireError> {
    let mut body = &message[HEADER..];
    let end = || malformed("ParameterStatus", "a string is not terminated");
    let name = take_cstr(&mut body).ok_or_else(end)?;
    let value = take_cstr(&mut body).ok_or_else(end)?;
    Ok((name, value))
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
    fn the_last_column_comes_off_a_row() {
        let row = frame(tag::DATA_ROW, b"\0\x03\0\0\0\x01a\xff\xff\xff\xff\0\0\0\x02no");
        let (at, value) = guard_column(&row).unwrap();
        assert_eq!(value, Some(&b"no"[..]));
        let mut out = Vec::new();
        cut_data_row(&mut out, &row, at);
        assert_eq!(out, frame(tag::DATA_ROW, b"\0\x02\0\0\0\x01a\xff\xff\xff\xff"));
        for n in HEADER..row.len() {
            assert!(guard_column(&row[..n]).is_err(), "prefix of {n} bytes");
        }
        assert!(guard_column(&frame(tag::DATA_ROW, b"\0\0")).is_err());
        assert!(guard_column(&frame(tag::DATA_ROW, b"\0\x01\x7f\xff\xff\xffx")).is_err());
    }

    #[test]
    fn the_last_column_comes_off_a_description() {
        let column = |name: &[u8]| [name, &[0], &[7; 18]].concat();
        let both = frame(tag::ROW_DESCRIPTION, &[&[0, 2][..], &column(b"id"), &column(b"cg")].concat());
        let mut out = Vec::new();
        cut_row_description(&mut out, &both).unwrap();
        assert_eq!(out, frame(tag::ROW_DESCRIPTION, &[&[0, 1][..], &column(b"id")].concat()));
        assert!(cut_row_description(&mut out, &frame(tag::ROW_DESCRIPTION, &[0, 0])).is_err());
    }

    #[test]
    fn fields_round_trip_and_do_not_run_over() {
        let mut out = Vec::new();
        let sent: [(u8, &[u8]); 3] = [(b'S', b"ERROR"), (b'C', b"23514"), (b'M', b"no\xff")];
        write_fields(&mut out, tag::ERROR_RESPONSE, &sent);
        let read = fields(&out).unwrap();
        assert_eq!(field(&read, b'M'), Some(&b"no\xff"[..]));
        assert_eq!(field(&read, b'D'), None);
        for n in HEADER..out.len() {
            assert!(fields(&out[..n]).is_err(), "prefix of {n} bytes");
        }
    }

    #[test]
    fn rows_of_a_tag() {
        assert_eq!(tag_rows(b"INSERT 0 12"), 12);
        assert_eq!(tag_rows(b"UPDATE 3"), 3);
        assert_eq!(tag_rows(b"BEGIN"), 0);
    }
}
