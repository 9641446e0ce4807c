//! What ruvector adds to a DataFusion session: the relations, the rules, the functions, the settings and the tables.

use std::sync::Arc;

use datafusion::catalog::CatalogProviderList;
use datafusion::execution::SessionStateBuilder;
use datafusion::logical_expr::planner::ExprPlanner;
use datafusion::prelude::SessionContext;

use crate::access::Role;
use crate::aggregate;
use crate::catalog::CATALOG;
use crate::engine::{Engine, Planner};
use crate::knn::join::Lateral;
use crate::knn::order_by::OrderByDistance;
use crate::knn::planner::KnnPlanner;
use crate::knn::prefilter::Prefilter;
use crate::lake::{LakeFunction, Operation};
use crate::scalar::async_sort::AsyncSort;
use crate::scalar::operators::VectorOperators;
use crate::scalar::{self, from_text};
use crate::settings::Settings;
use crate::time_travel::{HISTORY, HistoryFunction};

/// Gives a session of any DataFusion program what ruvector has: `knn()`, `knn_batch()` and `recall()`, ORDER BY of a
/// distance as a search, the functions, the settings `ruvector.*`, and the engine's tables as the catalog `ruvector`
/// (`SELECT * FROM ruvector.main.docs`).
///
/// The session's query planner is replaced by DataFusion's own, which then knows our nodes. Statements that are ours alone
/// (CREATE INDEX, CREATE BACKEND) and changes of tables are [`Engine::execute`]'s.
pub fn register_all(context: &SessionContext, engine: &Engine) {
    context.register_catalog(CATALOG, engine.catalog());
    let catalogs = Arc::clone(context.state().catalog_list());
    equip(context, &catalogs, engine, Role::Admin);
}

/// The same for a session that has the tables already, and may do what `role` may.
pub(crate) fn equip(context: &SessionContext, catalogs: &Arc<dyn CatalogProviderList>, engine: &Engine, role: Role) {
    let shared = context.state_ref();
    let mut state = shared.write();
    // Before DataFusion's own, to which `<=>` is something else.
    let mut operators: Vec<Arc<dyn ExprPlanner>> = vec![Arc::new(VectorOperators::new())];
    operators.extend(state.expr_planners().iter().cloned());
    let mut config = state.config().clone();
    config.options_mut().extensions.insert(Settings::default());
    *state = SessionStateBuilder::new_from_existing(state.clone())
        .with_config(config)
        .with_query_planner(Arc::new(Planner))
        .with_relation_planners(vec![Arc::new(KnnPlanner::new(Arc::clone(catalogs)))])
        .with_expr_planners(operators)
        .with_analyzer_rule(from_text::rule())
        .with_analyzer_rule(Arc::new(Prefilter))
        .with_analyzer_rule(Arc::new(OrderByDistance))
        .with_analyzer_rule(Arc::new(Lateral))
        .with_analyzer_rule(Arc::new(AsyncSort))
        .build();
    drop(state);
    for function in scalar::functions(Arc::clone(engine.models())) {
        context.register_udf(function);
    }
    for function in aggregate::functions() {
        context.register_udaf(function);
    }
    context.register_udtf(HISTORY, Arc::new(HistoryFunction(engine.shared_lake())));
    for operation in Operation::ALL {
        let function = LakeFunction::new(operation, engine.shared_lake(), engine.shared_indexes(), role);
        context.register_udtf(operation.name(), Arc::new(function));
    }
}
