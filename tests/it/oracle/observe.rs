//! Rules that observe, against a table that has none: the same bytes, and every bad row counted once.

use super::{
    play::{Compare, Side, Tally, copy, database, play, seed, times},
    scenario::Scenario,
};
use crate::harness::{Proxy, cluster};

#[test]
fn observed_tables_are_as_plain_ones() {
    let mut scenarios: Vec<_> = (0..16).map(|n| Scenario::new(n, seed().wrapping_add(2))).collect();
    scenarios.extend((16..18).map(|n| Scenario::with_parent(n, seed())));
    let rules: String = scenarios.iter().map(|s| s.yaml("observe")).collect();
    let proxy = Proxy::start(&format!("version: 1\ntables:\n{rules}"));
    let observed = database(&scenarios, seed());
    // Their sequences are not rolled back.
    let plain = copy(&observed, &scenarios.iter().map(|s| s.triggers(false)).collect::<String>());
    let mut left = Side { talk: proxy.login(&observed), database: observed };
    let mut right = Side { talk: cluster().direct(&plain), database: plain };
    let mut all = Tally::default();
    let mut bad = 0.0;
    for scenario in &scenarios {
        for round in 0..times() {
            let seed = seed().wrapping_mul(37).wrapping_add(round as u64);
            all.add(&play(scenario, &mut left, &mut right, seed, 70, Compare::Bytes));
        }
        for rule in &scenario.rules {
            let sql = format!("SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM hits_{}", rule.name);
            let hits: f64 = right.talk.value(&sql).parse().unwrap();
            // The session counts just after the reply left.
            proxy.await_metric("violations_total", &[("rule", &rule.name)], hits);
            bad += hits;
        }
    }
    eprintln!("{bad} violations in {all:?}");
    assert!(all.writes > scenarios.len() * 70, "{all:?}");
    assert!(bad > 1_000.0, "{bad}");
    let metrics = proxy.metrics();
    assert!(metrics.sum("unguardable_total", &[]) < 0.5, "{metrics:#?}");
    assert!(metrics.sum("breaker_open", &[]) < 0.5, "{metrics:#?}");
}
