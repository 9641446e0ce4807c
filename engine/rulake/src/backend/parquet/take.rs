//! Takes of rows from Parquet files: addresses and a projection go in; one batch in the order of the addresses comes out.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch, RecordBatchOptions, UInt64Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::UInt64Type;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::collect;
use parquet::arrow::arrow_reader::RowSelection;

use super::ParquetFiles;
use super::page_reader::PageReaders;
use crate::address::RowAddress;
use crate::contract::ScanRequest;
use crate::error::{Error, ErrorKind, Result};

/// Reads the rows at `addresses`, in that order: of every file the pages that hold them.
pub(super) async fn take(
    files: &ParquetFiles,
    context: &Arc<TaskContext>,
    addresses: &[RowAddress],
    projection: &[usize],
) -> Result<RecordBatch> {
    let mut by_file: HashMap<usize, Vec<u32>> = HashMap::new();
    for address in addresses {
        by_file.entry(address.file()).or_default().push(address.row());
    }
    let mut selected = Vec::with_capacity(by_file.len());
    for (ordinal, mut rows) in by_file {
        if ordinal >= files.files.len() {
            return Err(Error::internal("row address outside its snapshot").with("file", ordinal));
        }
        rows.sort_unstable();
        let total = files.physical_rows(ordinal).await?;
        let ranges = rows.iter().map(|row| *row as usize..*row as usize + 1);
        selected.push((ordinal, Some(RowSelection::from_consecutive_ranges(ranges, total))));
    }
    selected.sort_by_key(|(ordinal, _)| *ordinal);
    let ordinals: Vec<usize> = selected.iter().map(|(ordinal, _)| *ordinal).collect();
    let request = ScanRequest { projection: Some(projection.to_vec()), with_address: true, ..ScanRequest::default() };
    files.unchanged(ordinals.iter().copied()).await?;
    let readers = PageReaders { store: Arc::clone(&files.store), footers: Arc::clone(&files.footers) };
    let plan = files.plan(context, &request, selected, Some(Arc::new(readers)))?;
    let schema = plan.schema();
    let batches = match collect(plan, Arc::clone(context)).await {
        Ok(batches) => batches,
        Err(e) => return Err(files.why(&ordinals, e).await),
    };
    let rows =
        concat_batches(&schema, &batches).map_err(|e| Error::internal("rows do not concatenate").with("reason", e))?;
    in_order(&rows, addresses)
}

/// The rows of `found`, whose last column is their address, in the order of `addresses`, without that column.
fn in_order(found: &RecordBatch, addresses: &[RowAddress]) -> Result<RecordBatch> {
    let last = found.num_columns() - 1;
    let at: HashMap<u64, u64> =
        found.column(last).as_primitive::<UInt64Type>().values().iter().copied().zip(0..).collect();
    let indices: Option<Vec<u64>> = addresses.iter().map(|address| at.get(&u64::from(*address)).copied()).collect();
    let indices = indices.ok_or_else(|| {
        Error::new(ErrorKind::GenerationGone, "rows of this version are not there any more")
            .with("expected", addresses.len())
            .with("got", found.num_rows())
    })?;
    let rows = take_record_batch(found, &UInt64Array::from(indices))
        .map_err(|e| Error::internal("rows cannot be taken").with("reason", e))?;
    let columns: Vec<usize> = (0..last).collect();
    let schema = Arc::new(rows.schema().project(&columns).map_err(|e| Error::internal(e.to_string()))?);
    let options = RecordBatchOptions::new().with_row_count(Some(addresses.len()));
    RecordBatch::try_new_with_options(schema, rows.columns()[..last].to_vec(), &options)
        .map_err(|e| Error::internal("rows do not fit their schema").with("reason", e))
}
