//! Reading of a column of ids: a snapshot and the column of an older state go in, the ids of every row come out.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, UInt64Type};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::execute_stream;
use futures::TryStreamExt;

use crate::address::RowAddress;
use crate::contract::{Part, ScanRequest, Snapshot};
use crate::error::{Error, Result, from_datafusion};
use crate::id_column::{IdColumn, NO_ID};

/// Reads the ids of `snapshot`: of its parts that `before`, the column of another state, does not have.
pub(crate) async fn read_ids(
    snapshot: &dyn Snapshot,
    column: &str,
    before: Option<(&IdColumn, &[Part])>,
    context: &Arc<TaskContext>,
) -> Result<IdColumn> {
    let now = snapshot.parts();
    let known = |part: &Part| {
        let (ids, parts) = before?;
        // Rows that came back to life were not read then.
        let at = parts.iter().position(|old| old.id == part.id && old.deleted.is_subset(&part.deleted))?;
        ids.parts.get(at).cloned()
    };
    let mut parts: Vec<Option<Arc<Vec<i64>>>> = now.iter().map(known).collect();
    let missing: Vec<usize> = (0..parts.len()).filter(|part| parts[*part].is_none()).collect();
    let read = read_parts(snapshot, column, &missing, context).await?;
    for (part, ids) in missing.into_iter().zip(read) {
        parts[part] = Some(Arc::new(ids));
    }
    Ok(IdColumn { parts: parts.into_iter().flatten().collect() })
}

/// The ids of some parts.
async fn read_parts(
    snapshot: &dyn Snapshot,
    column: &str,
    parts: &[usize],
    context: &Arc<TaskContext>,
) -> Result<Vec<Vec<i64>>> {
    let mut ids = vec![Vec::new(); parts.len()];
    if parts.is_empty() {
        return Ok(ids);
    }
    let schema = snapshot.schema();
    let position = schema.index_of(column).map_err(|_| Error::not_found("no such column").with("column", column))?;
    let data_type = schema.field(position).data_type();
    if !data_type.is_integer() {
        return Err(Error::invalid_input(format!("column {column:?} does not hold ids"))
            .with("expected", "integers")
            .with("got", data_type));
    }
    let request = ScanRequest {
        projection: Some(vec![position]),
        with_address: true,
        parts: Some(parts.to_vec()),
        ..ScanRequest::default()
    };
    let plan = snapshot.scan(context, &request).await?;
    let mut batches = execute_stream(plan, Arc::clone(context)).map_err(from_datafusion)?;
    while let Some(batch) = batches.try_next().await.map_err(from_datafusion)? {
        let values = integers(batch.column(0), column)?;
        let addresses = batch.column(1).as_primitive::<UInt64Type>().values().iter();
        for (address, id) in addresses.zip(values.as_primitive::<Int64Type>().values()) {
            let address = RowAddress::from(*address);
            let Ok(part) = parts.binary_search(&address.file()) else {
                return Err(Error::internal("a scan gave a row of another part").with("got", address.file()));
            };
            let row = address.row() as usize;
            if ids[part].len() <= row {
                ids[part].resize(row + 1, NO_ID);
            }
            ids[part][row] = *id;
        }
    }
    // Ids of other bytes than the witness says would be given to its rows.
    snapshot.verify().await?;
    Ok(ids)
}

fn integers(values: &ArrayRef, column: &str) -> Result<ArrayRef> {
    let as_integers = cast(values, &DataType::Int64)
        .map_err(|e| Error::invalid_input(format!("column {column:?} does not hold ids")).with("reason", e))?;
    match as_integers.null_count() {
        0 => Ok(as_integers),
        nulls => Err(Error::invalid_input(format!("column {column:?} does not hold ids"))
            .with("expected", "an integer of at most 64 bits in every row")
            .with("rows without", nulls)),
    }
}
