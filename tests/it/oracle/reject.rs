//! Rules that reject, against `CHECK` constraints and triggers.

use super::{
    play::{Compare, Side, Tally, copy, database, play, seed, times},
    scenario::Scenario,
};
use crate::harness::{Proxy, cluster};

/// Plays these scenarios on two databases, of which the second got the rules as `more` SQL.
fn run(scenarios: &[Scenario], units: usize, compare: Compare, more: impl Fn(&Scenario) -> String) {
    let rules: String = scenarios.iter().map(|s| s.yaml("reject")).collect();
    let proxy = Proxy::start(&format!("version: 1\ntables:\n{rules}"));
    let guarded = database(scenarios, seed());
    let checked = copy(&guarded, &scenarios.iter().map(more).collect::<String>());
    let mut left = Side { talk: proxy.login(&guarded), database: guarded };
    let mut right = Side { talk: cluster().direct(&checked), database: checked };
    let mut all = Tally::default();
    for scenario in scenarios {
        for round in 0..times() {
            let seed = seed().wrapping_mul(31).wrapping_add(round as u64);
            all.add(&play(scenario, (&mut left, &mut right), seed, units, compare, |_| Ok(())));
        }
    }
    eprintln!("{all:?}");
    assert!(all.writes > scenarios.len() * units, "{all:?}");
    assert!(all.errors["23514"] > all.writes / 20, "too few were refused: {all:?}");
    assert!(all.completed > all.writes / 2, "too few went well: {all:?}");
    let metrics = proxy.metrics();
    assert!(metrics.sum("unguardable_total", &[]) < 0.5, "{metrics:#?}");
    assert!(metrics.sum("breaker_open", &[]) < 0.5, "{metrics:#?}");
}

/// Half of the tables: each kind of rule meets each type of column.
fn half(half: usize) -> Vec<Scenario> {
    (0..32).skip(half).step_by(2).map(|n| Scenario::new(n, seed())).collect()
}

#[test]
fn even_tables_agree_with_constraints() {
    run(&half(0), 150, Compare::Constraint, Scenario::constraints);
}

#[test]
fn odd_tables_agree_with_constraints() {
    run(&half(1), 150, Compare::Constraint, Scenario::constraints);
}

/// A constraint refuses also rows that `ON CONFLICT` would not have inserted; what lands is judged by triggers.
#[test]
fn what_lands_agrees_with_triggers() {
    let mut scenarios: Vec<_> = (0..16).map(|n| Scenario::new(n, seed().wrapping_add(1))).collect();
    scenarios.iter_mut().skip(3).step_by(4).for_each(|scenario| scenario.triggered = true);
    run(&scenarios, 60, Compare::Trigger, |scenario| scenario.triggers(true));
}

#[test]
fn parents_agree_with_triggers() {
    let scenarios: Vec<_> = (0..8).map(|n| Scenario::with_parent(n, seed())).collect();
    run(&scenarios, 120, Compare::Trigger, |scenario| scenario.triggers(true));
}
