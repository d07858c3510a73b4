//! Rules that load and should not be as they are, for `chronoguard check`: pairs that contradict or repeat each other, exemptions near their end,
//! rejections that no test shows. No I/O.

mod pairs;

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::{
    diagnostic::{Code, Diagnostic},
    set::{Action, Exemption, Rule, RuleSet},
};

/// An exemption that ends within this is near its end.
const NOTICE: SignedDuration = SignedDuration::from_hours(14 * 24);

/// What is wrong with the rules, whenever and wherever they are used.
pub fn rules(set: &RuleSet) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for table in &set.tables {
        for (number, rule) in table.rules.iter().enumerate() {
            for earlier in &table.rules[..number] {
                found.extend(pair(earlier, rule));
            }
        }
    }
    found
}

/// What a later rule and an earlier one of its table are to each other.
fn pair(earlier: &Rule, rule: &Rule) -> Option<Diagnostic> {
    if let Some(why) = pairs::contradiction(earlier, rule) {
        let message = format!("`{}` and `{}` contradict each other: {why}", earlier.name, rule.name);
        let d = Diagnostic::error(Code::ContradictoryRules, rule.place.clone(), message).over(&rule.name);
        return Some(
            d.help("remove one of them, or give them conditions that exclude each other")
                .related(earlier.place.clone(), "the other rule is here"),
        );
    }
    let (more, less) = if pairs::implies(earlier, rule) {
        (earlier, rule)
    } else if pairs::implies(rule, earlier) {
        (rule, earlier)
    } else {
        return None;
    };
    let message = format!("whatever violates `{}` violates `{}` too", less.name, more.name);
    let d = Diagnostic::warning(Code::RedundantRule, less.place.clone(), message).over(&less.name);
    Some(d.help("remove it, or make it differ").related(more.place.clone(), "the other rule is here"))
}

/// Rules that reject and that no test expects.
pub fn untested(set: &RuleSet) -> Vec<Diagnostic> {
    let tests = set.tests.iter().flat_map(|file| &file.tests);
    let tested: BTreeSet<&str> = tests.flat_map(|test| test.expect.violations.keys().map(String::as_str)).collect();
    let rules = set.tables.iter().flat_map(|table| &table.rules);
    let rejecting = rules.filter(|rule| rule.on_violation.strictest() == Action::Reject);
    let untested = rejecting.filter(|rule| !tested.contains(rule.name.as_str()));
    untested
        .map(|rule| {
            let message = format!("`{}` rejects, and no test shows what", rule.name);
            let d = Diagnostic::warning(Code::UntestedReject, rule.place.clone(), message).over(&rule.name);
            d.help(format!("add a test that expects it: `expect: {{violations: [{}], rejected: true}}`", rule.name))
        })
        .collect()
}

/// Exemptions that are over, nearly so, or of no use.
pub fn exemptions(set: &RuleSet, now: Timestamp) -> Vec<Diagnostic> {
    let names: BTreeSet<&str> = set.tables.iter().flat_map(|t| &t.rules).map(|rule| rule.name.as_str()).collect();
    let mut found = Vec::new();
    for exemption in &set.exemptions {
        let mut warn = |code, message: String, help: &str| {
            found.push(Diagnostic::warning(code, exemption.place.clone(), message).help(help));
        };
        let left = exemption.expires.duration_since(now);
        if left <= SignedDuration::ZERO {
            let day = day(exemption.expires);
            warn(Code::ExpiredExemption, format!("the exemption ended on {day} and applies to nothing"), "remove it");
        } else if left <= NOTICE {
            let message = format!("the exemption ends on {}, in {}", day(exemption.expires), days(left));
            warn(Code::ExpiringExemption, message, "what it covers acts again then: mend the writer, or renew it");
        }
        if let Some(why) = unused(exemption, set, &names) {
            warn(Code::UnusedExemption, format!("the exemption applies to nothing: {why}"), "mend or remove it");
        }
    }
    found
}

/// Why an exemption can have no effect.
fn unused(exemption: &Exemption, set: &RuleSet, names: &BTreeSet<&str>) -> Option<String> {
    let known: Vec<&str> = exemption.rules.iter().map(String::as_str).filter(|name| names.contains(name)).collect();
    if known.is_empty() {
        return Some("none of its rules exists".to_owned());
    }
    let mut of_it = set.tables.iter().flat_map(|t| &t.rules).filter(|rule| known.contains(&rule.name.as_str()));
    let all_reject =
        of_it.all(|rule| rule.on_violation.default == Action::Reject && rule.on_violation.operations.is_empty());
    let trusted = !set.trusted_roles.is_empty();
    (exemption.matches.by_name_alone() && all_reject && !trusted)
        .then(|| "an application_name alone waives no rule that rejects, and no role is trusted".to_owned())
}

fn day(at: Timestamp) -> String {
    at.to_zoned(jiff::tz::TimeZone::UTC).date().to_string()
}

/// Rounded up: what ends today has a day.
fn days(left: SignedDuration) -> String {
    let days = (left.as_secs() + 86_399) / 86_400;
    if days <= 1 { "1 day".to_owned() } else { format!("{days} days") }
}

#[cfg(test)]
mod tests;
