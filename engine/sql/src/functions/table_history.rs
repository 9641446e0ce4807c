//! `table_history('docs')`: the changes of a Delta table that are still known, newest first.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::catalog::streaming::StreamingTable;
use datafusion::catalog::{TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::{Result, TableReference, plan_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use futures::stream;
use ruvector_rulake::contract::is_name;
use ruvector_rulake::error::to_datafusion;
use ruvector_rulake::{Error, RuLake};

use crate::text::as_of::HISTORY;
use ruvector_udfs::names::{CATALOG, MAIN};

/// The function, over a lake.
#[derive(Debug)]
pub(crate) struct HistoryFunction(pub(crate) Arc<RuLake>);

impl TableFunctionImpl for HistoryFunction {
    fn call_with_args(&self, args: TableFunctionArgs<'_, '_>) -> Result<Arc<dyn TableProvider>> {
        let table = match args.exprs() {
            [Expr::Literal(value, _)] => value.try_as_str().flatten(),
            _ => None,
        };
        let Some(table) = table.map(TableReference::parse_str) else {
            return plan_err!("{HISTORY}(table) expects the name of a table as a string");
        };
        if table.catalog().is_some_and(|catalog| catalog != CATALOG) {
            return plan_err!("{HISTORY}(table): no such table: {table}");
        }
        let call = HistoryCall {
            lake: Arc::clone(&self.0),
            backend: table.schema().unwrap_or(MAIN).to_owned(),
            table: table.table().to_owned(),
            schema: schema(),
        };
        Ok(Arc::new(StreamingTable::try_new(Arc::clone(&call.schema), vec![Arc::new(call)])?))
    }
}

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("version", DataType::Int64, false),
        Field::new("timestamp", DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())), false),
        Field::new("operation", DataType::Utf8, true),
        Field::new("parameters", DataType::Utf8, true),
    ]))
}

/// The function with its argument, asked when its rows are pulled.
#[derive(Clone, Debug)]
struct HistoryCall {
    lake: Arc<RuLake>,
    backend: String,
    table: String,
    schema: SchemaRef,
}

impl HistoryCall {
    async fn answer(self) -> Result<RecordBatch> {
        let backend = self.lake.backend(&self.backend).map_err(to_datafusion)?;
        // What is no table is not looked for: its name may be a path, and the error would say what is there.
        if !is_name(&self.table) {
            let missing = Error::not_found("no such table").with("backend", &self.backend).with("table", &self.table);
            return Err(to_datafusion(missing));
        }
        let commits = backend.history(&self.table).await.map_err(to_datafusion)?;
        let versions = commits.iter().map(|commit| i64::try_from(commit.version)).collect::<Result<Vec<_>, _>>();
        let versions = versions.map_err(|_| to_datafusion(Error::corrupt("version of a table is out of range")))?;
        let times = TimestampMillisecondArray::from_iter_values(commits.iter().map(|commit| commit.timestamp_ms));
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(versions)),
            Arc::new(times.with_timezone("UTC")),
            Arc::new(StringArray::from_iter(commits.iter().map(|commit| commit.operation.as_deref()))),
            Arc::new(StringArray::from_iter(commits.iter().map(|commit| commit.parameters.as_deref()))),
        ];
        Ok(RecordBatch::try_new(self.schema, columns)?)
    }
}

impl PartitionStream for HistoryCall {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let answer = stream::once(self.clone().answer());
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), answer))
    }
}
