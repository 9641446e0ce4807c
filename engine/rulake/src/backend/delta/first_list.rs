//! Detection of the vector columns of Delta tables that other writers made: Delta has no lists of one length, so their dimension is
//! in no type. The first list of such a column has it.
//!
//! A few rows of the first files are read. Rows of another length are an error of the search that meets them.

use std::sync::Arc;

use arrow::datatypes::Schema;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::collect;

use crate::backend::parquet::ParquetFiles;
use crate::contract::{ScanRequest, Snapshot};
use crate::error::{Result, from_datafusion};
use crate::vector_lists::lengths;
use crate::vector_type::{FOUND_DIM_KEY, NO_VECTORS_KEY, VectorType, undecided, with_length, with_note};

/// Rows of a file looked at for a list. A bound.
const ROWS_LOOKED_AT: usize = 1024;
/// Files looked at for a list. A bound: a column may be NULL in many files.
const FILES_LOOKED_AT: usize = 16;

/// Adds to each column of lists of numbers the length of its first list, or the reason why it has no vectors. Nothing is read if a
/// vector column is declared.
///
/// A file that cannot be read is no error here: a state can be pinned without its files.
pub(super) async fn mark_vectors(files: &mut ParquetFiles) {
    let schema = Arc::clone(&files.schema);
    if schema.fields().iter().any(|field| VectorType::of(field).is_some()) {
        return;
    }
    let mut fields = schema.fields().to_vec();
    for (position, field) in fields.iter_mut().enumerate().filter(|(_, field)| undecided(field).is_some()) {
        *field = match first_length(files, position).await {
            Ok(Some(length)) => with_length(field, FOUND_DIM_KEY, length),
            Ok(None) => with_note(field, NO_VECTORS_KEY, "none of its first rows has a list".to_owned()),
            Err(e) => {
                // The reason may name paths of this machine, and the schema goes to every client.
                tracing::warn!(table = %files.data_ref, column = field.name(), reason = %e, "first list cannot be read");
                with_note(field, NO_VECTORS_KEY, "its first list cannot be read".to_owned())
            }
        };
    }
    files.schema = Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()));
}

/// The length of the first list of a column; `None` if there is none in the rows that are looked at.
async fn first_length(files: &ParquetFiles, column: usize) -> Result<Option<usize>> {
    let context = Arc::new(TaskContext::default());
    for file in 0..files.files.len().min(FILES_LOOKED_AT) {
        let request = ScanRequest {
            projection: Some(vec![column]),
            parts: Some(vec![file]),
            limit: Some(ROWS_LOOKED_AT),
            ..ScanRequest::default()
        };
        let plan = files.scan(&context, &request).await?;
        for batch in collect(plan, Arc::clone(&context)).await.map_err(from_datafusion)? {
            if let Some(length) = lengths(batch.column(0))?.flatten().next() {
                return Ok(Some(length));
            }
        }
    }
    Ok(None)
}
