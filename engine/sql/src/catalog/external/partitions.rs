//! Partition columns of CSV and JSON files, decoded.
//!
//! DataFusion hands on the values of partitions as they stand in the names of folders, percent codes and the mark for NULL
//! included. So it is told that they are texts, which become values here. A filter over such a column is applied to the
//! values, and leaves out no folder.

use std::fmt::Debug;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{Result, exec_err};
use datafusion::datasource::listing::ListingTable;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TableProviderFilterPushDown,
    TableType, Volatility,
};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::projection::ProjectionExec;
use ruvector_rulake::assign::assign;
use ruvector_rulake::backend::hive::partition_value;
use ruvector_rulake::error::to_datafusion;

/// Files whose last columns are those of partitions.
#[derive(Debug)]
pub(super) struct Partitioned {
    files: Arc<ListingTable>,
    /// With the types of the partition columns as they were declared.
    schema: SchemaRef,
    num_in_files: usize,
}

impl Partitioned {
    /// `files` has texts for `columns`, at the end of its schema.
    pub(super) fn new(files: ListingTable, columns: &[(String, DataType)]) -> Self {
        let of_table = files.schema();
        let num_in_files = of_table.fields().len() - columns.len();
        let in_files = of_table.fields().iter().take(num_in_files).cloned();
        let in_path = columns.iter().map(|(name, data_type)| Arc::new(Field::new(name, data_type.clone(), true)));
        let schema = Arc::new(Schema::new(in_files.chain(in_path).collect::<Vec<_>>()));
        Self { files: Arc::new(files), schema, num_in_files }
    }

    fn is_of_files(&self, filter: &Expr) -> bool {
        let in_files = |name: &str| self.schema.index_of(name).is_ok_and(|at| at < self.num_in_files);
        filter.column_refs().iter().all(|column| in_files(&column.name))
    }
}

#[async_trait]
impl TableProvider for Partitioned {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let kind = |filter: &&Expr| match self.is_of_files(filter) {
            true => Ok(self.files.supports_filters_pushdown(&[filter])?.remove(0)),
            false => Ok(TableProviderFilterPushDown::Unsupported),
        };
        filters.iter().map(kind).collect()
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let scan = self.files.scan(state, projection, filters, limit).await?;
        let columns = projection.cloned().unwrap_or_else(|| (0..self.schema.fields().len()).collect());
        if columns.iter().all(|column| *column < self.num_in_files) {
            return Ok(scan);
        }
        let config = Arc::new(state.config_options().clone());
        let mut values: Vec<(Arc<dyn PhysicalExpr>, String)> = Vec::with_capacity(columns.len());
        for (at, column) in columns.into_iter().enumerate() {
            let field = self.schema.field(column);
            let text: Arc<dyn PhysicalExpr> = Arc::new(Column::new(field.name(), at));
            let value = match column < self.num_in_files {
                true => text,
                false => {
                    let function = Arc::new(ScalarUDF::from(PartitionValue::new(field.clone())));
                    let schema = scan.schema();
                    Arc::new(ScalarFunctionExpr::try_new(function, vec![text], &schema, Arc::clone(&config))?)
                }
            };
            values.push((value, field.name().clone()));
        }
        Ok(Arc::new(ProjectionExec::try_new(values, scan)?))
    }
}

/// The value of a partition column for the text in the name of a folder.
#[derive(Debug, PartialEq, Eq, Hash)]
struct PartitionValue {
    column: Field,
    signature: Signature,
}

impl PartitionValue {
    fn new(column: Field) -> Self {
        Self { column, signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for PartitionValue {
    fn name(&self) -> &str {
        "partition_value"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(self.column.data_type().clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [text] = args.args.as_slice() else {
            return exec_err!("partition_value() takes 1 argument, got {}", args.args.len());
        };
        let texts = cast(&text.to_array(args.number_rows)?, &DataType::Utf8)?;
        let values: StringArray = texts.as_string::<i32>().iter().map(|text| partition_value(text?)).collect();
        let values: ArrayRef = Arc::new(values);
        Ok(ColumnarValue::Array(assign(&values, &self.column).map_err(to_datafusion)?))
    }
}
