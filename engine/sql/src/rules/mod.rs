//! Rules that give SQL the answers that DataFusion's planner and optimizer do not give by themselves.
//!
//! Each file holds one rule and names the fault of DataFusion 55 that it mends. Rules over logical plans run in the
//! analyzer, after types are coerced and after searches have their filters; [`merged`] and [`decimals`] run before. [`mark`] and
//! [`headless`] run in the optimizer, [`having`] and [`null_equal`] in place of a rule of the optimizer, [`filter_first`], [`filter_pushdown`] and [`outer_constants`] in the physical one;
//! [`any`], [`function_aliases`], [`grouped`], [`not_exists`], [`row_in`], [`unnest_names`], [`using`], [`values`] and
//! [`same_names`] change statements before they are planned.

pub(crate) mod aggregate_floats;
pub(crate) mod any;
pub(crate) mod correlated;
pub(crate) mod decimals;
pub(crate) mod extremes;
pub(crate) mod filter_first;
pub(crate) mod filter_pushdown;
pub(crate) mod float_keys;
pub(crate) mod function_aliases;
pub(crate) mod grouped;
pub(crate) mod having;
pub(crate) mod headless;
pub(crate) mod inner_names;
pub(crate) mod long_orders;
pub(crate) mod mark;
pub(crate) mod merged;
pub(crate) mod negated_keys;
pub(crate) mod negative;
pub(crate) mod nested_floats;
pub(crate) mod no_row;
pub(crate) mod not_exists;
pub(crate) mod null_equal;
mod one_form;
pub(crate) mod outer_constants;
pub(crate) mod places;
pub(crate) mod row_in;
pub(crate) mod same_names;
pub(crate) mod set_all;
pub(crate) mod signed;
pub(crate) mod single;
mod subquery;
pub(crate) mod sum;
pub(crate) mod three_valued;
mod unchanged;
pub(crate) mod unnest_names;
pub(crate) mod using;
pub(crate) mod values;

use std::sync::Arc;

/// Returns the rules with `ours` in the place of those that it replaces.
fn in_place_of<R: ?Sized>(rules: &[Arc<R>], is_replaced: impl Fn(&R) -> bool, ours: &Arc<R>) -> Vec<Arc<R>> {
    rules.iter().map(|rule| Arc::clone(if is_replaced(rule) { ours } else { rule })).collect()
}
