//! The schemas of answers: clients are told of them before the rows.
//!
//! Takes a plan and its rows, and returns the rows in the form that was announced.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::compute::cast;
use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::StreamExt;

use crate::rules::same_names::written_name;

pub(crate) fn answers_rows(plan: &LogicalPlan) -> bool {
    !matches!(plan, LogicalPlan::Dml(_) | LogicalPlan::Ddl(_) | LogicalPlan::Statement(_))
}

/// The schema that the plan's rows have for clients: as planned, whatever the optimizer knows better.
///
/// A plan has its types once they are coerced: before, `SELECT 1 UNION SELECT 'a'` is one of numbers.
pub(crate) fn answer_schema(plan: &LogicalPlan, analyzed: Option<&LogicalPlan>) -> SchemaRef {
    let fields = analyzed.unwrap_or(plan).schema().fields().iter().map(|field| {
        // Nullability may be sharpened or lost on the way; a client must hear one thing.
        Field::new(written_name(plan, field.name()), field.data_type().clone(), true)
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// The same rows under exactly `schema`.
pub(crate) fn shaped(rows: SendableRecordBatchStream, schema: SchemaRef) -> SendableRecordBatchStream {
    let target = Arc::clone(&schema);
    let shaped = rows.map(move |batch| {
        let batch = batch?;
        let columns = batch.columns().iter().zip(target.fields());
        let columns = columns
            .map(|(column, field)| match column.data_type() == field.data_type() {
                true => Ok(Arc::clone(column)),
                false => cast(column, field.data_type()),
            })
            .collect::<Result<Vec<_>, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&target), columns, &options)?)
    });
    Box::pin(RecordBatchStreamAdapter::new(schema, shaped))
}
