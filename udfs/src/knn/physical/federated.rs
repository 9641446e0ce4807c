//! The physical node: search all backends at the same time, and merge the nearest.

use std::fmt;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch, UInt64Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::{Float32Type, SchemaRef};
use datafusion::common::{DataFusionError, Result, exec_datafusion_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::execution_plan::EmissionType;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion::physical_plan::{ExecutionPlan, PlanProperties, collect};
use ruvector_rabitq::TopK;
use ruvector_rulake::error::to_datafusion;
use ruvector_rulake::operator::{Operator, OperatorExec, one_batch, one_partition};
use ruvector_rulake::{Error, ErrorKind, GatherPolicy, Gathered, gather};

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
        let Federation { backends, timeout, partial, .. } = &self.federation;
        let searches = backends.iter().zip(&self.searches).map(|(backend, search)| {
            let (search, context) = (Arc::clone(search), Arc::clone(&context));
            (backend.clone(), collect(search, context))
        });
        let searches: Vec<_> = searches.collect();
        let policy = GatherPolicy { timeout: *timeout, partial: *partial };
        let Gathered { answers, mut failed } = gather(searches, policy, gather_error).await?;
        for (backend, e) in &failed {
            tracing::warn!(backend, reason = %e, "left out of a federated answer");
        }
        let found: Vec<RecordBatch> = answers.into_iter().flatten().collect();
        match failed.pop() {
            Some((_, e)) if found.is_empty() => Err(e),
            _ => self.nearest(&found),
        }
    }

    /// The `k` nearest rows, ties in the order of the backends.
    fn nearest(&self, found: &[RecordBatch]) -> Result<RecordBatch> {
        let all = concat_batches(&self.schema(), found)?;
        let distances = all.column(all.schema().index_of(DISTANCE_COLUMN)?).as_primitive::<Float32Type>();
        let mut nearest = TopK::new(self.k);
        (0_u64..).zip(distances.values()).for_each(|(row, distance)| nearest.push(*distance, row));
        let rows = UInt64Array::from_iter_values(nearest.into_sorted().map(|(_, row)| row));
        Ok(take_record_batch(&all, &rows)?)
    }
}

/// The error for a search that is late or whose task stopped.
fn gather_error(error: Error) -> DataFusionError {
    match (error.kind(), error.context()) {
        (ErrorKind::Internal, [(_, backend), (_, reason)]) => {
            exec_datafusion_err!("search of backend {backend} stopped: {reason}")
        }
        _ => to_datafusion(error),
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
