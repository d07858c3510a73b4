//! What chronoguard itself says, on either side, encoded by `pgwire`'s message types.

use bytes::BytesMut;
use pgwire::{
    error::ErrorInfo,
    messages::{
        Message,
        extendedquery::{Bind, Close, Execute, Flush, Sync},
        response::{ErrorResponse, NoticeResponse},
    },
};

/// Name of the prepared statement and the portal of hidden questions. Closed right after use.
const OWN_NAME: &str = "chronoguard";

fn push<M: Message>(out: &mut Vec<u8>, message: &M) {
    let mut buffer = BytesMut::with_capacity(128);
    message.encode(&mut buffer).expect("a message of our own encodes: its strings have no NUL");
    out.extend_from_slice(&buffer);
}

/// How a hidden question ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// `Sync`: it is a transaction of its own, or a part of the open one.
    Sync,
    /// `Flush`: the client is in the middle of a pipeline whose `Sync` is still to come.
    Flush,
}

/// A statement of our own in the client's session: `Parse`, `Bind`, `Execute`, `Close` of portal and statement, by a name of our own, so that the
/// client's unnamed statement and portal stay as they are. All parameters and results are text.
pub fn write_statement(out: &mut Vec<u8>, sql: &[u8], parameters: &[&str]) {
    let name = Some(OWN_NAME.to_owned());
    super::frontend::write_parse(out, OWN_NAME.as_bytes(), sql, &[0, 0]);
    let values = parameters.iter().map(|p| Some(bytes::Bytes::copy_from_slice(p.as_bytes()))).collect();
    push(out, &Bind::new(name.clone(), name.clone(), Vec::new(), values, Vec::new()));
    push(out, &Execute::new(name.clone(), 0));
    push(out, &Close::new(b'P', name.clone()));
    push(out, &Close::new(b'S', name));
}

/// A question of our own: a statement, and what makes the server answer.
pub fn write_question(out: &mut Vec<u8>, sql: &str, parameters: &[&str], ending: Ending) {
    write_statement(out, sql.as_bytes(), parameters);
    write_ending(out, ending);
}

fn write_ending(out: &mut Vec<u8>, ending: Ending) {
    match ending {
        Ending::Sync => push(out, &Sync::new()),
        Ending::Flush => push(out, &Flush::new()),
    }
}

/// A message of these parts, which may hold a client's name in any encoding.
fn push_raw(out: &mut Vec<u8>, tag: u8, parts: &[&[u8]]) {
    let start = out.len();
    out.extend_from_slice(&[tag, 0, 0, 0, 0]);
    parts.iter().for_each(|part| out.extend_from_slice(part));
    super::frame::patch_length(&mut out[start..]);
}

/// `Close` of our own prepared statement, where an error has kept the server from it.
pub fn write_close_own(out: &mut Vec<u8>) {
    write_close_statement(out, OWN_NAME.as_bytes());
}

/// Prepares a statement anew in the place of the one of that name: by a `Parse` with these parameter types, or by running the `PREPARE` in `text`.
/// Either way three `CloseComplete`s answer it; `Close` of a name that does not exist is no error.
pub fn write_preparation(out: &mut Vec<u8>, name: &[u8], text: &[u8], types: Option<&[u8]>, ending: Ending) {
    let own = OWN_NAME.as_bytes();
    write_close_statement(out, name);
    if let Some(types) = types {
        super::frontend::write_parse(out, name, text, types);
    } else {
        super::frontend::write_parse(out, own, text, &[0, 0]);
        let name = Some(OWN_NAME.to_owned());
        push(out, &Bind::new(name.clone(), name.clone(), Vec::new(), Vec::new(), Vec::new()));
        push(out, &Execute::new(name, 0));
    }
    push(out, &Close::new(b'P', Some(OWN_NAME.to_owned())));
    write_close_statement(out, own);
    write_ending(out, ending);
}

/// `Close` of a prepared statement.
pub fn write_close_statement(out: &mut Vec<u8>, name: &[u8]) {
    push_raw(out, b'C', &[b"S", name, b"\0"]);
}

/// Makes a portal one that has run to its end and cannot be run again: `Close`, then `Parse`, `Bind` and `Execute` of a statement that has no result and does nothing but take
/// itself away.
///
/// Source: `src/backend/tcop/pquery.c`, `ChoosePortalStrategy` (`PORTAL_MULTI_QUERY`); `src/backend/utils/mmgr/portalmem.c`, `MarkPortalActive`.
pub fn write_spent_portal(out: &mut Vec<u8>, portal: &[u8]) {
    let own = OWN_NAME.as_bytes();
    push_raw(out, b'C', &[b"P", portal, b"\0"]);
    push_raw(out, b'P', &[own, b"\0DEALLOCATE ", own, b"\0\0\0"]);
    push_raw(out, b'B', &[portal, b"\0", own, b"\0\0\0\0\0\0\0"]);
    push_raw(out, b'E', &[portal, b"\0\0\0\0\0"]);
}

/// An `ErrorResponse` of chronoguard's own.
pub fn write_error(out: &mut Vec<u8>, info: ErrorInfo) {
    push(out, &ErrorResponse::from(info));
}

/// A `NoticeResponse` of chronoguard's own.
pub fn write_notice(out: &mut Vec<u8>, info: ErrorInfo) {
    push(out, &NoticeResponse::from(info));
}

/// The fields every message of ours has. The severity is never localized; the routine names the proxy as the origin.
pub fn info(severity: &str, sqlstate: &str, message: impl Into<String>) -> ErrorInfo {
    let mut info = ErrorInfo::new(severity.to_owned(), sqlstate.to_owned(), message.into());
    info.severity_nonlocalized = Some(severity.to_owned());
    info.routine = Some("chronoguard".to_owned());
    info
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::backend;

    #[test]
    fn an_error_of_ours_has_the_fields_clients_look_for() {
        let mut out = Vec::new();
        let mut error = info("ERROR", "23514", "no");
        error.constraint = Some("rule".to_owned());
        write_error(&mut out, error);
        let fields = backend::fields(&out).unwrap();
        for (kind, want) in [(b'S', "ERROR"), (b'V', "ERROR"), (b'C', "23514"), (b'M', "no"), (b'n', "rule")] {
            assert_eq!(backend::field(&fields, kind), Some(want.as_bytes()));
        }
    }
}
