//! The physical node: search all backends at the same time, and merge the nearest.

use std::fmt;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch, UInt64Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::{Float32Type, SchemaRef};
use datafusion::common::runtime::SpawnedTask;
use datafusion::common::{Result, exec_datafusion_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::execution_plan::EmissionType;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion::physical_plan::{ExecutionPlan, PlanProperties, collect};
use futures::future::join_all;
use ruvector_rulake::Error;
use ruvector_rulake::error::to_datafusion;
use ruvector_rulake::operator::{Operator, OperatorExec, one_batch, one_partition};

use super::knn::nearest_first;
use crate::knn::DISTANCE_COLUMN;
use crate::knn::logical::federated::{FederatedNode, Federation};

/// Plans the node over the plans of its searches.
pub(super) fn plan_federated_exec(
    node: &FederatedNode,
    k: usize,
    searches: &[Arc<dyn ExecutionPlan>],
) -> Result<Arc<dyn ExecutionPlan>> {
    let properties = one_partition(nearest_first(Arc::clone(node.columns()), false), EmissionType::Final);
    let federation = node.federation.clone();
    Ok(OperatorExec::plan(FederatedExec { searches: searches.to_vec(), k, federation, properties }))
}

/// Answers a federated `knn()` with one batch, nearest first.
#[derive(Clone)]
struct FederatedExec {
    searches: Vec<Arc<dyn ExecutionPlan>>,
    k: usize,
    federation: Federation,
    properties: Arc<PlanProperties>,
}

impl FederatedExec {
    fn schema(&self) -> SchemaRef {
        Arc::clone(self.properties.eq_properties.schema())
    }

    async fn answer(self, context: Arc<TaskContext>) -> Result<RecordBatch> {
        let searches = self.searches.iter().map(|search| {
            let search = collect(Arc::clone(search), Arc::clone(&context));
            SpawnedTask::spawn(search)
        });
        // All are begun before one is waited for, and one that is busy keeps no other from being given up.
        let searches: Vec<_> = searches.collect();
        let limited = searches.into_iter().zip(&self.federation.backends).map(|(search, id)| self.in_time(search, id));
        let answers = join_all(limited).await;
        let (mut found, mut failure) = (Vec::new(), None);
        for (answer, backend) in answers.into_iter().zip(&self.federation.backends) {
            match answer {
                Ok(batches) => found.extend(batches),
                Err(e) if self.federation.partial => {
                    tracing::warn!(backend, reason = %e, "left out of a federated answer");
                    failure = Some(e);
                }
                Err(e) => return Err(e),
            }
        }
        match failure {
            Some(e) if found.is_empty() => Err(e),
            _ => self.nearest(&found),
        }
    }

    /// The answer of a search, within the limit.
    async fn in_time(&self, search: SpawnedTask<Result<Vec<RecordBatch>>>, backend: &str) -> Result<Vec<RecordBatch>> {
        let answer = match self.federation.timeout {
            None => search.join().await,
            Some(limit) => tokio::time::timeout(limit, search.join()).await.map_err(|_| {
                to_datafusion(
                    Error::unavailable("backend did not answer in time")
                        .with("backend", backend)
                        .with("milliseconds at most", limit.as_millis()),
                )
            })?,
        };
        answer.map_err(|e| exec_datafusion_err!("search of backend {backend} stopped: {e}"))?
    }

    /// The `k` nearest rows, ties in the order of the backends.
    fn nearest(&self, found: &[RecordBatch]) -> Result<RecordBatch> {
        let all = concat_batches(&self.schema(), found)?;
        let distances = all.column(all.schema().index_of(DISTANCE_COLUMN)?).as_primitive::<Float32Type>();
        let mut order: Vec<usize> = (0..all.num_rows()).collect();
        let distance = |row: usize| distances.values()[row];
        order.sort_by(|a, b| distance(*a).total_cmp(&distance(*b)));
        order.truncate(self.k);
        let order = UInt64Array::from_iter_values(order.into_iter().map(|row| row as u64));
        Ok(take_record_batch(&all, &order)?)
    }
}

impl Operator for FederatedExec {
    const NAME: &'static str = "FederatedKnnExec";

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: k={}, {}", Self::NAME, self.k, self.federation)
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn inputs(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.searches.iter().collect()
    }

    fn with_inputs(&self, inputs: Vec<Arc<dyn ExecutionPlan>>) -> Result<Self> {
        Ok(Self { searches: inputs, ..self.clone() })
    }

    fn start(
        &self,
        _partition: usize,
        context: Arc<TaskContext>,
        _metrics: &ExecutionPlanMetricsSet,
    ) -> Result<SendableRecordBatchStream> {
        Ok(one_batch(self.schema(), self.clone().answer(context)))
    }
}
