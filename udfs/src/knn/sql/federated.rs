//! Plans `knn('docs', q, k, backends => ['hot', 'lake'])`: one [`KnnNode`] for each backend in, one [`FederatedNode`] out.
//!
//! Each search is projected to the columns that all tables have in common, the distance and the backend's name.

use datafusion::common::{Result, exec_datafusion_err, plan_err};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, col, lit};

use crate::knn::argument::ArgumentName;
use crate::knn::logical::federated::{BACKEND_COLUMN, FederatedNode, Federation};
use crate::knn::logical::knn::KnnNode;
use crate::knn::{DISTANCE_COLUMN, RELATION};

/// Plans the merge of some searches.
///
/// # Errors
/// If the vectors of two backends differ in dimension or metric, so that their distances mean different things.
pub(super) fn plan_federated(
    searches: Vec<KnnNode>,
    k: (Expr, ArgumentName),
    federation: Federation,
) -> Result<FederatedNode> {
    let Some(first) = searches.first() else {
        return Err(exec_datafusion_err!("no backend of knn() answers: [{}]", federation.absent.join(", ")));
    };
    for other in &searches[1..] {
        let ours = |node: &KnnNode| (node.target.dim(), node.target.metric.0);
        if ours(first) != ours(other) {
            return plan_err!(
                "knn() over several backends compares distances: expected vectors of {} numbers by {} in {}.{}, got {} by {}",
                first.target.dim(),
                first.target.metric.0,
                other.target.table.backend(),
                other.target.table.name(),
                other.target.dim(),
                other.target.metric.0
            );
        }
    }
    let common = common_columns(&searches);
    let projected = searches.into_iter().map(|search| {
        let backend = search.target.table.backend().to_owned();
        let columns = common.iter().map(|name| column(name));
        let columns = columns.chain([column(DISTANCE_COLUMN), lit(backend).alias(BACKEND_COLUMN)]);
        let columns: Vec<Expr> = columns.collect();
        let search = LogicalPlan::Extension(datafusion::logical_expr::Extension { node: std::sync::Arc::new(search) });
        LogicalPlanBuilder::from(search).project(columns)?.build()
    });
    FederatedNode::try_new(projected.collect::<Result<_>>()?, k, federation)
}

fn column(name: &str) -> Expr {
    col(datafusion::common::Column::new(Some(RELATION), name))
}

/// The columns of the first table that all others have too, of the same type.
fn common_columns(searches: &[KnnNode]) -> Vec<String> {
    let schemas: Vec<_> = searches.iter().map(|search| search.target.table.readable()).collect();
    let everywhere = |field: &&arrow::datatypes::FieldRef| {
        schemas.iter().all(|schema| {
            schema.field_with_name(field.name()).is_ok_and(|known| known.data_type() == field.data_type())
        })
    };
    schemas[0].fields().iter().filter(everywhere).map(|field| field.name().clone()).collect()
}
