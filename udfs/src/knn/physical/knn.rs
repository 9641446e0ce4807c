//! The physical node of `knn()`: resolve the query, find the entry, search, and read the winners' rows.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::{ArrayRef, Float32Array, RecordBatch, RecordBatchOptions};
use arrow::compute::SortOptions;
use arrow::datatypes::SchemaRef;
use datafusion::common::{Result, exec_err, internal_err, project_schema};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::Expr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalSortExpr};
use datafusion::physical_plan::execution_plan::EmissionType;
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, RecordOutput};
use datafusion::physical_plan::{ExecutionPlan, PlanProperties, execute_stream};
use datafusion::scalar::ScalarValue;
use roaring::RoaringTreemap;
use ruvector_rabitq::{Dim, VectorBatch};
use ruvector_rulake::error::to_datafusion;
use ruvector_rulake::operator::{Operator, narrowed, one_batch, one_partition};
use ruvector_rulake::{ErrorKind, RowAddress};

use super::inputs::{QueryVectors, read_addresses, read_query};
use super::search::{SearchAnswers, SearchMetrics, sql_distance};
use crate::knn::DISTANCE_COLUMN;
use crate::knn::argument::positive;
use crate::knn::logical::knn::{Nulls, Target};

/// The number of answers.
#[derive(Clone, Copy)]
pub(super) enum Count {
    Number(usize),
    /// A parameter, counted from 0, that has no value yet.
    Parameter(usize),
}

/// The source of the query vector.
#[derive(Clone)]
pub(super) enum Input {
    /// A plan of one row and one column.
    Plan(Arc<dyn ExecutionPlan>),
    /// The value of a parameter.
    Value(ArrayRef),
    /// A parameter, counted from 0, that has no value yet.
    Parameter(usize),
}

/// Answers `knn()` with one batch, nearest first.
#[derive(Clone)]
pub(crate) struct KnnExec {
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
    pub(super) fn try_new(
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
    pub(crate) fn bind<'a>(&self, value: impl Fn(usize) -> Result<&'a ScalarValue>) -> Result<Self> {
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
            None => SearchAnswers { answers: vec![Vec::new()], complete: false },
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
