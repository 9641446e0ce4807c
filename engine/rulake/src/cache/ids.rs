//! The ids that a collection gives its rows, kept beside an entry: searches answer with them without asking the backend.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, UInt64Type};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::execute_stream;
use futures::TryStreamExt;
use ruvector_rabitq::Attributes;

use super::Entry;
use crate::address::RowAddress;
use crate::backend::{Part, ScanRequest, Snapshot};
use crate::error::{Error, Result, from_datafusion};

/// Stands for a row without an id: one that is deleted.
const NONE: i64 = i64::MIN;

/// Words of an index file that begin so are columns of ids.
const STORED: &str = "ids.";

/// The ids of all rows, by part and row.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct IdColumn {
    parts: Vec<Arc<Vec<i64>>>,
}

impl Entry {
    /// The ids in `column` of the rows that the entry is over; read at the first call.
    ///
    /// # Errors
    /// `InvalidInput` if the column does not hold integers, or a row has none; `NotFound` if there is no such column.
    pub(crate) async fn ids(
        &self,
        snapshot: &dyn Snapshot,
        column: &str,
        context: &Arc<TaskContext>,
    ) -> Result<Arc<IdColumn>> {
        if let Some(ids) = self.known_ids(column) {
            return Ok(ids);
        }
        let _alone = self.reading_ids.lock().await;
        if let Some(ids) = self.known_ids(column) {
            return Ok(ids);
        }
        let ids = Arc::new(IdColumn::read(snapshot, column, None, context).await?);
        self.remember_ids(column, &ids);
        Ok(ids)
    }

    pub(crate) fn known_ids(&self, column: &str) -> Option<Arc<IdColumn>> {
        self.ids.read().iter().find(|(name, _)| name == column).map(|(_, ids)| Arc::clone(ids))
    }

    /// The ids in the words of an index file.
    pub(super) fn stored_ids(&self) -> Attributes {
        self.ids.read().iter().map(|(column, ids)| (IdColumn::word(column), ids.to_text())).collect()
    }

    /// Reads the ids that an index file has.
    pub(super) fn remember_stored_ids(&self, words: &Attributes) -> Result<()> {
        for (word, text) in words {
            let Some(column) = word.strip_prefix(STORED) else { continue };
            let ids = match self.seal.parts.as_slice() {
                [] => Some(IdColumn::default()),
                parts => IdColumn::from_text(text).filter(|ids| ids.parts.len() == parts.len()),
            };
            let ids =
                ids.ok_or_else(|| Error::corrupt("index file has ids that make no sense").with("column", column))?;
            self.remember_ids(column, &Arc::new(ids));
        }
        Ok(())
    }

    pub(super) fn remember_ids(&self, column: &str, ids: &Arc<IdColumn>) {
        let mut known = self.ids.write();
        if known.iter().all(|(name, _)| name != column) {
            known.push((column.to_owned(), Arc::clone(ids)));
        }
    }
}

impl IdColumn {
    /// The word of an index file that has the ids in `column`.
    pub(crate) fn word(column: &str) -> String {
        format!("{STORED}{column}")
    }

    /// Reads the ids of `snapshot`: of its parts that `before`, the column of another state, does not have.
    pub(super) async fn read(
        snapshot: &dyn Snapshot,
        column: &str,
        before: Option<(&Self, &[Part])>,
        context: &Arc<TaskContext>,
    ) -> Result<Self> {
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
        Ok(Self { parts: parts.into_iter().flatten().collect() })
    }

    /// The id of a row.
    ///
    /// # Errors
    /// `Internal` if the row is not there.
    pub(crate) fn get(&self, address: RowAddress) -> Result<i64> {
        let part = self.parts.get(address.file());
        match part.and_then(|ids| ids.get(address.row() as usize)).filter(|id| **id != NONE) {
            Some(id) => Ok(*id),
            None => Err(Error::internal("row of an answer has no id")
                .with("part", address.file())
                .with("row", address.row())),
        }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.parts.iter().map(|ids| ids.capacity() * size_of::<i64>()).sum()
    }

    /// The ids as text: runs `first:count` of consecutive ids, joined by `,`; parts are joined by `;`.
    pub(super) fn to_text(&self) -> String {
        let part = |ids: &Arc<Vec<i64>>| {
            let runs = ids.chunk_by(|a, b| if *a == NONE { *b == NONE } else { a.checked_add(1) == Some(*b) });
            let run = |ids: &[i64]| match ids[0] {
                NONE => format!("_:{}", ids.len()),
                first => format!("{first}:{}", ids.len()),
            };
            runs.map(run).collect::<Vec<_>>().join(",")
        };
        self.parts.iter().map(part).collect::<Vec<_>>().join(";")
    }

    /// The inverse of [`to_text`](Self::to_text).
    pub(crate) fn from_text(text: &str) -> Option<Self> {
        let part = |text: &str| -> Option<Arc<Vec<i64>>> {
            let mut ids = Vec::new();
            for run in text.split(',').filter(|run| !run.is_empty()) {
                let (first, count) = run.split_once(':')?;
                let count = count.parse::<u32>().ok()?;
                if first == "_" {
                    ids.extend(std::iter::repeat_n(NONE, count as usize));
                } else {
                    let first: i64 = first.parse().ok()?;
                    let last = first.checked_add(i64::from(count).checked_sub(1)?)?;
                    ids.extend(first..=last);
                }
            }
            Some(Arc::new(ids))
        };
        Some(Self { parts: text.split(';').map(part).collect::<Option<_>>()? })
    }
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
                ids[part].resize(row + 1, NONE);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_round_trip_as_text() {
        let parts = [vec![], vec![0, 1, 2, 7, -3, NONE, NONE, 9], vec![i64::MAX, i64::MIN + 1], (0..1000).collect()];
        let ids = IdColumn { parts: parts.into_iter().map(Arc::new).collect() };
        let text = ids.to_text();
        assert_eq!(text, ";0:3,7:1,-3:1,_:2,9:1;9223372036854775807:1,-9223372036854775807:1;0:1000");
        assert_eq!(IdColumn::from_text(&text).unwrap(), ids);
        for damaged in ["x", "1", "1:x", "9223372036854775807:2", "1:-1"] {
            assert_eq!(IdColumn::from_text(damaged), None, "{damaged}");
        }
    }
}
