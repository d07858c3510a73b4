//! What was found out about a text, kept by the text.
//!
//! Comments around a statement often differ each time (trace ids), so the key is the *body*: the text without white space, comments and semicolons at either end. When a text is put in,
//! its body is known from the lexer. When a text is looked up it is not lexed: the start is skipped exactly, the end is guessed (`rfind("/*")` where the text ends in `*/`). A wrong guess
//! is harmless: a body that equals a stored one byte for byte ends where a token ends, outside of any string or comment, so what was cut off behind it is what it looked like,
//! provided that it closes where the text does, which is checked. The one exception are bodies that end in an open `--` comment; they are marked and match only where nothing
//! but white space and semicolons was cut off.
//!
//! Bounded in bytes, keys and the values' own weights counted. Two generations: what is used moves to the young one, and when that is half full the old one is dropped whole.
//! So one-off texts push out what is no longer used and nothing else, without a list to keep in order.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hasher as _},
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;

use super::{lex::Lexer, locate::Located, write::LexOptions};

const SHARDS: usize = 8;
/// Bytes an entry costs besides its key and its value's weight.
const OVERHEAD: usize = 96;

/// A cache from texts to values; see the module's text.
#[derive(Debug)]
pub struct TextCache<V> {
    shards: [Mutex<Shard<V>>; SHARDS],
}

#[derive(Debug)]
struct Shard<V> {
    young: Generation<V>,
    old: Generation<V>,
    /// Bytes one generation may hold.
    limit: usize,
}

#[derive(Debug)]
struct Generation<V> {
    entries: HashMap<Box<[u8]>, Entry<V>>,
    bytes: usize,
}

#[derive(Debug)]
struct Entry<V> {
    value: Arc<V>,
    cost: usize,
    /// The key ends in an open `--` comment.
    plain_tail_only: bool,
}

impl<V> Default for Generation<V> {
    fn default() -> Self {
        Self { entries: HashMap::new(), bytes: 0 }
    }
}

impl<V> Generation<V> {
    fn take(&mut self, key: &[u8]) -> Option<(Box<[u8]>, Entry<V>)> {
        let (key, entry) = self.entries.remove_entry(key)?;
        self.bytes -= entry.cost;
        Some((key, entry))
    }
}

impl<V> Shard<V> {
    fn add(&mut self, key: Box<[u8]>, entry: Entry<V>) {
        self.young.take(&key);
        self.old.take(&key);
        if self.young.bytes + entry.cost > self.limit {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.bytes += entry.cost;
        self.young.entries.insert(key, entry);
    }

    fn find(&mut self, key: &[u8]) -> Option<&Entry<V>> {
        if !self.young.entries.contains_key(key) {
            let (key, entry) = self.old.take(key)?;
            self.add(key, entry);
        }
        self.young.entries.get(key)
    }
}

impl<V> TextCache<V> {
    /// A cache of at most `limit_bytes`.
    pub fn new(limit_bytes: usize) -> Self {
        let limit = limit_bytes / SHARDS / 2;
        let shard = |_| Mutex::new(Shard { young: Generation::default(), old: Generation::default(), limit });
        Self { shards: std::array::from_fn(shard) }
    }

    /// The value kept for the body of `text`, and the offset of that body in `text`, from which all offsets in the value count.
    pub fn get(&self, text: &[u8], options: LexOptions) -> Option<(usize, Arc<V>)> {
        let cut = cut(text, options)?;
        let body = &text[cut.body.clone()];
        let mut shard = self.shard(body).lock();
        let entry = shard.find(body)?;
        if entry.plain_tail_only && cut.comments {
            return None;
        }
        Some((cut.body.start, Arc::clone(&entry.value)))
    }

    /// Keeps `value` for the body of `text`, which was `located` with the same options; `weight` is what the value holds in bytes.
    ///
    /// Offsets in `value` must count from `located.body.start`. `false`: not kept, because the text is incomplete, has no statement or is too large.
    pub fn insert(&self, text: &[u8], options: LexOptions, located: &Located, value: Arc<V>, weight: usize) -> bool {
        if !located.complete || located.body.is_empty() {
            return false;
        }
        let Some(cut) = cut(text, options) else { return false };
        // The guess may leave more at the end than the lexer, never less.
        if cut.body.start != located.body.start || cut.body.end < located.body.end {
            return false;
        }
        let body = &text[cut.body.clone()];
        let cost = body.len() + weight + OVERHEAD;
        let plain_tail_only = memchr::memmem::find(&text[located.body.end..cut.body.end], b"--").is_some();
        let mut shard = self.shard(body).lock();
        if cost > shard.limit / 4 {
            return false;
        }
        shard.add(body.into(), Entry { value, cost, plain_tail_only });
        true
    }

    /// Forgets everything.
    pub fn clear(&self) {
        for shard in &self.shards {
            let mut shard = shard.lock();
            shard.young = Generation::default();
            shard.old = Generation::default();
        }
    }

    /// Bytes held now.
    pub fn bytes(&self) -> usize {
        self.shards.iter().map(|s| s.lock()).map(|s| s.young.bytes + s.old.bytes).sum()
    }

    /// Texts held now.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|s| s.lock()).map(|s| s.young.entries.len() + s.old.entries.len()).sum()
    }

    /// Nothing is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Texts of one statement that differ in a literal or two spread well enough by their length and two bytes.
    fn shard(&self, body: &[u8]) -> &Mutex<Shard<V>> {
        let at = |i: usize| body.get(i).map_or(0, |b| usize::from(*b));
        let mix = body.len() + at(body.len() / 2) * 3 + at(body.len().saturating_sub(2)) * 7;
        &self.shards[mix % SHARDS]
    }
}

/// Which texts were seen lately, roughly: most texts with literals never come again, and keeping them would cost more than reading them.
#[derive(Debug)]
pub struct Sightings(Box<[AtomicU64]>);

/// Texts remembered, 8 bytes each.
const SIGHTINGS: usize = 8_192;

impl Default for Sightings {
    fn default() -> Self {
        Self(std::iter::repeat_with(AtomicU64::default).take(SIGHTINGS).collect())
    }
}

impl Sightings {
    /// Whether this was seen before, and was not forgotten since for another one.
    pub fn again(&self, body: &[u8]) -> bool {
        let mut hasher = DefaultHasher::new();
        hasher.write(body);
        let hash = hasher.finish();
        let slot = usize::try_from(hash % SIGHTINGS as u64).unwrap_or_default();
        self.0[slot].swap(hash, Ordering::Relaxed) == hash
    }
}

/// A text without what stands around its body.
struct Cut {
    body: Range<usize>,
    /// A comment was cut off at the end.
    comments: bool,
}

/// `None`: the text cannot be looked up.
fn cut(text: &[u8], options: LexOptions) -> Option<Cut> {
    // Where no backslash stands both settings read the same; the rare rest is not kept.
    if !options.standard_conforming_strings && memchr::memchr(b'\\', text).is_some() {
        return None;
    }
    let mut lexer = Lexer::new(text, options);
    let start = loop {
        lexer.skip_blank().ok()?;
        match text.get(lexer.position())? {
            b';' => {
                lexer.next();
            }
            _ => break lexer.position(),
        }
    };
    let mut end = text.len();
    let mut comments = false;
    loop {
        while end > start && matches!(text[end - 1], b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c | b';') {
            end -= 1;
        }
        match comment_at_end(&text[start..end]) {
            Some(at) => {
                end = start + at;
                comments = true;
            }
            None => return (start < end).then_some(Cut { body: start..end, comments }),
        }
    }
}

/// Offset of what looks like one comment without others in it at the end of `text`.
fn comment_at_end(text: &[u8]) -> Option<usize> {
    let inside = text.strip_suffix(b"*/")?;
    let at = memchr::memmem::rfind(inside, b"/*")?;
    // `*/` before the end would close it earlier, and what follows would be no comment.
    let closes_at_end = memchr::memmem::find(&text[at + 2..], b"*/") == Some(inside.len() - at - 2);
    // In `/* a /*/` the last slash opens another one.
    let opens_another = inside.len() > at + 2 && inside.ends_with(b"/");
    (closes_at_end && !opens_another && at > 0).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::locate::locate;

    const SCS: LexOptions = LexOptions { standard_conforming_strings: true };

    /// Puts the text's own body in as the value.
    fn put(cache: &TextCache<String>, text: &str, options: LexOptions) -> bool {
        let located = locate(text.as_bytes(), options);
        let body = text[located.body.clone()].to_owned();
        cache.insert(text.as_bytes(), options, &located, Arc::new(body), 10)
    }

    /// A hit must be what locating would have found.
    fn check_hit(cache: &TextCache<String>, text: &str, options: LexOptions) -> bool {
        let Some((offset, body)) = cache.get(text.as_bytes(), options) else { return false };
        let located = locate(text.as_bytes(), options);
        assert!(located.complete, "{text}");
        assert_eq!((offset, &text[located.body.clone()]), (located.body.start, body.as_str()), "{text}");
        true
    }

    #[test]
    fn comments_neither_defeat_nor_grow_it() {
        let cache = TextCache::new(1 << 20);
        for i in 0..1000 {
            let text = format!(" /* in {i} */ -- {i}\nUPDATE t SET a = '/*' /* trace='{i}' */ ; ");
            assert_eq!(check_hit(&cache, &text, SCS), i > 0);
            assert!(i > 0 || put(&cache, &text, SCS));
        }
        assert_eq!(cache.len(), 1);
        for text in [
            "UPDATE t SET a = '/*'",
            "UPDATE t SET a = '/*';;",
            "UPDATE t SET a = '/*'/**/",
            "UPDATE t SET a = '/*' /*a*/ ; /*b*/\n",
            ";;/* */;UPDATE t SET a = '/*'",
        ] {
            assert!(check_hit(&cache, text, SCS), "{text}");
        }
        for text in [
            "UPDATE t SET a = '/*' /* a */ DROP TABLE t */",
            "UPDATE t SET a = '/*' /*/",
            "UPDATE t SET a = '/*' /*/*/",
            "UPDATE t SET a = '/*' /* a /*/",
            "UPDATE t SET a = '/*' b /* */",
            "/* /* */ UPDATE t SET a = '/*'",
            "/* UPDATE t SET a = '/*' */",
        ] {
            assert!(!check_hit(&cache, text, SCS), "{text}");
        }
    }

    #[test]
    fn line_comments_at_the_end() {
        let cache = TextCache::new(1 << 20);
        assert!(put(&cache, "SELECT 1 -- x", SCS));
        assert!(check_hit(&cache, "SELECT 1 -- x\n;", SCS));
        assert!(!check_hit(&cache, "SELECT 1 -- x /* \n + 1 */", SCS));
        assert!(!check_hit(&cache, "SELECT 1 -- x /* */", SCS));
        assert!(put(&cache, "SELECT 2 /* /* */ */", SCS));
        assert!(check_hit(&cache, "SELECT 2 /* /* */ */ /* t */;", SCS));
        assert!(put(&cache, "SELECT 3 -", SCS));
        assert!(!check_hit(&cache, "SELECT 3 -- /* */", SCS));
        assert!(check_hit(&cache, "SELECT 3 -/* */", SCS));
    }

    #[test]
    fn what_is_not_kept() {
        let cache = TextCache::new(1 << 20);
        assert!(!put(&cache, "SELECT 'a", SCS));
        assert!(!put(&cache, "SELECT (1", SCS));
        assert!(!put(&cache, " -- nothing", SCS));
        assert!(!put(&cache, "", SCS));
        let off = LexOptions { standard_conforming_strings: false };
        assert!(!put(&cache, "SELECT '\\''", off));
        assert!(put(&cache, "SELECT 'a'", off));
        assert!(check_hit(&cache, "SELECT 'a'", SCS));
        assert!(!put(&cache, &format!("SELECT '{}'", "x".repeat(1 << 20)), SCS));
        cache.clear();
        assert!(cache.is_empty());
    }

    #[test]
    fn a_text_is_seen_again_unless_others_came_between() {
        let sightings = Sightings::default();
        assert!(!sightings.again(b"SELECT 1"));
        assert!(sightings.again(b"SELECT 1") && !sightings.again(b"SELECT 2"));
        let again = (0..10 * SIGHTINGS).filter(|i| sightings.again(format!("SELECT '{i}'").as_bytes())).count();
        assert_eq!(again, 0, "none of them came before");
        assert!(!sightings.again(b"SELECT 1"), "10 others for each place");
    }

    #[test]
    fn bounded_in_bytes_and_keeps_what_is_used() {
        let cache = TextCache::new(200_000);
        assert!(put(&cache, "SELECT used", SCS));
        for i in 0..20_000 {
            assert!(put(&cache, &format!("SELECT one_off_{i}"), SCS));
            assert!(cache.bytes() <= 200_000);
            if i % 50 == 0 {
                assert!(check_hit(&cache, "SELECT used /* t */", SCS), "{i}");
            }
        }
        assert!(cache.len() > 300);
    }

    proptest::proptest! {
        #[test]
        fn a_hit_is_what_the_lexer_finds(parts in proptest::collection::vec(
            proptest::sample::select(vec!["a", "'", "--", "/*", "*/", "\n", ";", " ", "-", "*", "/", "\"", "$$"]), 0..12),
            tail in proptest::collection::vec(
            proptest::sample::select(vec!["a", "'", "--", "/*", "*/", "\n", ";", " ", "-", "*", "/", "\"", "$$"]), 0..8))
        {
            let cache = TextCache::new(1 << 20);
            let text = parts.concat();
            let kept = put(&cache, &text, SCS);
            let longer = text.clone() + &tail.concat();
            check_hit(&cache, &longer, SCS);
            check_hit(&cache, &format!("/* {longer} */{longer}"), SCS);
            // The same text again, unless its line comment swallowed a block comment at its end.
            proptest::prop_assert!(!kept || check_hit(&cache, &text, SCS) || text.contains("--"));
        }
    }
}
