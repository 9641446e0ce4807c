//! The physical node of `recall()`: answer the queries by all vectors and by the index, and compare.
//!
//! An answer counts if it is as near as the `k`-th exact one.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use datafusion::common::{Result, exec_err, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_plan::execution_plan::EmissionType;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion::physical_plan::{ExecutionPlan, PlanProperties, execute_stream};
use futures::TryStreamExt;
use ruvector_rabitq::{Dim, VectorBatch};
use ruvector_rulake::error::to_datafusion;
use ruvector_rulake::operator::{Operator, one_batch, one_partition};

use super::inputs::{QueryVectors, read_addresses};
use super::search::SearchMetrics;
use crate::knn::logical::knn::Target;
use crate::knn::logical::recall::{MOST_QUERIES, columns};

/// Answers a [`RecallNode`](crate::knn::logical::recall::RecallNode) with one row.
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
