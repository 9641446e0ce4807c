//! Rules that give SQL the answers that DataFusion's planner and optimizer do not give by themselves.
//!
//! Each file holds one rule and names the fault of DataFusion 55 that it mends. Rules over logical plans run in the
//! analyzer, after types are coerced and after searches have their filters; [`mark`] runs in the optimizer, and [`values`]
//! and [`same_names`] change statements before they are planned.

pub(crate) mod any;
pub(crate) mod decimals;
pub(crate) mod extremes;
pub(crate) mod filter_pushdown;
pub(crate) mod grouped;
pub(crate) mod having;
pub(crate) mod inner_names;
pub(crate) mod mark;
pub(crate) mod negated_keys;
pub(crate) mod negative;
pub(crate) mod null_equal;
pub(crate) mod places;
pub(crate) mod same_names;
pub(crate) mod set_all;
pub(crate) mod signed;
mod subquery;
pub(crate) mod sum;
pub(crate) mod three_valued;
pub(crate) mod values;
