//! What is in force, and how it is changed while the program runs: reload of the rule files, kill switch.
//!
//! One pointer is swapped. Whoever works with the old rules goes on with them until it looks again; nobody waits, and nobody sees half of a change.

mod watch;

use std::{path::PathBuf, sync::Arc};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

pub use watch::{Look, Watch};

use crate::{
    observe::Metrics,
    rules::{
        diagnostic::{Counts, Diagnostic, Severity},
        load::{self, Loaded},
        set::RuleSet,
    },
};

/// Mistakes that get a log line each; the response of the admin server has all.
const MOST_LOGGED: usize = 50;

/// The rules, and whether they act.
#[derive(Debug, Default)]
pub struct InForce {
    /// The rules.
    pub rules: Arc<RuleSet>,
    /// The kill switch is on: every rule only observes.
    pub observe_only: bool,
}

/// Holds what is in force and changes it.
#[derive(Debug)]
pub struct Control {
    in_force: ArcSwap<InForce>,
    paths: Vec<PathBuf>,
    metrics: Arc<Metrics>,
    /// Held during a change. Readers never take it.
    changing: Mutex<()>,
}

/// What made chronoguard read its rule files again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    /// SIGHUP.
    Signal,
    /// `POST /-/reload`.
    Request,
    /// A file has changed.
    Change,
}

impl Trigger {
    fn as_str(self) -> &'static str {
        match self {
            Self::Signal => "SIGHUP",
            Self::Request => "POST /-/reload",
            Self::Change => "a changed file",
        }
    }
}

/// A reload that went well.
#[derive(Debug)]
pub struct Reloaded {
    /// Hash of the rules that are now in force.
    pub hash: String,
    /// They are not the ones that were.
    pub changed: bool,
    /// What was read.
    pub counts: Counts,
    /// What deserves a look.
    pub warnings: Vec<Diagnostic>,
}

impl Control {
    /// Loads the rules for the first time.
    ///
    /// # Errors
    /// Every mistake in the rule files.
    pub fn start(paths: &[PathBuf], metrics: &Arc<Metrics>) -> Result<Arc<Self>, Vec<Diagnostic>> {
        let Loaded { set, warnings, .. } = load::load(paths)?;
        warn_of(&warnings);
        Ok(Self::with(set, paths, metrics))
    }

    /// With rules that are in memory already; `paths`: where a reload finds the next ones.
    pub fn with(set: RuleSet, paths: &[PathBuf], metrics: &Arc<Metrics>) -> Arc<Self> {
        metrics.rules_replaced(None, &set);
        metrics.config_loaded(true);
        let in_force = InForce { rules: Arc::new(set), observe_only: false };
        Arc::new(Self {
            in_force: ArcSwap::from_pointee(in_force),
            paths: paths.to_owned(),
            metrics: Arc::clone(metrics),
            changing: Mutex::default(),
        })
    }

    /// What is in force now.
    pub fn in_force(&self) -> Arc<InForce> {
        self.in_force.load_full()
    }

    /// Whether `known` is still in force. Cheap.
    pub fn is_in_force(&self, known: &Arc<InForce>) -> bool {
        Arc::ptr_eq(&self.in_force.load(), known)
    }

    /// Reads the rule files again and puts what they say into force; with any mistake nothing changes.
    ///
    /// # Errors
    /// Every mistake in the rule files; warnings are among them.
    pub fn reload(&self, trigger: Trigger) -> Result<Reloaded, Vec<Diagnostic>> {
        let _changing = self.changing.lock();
        let Loaded { set, warnings, counts } = match load::load(&self.paths) {
            Ok(loaded) => loaded,
            Err(mistakes) => {
                self.metrics.config_loaded(false);
                complain(trigger, &mistakes);
                return Err(mistakes);
            }
        };
        let before = self.in_force();
        let changed = set.hash != before.rules.hash;
        let hash = set.hash.clone();
        if changed {
            self.metrics.rules_replaced(Some(&before.rules), &set);
            self.in_force.store(Arc::new(InForce { rules: Arc::new(set), observe_only: before.observe_only }));
        }
        self.metrics.config_loaded(true);
        warn_of(&warnings);
        let (trigger, tables, rules) = (trigger.as_str(), counts.tables, counts.rules);
        tracing::info!(trigger, changed, hash, tables, rules, "rules reloaded");
        Ok(Reloaded { hash, changed, counts, warnings })
    }

    /// Throws the kill switch, or lifts it. Whether it was the other way before.
    pub fn observe_only(&self, on: bool) -> bool {
        let _changing = self.changing.lock();
        let before = self.in_force();
        if before.observe_only == on {
            return false;
        }
        self.in_force.store(Arc::new(InForce { rules: Arc::clone(&before.rules), observe_only: on }));
        self.metrics.kill_switch(on);
        if on {
            tracing::warn!("kill switch thrown: every rule only observes");
        } else {
            tracing::warn!("kill switch lifted: the rules act again");
        }
        true
    }
}

fn warn_of(warnings: &[Diagnostic]) {
    for warning in warnings {
        tracing::warn!(place = warning.location(), "{}", warning.message);
    }
}

fn complain(trigger: Trigger, mistakes: &[Diagnostic]) {
    let errors = mistakes.iter().filter(|d| d.severity == Severity::Error);
    tracing::error!(
        trigger = trigger.as_str(),
        mistakes = errors.clone().count(),
        "the rule files have mistakes; the rules in force stay"
    );
    for mistake in errors.take(MOST_LOGGED) {
        tracing::error!(place = mistake.location(), "{}", mistake.message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(name: &str) -> String {
        format!("version: 1\ntables:\n- table: t\n  rules: [{{name: {name}, order: [a, b], on_violation: reject}}]\n")
    }

    fn control(text: &str) -> (tempfile::TempDir, PathBuf, Arc<Metrics>, Arc<Control>) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("rules.yaml");
        std::fs::write(&path, text).unwrap();
        let metrics = Metrics::new();
        let control = Control::start(&[directory.path().to_owned()], &metrics).unwrap();
        (directory, path, metrics, control)
    }

    fn names(control: &Control) -> Vec<String> {
        let rules = &control.in_force().rules;
        rules.tables.iter().flat_map(|t| &t.rules).map(|r| r.name.clone()).collect()
    }

    #[test]
    fn a_bad_file_changes_nothing_and_a_good_one_everything() {
        let (_directory, path, metrics, control) = control(&rules("one"));
        let before = control.in_force();
        std::fs::write(&path, rules("two").replace("order", "ordr")).unwrap();
        let mistakes = control.reload(Trigger::Signal).unwrap_err();
        assert_eq!(mistakes[0].code.as_str(), "unknown-key");
        assert!(control.is_in_force(&before));
        assert!(metrics.render().contains("chronoguard_config_last_reload_successful 0"));

        std::fs::write(&path, rules("two")).unwrap();
        let reloaded = control.reload(Trigger::Signal).unwrap();
        assert!(reloaded.changed && !control.is_in_force(&before));
        assert_eq!(names(&control), ["two"]);
        let text = metrics.render();
        assert!(text.contains("chronoguard_config_last_reload_successful 1"));
        assert!(text.contains(&format!("chronoguard_config_info{{hash=\"{}\"}} 1", reloaded.hash)));
        assert!(text.contains("rule=\"two\"") && !text.contains("rule=\"one\""), "{text}");

        let now = control.in_force();
        assert!(!control.reload(Trigger::Request).unwrap().changed, "the same rules");
        assert!(control.is_in_force(&now));
    }

    #[test]
    fn the_kill_switch_outlasts_a_reload() {
        let (_directory, path, metrics, control) = control(&rules("one"));
        let kept = Arc::clone(&control.in_force().rules);
        assert!(control.observe_only(true) && !control.observe_only(true));
        assert!(control.in_force().observe_only && Arc::ptr_eq(&control.in_force().rules, &kept));
        assert!(metrics.render().contains("chronoguard_kill_switch 1"));
        std::fs::write(&path, rules("two")).unwrap();
        control.reload(Trigger::Change).unwrap();
        assert!(control.in_force().observe_only);
        assert_eq!(names(&control), ["two"]);
        assert!(control.observe_only(false) && !control.in_force().observe_only);
        assert!(metrics.render().contains("chronoguard_kill_switch 0"));
    }
}
