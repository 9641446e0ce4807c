//! Bounds on one statement: its plan, its settings, the values it computes, the memory it holds and its time.

pub(crate) mod array_sizes;
pub(crate) mod bounded;
pub(crate) mod plan_size;
pub(crate) mod planning;
pub(crate) mod setting_ranges;
pub(crate) mod stop;
pub(crate) mod type_names;

mod pass_through;
mod wide_constants;
mod wide_rows;
