//! Request of a scan: the columns, the parts and the rows that a snapshot is asked for.

use std::sync::Arc;

use datafusion::physical_expr::PhysicalExpr;

/// Request of a scan: columns, parts and rows to read.
#[derive(Clone, Debug, Default)]
pub struct ScanRequest {
    /// Columns of the schema, in output order; `None` is all of them.
    pub projection: Option<Vec<usize>>,
    /// True if the address of each row follows as the last column ([`crate::address::ADDRESS_COLUMN`], `UInt64`).
    pub with_address: bool,
    /// Only these parts, by their positions in [`Snapshot::parts`](super::Snapshot::parts); `None` is all of them.
    pub parts: Option<Vec<usize>>,
    /// A predicate over the schema. Rows that cannot match may be left out; they may still come.
    pub pruning: Option<Arc<dyn PhysicalExpr>>,
    /// Bound on the number of rows.
    pub limit: Option<usize>,
    /// Vector columns as the backend stores them, unchecked: for the index build, which names the row at fault.
    pub as_stored: bool,
}
