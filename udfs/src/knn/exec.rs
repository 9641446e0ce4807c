//! The physical node of `knn()`: resolve the query, find the entry, search, and read the winners' rows.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::{ArrayRef, AsArray, Float32Array, RecordBatch, RecordBatchOptions};
use arrow::compute::SortOptions;
use arrow::datatypes::{Schema, SchemaRef, UInt64Type};
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::{DFSchema, Result, exec_err, internal_err, project_schema};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{ColumnarValue, Expr, LogicalPlan, UserDefinedLogicalNode, UserDefinedLogicalNodeCore};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::execution_plan::EmissionType;
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, RecordOutput};
use datafusion::physical_plan::{ExecutionPlan, PlanProperties, execute_stream};
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner};
use datafusion::scalar::ScalarValue;
use futures::TryStreamExt;
use roaring::RoaringTreemap;
use ruvector_rabitq::{Dim, VectorBatch};
use ruvector_rulake::error::to_datafusion;
use ruvector_rulake::operator::{Operator, OperatorExec, narrowed, one_batch, one_partition};
use ruvector_rulake::{ErrorKind, RowAddress};

use super::DISTANCE_COLUMN;
use super::arguments::{ArgumentName, positive};
use super::federated::{FederatedNode, plan_federated_exec};
use super::join::{KnnJoinExec, KnnJoinNode, Queries};
use super::node::{KnnNode, Nulls, Query, Target};
use super::open;
use super::queries::QueryVectors;
use super::recall::{RecallExec, RecallNode};
use super::search::{Found, SearchMetrics, sql_distance};

/// Turns a [`KnnNode`] into a [`KnnExec`].
#[derive(Debug)]
pub struct KnnExtensionPlanner;

#[async_trait]
impl ExtensionPlanner for KnnExtensionPlanner {
    async fn plan_extension(
        &self,
        planner: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _logical_inputs: &[&LogicalPlan],
        physical_inputs: &[Arc<dyn ExecutionPlan>],
        session: &dyn Session,
        planning_ctx: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let number = |k: &Expr, name: &ArgumentName| {
            let k = planner.create_physical_expr(k, &DFSchema::empty(), session, planning_ctx)?;
            positive(constant(k.as_ref())?, name)
        };
        if let Some(node) = node.as_any().downcast_ref::<FederatedNode>() {
            return plan_federated_exec(node, number(&node.k, &node.k_name)?, physical_inputs).map(Some);
        }
        if let Some(node) = node.as_any().downcast_ref::<KnnJoinNode>() {
            let (queries, allowed) = match (node.parameter.filter(|_| node.open), physical_inputs) {
                (Some(position), allowed) => (Queries::Parameter(position), allowed),
                (None, [queries, allowed @ ..]) => (Queries::Plan(Arc::clone(queries)), allowed),
                (None, []) => return internal_err!("a join with knn() has no queries"),
            };
            let target = node.target.clone().with_settings(session.config_options());
            let k = number(&node.k, &node.target.k_name)?;
            let allowed = allowed.first().cloned();
            let exec = KnnJoinExec::try_new(node, target, k, queries, allowed)?;
            let Some(together) = &node.together else { return Ok(Some(OperatorExec::plan(exec))) };
            let together = planner.create_physical_expr(
                together,
                UserDefinedLogicalNodeCore::schema(node),
                session,
                planning_ctx,
            )?;
            return Ok(Some(OperatorExec::plan(exec.with_condition(&together)?)));
        }
        if let Some(node) = node.as_any().downcast_ref::<RecallNode>() {
            let [queries, allowed @ ..] = physical_inputs else { return internal_err!("recall() has no queries") };
            let target = Target { exact: false, ..node.target.clone().with_settings(session.config_options()) };
            let k = number(&node.k, &node.target.k_name)?;
            let (queries, allowed) = (Arc::clone(queries), allowed.first().cloned());
            return Ok(Some(OperatorExec::plan(RecallExec::new(target, k, queries, allowed))));
        }
        let Some(node) = node.as_any().downcast_ref::<KnnNode>() else { return Ok(None) };
        let k = match &node.k {
            Expr::Placeholder(k) if let Some(position) = open::position(k) => Count::Parameter(position),
            k => Count::Number(number(k, &node.target.k_name)?),
        };
        let (query, allowed) = match (&node.query, physical_inputs) {
            (Query::Plan(_), [query, allowed @ ..]) => (Input::Plan(Arc::clone(query)), allowed),
            (Query::Parameter(position), allowed) => (Input::Parameter(*position), allowed),
            (Query::Plan(_), []) => return internal_err!("knn() has no query"),
        };
        let target = node.target.clone().with_settings(session.config_options());
        let exec = KnnExec::try_new(target, k, query, allowed.first().cloned(), node.nulls, None)?;
        Ok(Some(OperatorExec::plan(exec)))
    }
}

/// The value of an expression without columns, as a literal.
fn constant(expr: &dyn PhysicalExpr) -> Result<Expr> {
    let options = RecordBatchOptions::new().with_row_count(Some(1));
    let one_row = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &options)?;
    let value = match expr.evaluate(&one_row)? {
        ColumnarValue::Scalar(value) => value,
        ColumnarValue::Array(values) => ScalarValue::try_from_array(&values, 0)?,
    };
    Ok(Expr::Literal(value, None))
}

/// The number of answers.
#[derive(Clone, Copy)]
enum Count {
    Number(usize),
    /// A parameter, counted from 0, that has no value yet.
    Parameter(usize),
}

/// The source of the query vector.
#[derive(Clone)]
enum Input {
    /// A plan of one row and one column.
    Plan(Arc<dyn ExecutionPlan>),
    /// The value of a parameter.
    Value(ArrayRef),
    /// A parameter, counted from 0, that has no value yet.
    Parameter(usize),
}

/// Answers `knn()` with one batch, nearest first.
#[derive(Clone)]
pub struct KnnExec {
    target: Target,
    k: Count,
    query: Input,
    allowed: Option<Arc<dyn ExecutionPlan>>,
    nulls: Option<Nulls>,
    /// Positions in the answer's full schema; `None` is all of them.
    projection: Option<Vec<usize>>,
    properties: Arc<PlanProperties>,
}

impl KnnExec {
    fn try_new(
        target: Target,
        k: Count,
        query: Input,
        allowed: Option<Arc<dyn ExecutionPlan>>,
        nulls: Option<Nulls>,
        projection: Option<Vec<usize>>,
    ) -> Result<Self> {
        let schema = project_schema(&target.output_schema(nulls), projection.as_ref())?;
        let properties = one_partition(nearest_first(schema, nulls == Some(Nulls::First)), EmissionType::Final);
        Ok(Self { target, k, query, allowed, nulls, projection, properties })
    }

    fn schema(&self) -> SchemaRef {
        Arc::clone(self.properties.eq_properties.schema())
    }

    /// The same search with the values of its parameters, by their positions.
    pub(super) fn closed<'a>(&self, value: impl Fn(usize) -> Result<&'a ScalarValue>) -> Result<Self> {
        let k = match self.k {
            Count::Parameter(at) => {
                Count::Number(positive(Expr::Literal(value(at)?.clone(), None), &self.target.k_name)?)
            }
            number => number,
        };
        let query = match &self.query {
            Input::Parameter(at) => Input::Value(value(*at)?.to_array()?),
            known => known.clone(),
        };
        Ok(Self { k, query, ..self.clone() })
    }

    /// The answer; whatever goes wrong, it may be that the files of the state are other ones now.
    async fn answer(self, context: Arc<TaskContext>, metrics: SearchMetrics) -> Result<RecordBatch> {
        let snapshot = Arc::clone(self.target.table.snapshot());
        let started = Instant::now();
        let answer = self.try_answer(context, &metrics).await;
        metrics.baseline.elapsed_compute().add_elapsed(started);
        match answer {
            Ok(answer) => Ok(answer.record_output(&metrics.baseline)),
            Err(e) => match snapshot.verify().await {
                Err(gone) if gone.kind() == ErrorKind::GenerationGone => Err(to_datafusion(gone)),
                _ => Err(e),
            },
        }
    }

    async fn try_answer(self, context: Arc<TaskContext>, metrics: &SearchMetrics) -> Result<RecordBatch> {
        let (dim, name) = (self.target.dim(), &self.target.query_name);
        let query = match &self.query {
            Input::Plan(plan) => read_query(execute_stream(Arc::clone(plan), Arc::clone(&context))?, name).await?,
            Input::Value(value) => Some(Arc::clone(value)),
            Input::Parameter(at) => return internal_err!("knn() runs without a value of its parameter ${}", at + 1),
        };
        let Count::Number(k) = self.k else { return internal_err!("knn() runs without a value of its parameter k") };
        let query = query.map(|vector| QueryVectors::new(&vector, dim, name)).transpose()?;
        let query = query.as_ref().map(|vector| vector.get(0)).transpose()?.flatten();
        let allowed = match &self.allowed {
            Some(rows) => Some(read_addresses(execute_stream(Arc::clone(rows), Arc::clone(&context))?).await?),
            None => None,
        };
        if allowed.is_some() {
            // What the filter read must be of the state that is searched. Entries, exact search and takes see to theirs.
            self.target.table.snapshot().verify().await.map_err(to_datafusion)?;
        }
        let nearest = self.nearest(query, k, allowed.as_ref(), &context, metrics).await?;
        self.rows(&nearest, &context).await
    }

    /// The addresses of the answers, and their distances.
    async fn nearest(
        &self,
        query: Option<&[f32]>,
        k: usize,
        allowed: Option<&RoaringTreemap>,
        context: &Arc<TaskContext>,
        metrics: &SearchMetrics,
    ) -> Result<Vec<(RowAddress, Option<f32>)>> {
        let (target, dim) = (&self.target, self.target.dim());
        let found = match query {
            None if self.nulls.is_none() => {
                return exec_err!("{}: expected a vector of {dim} numbers, got NULL", target.query_name);
            }
            None => Found { answers: vec![Vec::new()], complete: false },
            Some(query) => {
                let queries = VectorBatch::new(Dim::new(dim).map_err(to_datafusion)?, query).map_err(to_datafusion)?;
                target.search(queries, k, allowed, context, metrics).await?
            }
        };
        let hits = found.answers.into_iter().flatten();
        let mut nearest: Vec<_> =
            hits.map(|hit| (RowAddress::from(hit.id), Some(sql_distance(target.metric.0, hit.score)))).collect();
        let wanted = match self.nulls {
            None => 0,
            Some(_) if found.complete => 0,
            Some(Nulls::First) => k,
            Some(Nulls::Last) => k - nearest.len(),
        };
        let without = target.without_distance(query.is_none(), wanted, allowed, context).await?;
        let at = if self.nulls == Some(Nulls::First) { 0 } else { nearest.len() };
        nearest.splice(at..at, without.into_iter().map(|address| (address, None)));
        nearest.truncate(k);
        Ok(nearest)
    }

    /// The winners' columns, read from the same pinned state, and their distances.
    async fn rows(&self, nearest: &[(RowAddress, Option<f32>)], context: &Arc<TaskContext>) -> Result<RecordBatch> {
        let distance_position = self.target.table.readable().fields().len();
        let wanted = self.projection.clone().unwrap_or_else(|| (0..=distance_position).collect());
        let columns: Vec<usize> = wanted.iter().copied().filter(|position| *position != distance_position).collect();
        let addresses: Vec<RowAddress> = nearest.iter().map(|(address, _)| *address).collect();
        let taken = self.target.rows(&addresses, &columns, context).await?;
        let distances: ArrayRef = Arc::new(nearest.iter().map(|(_, distance)| *distance).collect::<Float32Array>());
        let mut taken = taken.iter().flat_map(|batch| batch.columns().iter().cloned());
        let columns = wanted
            .iter()
            .map(|position| match *position == distance_position {
                true => Some(Arc::clone(&distances)),
                false => taken.next(),
            })
            .collect::<Option<Vec<_>>>();
        let Some(columns) = columns else { return internal_err!("knn() read too few columns") };
        let options = RecordBatchOptions::new().with_row_count(Some(nearest.len()));
        Ok(RecordBatch::try_new_with_options(self.schema(), columns, &options)?)
    }
}

/// The answer is sorted by distance: an ORDER BY _distance above it costs nothing.
pub(super) fn nearest_first(schema: SchemaRef, nulls_first: bool) -> EquivalenceProperties {
    match schema.index_of(DISTANCE_COLUMN) {
        Ok(position) => {
            let distance = Arc::new(Column::new(DISTANCE_COLUMN, position));
            let ascending = SortOptions { descending: false, nulls_first };
            EquivalenceProperties::new_with_orderings(schema, [[PhysicalSortExpr::new(distance, ascending)]])
        }
        Err(_) => EquivalenceProperties::new(schema),
    }
}

/// The one row of the query plan, if it has one.
async fn read_query(mut rows: SendableRecordBatchStream, name: &ArgumentName) -> Result<Option<ArrayRef>> {
    let mut vector: Option<ArrayRef> = None;
    while let Some(batch) = rows.try_next().await? {
        for row in 0..batch.num_rows() {
            if vector.replace(batch.column(0).slice(row, 1)).is_some() {
                return exec_err!("{name}: expected one vector, got more than one row");
            }
        }
    }
    Ok(vector)
}

pub(super) async fn read_addresses(mut rows: SendableRecordBatchStream) -> Result<RoaringTreemap> {
    let mut allowed = RoaringTreemap::new();
    while let Some(batch) = rows.try_next().await? {
        allowed.extend(batch.column(0).as_primitive::<UInt64Type>().values().iter().copied());
    }
    Ok(allowed)
}

impl Operator for KnnExec {
    const NAME: &'static str = "KnnExec";
    const TAKES_PROJECTION: bool = true;

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", Self::NAME)?;
        let k = match self.k {
            Count::Number(k) => k.to_string(),
            Count::Parameter(at) => format!("${}", at + 1),
        };
        self.target.fmt_search(f, &k)?;
        if self.allowed.is_some() {
            write!(f, ", filtered")?;
        }
        let columns: Vec<_> = self.schema().fields().iter().map(|field| field.name().clone()).collect();
        write!(f, ", columns=[{}]", columns.join(", "))
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn inputs(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        let query = match &self.query {
            Input::Plan(plan) => Some(plan),
            Input::Value(_) | Input::Parameter(_) => None,
        };
        query.into_iter().chain(&self.allowed).collect()
    }

    fn with_inputs(&self, mut inputs: Vec<Arc<dyn ExecutionPlan>>) -> Result<Self> {
        let allowed = self.allowed.as_ref().and_then(|_| inputs.pop());
        let query = match &self.query {
            Input::Plan(_) => Input::Plan(inputs.remove(0)),
            known => known.clone(),
        };
        Ok(Self { query, allowed, ..self.clone() })
    }

    fn with_columns(&self, columns: &[usize]) -> Result<Self> {
        let projection = Some(narrowed(self.projection.as_ref(), columns));
        let (target, query, allowed) = (self.target.clone(), self.query.clone(), self.allowed.clone());
        Self::try_new(target, self.k, query, allowed, self.nulls, projection)
    }

    fn start(
        &self,
        _partition: usize,
        context: Arc<TaskContext>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<SendableRecordBatchStream> {
        Ok(one_batch(self.schema(), self.clone().answer(context, SearchMetrics::new(metrics))))
    }
}
