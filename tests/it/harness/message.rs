//! Backend messages as tag and bytes, with a readable form for differences and decoded views for assertions.

use std::{collections::BTreeMap, fmt};

/// A backend message: tag and body without the length.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// First byte.
    pub tag: u8,
    /// Everything behind the length.
    pub body: Vec<u8>,
}

/// One column of a `RowDescription`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Name.
    pub name: String,
    /// Table OID, attribute number, type OID, type length, type modifier, format.
    pub numbers: (u32, u16, u32, i16, i32, u16),
}

impl Message {
    /// Fields of an `ErrorResponse` or `NoticeResponse` by their code.
    pub fn fields(&self) -> BTreeMap<char, String> {
        assert!(matches!(self.tag, b'E' | b'N'), "not an error or notice: {self}");
        let mut reader = Reader(&self.body);
        let mut fields = BTreeMap::new();
        loop {
            match reader.byte() {
                0 => break,
                code => fields.insert(char::from(code), reader.cstr()),
            };
        }
        assert!(reader.0.is_empty(), "bytes behind the fields");
        fields
    }

    /// One field of an error or notice, empty if it is not there.
    pub fn field(&self, code: char) -> String {
        self.fields().remove(&code).unwrap_or_default()
    }

    /// Columns of a `RowDescription`.
    pub fn columns(&self) -> Vec<Column> {
        assert_eq!(self.tag, b'T', "not a RowDescription: {self}");
        let mut reader = Reader(&self.body);
        (0..reader.u16())
            .map(|_| Column {
                name: reader.cstr(),
                numbers: (
                    reader.u32(),
                    reader.u16(),
                    reader.u32(),
                    reader.u16().cast_signed(),
                    reader.u32().cast_signed(),
                    reader.u16(),
                ),
            })
            .collect()
    }

    /// Values of a `DataRow`.
    pub fn values(&self) -> Vec<Option<Vec<u8>>> {
        assert_eq!(self.tag, b'D', "not a DataRow: {self}");
        let mut reader = Reader(&self.body);
        (0..reader.u16())
            .map(|_| match reader.u32() {
                u32::MAX => None,
                length => Some(reader.take(length as usize).to_vec()),
            })
            .collect()
    }

    /// The command tag of a `CommandComplete`.
    pub fn command(&self) -> String {
        assert_eq!(self.tag, b'C', "not a CommandComplete: {self}");
        Reader(&self.body).cstr()
    }

    /// Replaces what differs between two runs by nature: cancel key, process ids, OIDs of what the script created.
    pub fn masked(&self, oids: &mut OidNames) -> Self {
        let mut body = self.body.clone();
        match self.tag {
            b'K' => body.fill(0),
            b'A' => body[..4].fill(0),
            b'T' => {
                let mut at = 2;
                while at < body.len() {
                    at += body[at..].iter().position(|b| *b == 0).expect("name ends") + 1;
                    oids.mask(&mut body[at..at + 4]);
                    oids.mask(&mut body[at + 6..at + 10]);
                    at += 18;
                }
            }
            b't' => body[2..].chunks_exact_mut(4).for_each(|oid| oids.mask(oid)),
            _ => {}
        }
        Self { tag: self.tag, body }
    }
}

/// Numbers user-created OIDs in the order in which they appear.
#[derive(Default)]
pub struct OidNames {
    seen: Vec<u32>,
}

impl OidNames {
    fn mask(&mut self, oid: &mut [u8]) {
        let value = u32::from_be_bytes(oid.try_into().unwrap());
        if value < 16_384 {
            return;
        }
        let at = self.seen.iter().position(|o| *o == value).unwrap_or_else(|| {
            self.seen.push(value);
            self.seen.len() - 1
        });
        oid.copy_from_slice(&u32::try_from(1_000_000 + at).unwrap().to_be_bytes());
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.tag {
            b'R' => "Authentication",
            b'K' => "BackendKeyData",
            b'S' => "ParameterStatus",
            b'Z' => "ReadyForQuery",
            b'T' => "RowDescription",
            b't' => "ParameterDescription",
            b'D' => "DataRow",
            b'C' => "CommandComplete",
            b'E' => "ErrorResponse",
            b'N' => "NoticeResponse",
            b'A' => "NotificationResponse",
            b'1' => "ParseComplete",
            b'2' => "BindComplete",
            b'3' => "CloseComplete",
            b'n' => "NoData",
            b's' => "PortalSuspended",
            b'I' => "EmptyQueryResponse",
            b'G' => "CopyInResponse",
            b'H' => "CopyOutResponse",
            b'd' => "CopyData",
            b'c' => "CopyDone",
            b'V' => "FunctionCallResponse",
            b'v' => "NegotiateProtocolVersion",
            _ => "?",
        };
        write!(f, "{} {name}", char::from(self.tag))?;
        match self.tag {
            b'E' | b'N' => write!(f, " {:?}", self.fields()),
            b'T' => self.columns().iter().try_for_each(|c| write!(f, " {}{:?}", c.name, c.numbers)),
            b'D' => self.values().iter().try_for_each(|v| match v {
                None => write!(f, " NULL"),
                Some(value) => write!(f, " '{}'", short(value)),
            }),
            _ => write!(f, " {}", short(&self.body)),
        }
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Bytes for people, cut at 200.
pub fn short(bytes: &[u8]) -> String {
    let cut = &bytes[..bytes.len().min(200)];
    let more = if cut.len() < bytes.len() { format!("… ({} bytes)", bytes.len()) } else { String::new() };
    format!("{}{more}", cut.escape_ascii())
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> &'a [u8] {
        let (head, rest) = self.0.split_at(n);
        self.0 = rest;
        head
    }
    fn byte(&mut self) -> u8 {
        self.take(1)[0]
    }
    fn u16(&mut self) -> u16 {
        u16::from_be_bytes(self.take(2).try_into().unwrap())
    }
    fn u32(&mut self) -> u32 {
        u32::from_be_bytes(self.take(4).try_into().unwrap())
    }
    fn cstr(&mut self) -> String {
        let end = self.0.iter().position(|b| *b == 0).expect("a string ends with a zero byte");
        let text = String::from_utf8_lossy(self.take(end)).into_owned();
        self.byte();
        text
    }
}
