//! Rules that give SQL the answers that DataFusion's planner and optimizer do not give by themselves.
//!
//! Each file holds one rule and names the fault of DataFusion 55 that it mends. Rules over logical plans run in the
//! analyzer, after types are coerced and after searches have their filters; [`mark`] runs in the optimizer, and [`values`]
//! and [`same_names`] change statements before they are planned.

pub(crate) mod mark;
pub(crate) mod negated_keys;
pub(crate) mod places;
pub(crate) mod same_names;
mod subquery;
pub(crate) mod sum;
pub(crate) mod three_valued;
pub(crate) mod values;
