//! Specification of an index: its column and build parameters. A snapshot goes in, the witness of its entry comes out.

use ruvector_rabitq::index::{DEFAULT_RERANK_FACTOR, DEFAULT_SEED};
use ruvector_rabitq::{BuildParams, IndexKind, Metric};

use crate::backend::Snapshot;
use crate::error::{Error, Result};
use crate::vectors::{NO_VECTORS_KEY, dim_of};
use crate::witness::witness;

/// Specification of an index: the column, and the structure and parameters to build over it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IndexSpec {
    /// The vector column.
    pub column: String,
    /// Distance metric.
    pub metric: Metric,
    /// The structure.
    pub kind: IndexKind,
    /// Seed of the random rotation.
    pub seed: u64,
    /// Floor of candidates reranked exactly, as a multiple of `k`.
    pub rerank_factor: usize,
    /// Number of inverted lists of `ivf_rabitq`; without it 4 times the square root of the number of vectors.
    pub nlist: Option<usize>,
    /// Number of lists a search of `ivf_rabitq` looks into; without it a sixteenth of them, at least 16.
    pub nprobe: Option<usize>,
}

impl IndexSpec {
    /// The defaults over `column`: `rabitq_plus`, L2, seed 42, rerank factor 20.
    pub fn new(column: impl Into<String>) -> Self {
        Self {
            column: column.into(),
            metric: Metric::L2,
            kind: IndexKind::RabitqPlus,
            seed: DEFAULT_SEED,
            rerank_factor: DEFAULT_RERANK_FACTOR,
            nlist: None,
            nprobe: None,
        }
    }

    /// The witness of an entry built from `snapshot` by this specification.
    ///
    /// # Errors
    /// `NotFound` or `InvalidInput` if the column is not a vector column there.
    pub fn witness(&self, snapshot: &dyn Snapshot) -> Result<String> {
        let dim = dim_of_column(snapshot, &self.column)?;
        Ok(witness(snapshot.data_ref(), dim, self.seed, self.rerank_factor, snapshot.generation()))
    }

    pub(super) fn build_params(&self) -> BuildParams {
        BuildParams {
            metric: self.metric,
            seed: self.seed,
            rerank_factor: self.rerank_factor,
            nlist: self.nlist,
            nprobe: self.nprobe,
            ..BuildParams::default()
        }
    }
}

/// The dimension of a vector column.
///
/// # Errors
/// `NotFound` if there is no such column, `InvalidInput` if it holds something else.
pub(crate) fn dim_of_column(snapshot: &dyn Snapshot, column: &str) -> Result<usize> {
    let schema = snapshot.schema();
    let field =
        schema.field_with_name(column).map_err(|_| Error::not_found("no such column").with("column", column))?;
    dim_of(field.data_type()).ok_or_else(|| {
        let error = Error::invalid_input(format!("column {column:?} does not hold vectors"))
            .with("expected", "FixedSizeList of Float32")
            .with("got", field.data_type());
        match field.metadata().get(NO_VECTORS_KEY) {
            Some(reason) => error.with("reason", reason),
            None => error,
        }
    })
}
