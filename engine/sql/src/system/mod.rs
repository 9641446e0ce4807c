//! The schema `system`: the insides of the engine as tables.
//!
//! A table is one file and one [`SystemTable`]; its rows are made when a statement runs, not when it is planned.

mod backends;
mod bundles;
mod cache;
mod indexes;
mod queries;

use std::fmt::Debug;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::catalog::{SchemaProvider, TableProvider};
use datafusion::common::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::TableType;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use futures::stream;

pub(crate) use backends::BackendsTable;
pub(crate) use bundles::BundlesTable;
pub(crate) use cache::CacheTable;
pub(crate) use indexes::IndexesTable;
pub(crate) use queries::QueriesTable;

/// A table of the schema `system`.
#[async_trait]
pub(crate) trait SystemTable: Debug + Send + Sync {
    /// Its name.
    fn name(&self) -> &'static str;

    /// Its columns.
    fn schema(&self) -> &SchemaRef;

    /// Its rows now, for a session. Each scan asks once, while it runs, and may be given up at any time.
    async fn rows(&self, context: &TaskContext) -> Result<RecordBatch>;
}

/// The schema `system`.
#[derive(Debug)]
pub(crate) struct SystemSchema {
    tables: Vec<Arc<dyn SystemTable>>,
}

impl SystemSchema {
    pub(crate) fn new(tables: Vec<Arc<dyn SystemTable>>) -> Self {
        Self { tables }
    }

    fn find(&self, name: &str) -> Option<&Arc<dyn SystemTable>> {
        self.tables.iter().find(|table| table.name() == name)
    }
}

#[async_trait]
impl SchemaProvider for SystemSchema {
    fn table_names(&self) -> Vec<String> {
        self.tables.iter().map(|table| table.name().to_owned()).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let Some(table) = self.find(name) else { return Ok(None) };
        let rows = Arc::new(Rows(Arc::clone(table)));
        Ok(Some(Arc::new(StreamingTable::try_new(Arc::clone(table.schema()), vec![rows])?)))
    }

    async fn table_type(&self, name: &str) -> Result<Option<TableType>> {
        Ok(self.find(name).map(|_| TableType::View))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.find(name).is_some()
    }
}

/// The rows of a table, made as they are pulled.
#[derive(Debug)]
struct Rows(Arc<dyn SystemTable>);

impl PartitionStream for Rows {
    fn schema(&self) -> &SchemaRef {
        self.0.schema()
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let table = Arc::clone(&self.0);
        let rows = stream::once(async move { table.rows(&context).await });
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(self.0.schema()), rows))
    }
}
