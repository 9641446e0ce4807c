//! Columns of ids that an entry keeps: searches answer with them without asking the backend.

use std::sync::Arc;

use datafusion::execution::TaskContext;
use ruvector_rabitq::Attributes;

use super::Entry;
use crate::contract::Snapshot;
use crate::error::{Error, Result};
use crate::id_column::{ATTRIBUTE_PREFIX, IdColumn};
use crate::scan::read_ids;

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
        let ids = Arc::new(read_ids(snapshot, column, None, context).await?);
        self.remember_ids(column, &ids);
        Ok(ids)
    }

    pub(crate) fn known_ids(&self, column: &str) -> Option<Arc<IdColumn>> {
        self.ids.read().iter().find(|(name, _)| name == column).map(|(_, ids)| Arc::clone(ids))
    }

    /// The ids as attributes of an index file.
    pub(super) fn stored_ids(&self) -> Attributes {
        self.ids.read().iter().map(|(column, ids)| (IdColumn::attribute(column), ids.to_text())).collect()
    }

    /// Reads the ids that an index file has.
    pub(super) fn remember_stored_ids(&self, attributes: &Attributes) -> Result<()> {
        for (attribute, text) in attributes {
            let Some(column) = attribute.strip_prefix(ATTRIBUTE_PREFIX) else { continue };
            let ids = match self.provenance.parts.as_slice() {
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
