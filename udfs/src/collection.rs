//! A collection as a DataFusion table: one pinned state, and the indexes declared over it.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DFSchema, Result, Statistics, stats::Precision};
use datafusion::execution::TaskContext;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use ruvector_rabitq::Metric;
use ruvector_rulake::address::ADDRESS_COLUMN;
use ruvector_rulake::error::to_datafusion;
use ruvector_rulake::vector_type::VectorType;
use ruvector_rulake::{Entry, ErrorKind, Pinned, RuLake, ScanRequest, Snapshot};

use crate::declared_index::DeclaredIndex;

/// A table over one pinned state of a collection. A newer statement gets a newer table.
#[derive(Clone, Debug)]
pub struct CollectionTable {
    /// The state.
    pub pinned: Arc<Pinned>,
    /// The lake that the collection belongs to.
    pub lake: Arc<RuLake>,
    /// Indexes over the collection; the index that the collection itself is comes first.
    pub indexes: Vec<DeclaredIndex>,
    /// True if each row's address follows as the last column. Only plans that `knn()` makes for itself ask for it.
    with_address: bool,
}

impl CollectionTable {
    /// The table over a pinned state.
    pub fn new(pinned: Arc<Pinned>, lake: Arc<RuLake>, indexes: Vec<DeclaredIndex>) -> Self {
        Self { pinned, lake, indexes, with_address: false }
    }

    /// The id of its backend.
    pub fn backend(&self) -> &str {
        self.pinned.backend()
    }

    /// Its name in the backend.
    pub fn name(&self) -> &str {
        self.pinned.collection()
    }

    /// The state that it is.
    pub fn snapshot(&self) -> &Arc<dyn Snapshot> {
        self.pinned.snapshot()
    }

    /// The same table with the address of each row as its last column.
    pub fn addressed(&self) -> Self {
        Self { with_address: true, ..self.clone() }
    }

    /// True if this table pins the same state as `other`, with the same indexes.
    pub fn is_unchanged_since(&self, other: &Self) -> bool {
        // An index that is a table comes with its state, and is made for each statement.
        let own = usize::from(self.snapshot().index().is_some());
        let same = |(a, b): (&DeclaredIndex, &DeclaredIndex)| a.is(b);
        Arc::ptr_eq(&self.pinned, &other.pinned)
            && self.indexes.len() == other.indexes.len()
            && self.indexes.iter().zip(&other.indexes).skip(own).all(same)
    }

    /// For each index over the table, true if it may answer a search of the pinned state.
    pub fn ready_indexes(&self) -> Vec<bool> {
        let generation = self.snapshot().generation();
        self.indexes.iter().map(|index| index.status.may_answer(generation)).collect()
    }

    /// The columns that a statement can read: all but the vectors of an index that keeps none. Such vectors come last in the
    /// state's schema, so the positions of the other columns are the same in both schemas.
    pub fn readable(&self) -> SchemaRef {
        let snapshot = self.snapshot();
        let schema = snapshot.schema();
        match snapshot.index().filter(|own| !own.has_vectors()) {
            Some(own) => {
                let fields = schema.fields().iter().filter(|field| field.name() != &own.spec.column);
                Arc::new(Schema::new(fields.cloned().collect::<Vec<_>>()))
            }
            None => schema,
        }
    }

    /// Position and dimension of the vector columns.
    pub fn vector_columns(&self) -> Vec<(usize, usize)> {
        let schema = self.snapshot().schema();
        let vectors = schema.fields().iter().map(|field| VectorType::of(field)).enumerate();
        vectors.filter_map(|(i, vectors)| Some((i, vectors?.dim))).collect()
    }

    /// The indexes over a column that answer by a metric, whether they can by now or not.
    pub fn indexes_of(&self, column: &str, metric: Metric) -> impl Iterator<Item = &DeclaredIndex> {
        self.indexes.iter().filter(move |index| index.spec.column == column && index.spec.metric == metric)
    }

    /// The index that a search asks first; `None` if exact search is to answer.
    pub fn index(&self, column: &str, metric: Metric) -> Option<&DeclaredIndex> {
        let generation = self.snapshot().generation();
        self.indexes_of(column, metric).find(|index| index.status.may_answer(generation))
    }

    /// The index that would answer if it could by now, and why it cannot; `None` if another one answers.
    pub fn unready_index(&self, column: &str, metric: Metric) -> Option<(&str, &'static str)> {
        if self.index(column, metric).is_some() {
            return None;
        }
        let index = self.indexes_of(column, metric).next()?;
        let why = if index.status.error().is_some() { "failed" } else { "is being built" };
        Some((&index.name, why))
    }

    /// The entry of the first index that can answer; `None` if exact search is to answer.
    ///
    /// # Errors
    /// `GenerationGone` only: what else keeps an index from being made is noted in its status, and leaves exact search.
    pub async fn entry(
        &self,
        column: &str,
        metric: Metric,
        context: &Arc<TaskContext>,
    ) -> ruvector_rulake::Result<Option<Arc<Entry>>> {
        let generation = self.snapshot().generation();
        for index in self.indexes_of(column, metric).filter(|index| index.status.may_answer(generation)) {
            match self.lake.entry(&self.pinned, &index.spec, context).await {
                Ok(entry) => return Ok(Some(entry)),
                Err(e) if e.kind() == ErrorKind::GenerationGone => return Err(e),
                // Another time it may be there.
                Err(e) if matches!(e.kind(), ErrorKind::Unavailable | ErrorKind::Cancelled) => {}
                Err(e) => {
                    tracing::warn!(index = index.name, reason = %e, "index cannot be made; exact search answers");
                    index.status.set_failed_for(generation.clone(), e.to_string());
                }
            }
        }
        Ok(None)
    }

    /// The key by which tables are compared: the pinned state, and whether addresses follow.
    fn identity(&self) -> (&str, String, bool) {
        (self.snapshot().data_ref(), self.snapshot().generation().to_string(), self.with_address)
    }
}

impl PartialEq for CollectionTable {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}

impl Eq for CollectionTable {}

impl PartialOrd for CollectionTable {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        self.identity().partial_cmp(&other.identity())
    }
}

impl Hash for CollectionTable {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity().hash(state);
    }
}

#[async_trait]
impl TableProvider for CollectionTable {
    fn schema(&self) -> SchemaRef {
        let schema = self.readable();
        if !self.with_address {
            return schema;
        }
        let address = Arc::new(Field::new(ADDRESS_COLUMN, DataType::UInt64, true));
        Arc::new(Schema::new(schema.fields().iter().cloned().chain([address]).collect::<Vec<_>>()))
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        // Inexact: files and row groups that cannot match are left out; DataFusion filters what comes.
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    fn statistics(&self) -> Option<Statistics> {
        let rows = self.snapshot().num_rows().map_or(Precision::Absent, Precision::Exact);
        Some(Statistics { num_rows: rows, ..Statistics::new_unknown(&self.schema()) })
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let num_columns = self.readable().fields().len();
        let projection = projection.cloned().unwrap_or_else(|| (0..self.schema().fields().len()).collect());
        // The address is the last column of the schema, and projections keep the order of columns.
        let with_address = projection.last() == Some(&num_columns);
        let columns = projection.into_iter().filter(|column| *column < num_columns).collect();
        let request = ScanRequest {
            projection: Some(columns),
            with_address,
            parts: None,
            pruning: self.pruning(state, filters)?,
            limit: if filters.is_empty() { limit } else { None },
            as_stored: false,
        };
        self.snapshot().scan(&state.task_ctx(), &request).await.map_err(to_datafusion)
    }
}

impl CollectionTable {
    /// The filters that statistics of files can be held against, as one predicate.
    fn pruning(
        &self,
        state: &dyn Session,
        filters: &[Expr],
    ) -> Result<Option<Arc<dyn datafusion::physical_expr::PhysicalExpr>>> {
        let schema = self.snapshot().schema();
        let scalar = |expr: &&Expr| {
            expr.column_refs()
                .iter()
                .all(|column| schema.field_with_name(&column.name).is_ok_and(|field| !field.data_type().is_nested()))
        };
        let Some(predicate) = conjunction(filters.iter().filter(scalar).cloned()) else { return Ok(None) };
        let schema = DFSchema::try_from(schema)?;
        state.create_physical_expr(predicate, &schema).map(Some)
    }
}

/// Stands for a table whose backend does not answer, where the statement goes on without it.
#[derive(Debug)]
pub struct AbsentTable;

#[async_trait]
impl TableProvider for AbsentTable {
    fn schema(&self) -> SchemaRef {
        Arc::new(Schema::empty())
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        _projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let message = "backend does not answer, and the statement reads its table elsewhere than in a partial knn()";
        Err(to_datafusion(ruvector_rulake::Error::unavailable(message)))
    }
}
