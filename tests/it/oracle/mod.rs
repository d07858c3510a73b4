//! PostgreSQL as the judge: random statements through chronoguard with rules, and directly with the same rules as constraints or triggers, or
//! with none. Never another verdict, never another reply, never another row.
//!
//! A run is the same every time. `CHRONOGUARD_IT_SEED=n` makes another, `CHRONOGUARD_IT_CASES=n` one n times as long; with `CHRONOGUARD_IT_BATCH=1`
//! each step waits for the reply to the one before.

mod observe;
mod play;
mod race;
mod regressions;
mod reject;
mod scenario;
mod shapes;
mod value;
