//! Building an index from the vectors of a pinned state.

use std::sync::Arc;

use datafusion::execution::TaskContext;
use ruvector_rabitq::{BuildParams, Dim, Progress, VectorBatch, VectorIndex};

use super::IndexSpec;
use crate::backend::Snapshot;
use crate::error::Result;
use crate::read::fold_vectors;

/// The vectors of a column and the addresses of their rows, in address order.
#[derive(Debug, Default)]
struct Vectors {
    addresses: Vec<u64>,
    values: Vec<f32>,
}

/// Builds the index that `spec` describes. NULL vectors are left out: they are never an answer.
pub(super) async fn build(
    snapshot: &dyn Snapshot,
    spec: &IndexSpec,
    context: &Arc<TaskContext>,
    progress: Option<Progress<'_>>,
) -> Result<Box<dyn VectorIndex>> {
    let dim = Dim::new(spec.dim(snapshot)?)?;
    let vectors = read(snapshot, &spec.column, dim, context).await?;
    // Files that were replaced while they were read would seal other bytes than the witness says.
    snapshot.verify().await?;
    let params = BuildParams {
        metric: spec.metric,
        seed: spec.seed,
        rerank_factor: spec.rerank_factor,
        nlist: spec.nlist,
        nprobe: spec.nprobe,
        ..BuildParams::default()
    };
    let build = || -> Result<Box<dyn VectorIndex>> {
        let batch = VectorBatch::new(dim, &vectors.values)?;
        spec.kind.build(Some(&vectors.addresses), batch, &params, progress)
    };
    // Encoding is CPU work: the other tasks of this worker thread move elsewhere.
    match tokio::runtime::Handle::current().runtime_flavor() {
        tokio::runtime::RuntimeFlavor::MultiThread => tokio::task::block_in_place(build),
        _ => build(),
    }
}

async fn read(snapshot: &dyn Snapshot, column: &str, dim: Dim, context: &Arc<TaskContext>) -> Result<Vectors> {
    let all = fold_vectors(snapshot, column, dim, context, Vectors::default(), |all: &mut Vectors, address, vector| {
        all.addresses.push(address.into());
        all.values.extend_from_slice(vector);
    })
    .await?;
    Ok(if all.addresses.is_sorted() { all } else { in_address_order(&all, dim.get()) })
}

/// Partitions of a scan arrive as they are read; an index is the same whatever their order.
fn in_address_order(vectors: &Vectors, dim: usize) -> Vectors {
    let mut order: Vec<usize> = (0..vectors.addresses.len()).collect();
    order.sort_unstable_by_key(|row| vectors.addresses[*row]);
    let addresses = order.iter().map(|row| vectors.addresses[*row]).collect();
    let values = order.iter().flat_map(|row| &vectors.values[row * dim..(row + 1) * dim]).copied().collect();
    Vectors { addresses, values }
}
