//! Ids of the rows of a state: a row address goes in, an id comes out. As text, the ids are an attribute of an index file.

use std::sync::Arc;

use crate::address::RowAddress;
use crate::error::{Error, Result};

/// Mark of a row without an id: a deleted one.
pub(crate) const NO_ID: i64 = i64::MIN;

/// Prefix of the attributes of an index file that are columns of ids.
pub(crate) const ATTRIBUTE_PREFIX: &str = "ids.";

/// The ids of all rows, by part and row.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct IdColumn {
    pub(crate) parts: Vec<Arc<Vec<i64>>>,
}

impl IdColumn {
    /// The attribute of an index file that has the ids in `column`.
    pub(crate) fn attribute(column: &str) -> String {
        format!("{ATTRIBUTE_PREFIX}{column}")
    }

    /// The id of a row.
    ///
    /// # Errors
    /// `Internal` if the row is not there.
    pub(crate) fn get(&self, address: RowAddress) -> Result<i64> {
        let part = self.parts.get(address.file());
        match part.and_then(|ids| ids.get(address.row() as usize)).filter(|id| **id != NO_ID) {
            Some(id) => Ok(*id),
            None => Err(Error::internal("row of an answer has no id")
                .with("part", address.file())
                .with("row", address.row())),
        }
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.parts.iter().map(|ids| ids.capacity() * size_of::<i64>()).sum()
    }

    /// The ids as text: runs `first:count` of consecutive ids, joined by `,`; parts are joined by `;`.
    pub(crate) fn to_text(&self) -> String {
        let part = |ids: &Arc<Vec<i64>>| {
            let runs = ids.chunk_by(|a, b| if *a == NO_ID { *b == NO_ID } else { a.checked_add(1) == Some(*b) });
            let run = |ids: &[i64]| match ids[0] {
                NO_ID => format!("_:{}", ids.len()),
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
                    ids.extend(std::iter::repeat_n(NO_ID, count as usize));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_round_trip_as_text() {
        let parts = [vec![], vec![0, 1, 2, 7, -3, NO_ID, NO_ID, 9], vec![i64::MAX, i64::MIN + 1], (0..1000).collect()];
        let ids = IdColumn { parts: parts.into_iter().map(Arc::new).collect() };
        let text = ids.to_text();
        assert_eq!(text, ";0:3,7:1,-3:1,_:2,9:1;9223372036854775807:1,-9223372036854775807:1;0:1000");
        assert_eq!(IdColumn::from_text(&text).unwrap(), ids);
        for damaged in ["x", "1", "1:x", "9223372036854775807:2", "1:-1"] {
            assert_eq!(IdColumn::from_text(damaged), None, "{damaged}");
        }
    }
}
