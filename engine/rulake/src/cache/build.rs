//! Build of an index from all vectors of a pinned state.

use std::sync::Arc;
use std::time::{Duration, Instant};

use datafusion::execution::TaskContext;
use ruvector_rabitq::{Dim, VectorBatch, VectorIndex};

use super::progress::BuildControl;
use crate::blocking::cpu_bound;
use crate::contract::Snapshot;
use crate::error::Result;
use crate::index_spec::IndexSpec;
use crate::scan::{VectorFold, fold_vectors};
use crate::vector_column::dim_of_column;

/// The vectors of a column and the addresses of their rows.
#[derive(Debug, Default)]
pub(super) struct Vectors {
    pub(super) addresses: Vec<u64>,
    /// Row-major `[addresses.len(), dim]`.
    pub(super) values: Vec<f32>,
}

/// A result, with the time of each step towards it.
#[derive(Debug)]
pub(super) struct Made<T> {
    pub(super) value: T,
    pub(super) reading: Duration,
    pub(super) encoding: Duration,
}

/// Builds the index that `spec` describes. NULL vectors are left out: they are never an answer.
pub(super) async fn build(
    snapshot: &dyn Snapshot,
    spec: &IndexSpec,
    context: &Arc<TaskContext>,
    control: &BuildControl,
) -> Result<Made<Box<dyn VectorIndex>>> {
    let started = Instant::now();
    let dim = Dim::new(dim_of_column(&snapshot.schema(), &spec.column)?)?;
    control.expect(snapshot.num_rows());
    let vectors = read(snapshot, &spec.column, dim, context, control).await?;
    control.expect(Some(vectors.addresses.len()));
    // Files may have been replaced during the read; the witness names the pinned ones.
    snapshot.verify().await?;
    let read = Instant::now();
    let value = cpu_bound(|| -> Result<Box<dyn VectorIndex>> {
        let batch = VectorBatch::new(dim, &vectors.values)?;
        spec.kind.build(Some(&vectors.addresses), batch, &spec.build_params(), Some(&|done| control.encoded(done)))
    })?;
    Ok(Made { value, reading: read - started, encoding: read.elapsed() })
}

async fn read(
    snapshot: &dyn Snapshot,
    column: &str,
    dim: Dim,
    context: &Arc<TaskContext>,
    control: &BuildControl,
) -> Result<Vectors> {
    let expected = snapshot.num_rows().unwrap_or(0);
    let room = Vectors {
        addresses: Vec::with_capacity(expected),
        values: Vec::with_capacity(expected.saturating_mul(dim.get())),
    };
    let folded = VectorFold { column, dim, parts: None, allowed: None };
    let all = fold_vectors(snapshot, folded, context, room, |all: &mut Vectors, address, vector| {
        control.read_row();
        all.addresses.push(address.into());
        all.values.extend_from_slice(vector);
    })
    .await?;
    Ok(if all.addresses.is_sorted() { all } else { in_address_order(&all, dim.get()) })
}

/// Vectors sorted by address. Partitions of a scan arrive in any order, and the index must not depend on it.
fn in_address_order(vectors: &Vectors, dim: usize) -> Vectors {
    let mut order: Vec<usize> = (0..vectors.addresses.len()).collect();
    order.sort_unstable_by_key(|row| vectors.addresses[*row]);
    let addresses = order.iter().map(|row| vectors.addresses[*row]).collect();
    let values = order.iter().flat_map(|row| &vectors.values[row * dim..(row + 1) * dim]).copied().collect();
    Vectors { addresses, values }
}
