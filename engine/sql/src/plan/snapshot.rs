//! An answer is of one state of each table, also where others replace files while it is made: what was read is checked
//! before its last rows are handed out, and a query whose state went away starts over once.

use std::future::ready;
use std::sync::Arc;

use arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::source_as_provider;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, SessionState};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::prelude::SessionContext;
use datafusion::scalar::ScalarValue;
use datafusion::sql::parser::Statement as DfStatement;
use futures::{StreamExt, TryStreamExt, stream};
use ruvector_rulake::error::{is_generation_gone, to_datafusion};
use ruvector_rulake::{Error, ErrorKind, Snapshot};

use crate::limits::stop::start;
use crate::plan::lookup;
use crate::plan::parameters::bind;
use ruvector_udfs::collection::CollectionTable;
use ruvector_udfs::knn::logical::federated::FederatedNode;
use ruvector_udfs::knn::logical::knn::KnnNode;
use ruvector_udfs::lookup::LookupOptions;

/// The rows of `plan`. The last of them come when it is certain that all are of the states that the plan has pinned.
pub(crate) fn verified_stream(
    rows: SendableRecordBatchStream,
    plan: &LogicalPlan,
) -> Result<SendableRecordBatchStream> {
    Ok(verified_against(rows, snapshots(plan)?))
}

/// The same for rows that were read from these states.
pub(crate) fn verified_against(
    rows: SendableRecordBatchStream,
    snapshots: Vec<Arc<dyn Snapshot>>,
) -> SendableRecordBatchStream {
    if snapshots.is_empty() {
        return rows;
    }
    let schema = rows.schema();
    // One batch is held back while the next is made.
    let checked = stream::try_unfold((rows, snapshots, None), |(mut rows, snapshots, mut held)| async move {
        loop {
            match rows.try_next().await {
                Ok(Some(next)) => {
                    if let Some(batch) = held.replace(next) {
                        return Ok(Some((batch, (rows, snapshots, held))));
                    }
                }
                Ok(None) => {
                    verify(&snapshots).await?;
                    // Nothing is read after this: there is nothing to verify at the second end.
                    return Ok(held.take().map(|batch| (batch, (rows, Vec::new(), None))));
                }
                // Whatever went wrong, it may be that the files are other ones now.
                Err(e) => {
                    return Err(verify(&snapshots).await.err().filter(is_generation_gone).unwrap_or(e));
                }
            }
        }
    });
    Box::pin(RecordBatchStreamAdapter::new(schema, checked))
}

async fn verify(snapshots: &[Arc<dyn Snapshot>]) -> Result<()> {
    for snapshot in snapshots {
        snapshot.verify().await.map_err(to_datafusion)?;
    }
    Ok(())
}

/// The states that a plan reads, other than by `knn()`, which sees to its own.
pub(crate) fn snapshots(plan: &LogicalPlan) -> Result<Vec<Arc<dyn Snapshot>>> {
    let mut found: Vec<Arc<dyn Snapshot>> = Vec::new();
    let mut add = |snapshot: &Arc<dyn Snapshot>| {
        if found.iter().all(|known| !Arc::ptr_eq(known, snapshot)) {
            found.push(Arc::clone(snapshot));
        }
    };
    plan.apply_with_subqueries(|node| {
        match node {
            LogicalPlan::TableScan(scan) => {
                if let Ok(table) = source_as_provider(&scan.source)
                    && let Some(table) = table.downcast_ref::<CollectionTable>()
                {
                    add(table.snapshot());
                }
            }
            LogicalPlan::Extension(extension) => {
                let node = extension.node.as_any();
                if node.is::<KnnNode>() || node.is::<FederatedNode>() {
                    return Ok(TreeNodeRecursion::Jump);
                }
            }
            _ => {}
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

/// A query, to be planned a second time.
#[derive(Clone)]
pub(crate) struct Retry {
    context: SessionContext,
    statement: Arc<DfStatement>,
    options: LookupOptions,
    params: Vec<ScalarValue>,
}

impl Retry {
    pub(crate) fn new(context: &SessionContext, statement: &Arc<DfStatement>, options: &LookupOptions) -> Self {
        let (context, statement) = (context.clone(), Arc::clone(statement));
        Self { context, statement, options: options.clone(), params: Vec::new() }
    }

    /// The same query with these values of its parameters.
    pub(crate) fn with(&self, params: &[ScalarValue]) -> Self {
        Self { params: params.to_vec(), ..self.clone() }
    }

    /// Returns true if all tables that the statement names are in `catalog`.
    ///
    /// # Errors
    /// If a name cannot be read.
    pub(crate) fn reads_only(&self, state: &SessionState, catalog: &str) -> Result<bool> {
        let defaults = &state.config_options().catalog;
        let named = state.resolve_table_references(&self.statement)?;
        Ok(named.iter().all(|table| table.catalog().unwrap_or(&defaults.default_catalog) == catalog))
    }

    /// The statement.
    pub(crate) fn statement(&self) -> &DfStatement {
        &self.statement
    }

    /// The plan of the statement over the newest states.
    pub(crate) async fn plan(&self) -> ruvector_udfs::error::Result<LogicalPlan> {
        let state = self.context.state();
        let plan = lookup::plan(self.options.clone().refreshed(), &state, self.statement.as_ref().clone()).await?;
        bind(plan, &self.params)
    }

    /// The lookup options of the first plan.
    pub(crate) fn options(&self) -> &LookupOptions {
        &self.options
    }

    /// The rows; if the state they are of went away before the first of them came, those of the newest state.
    pub(crate) fn retry_on_generation_gone(self, mut rows: SendableRecordBatchStream) -> SendableRecordBatchStream {
        let (schema, expected) = (rows.schema(), rows.schema());
        let tried = async move {
            match rows.try_next().await {
                Ok(Some(batch)) => Ok(stream::once(ready(Ok(batch))).chain(rows).boxed()),
                Ok(None) => Ok(stream::empty().boxed()),
                Err(e) if is_generation_gone(&e) => Ok(self.rows(&expected).await?.boxed()),
                Err(e) => Err(e),
            }
        };
        Box::pin(RecordBatchStreamAdapter::new(schema, stream::once(tried).try_flatten()))
    }

    /// The rows of the newest state, in the columns of `expected`.
    pub(crate) async fn rows(self, expected: &SchemaRef) -> Result<SendableRecordBatchStream> {
        let state = self.context.state();
        let plan = self.plan().await.map_err(|e| DataFusionError::External(Box::new(e)))?;
        let physical = state.create_physical_plan(&plan).await?;
        let columns = |schema: &Schema| -> Vec<(String, DataType)> {
            schema.fields().iter().map(|field| (field.name().clone(), field.data_type().clone())).collect()
        };
        if columns(&physical.schema()) != columns(expected) {
            let changed = Error::new(ErrorKind::GenerationGone, "columns changed while the statement ran");
            return Err(to_datafusion(changed));
        }
        verified_stream(start(physical, state.task_ctx())?, &plan)
    }
}
