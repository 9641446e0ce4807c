//! `SELECT * FROM recall('docs', 100, 10)`: how much of the exact answer an index finds, and how much sooner.
//!
//! The queries are a sample of the table's own vectors, or those of a subquery. An answer counts if it is as near as the
//! `k`-th exact one. `nprobe =>`, `rerank =>`, `filter =>`, `metric =>` and `column =>` say the same as in `knn()`: this is
//! where to see what they do.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::{DFSchema, DFSchemaRef, Result, TableReference, exec_err, internal_err, plan_err};
use datafusion::datasource::provider_as_source;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::planner::RelationPlannerContext;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, UserDefinedLogicalNodeCore, col, lit};
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_plan::execution_plan::EmissionType;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion::physical_plan::{ExecutionPlan, PlanProperties, execute_stream};
use datafusion::sql::sqlparser::ast::{Expr as SqlExpr, TableFactor};
use futures::TryStreamExt;
use ruvector_rabitq::{Dim, VectorBatch};
use ruvector_rulake::address::ADDRESS_COLUMN;
use ruvector_rulake::error::to_datafusion;
use ruvector_rulake::operator::{Operator, one_batch, one_partition};

use super::arguments::positive;
use super::exec::read_addresses;
use super::node::{KnnNode, Target};
use super::queries::{QueryVectors, is_list};
use super::search::SearchMetrics;

/// The name of the relation.
pub(crate) const RECALL_RELATION: &str = "recall";

/// Queries that are measured together, at most: each reads every vector of the table.
const MOST_QUERIES: usize = 10_000;

fn columns() -> SchemaRef {
    let text = |name| Field::new(name, DataType::Utf8, false);
    let number = |name, data_type| Field::new(name, data_type, false);
    Arc::new(Schema::new(vec![
        text("index"),
        text("kind"),
        text("metric"),
        number("k", DataType::Int64),
        number("queries", DataType::Int64),
        Field::new("recall", DataType::Float64, true),
        Field::new("index_ms", DataType::Float64, true),
        Field::new("exact_ms", DataType::Float64, true),
    ]))
}

/// Plans `recall(table, sample, k, ...)`.
pub(crate) fn plan_recall(
    sample: SqlExpr,
    (target, k, predicates): (Target, Expr, Vec<Expr>),
    context: &mut dyn RelationPlannerContext,
) -> Result<RecallNode> {
    if target.index().is_none() {
        return plan_err!(
            "recall() measures an index: table {} has none over {} by {}; CREATE INDEX makes one",
            target.table.name(),
            target.column_name(),
            target.metric.0
        );
    }
    let queries = match sample {
        SqlExpr::Subquery(subquery) => {
            let derived = TableFactor::Derived { lateral: false, subquery, alias: None, sample: None };
            let queries = context.plan(derived)?;
            let [field] = queries.schema().fields().as_ref() else {
                let got = queries.schema().fields().len();
                return plan_err!("{}: expected a subquery of 1 column, got {got}", target.query_name);
            };
            if !is_list(field.data_type()) {
                return plan_err!("{}: expected vectors, got {}", target.query_name, field.data_type());
            }
            queries
        }
        number => {
            let sample = positive(context.sql_to_expr(number, &DFSchema::empty())?, &target.query_name)?;
            let sample = sample.min(MOST_QUERIES);
            let rows = target.table.snapshot().num_rows().unwrap_or(sample);
            // Every so manyth row: the same ones each time, from all over the table.
            let stride = (rows / sample).max(1) as u64;
            let column = target.column_name();
            let source = provider_as_source(Arc::new(target.table.addressed()));
            let chosen = (col(ADDRESS_COLUMN) % lit(stride)).eq(lit(0_u64));
            let vector = Expr::Column(datafusion::common::Column::new(Some(target.name.clone()), column));
            LogicalPlanBuilder::scan(target.name.clone(), source, None)?
                .filter(vector.clone().is_not_null().and(chosen))?
                .project([vector])?
                .limit(0, Some(sample))?
                .build()?
        }
    };
    let no_query = LogicalPlanBuilder::empty(true).build()?;
    let KnnNode { target, k, allowed, .. } = KnnNode::try_new(target, no_query, k, None)?.with_filter(predicates)?;
    let schema = DFSchema::try_from_qualified_schema(TableReference::bare(RECALL_RELATION), &columns())?;
    Ok(RecallNode { queries, target, k, allowed, schema: Schemas(Arc::new(schema)) })
}

/// The recall of the index of `target` for the vectors of `queries`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd)]
pub(crate) struct RecallNode {
    queries: LogicalPlan,
    pub(crate) target: Target,
    pub(crate) k: Expr,
    allowed: Option<LogicalPlan>,
    schema: Schemas,
}

/// Always the same.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Schemas(DFSchemaRef);

impl PartialOrd for Schemas {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        (self == other).then_some(std::cmp::Ordering::Equal)
    }
}

impl fmt::Debug for RecallNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        UserDefinedLogicalNodeCore::fmt_for_explain(self, f)
    }
}

impl UserDefinedLogicalNodeCore for RecallNode {
    fn name(&self) -> &str {
        "Recall"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        std::iter::once(&self.queries).chain(&self.allowed).collect()
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema.0
    }

    fn expressions(&self) -> Vec<Expr> {
        vec![self.k.clone()]
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = &self.target.table;
        write!(f, "Recall: table={}.{}, k={}", table.backend(), table.name(), self.k)
    }

    fn with_exprs_and_inputs(&self, mut exprs: Vec<Expr>, mut inputs: Vec<LogicalPlan>) -> Result<Self> {
        let (Some(k), true) = (exprs.pop(), exprs.is_empty()) else { return plan_err!("recall() has one expression") };
        let allowed = self.allowed.as_ref().and_then(|_| inputs.pop());
        let (Some(queries), true) = (inputs.pop(), inputs.is_empty()) else {
            return plan_err!("recall() has queries and, with a filter, the rows it allows");
        };
        Ok(Self { queries, k, allowed, ..self.clone() })
    }

    fn necessary_children_exprs(&self, _output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        Some(vec![vec![0]; UserDefinedLogicalNodeCore::inputs(self).len()])
    }
}

/// Answers a [`RecallNode`] with one row.
#[derive(Clone)]
pub(crate) struct RecallExec {
    queries: Arc<dyn ExecutionPlan>,
    target: Target,
    k: usize,
    allowed: Option<Arc<dyn ExecutionPlan>>,
    properties: Arc<PlanProperties>,
}

impl RecallExec {
    pub(crate) fn new(
        target: Target,
        k: usize,
        queries: Arc<dyn ExecutionPlan>,
        allowed: Option<Arc<dyn ExecutionPlan>>,
    ) -> Self {
        let properties = one_partition(EquivalenceProperties::new(columns()), EmissionType::Final);
        Self { queries, target, k, allowed, properties }
    }

    async fn answer(self, context: Arc<TaskContext>) -> Result<RecordBatch> {
        let dim = self.target.dim();
        let mut queries = execute_stream(Arc::clone(&self.queries), Arc::clone(&context))?;
        let (mut values, mut num_queries) = (Vec::new(), 0_usize);
        while let Some(batch) = queries.try_next().await? {
            let vectors = QueryVectors::new(batch.column(0), dim, &self.target.query_name)?;
            for row in 0..batch.num_rows() {
                if let Some(vector) = vectors.get(row)? {
                    values.extend_from_slice(vector);
                    num_queries += 1;
                }
            }
            if num_queries > MOST_QUERIES {
                return exec_err!("recall() argument sample: expected at most {MOST_QUERIES} vectors, got more");
            }
        }
        let allowed = match &self.allowed {
            Some(rows) => Some(read_addresses(execute_stream(Arc::clone(rows), Arc::clone(&context))?).await?),
            None => None,
        };
        let Some(index) = self.target.index().cloned() else { return internal_err!("the index is gone") };
        let (mut found, mut expected) = (0_usize, 0_usize);
        let (mut by_index, mut by_all) = (Duration::ZERO, Duration::ZERO);
        if num_queries > 0 {
            let metrics = SearchMetrics::new(&ExecutionPlanMetricsSet::new());
            let queries = VectorBatch::new(Dim::new(dim).map_err(to_datafusion)?, &values).map_err(to_datafusion)?;
            let exact = Target { exact: true, ..self.target.clone() };
            let started = Instant::now();
            let oracle = exact.search(queries, self.k, allowed.as_ref(), &context, &metrics).await?.answers;
            by_all = started.elapsed();
            // The first search may have to make the entry, which is not what is measured.
            self.target.search(queries, 1, allowed.as_ref(), &context, &metrics).await?;
            let mut answers = Vec::with_capacity(num_queries);
            let started = Instant::now();
            for query in queries.rows() {
                let query = VectorBatch::new(queries.dim(), query).map_err(to_datafusion)?;
                answers.extend(self.target.search(query, self.k, allowed.as_ref(), &context, &metrics).await?.answers);
            }
            by_index = started.elapsed();
            for (answer, oracle) in answers.iter().zip(&oracle) {
                let farthest = oracle.last().map_or(f64::NEG_INFINITY, |hit| hit.score);
                let ids: std::collections::HashSet<u64> = oracle.iter().map(|hit| hit.id).collect();
                // What an index of estimates calls the distance may not be it; equally near rows count by their distance.
                let counts = answer.iter().filter(|hit| ids.contains(&hit.id) || hit.score == farthest).count();
                found += counts.min(oracle.len());
                expected += oracle.len();
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "both are far below 2^53")]
        let recall = (expected > 0).then(|| found as f64 / expected as f64);
        #[expect(clippy::cast_precision_loss, reason = "it is at most 10,000")]
        let each = |time: Duration| (num_queries > 0).then(|| time.as_secs_f64() * 1e3 / num_queries as f64);
        let text = |value: String| -> ArrayRef { Arc::new(StringArray::from(vec![value])) };
        let number = |value: usize| -> ArrayRef { Arc::new(Int64Array::from_iter([i64::try_from(value).ok()])) };
        let float = |value: Option<f64>| -> ArrayRef { Arc::new(Float64Array::from_iter([value])) };
        let row = vec![
            text(index.name.clone()),
            text(index.spec.kind.to_string()),
            text(index.spec.metric.to_string()),
            number(self.k),
            number(num_queries),
            float(recall),
            float(each(by_index)),
            float(each(by_all)),
        ];
        Ok(RecordBatch::try_new(columns(), row)?)
    }
}

impl Operator for RecallExec {
    const NAME: &'static str = "RecallExec";

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", Self::NAME)?;
        self.target.fmt_search(f, &self.k.to_string())
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn inputs(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        std::iter::once(&self.queries).chain(&self.allowed).collect()
    }

    fn with_inputs(&self, mut inputs: Vec<Arc<dyn ExecutionPlan>>) -> Result<Self> {
        let allowed = self.allowed.as_ref().and_then(|_| inputs.pop());
        Ok(Self { queries: inputs.remove(0), allowed, ..self.clone() })
    }

    fn start(
        &self,
        _partition: usize,
        context: Arc<TaskContext>,
        _metrics: &ExecutionPlanMetricsSet,
    ) -> Result<SendableRecordBatchStream> {
        Ok(one_batch(columns(), self.clone().answer(context)))
    }
}
