//! PostgreSQL's lexical rules over bytes: tokens as offsets, nothing copied, nothing allocated.
//!
//! Bytes with the high bit set are letters, as in the server, so any client encoding that is a superset of ASCII works (UTF-8, LATIN*, EUC_*);
//! encodings where an ASCII byte may be the second half of a character (SJIS, BIG5, GBK, UHC, GB18030, JOHAB) must not come here.
//! Comments are skipped. A text that ends inside a string, a quoted name or a comment gives one last [`Kind::Unterminated`] token; the server
//! refuses such a text as a whole.
//!
//! Why not sqlparser's tokenizer: it makes a `String` of every word, string and number and takes a `&str`. Over an `IN` list of 10.9 MB (`benches/lex.rs`, one run side by side)
//! it took 564 ms, this one 56 ms; and it knows neither byte offsets nor string continuation nor the server's rule for where an operator ends.
//!
//! Source: PostgreSQL `src/backend/parser/scan.l` (15 to 18); docs `sql-syntax-lexical.html`. Where versions differ (`1_000`, `0x1F`) the newest is followed:
//! for older ones such a text is an error or the same sequence of clauses.

use super::write::LexOptions;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Unquoted identifier or keyword.
    Ident,
    /// `"…"`.
    Quoted,
    /// `U&"…"`, with its `UESCAPE '…'` if there is one.
    UnicodeIdent,
    /// Any string constant: `'…'`, `E'…'`, `B'…'`, `X'…'`, `N'…'`, `U&'…'` (with its `UESCAPE`), `$$…$$`, each with its continuations on later lines.
    Str,
    /// Number.
    Number,
    /// `$1`.
    Param,
    /// One of `, ( ) [ ] . ; : + - * / % ^ < > =`, or a stray byte.
    Char(u8),
    /// Any other operator.
    Op,
    /// `::`.
    Typecast,
    /// `..`.
    DotDot,
    /// `:=`.
    ColonEquals,
    /// `=>`.
    EqualsGreater,
    /// From the start of what is not closed to the end of the text.
    Unterminated,
}

/// A token: its kind and the bytes it covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: Kind,
    /// Offset of its first byte.
    pub start: usize,
    /// Offset behind its last byte.
    pub end: usize,
}

/// Reads tokens off a text; a copy of it looks ahead.
#[derive(Debug, Clone, Copy)]
pub struct Lexer<'t> {
    text: &'t [u8],
    pos: usize,
    options: LexOptions,
}

const SPACE: u8 = 1;
const IDENT_START: u8 = 2;
const IDENT_CONT: u8 = 4;
const DIGIT: u8 = 8;
const OP: u8 = 16;
const SELF: u8 = 32;

const CLASS: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        #[expect(clippy::cast_possible_truncation, reason = "i < 256")]
        let b = i as u8;
        let mut class = 0;
        if matches!(b, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c) {
            class |= SPACE;
        }
        if b.is_ascii_alphabetic() || b == b'_' || b >= 0x80 {
            class |= IDENT_START | IDENT_CONT;
        }
        if b.is_ascii_digit() {
            class |= DIGIT | IDENT_CONT;
        }
        if b == b'$' {
            class |= IDENT_CONT;
        }
        if matches!(
            b,
            b'~' | b'!'
                | b'@'
                | b'#'
                | b'^'
                | b'&'
                | b'|'
                | b'`'
                | b'?'
                | b'+'
                | b'-'
                | b'*'
                | b'/'
                | b'%'
                | b'<'
                | b'>'
                | b'='
        ) {
            class |= OP;
        }
        if matches!(
            b,
            b',' | b'('
                | b')'
                | b'['
                | b']'
                | b'.'
                | b';'
                | b':'
                | b'+'
                | b'-'
                | b'*'
                | b'/'
                | b'%'
                | b'^'
                | b'<'
                | b'>'
                | b'='
        ) {
            class |= SELF;
        }
        table[i] = class;
        i += 1;
    }
    table
}

/// The byte may be inside an unquoted identifier.
pub(super) fn is_ident_byte(b: u8) -> bool {
    CLASS[b as usize] & IDENT_CONT != 0
}

impl<'t> Lexer<'t> {
    /// A lexer at the start of `text`.
    pub fn new(text: &'t [u8], options: LexOptions) -> Self {
        Self { text, pos: 0, options }
    }

    /// Offset of the next unread byte.
    pub fn position(&self) -> usize {
        self.pos
    }

    /// The text it reads.
    pub fn text(&self) -> &'t [u8] {
        self.text
    }

    fn at(&self, i: usize) -> u8 {
        self.text.get(i).copied().unwrap_or(0)
    }

    fn is(&self, i: usize, class: u8) -> bool {
        self.text.get(i).is_some_and(|&b| CLASS[b as usize] & class != 0)
    }

    fn run_end(&self, mut i: usize, class: u8) -> usize {
        while self.is(i, class) {
            i += 1;
        }
        i
    }

    /// Moves behind white space and comments. `Err`: the offset of a comment that is not closed.
    pub fn skip_blank(&mut self) -> Result<(), usize> {
        loop {
            self.pos = self.run_end(self.pos, SPACE);
            match (self.at(self.pos), self.at(self.pos + 1)) {
                (b'-', b'-') => self.pos = line_end(self.text, self.pos),
                (b'/', b'*') => match block_comment_end(self.text, self.pos) {
                    Some(end) => self.pos = end,
                    None => return Err(self.pos),
                },
                _ => return Ok(()),
            }
        }
    }

    fn token(&mut self, kind: Kind, start: usize, end: usize) -> Token {
        self.pos = end;
        Token { kind, start, end }
    }

    fn unterminated(&mut self, start: usize) -> Token {
        self.token(Kind::Unterminated, start, self.text.len())
    }

    fn closed(&mut self, kind: Kind, start: usize, end: Option<usize>) -> Token {
        match end {
            Some(end) => self.token(kind, start, end),
            None => self.unterminated(start),
        }
    }

    fn read(&mut self, start: usize) -> Token {
        let b = self.text[start];
        match b {
            b'\'' => {
                let end = self.string_end(start + 1, !self.options.standard_conforming_strings);
                return self.closed(Kind::Str, start, end);
            }
            b'"' => {
                let end = self.quoted_end(start + 1);
                return self.closed(Kind::Quoted, start, end);
            }
            b'$' => return self.dollar(start),
            _ => {}
        }
        let class = CLASS[b as usize];
        if class & IDENT_START != 0 {
            return self.word(start, b);
        }
        if class & DIGIT != 0 || (b == b'.' && self.is(start + 1, DIGIT)) {
            let end = self.number_end(start);
            return self.token(Kind::Number, start, end);
        }
        match (b, self.at(start + 1)) {
            (b':', b':') => return self.token(Kind::Typecast, start, start + 2),
            (b':', b'=') => return self.token(Kind::ColonEquals, start, start + 2),
            (b'.', b'.') => return self.token(Kind::DotDot, start, start + 2),
            _ => {}
        }
        if class & OP != 0 {
            let end = self.operator_end(start);
            let kind = match &self.text[start..end] {
                [one] if class & SELF != 0 => Kind::Char(*one),
                b"=>" => Kind::EqualsGreater,
                _ => Kind::Op,
            };
            return self.token(kind, start, end);
        }
        self.token(Kind::Char(b), start, start + 1)
    }

    fn word(&mut self, start: usize, first: u8) -> Token {
        match (first, self.at(start + 1)) {
            (b'e' | b'E', b'\'') => {
                let end = self.string_end(start + 2, true);
                return self.closed(Kind::Str, start, end);
            }
            (b'n' | b'N', b'\'') => {
                let end = self.string_end(start + 2, !self.options.standard_conforming_strings);
                return self.closed(Kind::Str, start, end);
            }
            (b'b' | b'B' | b'x' | b'X', b'\'') => {
                let end = self.bits_end(start + 2);
                return self.closed(Kind::Str, start, end);
            }
            (b'u' | b'U', b'&') if self.at(start + 2) == b'\'' => {
                let end = self.string_end(start + 3, false);
                let token = self.closed(Kind::Str, start, end);
                return self.with_uescape(token);
            }
            (b'u' | b'U', b'&') if self.at(start + 2) == b'"' => {
                let end = self.quoted_end(start + 3);
                let token = self.closed(Kind::UnicodeIdent, start, end);
                return self.with_uescape(token);
            }
            _ => {}
        }
        let end = self.run_end(start + 1, IDENT_CONT);
        self.token(Kind::Ident, start, end)
    }

    /// Takes a following `UESCAPE 'c'` into the token.
    fn with_uescape(&mut self, token: Token) -> Token {
        if token.kind == Kind::Unterminated {
            return token;
        }
        // Not by `next`: a chain of U& tokens must not look ahead over itself again and again.
        let mut ahead = *self;
        let Ok(()) = ahead.skip_blank() else { return token };
        let end = ahead.run_end(ahead.pos, IDENT_CONT);
        if !self.text[ahead.pos..end].eq_ignore_ascii_case(b"uescape") {
            return token;
        }
        ahead.pos = end;
        let Ok(()) = ahead.skip_blank() else { return token };
        if ahead.at(ahead.pos) != b'\'' {
            return token;
        }
        match ahead.string_end(ahead.pos + 1, false) {
            Some(end) => self.token(token.kind, token.start, end),
            None => token,
        }
    }

    /// End of a string constant whose content begins at `i`, its continuations on later lines included.
    fn string_end(&self, mut i: usize, backslash: bool) -> Option<usize> {
        loop {
            let rest = self.text.get(i..)?;
            let hop = if backslash { memchr::memchr2(b'\'', b'\\', rest) } else { memchr::memchr(b'\'', rest) };
            i += hop?;
            if self.text[i] == b'\\' || self.at(i + 1) == b'\'' {
                i += 2;
                continue;
            }
            match self.continuation(i + 1) {
                Some(next) => i = next,
                None => return Some(i + 1),
            }
        }
    }

    /// End of `B'…'` or `X'…'`: a doubled quote is no quote inside.
    fn bits_end(&self, mut i: usize) -> Option<usize> {
        loop {
            i += memchr::memchr(b'\'', self.text.get(i..)?)?;
            match self.continuation(i + 1) {
                Some(next) => i = next,
                None => return Some(i + 1),
            }
        }
    }

    /// Start of the content of a further part of the string that closed just before `i`: white space with a line break, then a quote.
    fn continuation(&self, mut i: usize) -> Option<usize> {
        let mut broken = false;
        loop {
            match *self.text.get(i)? {
                b'\n' | b'\r' => {
                    broken = true;
                    i += 1;
                }
                b' ' | b'\t' | 0x0b | 0x0c => i += 1,
                b'-' if self.at(i + 1) == b'-' => i = line_end(self.text, i),
                b'\'' if broken => return Some(i + 1),
                _ => return None,
            }
        }
    }

    fn quoted_end(&self, mut i: usize) -> Option<usize> {
        loop {
            i += memchr::memchr(b'"', self.text.get(i..)?)?;
            if self.at(i + 1) != b'"' {
                return Some(i + 1);
            }
            i += 2;
        }
    }

    /// `$1`, `$tag$…$tag$`, or a stray `$`.
    fn dollar(&mut self, start: usize) -> Token {
        if self.is(start + 1, DIGIT) {
            let end = self.run_end(start + 1, DIGIT);
            return self.token(Kind::Param, start, end);
        }
        let mut tag = start + 1;
        if self.is(tag, IDENT_START) {
            while self.is(tag, IDENT_START | DIGIT) {
                tag += 1;
            }
        }
        if self.at(tag) != b'$' {
            return self.token(Kind::Char(b'$'), start, start + 1);
        }
        let body = tag + 1;
        let found = memchr::memmem::find(&self.text[body..], &self.text[start..body]);
        self.closed(Kind::Str, start, found.map(|at| body + at + (body - start)))
    }

    fn number_end(&self, start: usize) -> usize {
        let radix = |b: u8| b.is_ascii_hexdigit() || b == b'_';
        if self.at(start) == b'0' && matches!(self.at(start + 1), b'x' | b'X' | b'o' | b'O' | b'b' | b'B') {
            let mut i = start + 2;
            while radix(self.at(i)) {
                i += 1;
            }
            if i > start + 2 {
                return i;
            }
        }
        let mut i = self.digits_end(start);
        if self.at(i) == b'.' && self.at(i + 1) != b'.' {
            i = self.digits_end(i + 1);
        }
        if matches!(self.at(i), b'e' | b'E') {
            let sign = usize::from(matches!(self.at(i + 1), b'+' | b'-'));
            if self.is(i + 1 + sign, DIGIT) {
                i = self.digits_end(i + 1 + sign);
            }
        }
        i
    }

    /// Digits, single underscores between them.
    fn digits_end(&self, mut i: usize) -> usize {
        while self.is(i, DIGIT) || (self.at(i) == b'_' && i > 0 && self.is(i - 1, DIGIT) && self.is(i + 1, DIGIT)) {
            i += 1;
        }
        i
    }

    /// Longest run of operator characters, cut before a comment; a trailing `+` or `-` stays only if one of `~ ! @ # ^ & | ` ? %` is in it.
    fn operator_end(&self, start: usize) -> usize {
        let mut end = start;
        let mut special = false;
        while self.is(end, OP) {
            let pair = (self.text[end], self.at(end + 1));
            if matches!(pair, (b'/', b'*') | (b'-', b'-')) {
                break;
            }
            special |= matches!(pair.0, b'~' | b'!' | b'@' | b'#' | b'^' | b'&' | b'|' | b'`' | b'?' | b'%');
            end += 1;
        }
        if !special {
            while end > start + 1 && matches!(self.text[end - 1], b'+' | b'-') {
                end -= 1;
            }
        }
        end
    }
}

impl Iterator for Lexer<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        if let Err(open) = self.skip_blank() {
            return Some(self.unterminated(open));
        }
        if self.pos >= self.text.len() {
            return None;
        }
        Some(self.read(self.pos))
    }
}

/// Offset of the line break that ends the line of `i`, or the end of the text.
fn line_end(text: &[u8], i: usize) -> usize {
    memchr::memchr2(b'\n', b'\r', &text[i..]).map_or(text.len(), |n| i + n)
}

/// Offset behind the block comment (they nest) that starts at `i`.
fn block_comment_end(text: &[u8], i: usize) -> Option<usize> {
    let mut depth = 1usize;
    let mut i = i + 2;
    loop {
        i += memchr::memchr2(b'*', b'/', text.get(i..)?)?;
        match (text[i], text.get(i + 1)) {
            (b'*', Some(b'/')) => {
                i += 2;
                depth -= 1;
                if depth == 0 {
                    return Some(i);
                }
            }
            (b'/', Some(b'*')) => {
                i += 2;
                depth += 1;
            }
            _ => i += 1,
        }
    }
}

#[cfg(test)]
mod tests;
