//! Message frames: one type byte, then `Int32` length (itself included), then the body.

use super::WireError;

/// Bytes before the body: type and length.
pub const HEADER: usize = 5;

/// PostgreSQL's own limit of a message (`MaxAllocSize`, 1 GB − 1, `src/include/utils/memutils.h`); the server rejects longer ones.
pub const MAX_LENGTH: u32 = 0x3fff_ffff;

/// Limit of messages that carry no bulk data (`PQ_SMALL_MESSAGE_LIMIT`, `src/include/libpq/libpq.h`).
pub const SMALL_LENGTH: u32 = 10_000;

/// Reads a header. `None`: not enough bytes yet. The second value is the length of the whole message, type byte included.
///
/// # Errors
/// [`WireError::Length`] if the length is below 4 or above [`MAX_LENGTH`].
pub fn header(bytes: &[u8]) -> Result<Option<(u8, usize)>, WireError> {
    let Some((&[tag, a, b, c, d], _)) = bytes.split_first_chunk::<HEADER>() else { return Ok(None) };
    let length = u32::from_be_bytes([a, b, c, d]);
    if !(4..=MAX_LENGTH).contains(&length) {
        return Err(WireError::Length { tag: tag as char, length: i64::from(length.cast_signed()) });
    }
    Ok(Some((tag, length as usize + 1)))
}

/// Sets the length word of a message that starts at the beginning of `message`.
pub fn patch_length(message: &mut [u8]) {
    let length = u32::try_from(message.len() - 1).expect("a message built here is below 1 GB");
    message[1..HEADER].copy_from_slice(&length.to_be_bytes());
}

/// Takes a NUL-terminated string off the front.
pub fn take_cstr<'a>(body: &mut &'a [u8]) -> Option<&'a [u8]> {
    let end = memchr::memchr(0, body)?;
    let (text, rest) = body.split_at(end);
    *body = &rest[1..];
    Some(text)
}

/// Takes an `Int16` off the front.
pub fn take_u16(body: &mut &[u8]) -> Option<u16> {
    let (head, rest) = body.split_first_chunk::<2>()?;
    *body = rest;
    Some(u16::from_be_bytes(*head))
}

/// Takes an `Int32` off the front.
pub fn take_i32(body: &mut &[u8]) -> Option<i32> {
    let (head, rest) = body.split_first_chunk::<4>()?;
    *body = rest;
    Some(i32::from_be_bytes(*head))
}

/// Takes `count` bytes off the front.
pub fn take<'a>(body: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (head, rest) = body.split_at_checked(count)?;
    *body = rest;
    Some(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_prefix_of_a_header_says_more() {
        let message = b"Q\0\0\0\x0dselect 1\0";
        for n in 0..HEADER {
            assert_eq!(header(&message[..n]), Ok(None));
        }
        assert_eq!(header(message), Ok(Some((b'Q', 14))));
    }

    #[test]
    fn lying_lengths_are_refused() {
        assert!(header(b"Q\0\0\0\x03").is_err());
        assert!(header(b"Q\xff\xff\xff\xff").is_err());
        assert!(header(b"Q\x40\0\0\0").is_err());
        assert_eq!(header(b"Q\x3f\xff\xff\xff"), Ok(Some((b'Q', 0x4000_0000))));
    }

    #[test]
    fn strings_and_numbers_come_off_the_front() {
        let mut body: &[u8] = b"abc\0\0\x02\0\0\0\x07rest";
        assert_eq!(take_cstr(&mut body), Some(&b"abc"[..]));
        assert_eq!(take_u16(&mut body), Some(2));
        assert_eq!(take_i32(&mut body), Some(7));
        assert_eq!(take(&mut body, 5), None);
        assert_eq!(take(&mut body, 4), Some(&b"rest"[..]));
        assert_eq!(take_cstr(&mut body), None);
    }
}
