//! What reading SQL costs: our lexer beside sqlparser's tokenizer, the locator, the byte scan and the cache. `cargo bench --bench lex`.

use std::{
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};

use chronoguard::sql::{cache::TextCache, lex::Lexer, locate::locate, scan::Scanner, write::LexOptions};

/// The best of seven runs, each of `times` calls.
fn measure(what: &str, times: u32, mut f: impl FnMut()) -> Duration {
    let mut best = Duration::MAX;
    for _ in 0..7 {
        let start = Instant::now();
        for _ in 0..times {
            f();
        }
        best = best.min(start.elapsed() / times);
    }
    println!("{what:<64} {best:>12.1?}");
    best
}

fn main() {
    let options = LexOptions::default();
    let list = (0..1_500_000).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
    let text = format!("UPDATE t SET a = 1 WHERE id IN ({list}) RETURNING id");
    println!("IN list of {} bytes", text.len());
    let ours = measure("lexer", 1, || {
        black_box(Lexer::new(text.as_bytes(), options).count());
    });
    let theirs = measure("sqlparser's tokenizer", 1, || {
        let dialect = sqlparser::dialect::PostgreSqlDialect {};
        let tokens = sqlparser::tokenizer::Tokenizer::new(&dialect, &text).tokenize_with_location();
        black_box(tokens.map_or(0, |t| t.len()));
    });
    println!("{:<64} {:>11.1}x", "ratio", theirs.as_secs_f64() / ours.as_secs_f64());
    measure("locate", 1, || {
        black_box(locate(text.as_bytes(), options));
    });
    let deep = format!("INSERT INTO t SELECT {}1{}", "(".repeat(10_000), ")".repeat(10_000));
    measure("locate, 10,000 deep", 10, || {
        black_box(locate(deep.as_bytes(), options));
    });

    let insert =
        "INSERT INTO executions (job_id, status, started_at, completed_at) VALUES ($1, $2, $3, $4) RETURNING id";
    measure("locate of an INSERT of 100 bytes", 10_000, || {
        black_box(locate(black_box(insert.as_bytes()), options));
    });
    let cache = TextCache::new(1 << 20);
    cache.insert(insert.as_bytes(), options, &locate(insert.as_bytes(), options), Arc::new(()), 0);
    let traced = format!("{insert} /*traceparent='00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'*/");
    measure("cache hit, same INSERT", 10_000, || {
        black_box(cache.get(black_box(insert.as_bytes()), options));
    });
    measure("cache hit, with a trace id", 10_000, || {
        black_box(cache.get(black_box(traced.as_bytes()), options));
    });

    let select = "SELECT abalance FROM pgbench_accounts WHERE aid = $1 AND bid = $2 ORDER BY abalance, filler LIMIT 10";
    for n in [1usize, 1_000, 10_000] {
        let names: Vec<String> = (0..n).map(|i| format!("executions_{i}_{}", i * 7919 % 1000)).collect();
        let Ok(scanner) = Scanner::new(names.iter().map(String::as_str)) else { continue };
        measure(&format!("scan of a SELECT of {} bytes, {n} names", select.len()), 10_000, || {
            black_box(scanner.scan(black_box(select.as_bytes())));
        });
        measure(&format!("scan of an IN list of {} MB, {n} names", text.len() / 1_000_000), 1, || {
            black_box(scanner.scan(black_box(text.as_bytes())));
        });
    }
}
