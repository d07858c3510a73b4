//! Samples of the proxy's `/metrics`.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

/// One line of the exposition.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Name with the `chronoguard_` prefix.
    pub name: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Value.
    pub value: f64,
}

/// All samples of one scrape.
#[derive(Debug, Clone, Default)]
pub struct Samples(pub Vec<Sample>);

impl Samples {
    /// Sum over the samples of a metric (named without the prefix) that carry all these labels.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.0
            .iter()
            .filter(|s| s.name.strip_prefix("chronoguard_") == Some(name))
            .filter(|s| labels.iter().all(|(k, v)| s.labels.get(*k).is_some_and(|have| have == v)))
            .map(|s| s.value)
            .sum()
    }
}

/// Scrapes `/metrics`.
pub fn scrape(admin: SocketAddr) -> Samples {
    let (status, body) = http(admin, "GET", "/metrics");
    assert_eq!(status, 200, "{body}");
    Samples(body.lines().filter(|l| !l.starts_with('#') && !l.is_empty()).map(sample).collect())
}

/// Scrapes until `wanted` holds: a session counts what it saw just after the reply left.
pub fn await_samples(admin: SocketAddr, what: &str, wanted: impl Fn(&Samples) -> bool) -> Samples {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let samples = scrape(admin);
        if wanted(&samples) {
            return samples;
        }
        assert!(Instant::now() < deadline, "metrics never showed {what}:\n{samples:#?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A request without body; status and body of the reply.
pub fn http(addr: SocketAddr, method: &str, path: &str) -> (u16, String) {
    http_with(addr, method, path, "")
}

/// As [`http`], with more header lines, each ended by CR LF.
pub fn http_with(addr: SocketAddr, method: &str, path: &str, headers: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(addr).unwrap_or_else(|e| panic!("connect to {addr}: {e}"));
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n{headers}Connection: close\r\n\r\n")
        .unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    let (head, body) = reply.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no HTTP reply: {reply:?}"));
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or_else(|| panic!("no status: {head}"));
    let body =
        if head.to_ascii_lowercase().contains("transfer-encoding: chunked") { unchunk(body) } else { body.into() };
    (status, body)
}

fn unchunk(mut body: &str) -> String {
    let mut out = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        if size == 0 {
            break;
        }
        out.push_str(&rest[..size]);
        body = rest[size..].strip_prefix("\r\n").unwrap_or("");
    }
    out
}

fn sample(line: &str) -> Sample {
    let (left, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no sample: {line}"));
    let (name, labels) = match left.split_once('{') {
        None => (left, BTreeMap::new()),
        Some((name, labels)) => (name, self::labels(labels.trim_end_matches('}'))),
    };
    Sample { name: name.into(), labels, value: value.parse().unwrap_or_else(|_| panic!("no number: {line}")) }
}

fn labels(text: &str) -> BTreeMap<String, String> {
    text.split_terminator(',')
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or_else(|| panic!("no label: {text}"));
            (key.into(), value.trim_matches('"').into())
        })
        .collect()
}
