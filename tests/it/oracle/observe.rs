//! Rules that observe, against a table that has none: the same bytes, and every bad row counted once.

use std::time::{Duration, Instant};

use super::{
    play::{Compare, Side, Tally, copy, database, play, seed, times},
    scenario::{Rule, Scenario},
};
use crate::harness::{Proxy, Talk, cluster};

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
            let sides = (&mut left, &mut right);
            all.add(&play(scenario, sides, seed, 70, Compare::Bytes, |direct| counted(&proxy, scenario, direct)));
        }
        bad += scenario.rules.iter().map(|rule| hits(&mut right.talk, rule)).sum::<f64>();
    }
    eprintln!("{bad} violations in {all:?}");
    assert!(all.writes > scenarios.len() * 70, "{all:?}");
    assert!(bad > 500.0, "{bad}");
    let metrics = proxy.metrics();
    assert!(metrics.sum("unguardable_total", &[]) < 0.5, "{metrics:#?}");
    assert!(metrics.sum("breaker_open", &[]) < 0.5, "{metrics:#?}");
}

/// Rows that violated a rule, as the triggers saw it.
fn hits(direct: &mut Talk, rule: &Rule) -> f64 {
    let sql = format!("SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM hits_{}", rule.name);
    direct.value(&sql).parse().unwrap()
}

/// Every bad row was counted, and no other. The session counts just after the reply left, so this may take a moment.
fn counted(proxy: &Proxy, scenario: &Scenario, direct: &mut Talk) -> Result<(), String> {
    for rule in &scenario.rules {
        let want = hits(direct, rule);
        let deadline = Instant::now() + Duration::from_secs(5);
        loop {
            let have = proxy.metrics().sum("violations_total", &[("rule", &rule.name)]);
            if (have - want).abs() < 0.5 {
                break;
            }
            if Instant::now() > deadline {
                let passed: Vec<_> = proxy.metrics().0.into_iter().filter(|s| s.value > 0.0).collect();
                let passed: Vec<_> = passed.iter().filter(|s| s.name.contains("unguardable")).collect();
                return Err(format!("{}: {have} violations were counted, there were {want}; {passed:?}", rule.name));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    Ok(())
}
