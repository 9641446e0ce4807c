//! Deletion of rows by a predicate, for programs that have no SQL engine.

use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray, RecordBatch, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, UInt64Type};
use datafusion::common::DFSchema;
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::prelude::SessionContext;
use futures::{TryStreamExt, stream};

use super::{ChangeKind, RowChanges};
use crate::address::ADDRESS_COLUMN;
use crate::backend::delta::DeltaBackend;
use crate::contract::{ScanRequest, Snapshot};
use crate::error::{Error, Result, from_datafusion};

impl DeltaBackend {
    /// Deletes the rows that `predicate` holds for (all of them, if there is none) and returns their number. Its columns are
    /// those of the table's schema.
    ///
    /// # Errors
    /// `NotFound`; `InvalidInput` for a predicate that is not one; `GenerationGone` if another writer changed the table
    /// during the deletion. Nothing is changed on error.
    pub async fn delete(&self, collection: &str, predicate: Option<Expr>) -> Result<u64> {
        let Some(predicate) = predicate else { return self.truncate(collection).await };
        let lock = self.lock_for_change(collection).await;
        let snapshot = self.delta_snapshot(collection).await?;
        let session = SessionContext::new();
        let context = session.task_ctx();
        let scan = snapshot.scan(&context, &ScanRequest { with_address: true, ..ScanRequest::default() }).await?;
        let schema = DFSchema::try_from(scan.schema()).map_err(from_datafusion)?;
        let predicate = session.create_physical_expr(predicate, &schema).map_err(from_datafusion)?;
        let found: Arc<dyn ExecutionPlan> = Arc::new(FilterExec::try_new(predicate, scan).map_err(from_datafusion)?);
        let rows = execute_stream(found, Arc::clone(&context)).map_err(from_datafusion)?;
        let batches: Vec<RecordBatch> = rows.try_collect().await.map_err(from_datafusion)?;
        let mut addresses: Vec<u64> = Vec::new();
        for batch in &batches {
            let column =
                batch.column_by_name(ADDRESS_COLUMN).and_then(|column| column.as_primitive_opt::<UInt64Type>());
            let column = column.ok_or_else(|| Error::internal("a scan gave no addresses"))?;
            addresses.extend(column.values());
        }
        addresses.sort_unstable();
        let changes = RowChanges {
            kind: ChangeKind::Delete,
            predicate: None,
            columns: Vec::new(),
            rows: deletions(UInt64Array::from(addresses))?,
        };
        self.change(&lock, &snapshot, &context, changes).await
    }
}

fn deletions(addresses: UInt64Array) -> Result<datafusion::execution::SendableRecordBatchStream> {
    let fields =
        vec![Field::new(ADDRESS_COLUMN, DataType::UInt64, true), Field::new("deleted", DataType::Boolean, false)];
    let schema = Arc::new(Schema::new(fields));
    let deleted = BooleanArray::from(vec![true; addresses.len()]);
    let batch = RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(addresses), Arc::new(deleted)])
        .map_err(|e| Error::internal("addresses are not rows").with("reason", e))?;
    Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stream::iter([Ok(batch)]))))
}
