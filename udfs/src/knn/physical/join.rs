//! The physical node of many searches: take some queries, search for all of them, read the rows that were found, join.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::{
    Array, ArrayRef, AsArray, Float32Array, Int64Array, RecordBatch, RecordBatchOptions, UInt32Array, UInt64Array,
};
use arrow::compute::take;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{HashMap, Result, exec_datafusion_err, internal_err, project_schema};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::EmissionType;
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, RecordOutput};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{ExecutionPlan, PlanProperties, execute_stream};
use datafusion::scalar::ScalarValue;
use futures::{StreamExt, TryStreamExt, stream};
use roaring::RoaringTreemap;
use ruvector_rabitq::{Dim, VectorBatch};
use ruvector_rulake::error::to_datafusion;
use ruvector_rulake::exact::Scored;
use ruvector_rulake::operator::{Operator, narrowed, one_partition};
use ruvector_rulake::{ErrorKind, RowAddress};
use tokio::sync::OnceCell;

use super::inputs::{QueryVectors, read_addresses};
use super::search::{SearchAnswers, SearchMetrics, sql_distance};
use crate::knn::list_types::is_list_of_lists;
use crate::knn::logical::join::KnnJoinNode;
use crate::knn::logical::knn::{Nulls, Target};

/// Queries that are searched for together, at most.
const QUERIES: usize = 1024;
/// Rows of one batch of answers, about.
const ROWS: usize = 1 << 16;

/// The source of the queries: rows whose last column is the query vector.
#[derive(Clone)]
pub(crate) enum Queries {
    Plan(Arc<dyn ExecutionPlan>),
    /// The vectors of a parameter.
    Rows(RecordBatch),
    /// A parameter, counted from 0, that has no value yet.
    Parameter(usize),
}

/// Answers a [`KnnJoinNode`]: queries in their order, the answers to each nearest first.
#[derive(Clone)]
pub(crate) struct KnnJoinExec {
    queries: Queries,
    /// The columns of the queries.
    query_columns: SchemaRef,
    target: Target,
    k: usize,
    allowed: Option<Arc<dyn ExecutionPlan>>,
    nulls: Option<Nulls>,
    outer: bool,
    together: Option<Condition>,
    /// All columns of the answer.
    columns: SchemaRef,
    /// Positions among them; `None` is all of them.
    projection: Option<Vec<usize>>,
    properties: Arc<PlanProperties>,
}

impl KnnJoinExec {
    pub(crate) fn try_new(
        node: &KnnJoinNode,
        target: Target,
        k: usize,
        queries: Queries,
        allowed: Option<Arc<dyn ExecutionPlan>>,
    ) -> Result<Self> {
        let query_columns = match &queries {
            Queries::Plan(plan) => plan.schema(),
            Queries::Rows(_) | Queries::Parameter(_) => Arc::clone(node.queries.schema().inner()),
        };
        let of_queries = &query_columns.fields()[..query_columns.fields().len() - 1];
        let of_table = target.output_schema(node.nulls);
        let of_table = of_table.fields().iter().map(|field| {
            let nullable = field.is_nullable() || node.outer;
            Arc::new(field.as_ref().clone().with_nullable(nullable))
        });
        let columns = Arc::new(Schema::new(of_queries.iter().cloned().chain(of_table).collect::<Vec<_>>()));
        Ok(Self {
            queries,
            query_columns,
            target,
            k,
            allowed,
            nulls: node.nulls,
            outer: node.outer,
            together: None,
            properties: properties(Arc::clone(&columns)),
            columns,
            projection: None,
        })
    }

    fn schema(&self) -> SchemaRef {
        Arc::clone(self.properties.eq_properties.schema())
    }

    /// The same searches for pairs of a query and a row that satisfy a condition over all columns.
    pub(crate) fn with_condition(mut self, together: &Arc<dyn PhysicalExpr>) -> Result<Self> {
        let mut columns: Vec<usize> = collect_columns(together).iter().map(|column| column.index()).collect();
        columns.sort_unstable();
        columns.dedup();
        let schema = Arc::new(self.columns.project(&columns)?);
        // By place: query and answer may have columns of one name.
        let placed = Arc::clone(together).transform(|expr| {
            let Some(column) = expr.downcast_ref::<Column>() else { return Ok(Transformed::no(expr)) };
            let place = columns.binary_search(&column.index());
            let place =
                place.map_err(|_| exec_datafusion_err!("a condition has an unknown column {}", column.name()))?;
            Ok(Transformed::yes(Arc::new(Column::new(column.name(), place)) as Arc<dyn PhysicalExpr>))
        });
        let predicate = placed?.data;
        self.together = Some(Condition { predicate, columns, schema });
        Ok(self)
    }

    /// The same searches with the values of its parameters, by their positions.
    pub(crate) fn bind<'a>(&self, value: impl Fn(usize) -> Result<&'a ScalarValue>) -> Result<Self> {
        let queries = match &self.queries {
            Queries::Parameter(at) => Queries::Rows(self.rows_of(value(*at)?)?),
            known => known.clone(),
        };
        Ok(Self { queries, ..self.clone() })
    }

    /// The vectors of an array, each with its number.
    fn rows_of(&self, array: &ScalarValue) -> Result<RecordBatch> {
        let (name, got) = (&self.target.query_name, array.data_type());
        let of_lists = self.query_columns.field(self.num_query_columns()).data_type();
        let wanted = DataType::List(Arc::new(Field::new_list_field(of_lists.clone(), true)));
        let wrong = || exec_datafusion_err!("{name}: expected an array of vectors, got {got}");
        if !got.is_null() && !is_list_of_lists(&got) {
            return Err(wrong());
        }
        let lists = array.cast_to(&wanted).and_then(|array| array.to_array()).map_err(|_| wrong())?;
        let vectors = match lists.is_null(0) {
            true => arrow::array::new_empty_array(of_lists),
            false => lists.as_list_opt::<i32>().ok_or_else(wrong)?.value(0),
        };
        let numbers = (0..vectors.len() as i64).collect::<Int64Array>();
        let columns = self.query_columns.fields().iter().map(|field| match field.data_type() == of_lists {
            true => Arc::clone(&vectors),
            false => Arc::new(numbers.clone()) as ArrayRef,
        });
        Ok(RecordBatch::try_new(Arc::clone(&self.query_columns), columns.collect())?)
    }

    /// The number of the answer's columns that come from the queries.
    fn num_query_columns(&self) -> usize {
        self.query_columns.fields().len() - 1
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
        let vectors = QueryVectors::new(queries.column(self.num_query_columns()), dim, &self.target.query_name)?;
        let (mut asked, mut values) = (Vec::new(), Vec::new());
        for row in 0..queries.num_rows() {
            if let Some(vector) = vectors.get(row)? {
                asked.push(row);
                values.extend_from_slice(vector);
            }
        }
        // More than are wanted where some will not do: a row itself, most often.
        let mut k = if self.together.is_some() { self.k.saturating_add(1) } else { self.k };
        loop {
            let mut found = SearchAnswers { answers: Vec::new(), complete: false };
            if !asked.is_empty() {
                let batch = VectorBatch::new(Dim::new(dim).map_err(to_datafusion)?, &values).map_err(to_datafusion)?;
                found = self.target.search(batch, k, allowed, context, metrics).await?;
            }
            let rest = self.rest(&found, k, asked.len() < queries.num_rows(), allowed, context).await?;
            let nearest = self.nearest(queries.num_rows(), &asked, found, &rest, k);
            let answers = match &self.together {
                None => Some(nearest),
                Some(together) => self.satisfying(together, queries, nearest, k, context).await?,
            };
            if let Some(answers) = answers {
                return self.rows(queries, self.joined(answers), context).await;
            }
            k = k.saturating_mul(4);
        }
    }

    /// The `k` nearest rows to each query.
    fn nearest(
        &self,
        num_queries: usize,
        asked: &[usize],
        found: SearchAnswers,
        rest: &Rest,
        k: usize,
    ) -> Vec<Nearest> {
        let mut all = Vec::with_capacity(num_queries);
        let mut answers = asked.iter().zip(found.answers).peekable();
        for row in 0..num_queries {
            let hits = answers.next_if(|(asked, _)| **asked == row).map(|(_, hits)| hits);
            let without = if hits.is_some() { &rest.without_vector } else { &rest.any };
            let mut nearest: Nearest = Vec::with_capacity(k.min(ROWS));
            let distance = |hit: &Scored| Some(sql_distance(self.target.metric.0, hit.score));
            nearest.extend(hits.iter().flatten().map(|hit| (RowAddress::from(hit.id), distance(hit))));
            let at = if self.nulls == Some(Nulls::First) { 0 } else { nearest.len() };
            nearest.splice(at..at, without.iter().map(|address| (*address, None)));
            nearest.truncate(k);
            all.push(nearest);
        }
        all
    }

    /// For each query, those of its `k` nearest rows that satisfy the condition with it, as many as are wanted. `None` if more
    /// than `k` rows are needed to tell.
    async fn satisfying(
        &self,
        together: &Condition,
        queries: &RecordBatch,
        nearest: Vec<Nearest>,
        k: usize,
        context: &Arc<TaskContext>,
    ) -> Result<Option<Vec<Nearest>>> {
        let mut pairs = Joined::default();
        for (row, nearest) in nearest.iter().enumerate() {
            nearest.iter().for_each(|found| pairs.push(row, Some(*found)));
        }
        let pairs = self.columns_of(queries, pairs, &together.columns, &together.schema, context).await?;
        let holds = together.predicate.evaluate(&pairs)?.into_array(pairs.num_rows())?;
        let Some(holds) = holds.as_boolean_opt() else { return internal_err!("a condition is no boolean") };
        let mut holds = holds.iter().map(|holds| holds == Some(true));
        let mut answers = Vec::with_capacity(nearest.len());
        for nearest in nearest {
            let all_rows = nearest.len() < k;
            let kept = nearest.into_iter().zip(holds.by_ref()).filter(|(_, holds)| *holds).map(|(found, _)| found);
            let mut kept: Nearest = kept.collect();
            if kept.len() < self.k && !all_rows {
                return Ok(None);
            }
            kept.truncate(self.k);
            answers.push(kept);
        }
        Ok(Some(answers))
    }

    /// Each query with its answers.
    fn joined(&self, answers: Vec<Nearest>) -> Joined {
        let mut joined = Joined::default();
        for (row, nearest) in answers.into_iter().enumerate() {
            if nearest.is_empty() && self.outer {
                joined.push(row, None);
            }
            nearest.into_iter().for_each(|found| joined.push(row, Some(found)));
        }
        joined
    }

    /// The rows without a distance that the answers need.
    async fn rest(
        &self,
        found: &SearchAnswers,
        k: usize,
        some_null: bool,
        allowed: Option<&RoaringTreemap>,
        context: &Arc<TaskContext>,
    ) -> Result<Rest> {
        let Some(nulls) = self.nulls else { return Ok(Rest::default()) };
        let few = found.answers.iter().any(|hits| hits.len() < k);
        let wanted = !found.complete && !found.answers.is_empty() && (few || nulls == Nulls::First);
        let target = &self.target;
        let without_vector = target.without_distance(false, if wanted { k } else { 0 }, allowed, context).await?;
        let any = target.without_distance(true, if some_null { k } else { 0 }, allowed, context).await?;
        Ok(Rest { without_vector, any })
    }

    /// The columns of the answer.
    async fn rows(&self, queries: &RecordBatch, joined: Joined, context: &Arc<TaskContext>) -> Result<RecordBatch> {
        let wanted = self.projection.clone().unwrap_or_else(|| (0..self.columns.fields().len()).collect());
        self.columns_of(queries, joined, &wanted, &self.schema(), context).await
    }

    /// Some columns of pairs, by their positions among all.
    async fn columns_of(
        &self,
        queries: &RecordBatch,
        joined: Joined,
        wanted: &[usize],
        schema: &SchemaRef,
        context: &Arc<TaskContext>,
    ) -> Result<RecordBatch> {
        let of_queries = self.num_query_columns();
        let distance = self.columns.fields().len() - 1;
        let of_table: Vec<usize> = wanted
            .iter()
            .filter(|column| (of_queries..distance).contains(column))
            .map(|column| column - of_queries)
            .collect();
        let Joined { rows, places, distances, addresses, .. } = joined;
        let (rows, places) = (UInt32Array::from(rows), UInt64Array::from(places));
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
        Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
    }
}

/// Rows near to a query, nearest first, with their distances.
type Nearest = Vec<(RowAddress, Option<f32>)>;

/// A predicate over some columns of pairs.
#[derive(Clone)]
struct Condition {
    predicate: Arc<dyn PhysicalExpr>,
    /// The positions of its columns among all.
    columns: Vec<usize>,
    schema: SchemaRef,
}

/// Rows that have no distance to a query.
#[derive(Default)]
struct Rest {
    /// Those without a vector.
    without_vector: Vec<RowAddress>,
    /// To a query that is NULL: all of them.
    any: Vec<RowAddress>,
}

/// Pairs of a query and a row that was found for it.
#[derive(Default)]
struct Joined {
    /// Positions of the queries.
    rows: Vec<u32>,
    /// Positions of the rows found among `addresses`.
    places: Vec<Option<u64>>,
    distances: Vec<Option<f32>>,
    /// The rows that are read: many queries find the same row.
    addresses: Vec<RowAddress>,
    /// Positions of the rows in `addresses`.
    known: HashMap<RowAddress, u64>,
}

impl Joined {
    fn push(&mut self, row: usize, found: Option<(RowAddress, Option<f32>)>) {
        // Batches have fewer rows than that.
        self.rows.push(u32::try_from(row).unwrap_or(u32::MAX));
        let place = found.map(|(address, _)| self.place(address));
        self.places.push(place);
        self.distances.push(found.and_then(|(_, distance)| distance));
    }

    fn place(&mut self, address: RowAddress) -> u64 {
        *self.known.entry(address).or_insert_with(|| {
            self.addresses.push(address);
            self.addresses.len() as u64 - 1
        })
    }
}

impl Operator for KnnJoinExec {
    const NAME: &'static str = "KnnJoinExec";
    const TAKES_PROJECTION: bool = true;

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", Self::NAME)?;
        self.target.fmt_search(f, &self.k.to_string())?;
        if self.allowed.is_some() {
            write!(f, ", filtered")?;
        }
        if self.outer {
            write!(f, ", outer")?;
        }
        if let Some(together) = &self.together {
            write!(f, ", where={}", together.predicate)?;
        }
        let columns: Vec<_> = self.schema().fields().iter().map(|field| field.name().clone()).collect();
        write!(f, ", columns=[{}]", columns.join(", "))
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn inputs(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        let queries = match &self.queries {
            Queries::Plan(plan) => Some(plan),
            Queries::Rows(_) | Queries::Parameter(_) => None,
        };
        queries.into_iter().chain(&self.allowed).collect()
    }

    fn with_inputs(&self, mut inputs: Vec<Arc<dyn ExecutionPlan>>) -> Result<Self> {
        let allowed = self.allowed.as_ref().and_then(|_| inputs.pop());
        let queries = match &self.queries {
            Queries::Plan(_) => Queries::Plan(inputs.remove(0)),
            known => known.clone(),
        };
        if let Queries::Plan(plan) = &queries
            && plan.schema().fields().len() != self.num_query_columns() + 1
        {
            return internal_err!("a join with knn() has other queries than it was planned for");
        }
        Ok(Self { queries, allowed, ..self.clone() })
    }

    fn with_columns(&self, columns: &[usize]) -> Result<Self> {
        let projection = narrowed(self.projection.as_ref(), columns);
        let schema = project_schema(&self.columns, Some(&projection))?;
        Ok(Self { projection: Some(projection), properties: properties(schema), ..self.clone() })
    }

    fn start(
        &self,
        _partition: usize,
        context: Arc<TaskContext>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<SendableRecordBatchStream> {
        let together = (ROWS / self.k.max(1)).clamp(1, QUERIES);
        let queries = match &self.queries {
            Queries::Plan(plan) => execute_stream(Arc::clone(plan), Arc::clone(&context))?,
            Queries::Rows(rows) => {
                let rows = stream::iter([Ok(rows.clone())]);
                Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.query_columns), rows))
            }
            Queries::Parameter(at) => {
                return internal_err!("knn_batch() runs without a value of its parameter ${}", at + 1);
            }
        };
        let slices = queries.map_ok(move |batch| {
            let starts = (0..batch.num_rows()).step_by(together);
            let slice = move |start| Ok(batch.slice(start, together.min(batch.num_rows() - start)));
            stream::iter(starts.map(slice))
        });
        let join = Arc::new((self.clone(), SearchMetrics::new(metrics), OnceCell::new()));
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

fn properties(schema: SchemaRef) -> Arc<PlanProperties> {
    one_partition(EquivalenceProperties::new(schema), EmissionType::Incremental)
}
