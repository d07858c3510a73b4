//! Frontend messages, built by hand.
//!
//! Source: PostgreSQL docs, `protocol-message-formats.html`.

/// Any tagged message.
pub fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    out.extend(length(body.len() + 4));
    out.extend(body);
    out
}

/// `StartupMessage`, protocol 3.0.
pub fn startup(parameters: &[(&str, &str)]) -> Vec<u8> {
    startup_version(196_608, parameters)
}

/// `StartupMessage` with any protocol number.
pub fn startup_version(version: u32, parameters: &[(&str, &str)]) -> Vec<u8> {
    let mut body = version.to_be_bytes().to_vec();
    for (name, value) in parameters {
        body.extend(cstr(name));
        body.extend(cstr(value));
    }
    body.push(0);
    untagged(&body)
}

/// `SSLRequest`.
pub fn ssl_request() -> Vec<u8> {
    untagged(&80_877_103_u32.to_be_bytes())
}

/// `GSSENCRequest`.
pub fn gssenc_request() -> Vec<u8> {
    untagged(&80_877_104_u32.to_be_bytes())
}

/// `CancelRequest`.
pub fn cancel_request(pid: u32, secret: &[u8]) -> Vec<u8> {
    let mut body = 80_877_102_u32.to_be_bytes().to_vec();
    body.extend(pid.to_be_bytes());
    body.extend(secret);
    untagged(&body)
}

/// A message without tag.
pub fn untagged(body: &[u8]) -> Vec<u8> {
    let mut out = length(body.len() + 4).to_vec();
    out.extend(body);
    out
}

/// `Query`.
pub fn query(sql: impl AsRef<[u8]>) -> Vec<u8> {
    message(b'Q', &cstr_bytes(sql.as_ref()))
}

/// `Parse` with the parameter types left to the server.
pub fn parse(statement: &str, sql: impl AsRef<[u8]>) -> Vec<u8> {
    parse_typed(statement, sql, &[])
}

/// `Parse` with parameter type OIDs.
pub fn parse_typed(statement: &str, sql: impl AsRef<[u8]>, types: &[u32]) -> Vec<u8> {
    let mut body = cstr(statement);
    body.extend(cstr_bytes(sql.as_ref()));
    body.extend(count(types.len()));
    for oid in types {
        body.extend(oid.to_be_bytes());
    }
    message(b'P', &body)
}

/// `Bind` of text parameters, results as text.
pub fn bind(portal: &str, statement: &str, parameters: &[&str]) -> Vec<u8> {
    parameters.iter().fold(Bind::new(portal, statement), |bind, p| bind.text(p)).build()
}

/// `Describe` a statement.
pub fn describe_statement(name: &str) -> Vec<u8> {
    named(b'D', b'S', name)
}

/// `Describe` a portal.
pub fn describe_portal(name: &str) -> Vec<u8> {
    named(b'D', b'P', name)
}

/// `Close` a statement.
pub fn close_statement(name: &str) -> Vec<u8> {
    named(b'C', b'S', name)
}

/// `Close` a portal.
pub fn close_portal(name: &str) -> Vec<u8> {
    named(b'C', b'P', name)
}

/// `Execute`; 0 rows means all.
pub fn execute(portal: &str, max_rows: u32) -> Vec<u8> {
    let mut body = cstr(portal);
    body.extend(max_rows.to_be_bytes());
    message(b'E', &body)
}

/// `Flush`.
pub fn flush() -> Vec<u8> {
    message(b'H', &[])
}

/// `Sync`.
pub fn sync() -> Vec<u8> {
    message(b'S', &[])
}

/// `Terminate`.
pub fn terminate() -> Vec<u8> {
    message(b'X', &[])
}

/// `CopyData`.
pub fn copy_data(data: impl AsRef<[u8]>) -> Vec<u8> {
    message(b'd', data.as_ref())
}

/// `CopyDone`.
pub fn copy_done() -> Vec<u8> {
    message(b'c', &[])
}

/// `CopyFail`.
pub fn copy_fail(reason: &str) -> Vec<u8> {
    message(b'f', &cstr(reason))
}

/// `FunctionCall` with text arguments, result as text.
pub fn function_call(oid: u32, arguments: &[&str]) -> Vec<u8> {
    let mut body = oid.to_be_bytes().to_vec();
    body.extend([0, 1, 0, 0]);
    body.extend(count(arguments.len()));
    for argument in arguments {
        body.extend(length(argument.len()));
        body.extend(argument.as_bytes());
    }
    body.extend([0, 0]);
    message(b'F', &body)
}

/// The usual five: unnamed `Parse`, `Bind`, `Describe` of the portal, `Execute`, `Sync`.
pub fn extended(sql: &str, parameters: &[&str]) -> Vec<u8> {
    [parse("", sql), bind("", "", parameters), describe_portal(""), execute("", 0), sync()].concat()
}

/// A `Bind` with every choice open.
#[derive(Clone)]
pub struct Bind {
    portal: String,
    statement: String,
    parameters: Vec<(u16, Option<Vec<u8>>)>,
    formats: Option<Vec<u16>>,
    results: Vec<u16>,
}

impl Bind {
    /// No parameters, results as text.
    pub fn new(portal: &str, statement: &str) -> Self {
        Self {
            portal: portal.into(),
            statement: statement.into(),
            parameters: Vec::new(),
            formats: None,
            results: Vec::new(),
        }
    }

    /// One more parameter as text.
    pub fn text(mut self, value: impl AsRef<[u8]>) -> Self {
        self.parameters.push((0, Some(value.as_ref().to_vec())));
        self
    }

    /// One more parameter in binary form.
    pub fn binary(mut self, value: impl AsRef<[u8]>) -> Self {
        self.parameters.push((1, Some(value.as_ref().to_vec())));
        self
    }

    /// One more parameter, NULL.
    pub fn null(mut self) -> Self {
        self.parameters.push((0, None));
        self
    }

    /// Parameter format codes as they go on the wire, instead of one for each parameter.
    pub fn formats(mut self, codes: &[u16]) -> Self {
        self.formats = Some(codes.to_vec());
        self
    }

    /// Result format codes.
    pub fn results(mut self, codes: &[u16]) -> Self {
        self.results = codes.to_vec();
        self
    }

    /// The message.
    pub fn build(self) -> Vec<u8> {
        let mut body = cstr(&self.portal);
        body.extend(cstr(&self.statement));
        let formats = self.formats.unwrap_or_else(|| self.parameters.iter().map(|(code, _)| *code).collect());
        body.extend(codes(&formats));
        body.extend(count(self.parameters.len()));
        for (_, value) in &self.parameters {
            match value {
                None => body.extend((-1_i32).to_be_bytes()),
                Some(value) => {
                    body.extend(length(value.len()));
                    body.extend(value);
                }
            }
        }
        body.extend(codes(&self.results));
        message(b'B', &body)
    }
}

/// A `timestamptz` in binary form: microseconds since 2000-01-01.
pub fn timestamptz_binary(unix_micros: i64) -> [u8; 8] {
    (unix_micros - 946_684_800_000_000).to_be_bytes()
}

fn named(tag: u8, kind: u8, name: &str) -> Vec<u8> {
    let mut body = vec![kind];
    body.extend(cstr(name));
    message(tag, &body)
}

fn codes(codes: &[u16]) -> Vec<u8> {
    let mut out = count(codes.len()).to_vec();
    out.extend(codes.iter().flat_map(|code| code.to_be_bytes()));
    out
}

fn count(n: usize) -> [u8; 2] {
    u16::try_from(n).unwrap().to_be_bytes()
}

fn length(n: usize) -> [u8; 4] {
    u32::try_from(n).unwrap().to_be_bytes()
}

fn cstr(text: &str) -> Vec<u8> {
    cstr_bytes(text.as_bytes())
}

fn cstr_bytes(text: &[u8]) -> Vec<u8> {
    let mut out = text.to_vec();
    out.push(0);
    out
}
