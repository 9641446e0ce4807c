//! The physical node: take some queries, search for all of them, read the rows that were found, join.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::{ArrayRef, Float32Array, RecordBatch, RecordBatchOptions, UInt32Array, UInt64Array};
use arrow::compute::take;
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_err, plan_err, project_schema};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{
    Boundedness, ChildrenPropertiesMode, EmissionType, ReplaceChildrenOptions,
};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricsSet, RecordOutput};
use datafusion::physical_plan::projection::{EmbeddedProjection, ProjectionExec, try_embed_projection};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, execute_stream};
use futures::{StreamExt, TryStreamExt, stream};
use roaring::RoaringTreemap;
use ruvector_rabitq::{Dim, VectorBatch};
use ruvector_rulake::error::to_datafusion;
use ruvector_rulake::{ErrorKind, RowAddress};
use tokio::sync::OnceCell;

use super::KnnJoinNode;
use crate::knn::exec::read_addresses;
use crate::knn::node::Target;
use crate::knn::queries::QueryVectors;
use crate::knn::search::{SearchMetrics, sql_distance};

/// Queries that are searched for together, at most.
const QUERIES: usize = 1024;
/// Rows of one batch of answers, about.
const ROWS: usize = 1 << 16;

/// Answers a [`KnnJoinNode`]: queries in their order, the answers to each nearest first.
#[derive(Clone)]
pub(crate) struct KnnJoinExec {
    queries: Arc<dyn ExecutionPlan>,
    target: Target,
    k: usize,
    allowed: Option<Arc<dyn ExecutionPlan>>,
    outer: bool,
    /// All columns of the answer.
    columns: SchemaRef,
    /// Positions among them; `None` is all of them.
    projection: Option<Vec<usize>>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl KnnJoinExec {
    pub(crate) fn try_new(
        node: &KnnJoinNode,
        target: Target,
        k: usize,
        queries: Arc<dyn ExecutionPlan>,
        allowed: Option<Arc<dyn ExecutionPlan>>,
    ) -> Result<Self> {
        let of_queries = queries.schema();
        let of_queries = &of_queries.fields()[..of_queries.fields().len() - 1];
        let of_table = target.output_schema(None);
        let of_table = of_table.fields().iter().map(|field| {
            let nullable = field.is_nullable() || node.outer;
            Arc::new(field.as_ref().clone().with_nullable(nullable))
        });
        let columns = Arc::new(Schema::new(of_queries.iter().cloned().chain(of_table).collect::<Vec<_>>()));
        Ok(Self {
            queries,
            target,
            k,
            allowed,
            outer: node.outer,
            properties: properties(Arc::clone(&columns)),
            columns,
            projection: None,
            metrics: ExecutionPlanMetricsSet::new(),
        })
    }

    /// How many columns of the answer are of the queries.
    fn num_query_columns(&self) -> usize {
        self.queries.schema().fields().len() - 1
    }

    /// The rows that a filter allows, read at the first call.
    async fn allowed(&self, read: &OnceCell<Option<RoaringTreemap>>, context: &Arc<TaskContext>) -> Result<()> {
        let rows = read.get_or_try_init(|| async {
            let Some(rows) = &self.allowed else { return Ok(None) };
            let allowed = read_addresses(execute_stream(Arc::clone(rows), Arc::clone(context))?).await?;
            self.target.table.snapshot().verify().await.map_err(to_datafusion)?;
            Ok(Some(allowed))
        });
        rows.await.map(|_| ())
    }

    /// The answers to some queries; whatever goes wrong, it may be that the files of the state are other ones now.
    async fn answer(
        &self,
        queries: RecordBatch,
        read: &OnceCell<Option<RoaringTreemap>>,
        context: &Arc<TaskContext>,
        metrics: &SearchMetrics,
    ) -> Result<RecordBatch> {
        let started = Instant::now();
        let answer = self.try_answer(&queries, read, context, metrics).await;
        metrics.baseline.elapsed_compute().add_elapsed(started);
        match answer {
            Ok(answer) => Ok(answer.record_output(&metrics.baseline)),
            Err(e) => match self.target.table.snapshot().verify().await {
                Err(gone) if gone.kind() == ErrorKind::GenerationGone => Err(to_datafusion(gone)),
                _ => Err(e),
            },
        }
    }

    async fn try_answer(
        &self,
        queries: &RecordBatch,
        read: &OnceCell<Option<RoaringTreemap>>,
        context: &Arc<TaskContext>,
        metrics: &SearchMetrics,
    ) -> Result<RecordBatch> {
        self.allowed(read, context).await?;
        let allowed = read.get().and_then(Option::as_ref);
        let dim = self.target.dim();
        let vectors = QueryVectors::new(queries.column(self.num_query_columns()), dim)?;
        let (mut asked, mut values) = (Vec::new(), Vec::new());
        for row in 0..queries.num_rows() {
            if let Some(vector) = vectors.get(row)? {
                asked.push(row);
                values.extend_from_slice(vector);
            }
        }
        let mut answers = Vec::new();
        if !asked.is_empty() {
            let batch = VectorBatch::new(Dim::new(dim).map_err(to_datafusion)?, &values).map_err(to_datafusion)?;
            answers = self.target.search(batch, self.k, allowed, context, metrics).await?.answers;
        }
        let mut joined = Joined::default();
        let mut answers = asked.into_iter().zip(answers).peekable();
        for row in 0..queries.num_rows() {
            let hits = answers.next_if(|(asked, _)| *asked == row).map(|(_, hits)| hits).unwrap_or_default();
            if hits.is_empty() && self.outer {
                joined.push(row, None);
            }
            for hit in hits {
                let distance = sql_distance(self.target.metric.0, hit.distance);
                joined.push(row, Some((RowAddress::from(hit.id), distance)));
            }
        }
        self.rows(queries, joined, context).await
    }

    /// The columns of the answer.
    async fn rows(&self, queries: &RecordBatch, joined: Joined, context: &Arc<TaskContext>) -> Result<RecordBatch> {
        let of_queries = self.num_query_columns();
        let distance = self.columns.fields().len() - 1;
        let wanted = self.projection.clone().unwrap_or_else(|| (0..=distance).collect());
        let of_table: Vec<usize> = wanted
            .iter()
            .filter(|column| (of_queries..distance).contains(column))
            .map(|column| column - of_queries)
            .collect();
        let Joined { rows, places, distances, addresses } = joined;
        let (rows, places) = (UInt32Array::from(rows), UInt64Array::from(places));
        // Many queries find the same row: it is read once.
        let mut distinct: Vec<(RowAddress, u64)> = addresses.into_iter().collect();
        distinct.sort_unstable_by_key(|(_, place)| *place);
        let addresses: Vec<RowAddress> = distinct.into_iter().map(|(address, _)| address).collect();
        let taken = self.target.rows(&addresses, &of_table, context).await?;
        let mut taken = taken.iter().flat_map(|batch| batch.columns());
        let distances: ArrayRef = Arc::new(Float32Array::from(distances));
        let column = |column: &usize| -> Result<ArrayRef> {
            match *column {
                column if column < of_queries => Ok(take(queries.column(column), &rows, None)?),
                column if column == distance => Ok(Arc::clone(&distances)),
                _ => match taken.next() {
                    Some(values) => Ok(take(values, &places, None)?),
                    None => internal_err!("a join with knn() read too few columns"),
                },
            }
        };
        let columns = wanted.iter().map(column).collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        Ok(RecordBatch::try_new_with_options(self.schema(), columns, &options)?)
    }
}

/// Pairs of a query and a row that was found for it.
#[derive(Default)]
struct Joined {
    /// Positions of the queries.
    rows: Vec<u32>,
    /// Positions of the rows found among all that are read.
    places: Vec<Option<u64>>,
    distances: Vec<Option<f32>>,
    addresses: BTreeMap<RowAddress, u64>,
}

impl Joined {
    fn push(&mut self, row: usize, found: Option<(RowAddress, f32)>) {
        let next = self.addresses.len() as u64;
        // Batches have fewer rows than that.
        self.rows.push(u32::try_from(row).unwrap_or(u32::MAX));
        self.places.push(found.map(|(address, _)| *self.addresses.entry(address).or_insert(next)));
        self.distances.push(found.map(|(_, distance)| distance));
    }
}

fn properties(schema: SchemaRef) -> Arc<PlanProperties> {
    Arc::new(PlanProperties::new(
        EquivalenceProperties::new(schema),
        Partitioning::UnknownPartitioning(1),
        EmissionType::Incremental,
        Boundedness::Bounded,
    ))
}

impl EmbeddedProjection for KnnJoinExec {
    fn with_projection(&self, projection: Option<Vec<usize>>) -> Result<Self> {
        // Given in positions of this node's own output.
        let projection = match (projection, &self.projection) {
            (Some(wanted), Some(known)) => Some(wanted.into_iter().map(|position| known[position]).collect()),
            (wanted, known) => wanted.or_else(|| known.clone()),
        };
        let schema = project_schema(&self.columns, projection.as_ref())?;
        Ok(Self { projection, properties: properties(schema), ..self.clone() })
    }
}

impl fmt::Debug for KnnJoinExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt_as(DisplayFormatType::Default, f)
    }
}

impl DisplayAs for KnnJoinExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KnnJoinExec: ")?;
        self.target.fmt_search(f, self.k)?;
        if self.allowed.is_some() {
            write!(f, ", filtered")?;
        }
        if self.outer {
            write!(f, ", outer")?;
        }
        let columns: Vec<_> = self.schema().fields().iter().map(|field| field.name().clone()).collect();
        write!(f, ", columns=[{}]", columns.join(", "))
    }
}

impl ExecutionPlan for KnnJoinExec {
    fn name(&self) -> &'static str {
        "KnnJoinExec"
    }

    fn schema(&self) -> SchemaRef {
        Arc::clone(self.properties.eq_properties.schema())
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        std::iter::once(&self.queries).chain(&self.allowed).collect()
    }

    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if children.len() != self.children().len() {
            return plan_err!("a join with knn() expected {} inputs, got {}", self.children().len(), children.len());
        }
        let allowed = self.allowed.as_ref().and_then(|_| children.pop());
        let queries = children.remove(0);
        if queries.schema().fields().len() != self.num_query_columns() + 1 {
            return internal_err!("a join with knn() has other queries than it was planned for");
        }
        Ok(Arc::new(Self { queries, allowed, ..Arc::unwrap_or_clone(self) }))
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn try_swapping_with_projection(&self, projection: &ProjectionExec) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        try_embed_projection(projection, self)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        if partition != 0 {
            return internal_err!("a join with knn() has one partition, got {partition}");
        }
        let together = (ROWS / self.k.max(1)).clamp(1, QUERIES);
        let queries = execute_stream(Arc::clone(&self.queries), Arc::clone(&context))?;
        let slices = queries.map_ok(move |batch| {
            let starts = (0..batch.num_rows()).step_by(together);
            let slice = move |start| Ok(batch.slice(start, together.min(batch.num_rows() - start)));
            stream::iter(starts.map(slice))
        });
        let join = Arc::new((self.clone(), SearchMetrics::new(&self.metrics), OnceCell::new()));
        let answers = slices.try_flatten().and_then(move |queries| {
            let (join, context) = (Arc::clone(&join), Arc::clone(&context));
            async move {
                let (exec, metrics, allowed) = join.as_ref();
                exec.answer(queries, allowed, &context, metrics).await
            }
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), answers.boxed())))
    }
}
