//! Snapshot of a state that is known from files alone: its entries can be searched, its rows cannot be read.

use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;

use crate::address::RowAddress;
use crate::contract::{ScanRequest, Snapshot};
use crate::error::{Error, Result};
use crate::vector_column::vector_type;
use crate::witness::Generation;

/// The state that index files are sealed with.
#[derive(Debug)]
pub(super) struct SealedSnapshot {
    data_ref: String,
    generation: Generation,
    schema: SchemaRef,
}

impl SealedSnapshot {
    /// `columns` are the vector columns that there are entries over, with their dimensions.
    pub(super) fn new(data_ref: &str, generation: Generation, columns: &[(String, usize)]) -> Result<Self> {
        let mut fields = vec![Field::new("id", DataType::Int64, true)];
        for (column, dim) in columns {
            if fields.iter().all(|field| field.name() != column) {
                fields.push(Field::new(column, vector_type(*dim)?, true));
            }
        }
        Ok(Self { data_ref: data_ref.to_owned(), generation, schema: Arc::new(Schema::new(fields)) })
    }

    fn refused(&self) -> Error {
        Error::unavailable("rows of a collection that is known from index files alone")
            .with("collection", &self.data_ref)
    }
}

#[async_trait]
impl Snapshot for SealedSnapshot {
    fn data_ref(&self) -> &str {
        &self.data_ref
    }

    fn generation(&self) -> &Generation {
        &self.generation
    }

    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn num_rows(&self) -> Option<usize> {
        None
    }

    fn index_dir(&self) -> Option<&Path> {
        None
    }

    fn file_name(&self, address: RowAddress) -> String {
        format!("part {}", address.file())
    }

    async fn scan(&self, _context: &TaskContext, _request: &ScanRequest) -> Result<Arc<dyn ExecutionPlan>> {
        Err(self.refused())
    }

    async fn take(
        &self,
        _context: &Arc<TaskContext>,
        _addresses: &[RowAddress],
        _projection: &[usize],
    ) -> Result<RecordBatch> {
        Err(self.refused())
    }
}
