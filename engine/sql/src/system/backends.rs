//! The table `system.backends`: reads the registered backends, asks each for its collections, and returns one row for each.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::common::Result;
use datafusion::execution::TaskContext;
use futures::future::join_all;

use super::SystemTable;
use crate::catalog::{Backends, Registered};

/// The kind of a backend that a program added.
const ADDED: &str = "program";

/// `system.backends`: one row for each backend, by name.
///
/// | column | |
/// |---|---|
/// | `name` | the schema of its tables |
/// | `kind` | as in `CREATE BACKEND`; `program` if a program added it |
/// | `location` | path or URL |
/// | `options` | JSON; secrets are `***` |
/// | `consistency`, `ttl_ms` | as in `CREATE BACKEND`; NULL is the default |
/// | `collections` | how many it has; NULL if it does not answer |
/// | `status` | `ok`, or why it does not answer |
#[derive(Debug)]
pub(crate) struct BackendsTable {
    backends: Arc<Backends>,
    schema: SchemaRef,
}

impl BackendsTable {
    pub(crate) fn new(backends: Arc<Backends>) -> Self {
        let text = |name| Field::new(name, DataType::Utf8, true);
        let number = |name| Field::new(name, DataType::Int64, true);
        let schema = Arc::new(Schema::new(vec![
            text("name"),
            text("kind"),
            text("location"),
            text("options"),
            text("consistency"),
            number("ttl_ms"),
            number("collections"),
            text("status"),
        ]));
        Self { backends, schema }
    }
}

#[async_trait]
impl SystemTable for BackendsTable {
    fn name(&self) -> &'static str {
        "backends"
    }

    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    async fn rows(&self, _context: &TaskContext) -> Result<RecordBatch> {
        let backends = self.backends.list();
        // Together: the slowest decides how long it takes, not their number.
        let lists = join_all(backends.iter().map(|registered| registered.backend.list())).await;
        let text = |column: fn(&Registered) -> Option<String>| -> ArrayRef {
            Arc::new(backends.iter().map(column).collect::<StringArray>())
        };
        let ttls = backends.iter().map(|known| i64::try_from(known.definition.as_ref()?.ttl_ms?).ok());
        let counts = lists.iter().map(|list| i64::try_from(list.as_ref().ok()?.len()).ok());
        let status = lists.iter().map(|list| match list {
            Ok(_) => Some("ok".to_owned()),
            Err(e) => Some(e.to_string()),
        });
        let columns = vec![
            text(|known| Some(known.backend.id().to_owned())),
            text(|known| Some(known.definition.as_ref().map_or(ADDED, |made| made.kind.name()).to_owned())),
            text(|known| known.definition.as_ref()?.location().map(str::to_owned)),
            text(|known| serde_json::to_string(&known.definition.as_ref()?.shown_options()).ok()),
            text(|known| known.definition.as_ref()?.consistency.clone()),
            Arc::new(ttls.collect::<Int64Array>()),
            Arc::new(counts.collect::<Int64Array>()),
            Arc::new(status.collect::<StringArray>()),
        ];
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }
}
