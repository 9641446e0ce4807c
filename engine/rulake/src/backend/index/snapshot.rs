//! Snapshot of an index that is a collection: an index goes in, its vectors come out as rows of `id` and a vector column.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::streaming::StreamingTableExec;
use ruvector_rabitq::{SharedIndex, VectorIndex};

use super::index_rows::{IndexColumn, IndexRows, no_vectors};
use crate::address::{ADDRESS_COLUMN, RowAddress};
use crate::contract::{ScanRequest, ServedIndex, Snapshot};
use crate::error::{Error, ErrorKind, Result, from_datafusion};
use crate::id_column::IdColumn;
use crate::index_spec::IndexSpec;
use crate::vector_column::vector_type;
use crate::witness::Generation;
use crate::witness::PROCESS;

const ID_COLUMN: &str = "id";
/// Name of the vector column, unless the index file has one.
const VECTOR_COLUMN: &str = "vec";

/// An index as rows. The index numbers them from 0, and these numbers are their addresses.
#[derive(Debug)]
pub(super) struct IndexSnapshot {
    data_ref: String,
    generation: Generation,
    schema: SchemaRef,
    ids: Arc<Vec<i64>>,
    own: ServedIndex,
}

impl IndexSnapshot {
    pub(super) fn in_memory(backend: &str, collection: &str, index: Box<dyn VectorIndex>) -> Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let data_ref = format!("memory://{}/{backend}/{collection}", *PROCESS);
        Self::new(data_ref, Generation::Number(NEXT.fetch_add(1, Ordering::Relaxed)), index)
    }

    pub(super) fn in_file(path: &Path, generation: Generation, index: Box<dyn VectorIndex>) -> Result<Self> {
        Self::new(format!("file://{}", path.display()), generation, index)
    }

    fn new(data_ref: String, generation: Generation, mut index: Box<dyn VectorIndex>) -> Result<Self> {
        let ids = ids_of(index.as_ref())?;
        if u32::try_from(ids.len()).is_err() {
            return Err(Error::not_supported("too many vectors in one index that is a table")
                .with("at most", u32::MAX)
                .with("got", ids.len()));
        }
        index.renumber((0..ids.len() as u64).collect())?;
        let attributes = std::mem::take(index.attributes_mut());
        let params = index.build_params();
        let spec = IndexSpec {
            metric: params.metric,
            kind: index.kind(),
            seed: params.seed,
            rerank_factor: params.rerank_factor,
            nlist: params.nlist,
            nprobe: params.nprobe,
            // Index files of ruLake have the name of the column; `id` is taken.
            ..IndexSpec::new(
                attributes.get("column").filter(|column| *column != ID_COLUMN).map_or(VECTOR_COLUMN, String::as_str),
            )
        };
        let fields = vec![
            Field::new(ID_COLUMN, DataType::Int64, false),
            Field::new(&spec.column, vector_type(index.dim().get())?, true),
        ];
        let own = ServedIndex { spec, index: SharedIndex::from(index) };
        Ok(Self { data_ref, generation, schema: Arc::new(Schema::new(fields)), ids: Arc::new(ids), own })
    }

    pub(super) fn is_of(&self, generation: &Generation) -> bool {
        self.generation == *generation
    }

    fn rows(&self, columns: &[usize], with_address: bool, limit: Option<usize>) -> Result<IndexRows> {
        let mut fields: Vec<Arc<Field>> = columns.iter().map(|i| Arc::clone(&self.schema.fields()[*i])).collect();
        let mut columns: Vec<IndexColumn> =
            columns.iter().map(|column| if *column == 0 { IndexColumn::Id } else { IndexColumn::Vector }).collect();
        if columns.iter().any(|column| matches!(column, IndexColumn::Vector)) && !self.own.has_vectors() {
            return Err(no_vectors(&self.own.index));
        }
        if with_address {
            columns.push(IndexColumn::Address);
            fields.push(Arc::new(Field::new(ADDRESS_COLUMN, DataType::UInt64, true)));
        }
        Ok(IndexRows {
            ids: Arc::clone(&self.ids),
            index: self.own.index.clone(),
            columns,
            schema: Arc::new(Schema::new(fields)),
            limit: limit.unwrap_or(usize::MAX),
        })
    }
}

/// The id of each vector: that of its row, if the index file has it, else its id in the index.
fn ids_of(index: &dyn VectorIndex) -> Result<Vec<i64>> {
    let own = index.ids();
    if let Some(text) = index.attributes().get(&IdColumn::attribute(ID_COLUMN)) {
        let ids = IdColumn::from_text(text).ok_or_else(|| Error::corrupt("index file has ids that make no sense"))?;
        return own.into_iter().map(|id| ids.get(RowAddress::from(id))).collect();
    }
    let fits = |id: u64| {
        i64::try_from(id).map_err(|_| {
            Error::invalid_input("id of a vector is not a BIGINT").with("expected at most", i64::MAX).with("got", id)
        })
    };
    own.into_iter().map(fits).collect()
}

#[async_trait]
impl Snapshot for IndexSnapshot {
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
        Some(self.ids.len())
    }

    fn index_dir(&self) -> Option<&Path> {
        None
    }

    fn index(&self) -> Option<&ServedIndex> {
        Some(&self.own)
    }

    fn file_name(&self, _address: RowAddress) -> String {
        self.data_ref.clone()
    }

    async fn scan(&self, _context: &TaskContext, request: &ScanRequest) -> Result<Arc<dyn ExecutionPlan>> {
        let columns = request.projection.clone().unwrap_or_else(|| (0..self.schema.fields().len()).collect());
        // There is one part, or none is asked for.
        let nothing = request.parts.as_ref().is_some_and(Vec::is_empty);
        let rows = self.rows(&columns, request.with_address, if nothing { Some(0) } else { request.limit })?;
        let schema = Arc::clone(&rows.schema);
        let scan = StreamingTableExec::try_new(schema, vec![Arc::new(rows)], None, [], false, None);
        Ok(Arc::new(scan.map_err(from_datafusion)?))
    }

    async fn take(
        &self,
        _context: &Arc<TaskContext>,
        addresses: &[RowAddress],
        projection: &[usize],
    ) -> Result<RecordBatch> {
        let number = |address: &RowAddress| {
            let row = address.row() as usize;
            match address.file() == 0 && row < self.ids.len() {
                true => Ok(row),
                false => Err(Error::new(ErrorKind::Internal, "row address outside its snapshot")
                    .with("expected below", self.ids.len())
                    .with("got", u64::from(*address))),
            }
        };
        let numbers = addresses.iter().map(number).collect::<Result<Vec<_>>>()?;
        self.rows(projection, false, None)?.batch(&numbers)
    }
}
