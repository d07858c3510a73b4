//! `order`: points in time that follow each other.
//!
//! Its manual is `docs/rules/order.md`.

use super::Spec;
use crate::rules::{
    condition::Owner,
    diagnostic::Code,
    fields::{Context, Fields},
    set::{Kind, Order, Span},
    values,
    yaml::Node,
};

pub const SPEC: Spec = Spec {
    key: "order",
    siblings: &["tolerance", "strict", "min_gap", "max_gap"],
    inner: &[],
    judges_times: true,
    read,
};

fn read(cx: &mut Context, node: &Node, rule: &Fields<'_>, _: Owner<'_>) -> Option<Kind> {
    let columns = values::columns(cx, node, "`order`", 2);
    let strict = rule.flag(cx, "strict");
    let tolerance = rule.optional(cx, "tolerance", values::span);
    let min_gap = rule.optional(cx, "min_gap", values::span);
    let max_gap = rule.optional(cx, "max_gap", values::span);
    let compatible = exclusive(cx, rule, strict);
    let ordered = gaps_in_order(cx, rule, min_gap.flatten(), max_gap.flatten());
    let order = Order {
        columns: columns?,
        strict: strict?,
        tolerance: tolerance?.unwrap_or_default(),
        min_gap: min_gap?,
        max_gap: max_gap?,
    };
    (compatible && ordered).then_some(Kind::Order(order))
}

/// `min_gap` says how far apart; `tolerance` and `strict` speak of the same thing in other words.
fn exclusive(cx: &mut Context, rule: &Fields<'_>, strict: Option<bool>) -> bool {
    if let (Some(true), Some(_), Some(at)) = (strict, rule.key_at("tolerance"), rule.key_at("strict")) {
        let d = cx.warning(Code::NoEffect, at, "`strict` has next to no effect with `tolerance`: equal values pass");
        cx.report::<()>(d.help("remove one of them"));
    }
    let Some(min_gap) = rule.key_at("min_gap") else { return true };
    let mut ok = true;
    for (key, given) in [("tolerance", true), ("strict", strict == Some(true))] {
        if let (Some(at), true) = (rule.key_at(key), given) {
            let d = cx
                .error(Code::Conflict, at, format!("`{key}` and `min_gap` exclude each other"))
                .help(format!("remove `{key}`: `min_gap` alone decides what is too early"))
                .related(cx.place(min_gap), "`min_gap` is here");
            cx.report::<()>(d);
            ok = false;
        }
    }
    ok
}

fn gaps_in_order(cx: &mut Context, rule: &Fields<'_>, min: Option<Span>, max: Option<Span>) -> bool {
    let (Some(min), Some(max), Some(node)) = (min, max, rule.value("max_gap")) else { return true };
    if min <= max {
        return true;
    }
    let d =
        cx.error(Code::Conflict, node.at, "`max_gap` is less than `min_gap`").expected("`max_gap` at least `min_gap`");
    cx.report::<()>(d);
    false
}
