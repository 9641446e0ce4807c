//! Analyzer rules that make searches of other SQL, one a file. Each rule's plans are in `sql-examples/plans`, with cases where it
//! does not apply.

pub mod lateral;
pub mod order_by;
pub mod prefilter;
pub(super) mod resolve;
