//! Calls of the table functions of the lake. Takes a function's arguments, checks them and the session's role, and returns a
//! table whose rows are the result of the operation.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::catalog::streaming::StreamingTable;
use datafusion::catalog::{TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::{Result, TableReference, plan_err};
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use futures::stream;
use ruvector_rulake::RuLake;
use ruvector_rulake::error::to_datafusion;

use super::Operation;
use crate::catalog::index::IndexCatalog;
use ruvector_udfs::names::{CATALOG, MAIN};
use ruvector_udfs::role::Role;

/// One of the functions, over a lake, in a session with a role.
#[derive(Debug)]
pub(crate) struct LakeFunction {
    operation: Operation,
    lake: Arc<RuLake>,
    indexes: Arc<IndexCatalog>,
    role: Role,
}

impl LakeFunction {
    pub(crate) fn new(operation: Operation, lake: Arc<RuLake>, indexes: Arc<IndexCatalog>, role: Role) -> Self {
        Self { operation, lake, indexes, role }
    }

    fn usage(&self) -> String {
        let arguments = if self.operation.takes_folder() { "table, folder" } else { "table" };
        format!("{}({arguments})", self.operation.name())
    }

    fn text(&self, expr: Option<&Expr>, what: &str) -> Result<String> {
        match expr {
            Some(Expr::Literal(value, _)) if value.try_as_str().flatten().is_some() => {
                Ok(value.try_as_str().flatten().unwrap_or_default().to_owned())
            }
            Some(other) => plan_err!("{} expects a string as its {what}, got {other}", self.usage()),
            None => plan_err!("{} needs its {what}", self.usage()),
        }
    }
}

impl TableFunctionImpl for LakeFunction {
    fn call_with_args(&self, args: TableFunctionArgs<'_, '_>) -> Result<Arc<dyn TableProvider>> {
        // Here and not where statements are looked at: the call may stand anywhere in a query.
        let allowed = self.role.check(self.operation.needed_role(), self.operation.name());
        allowed.map_err(|refused| DataFusionError::External(Box::new(refused)))?;
        let (exprs, takes) = (args.exprs(), if self.operation.takes_folder() { 2 } else { 1 });
        if exprs.len() > takes {
            return plan_err!("{} takes {takes} arguments, got {}", self.usage(), exprs.len());
        }
        let table = TableReference::parse_str(&self.text(exprs.first(), "table")?);
        if table.catalog().is_some_and(|catalog| catalog != CATALOG) {
            return plan_err!("{}: no such table: {table}", self.usage());
        }
        let folder = match self.operation.takes_folder() {
            true => self.text(exprs.get(1), "folder")?.into(),
            false => PathBuf::new(),
        };
        let (name, data_type) = self.operation.column();
        let call = LakeCall {
            operation: self.operation,
            lake: Arc::clone(&self.lake),
            indexes: Arc::clone(&self.indexes),
            backend: table.schema().unwrap_or(MAIN).to_owned(),
            collection: table.table().to_owned(),
            folder,
            schema: Arc::new(Schema::new(vec![Field::new(name, data_type, false)])),
        };
        Ok(Arc::new(StreamingTable::try_new(Arc::clone(&call.schema), vec![Arc::new(call)])?))
    }
}

/// A function with its arguments, done when its rows are pulled.
#[derive(Clone, Debug)]
struct LakeCall {
    operation: Operation,
    lake: Arc<RuLake>,
    indexes: Arc<IndexCatalog>,
    backend: String,
    collection: String,
    folder: PathBuf,
    schema: SchemaRef,
}

impl LakeCall {
    async fn answer(self) -> Result<RecordBatch> {
        let Self { lake, indexes, backend, collection, .. } = &self;
        let done = self.operation.run(lake, indexes, backend, collection, self.folder.clone()).await;
        Ok(RecordBatch::try_new(self.schema, vec![done.map_err(to_datafusion)?])?)
    }
}

impl PartitionStream for LakeCall {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let answer = stream::once(self.clone().answer());
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), answer))
    }
}
