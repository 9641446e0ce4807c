//! Registration of functions and search relations in a DataFusion session.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{CatalogProviderList, Session};
use datafusion::common::Result;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::context::QueryPlanner;
use datafusion::logical_expr::LogicalPlan;
use datafusion::logical_expr::planner::{ExprPlanner, RelationPlanner};
use datafusion::optimizer::AnalyzerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{DefaultPhysicalPlanner, PhysicalPlanner};
use datafusion::prelude::SessionContext;

use crate::aggregate;
use crate::knn::physical::planner::KnnExtensionPlanner;
use crate::knn::rules::lateral::Lateral;
use crate::knn::rules::order_by::OrderByDistance;
use crate::knn::rules::prefilter::Prefilter;
use crate::knn::sql::planner::KnnPlanner;
use crate::role::Role;
use crate::scalar::async_sort::AsyncSort;
use crate::scalar::embed::Models;
use crate::scalar::operators::VectorOperators;
use crate::scalar::{self, from_text};
use crate::settings::Settings;

/// Gives a session of any DataFusion program the functions over vectors and text, sums and means of vectors, `knn()`,
/// `knn_batch()` and `recall()`, and ORDER BY of a distance as a search. Searches find their tables in the catalogs of the
/// session: each is a [`CollectionTable`](crate::collection::CollectionTable).
///
/// The session's query planner is replaced by DataFusion's own with a planner of searches. The operators `<->` and `<#>` are not among
/// them: DataFusion's parser does not know them, and the SQL engine rewrites their text.
pub fn register_all(context: &SessionContext, models: Arc<Models>) {
    let catalogs = Arc::clone(context.state().catalog_list());
    let shared = context.state_ref();
    let mut state = shared.write();
    // Before DataFusion's own, to which `<=>` is something else.
    let mut operators: Vec<Arc<dyn ExprPlanner>> = vec![Arc::new(VectorOperators::default())];
    operators.extend(state.expr_planners().iter().cloned());
    let mut config = state.config().clone();
    config.options_mut().extensions.insert(Settings::default());
    let mut builder = SessionStateBuilder::new_from_existing(state.clone())
        .with_config(config)
        .with_query_planner(Arc::new(SearchPlanner))
        .with_relation_planners(vec![relations(catalogs)])
        .with_expr_planners(operators);
    for rule in search_rules() {
        builder = builder.with_analyzer_rule(rule);
    }
    *state = builder.with_analyzer_rule(Arc::new(AsyncSort)).build();
    drop(state);
    for function in scalar::functions(models, Role::Admin) {
        context.register_udf(function);
    }
    for function in aggregate::functions() {
        context.register_udaf(function);
    }
}

/// The planner of the relations `knn()`, `knn_batch()` and `recall()`.
pub fn relations(catalogs: Arc<dyn CatalogProviderList>) -> Arc<dyn RelationPlanner> {
    Arc::new(KnnPlanner::new(catalogs))
}

/// The rules that make searches of queries, in their order.
pub fn search_rules() -> Vec<Arc<dyn AnalyzerRule + Send + Sync>> {
    vec![from_text::rule(), Arc::new(Prefilter), Arc::new(OrderByDistance), Arc::new(Lateral)]
}

/// DataFusion's query planner, with a planner of searches.
#[derive(Debug)]
pub struct SearchPlanner;

#[async_trait]
impl QueryPlanner for SearchPlanner {
    async fn create_physical_plan(&self, plan: &LogicalPlan, session: &dyn Session) -> Result<Arc<dyn ExecutionPlan>> {
        let planner = DefaultPhysicalPlanner::with_extension_planners(vec![Arc::new(KnnExtensionPlanner)]);
        planner.create_physical_plan(plan, session).await
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
    use arrow::datatypes::Int64Type;
    use ruvector_embed::EmbedderOptions;
    use ruvector_rabitq::{Dim, VectorBatch};
    use ruvector_rulake::{LocalBackend, RuLake};

    use super::*;
    use crate::collection::CollectionTable;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_plain_session_searches_a_collection() {
        let backend = LocalBackend::new("hot");
        let vectors = [0.0, 0.0, 3.0, 4.0, 1.0, 0.0];
        backend
            .upsert_vectors("points", &[1, 2, 3], VectorBatch::new(Dim::new(2).unwrap(), &vectors).unwrap())
            .unwrap();
        let lake = Arc::new(RuLake::new());
        lake.register_backend(Arc::new(backend)).unwrap();
        let pinned = lake.pin("hot", "points", None).await.unwrap();
        let context = SessionContext::new();
        register_all(&context, Arc::new(Models::new(EmbedderOptions::default())));
        context.register_table("points", Arc::new(CollectionTable::new(pinned, lake, Vec::new()))).unwrap();
        for (sql, expected) in [
            ("SELECT id FROM knn('points', [1.0, 0.1], 2) ORDER BY _distance", vec![3, 1]),
            ("SELECT id FROM points ORDER BY l2_distance(vec, [3.0, 3.0]) LIMIT 1", vec![2]),
            ("SELECT id FROM points WHERE l2_distance(vec, [0.0, 0.0]) = 5", vec![2]),
            ("SELECT id FROM knn('points', [1.0, 0.1], 1) WHERE id < 3", vec![1]),
        ] {
            let batches = context.sql(sql).await.unwrap().collect().await.unwrap();
            let ids = batches.iter().flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec());
            assert_eq!(ids.collect::<Vec<_>>(), expected, "{sql}");
        }
    }
}
