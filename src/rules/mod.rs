//! Rule files: read (`file`), validated (`load`) into one [`set::RuleSet`].

pub mod set;
