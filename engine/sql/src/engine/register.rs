//! Registration of ruvector's parts in a DataFusion session: the relations, the rules, the functions, the settings and the
//! tables.

use std::sync::Arc;

use datafusion::catalog::CatalogProviderList;
use datafusion::execution::SessionStateBuilder;
use datafusion::logical_expr::ScalarUDF;
use datafusion::logical_expr::planner::ExprPlanner;
use datafusion::optimizer::OptimizerRule;
use datafusion::optimizer::decorrelate_predicate_subquery::DecorrelatePredicateSubquery;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::ensure_requirements::EnsureRequirements;
use datafusion::prelude::SessionContext;

use crate::engine::Engine;
use crate::functions::lake::{LakeFunction, Operation};
use crate::functions::table_history::HistoryFunction;
use crate::limits::array_sizes::ArraySizes;
use crate::limits::bounded::{self, BoundedCalls, bounded};
use crate::limits::plan_size::moved::Moved;
use crate::limits::planning;
use crate::limits::type_names;
use crate::rules::aggregate_floats::{self, with_floats_in_one_form};
use crate::rules::any::equal_any;
use crate::rules::correlated::Correlated;
use crate::rules::decimals::DecimalsAsDoubles;
use crate::rules::float_keys::FloatKeys;
use crate::rules::headless::Headless;
use crate::rules::inner_names::InnerNames;
use crate::rules::long_orders::LongOrders;
use crate::rules::mark::Marks;
use crate::rules::merged::{Merged, column_of_table};
use crate::rules::negated_keys::NegatedKeys;
use crate::rules::nested_floats::NestedFloats;
use crate::rules::outer_constants::OuterConstants;
use crate::rules::places::Places;
use crate::rules::set_all::Copies;
use crate::rules::signed::{self, SignedCounts, signed};
use crate::rules::sum::exact_sum;
use crate::rules::three_valued::ThreeValued;
use crate::rules::values::ValuesPlanner;
use crate::rules::{extremes, filter_first, filter_pushdown, having, negative, no_row, null_equal, single};
use crate::state::EngineState;
use crate::text::as_of::HISTORY;
use ruvector_udfs::aggregate;
use ruvector_udfs::names::CATALOG;
use ruvector_udfs::register::{SearchPlanner, relations, search_rules};
use ruvector_udfs::role::Role;
use ruvector_udfs::scalar;
use ruvector_udfs::scalar::async_sort::AsyncSort;
use ruvector_udfs::scalar::operators::VectorOperators;
use ruvector_udfs::settings::Settings;

/// Gives a session of any DataFusion program what ruvector has: `knn()`, `knn_batch()` and `recall()`, ORDER BY of a
/// distance as a search, the functions, the settings `ruvector.*`, and the engine's tables as the catalog `ruvector`
/// (`SELECT * FROM ruvector.main.docs`).
///
/// The session's query planner is replaced by DataFusion's own, which then knows our nodes. Statements that are ours alone
/// (CREATE INDEX, CREATE BACKEND) and changes of tables are [`Engine::execute`]'s.
pub fn register_all(context: &SessionContext, engine: &Engine) {
    context.register_catalog(CATALOG, engine.state().catalog());
    let catalogs = Arc::clone(context.state().catalog_list());
    configure_session(context, &catalogs, engine.state(), Role::Admin);
}

/// The same for a session that has the tables already, and may do what `role` may.
pub(crate) fn configure_session(
    context: &SessionContext,
    catalogs: &Arc<dyn CatalogProviderList>,
    engine: &EngineState,
    role: Role,
) {
    let shared = context.state_ref();
    let mut state = shared.write();
    // Before DataFusion's own, to which `<=>` is something else.
    let mut operators: Vec<Arc<dyn ExprPlanner>> =
        vec![Arc::new(VectorOperators::default()), Arc::new(SignedCounts), Arc::new(BoundedCalls)];
    operators.extend(state.expr_planners().iter().cloned());
    let mut config = state.config().clone();
    config.options_mut().extensions.insert(Settings::default());
    let optimizers = null_equal::in_place(&having::in_place(state.optimizers()));
    let physical_optimizers = physical(state.physical_optimizers());
    let unsigned: Vec<_> =
        signed::SCALAR.iter().filter_map(|name| state.scalar_functions().get(*name).cloned()).collect();
    let of_type_names: Vec<_> =
        type_names::FUNCTIONS.iter().filter_map(|name| state.scalar_functions().get(*name).cloned()).collect();
    let unbounded: Vec<_> = bounded::names().filter_map(|name| state.scalar_functions().get(name).cloned()).collect();
    let mut builder = SessionStateBuilder::new_from_existing(state.clone())
        .with_config(config)
        .with_query_planner(Arc::new(SearchPlanner))
        .with_relation_planners(vec![relations(Arc::clone(catalogs)), Arc::new(ValuesPlanner)])
        .with_expr_planners(operators)
        .with_type_planner(Arc::new(ArraySizes));
    for rule in search_rules() {
        builder = builder.with_analyzer_rule(rule);
    }
    let mut builder = builder
        .with_analyzer_rule(Arc::new(Correlated))
        // Of searches with their filters; what they make of subqueries is then sorted and filtered like other columns.
        .with_analyzer_rule(Arc::new(Places))
        .with_analyzer_rule(Arc::new(ThreeValued))
        .with_analyzer_rule(Arc::new(NegatedKeys))
        .with_analyzer_rule(Arc::new(AsyncSort))
        .with_analyzer_rule(Arc::new(Copies))
        .with_analyzer_rule(negative::rule())
        .with_analyzer_rule(Arc::new(FloatKeys))
        .with_analyzer_rule(Arc::new(NestedFloats))
        .with_analyzer_rule(extremes::rule())
        .with_analyzer_rule(Arc::new(InnerNames))
        .with_analyzer_rule(no_row::rule())
        .with_analyzer_rule(single::rule())
        .with_analyzer_rule(Arc::new(LongOrders::new()))
        .with_optimizer_rules(planning::optimizer(with_marks(&optimizers)))
        .with_physical_optimizer_rules(physical_optimizers);
    if let Some(analyzer) = builder.analyzer() {
        // Before anything moves, and before types are coerced.
        let first = [Arc::new(Moved) as _, Arc::new(Merged) as _, Arc::new(DecimalsAsDoubles) as _];
        analyzer.rules.splice(0..0, first);
        analyzer.rules = planning::analyzer(std::mem::take(&mut analyzer.rules));
    }
    *state = builder.build();
    drop(state);
    for function in unsigned {
        context.register_udf(signed(function));
    }
    for function in of_type_names {
        context.register_udf(type_names::bounded(function));
    }
    for function in unbounded {
        context.register_udf(ScalarUDF::clone(&bounded(function)));
    }
    context.register_udf(equal_any());
    context.register_udf(column_of_table());
    for function in scalar::functions(Arc::clone(engine.models()), role) {
        context.register_udf(function);
    }
    for function in aggregate::functions() {
        context.register_udaf(function);
    }
    // Of numbers; what it is of vectors is said above.
    let sum = context.state().aggregate_functions().get("sum").cloned();
    if let Some(sum) = sum {
        context.register_udaf(exact_sum(sum));
    }
    for name in aggregate_floats::FUNCTIONS {
        let function = context.state().aggregate_functions().get(name).cloned();
        if let Some(function) = function {
            context.register_udaf(with_floats_in_one_form(function));
        }
    }
    context.register_udtf(HISTORY, Arc::new(HistoryFunction(engine.shared_lake())));
    for operation in Operation::ALL {
        let function = LakeFunction::new(operation, engine.shared_lake(), engine.shared_indexes(), role);
        context.register_udtf(operation.name(), Arc::new(function));
    }
}

/// The optimizer's rules, with ours before those that make joins of subqueries.
fn with_marks(rules: &[Arc<dyn OptimizerRule + Send + Sync>]) -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    let mut rules = rules.to_vec();
    let joins = DecorrelatePredicateSubquery::new();
    if let Some(at) = rules.iter().position(|rule| rule.name() == joins.name()) {
        rules.splice(at..at, [Arc::new(Headless::BeforeJoins) as _, Arc::new(Marks::default()) as _]);
    }
    rules.insert(0, Arc::new(Headless::First));
    rules
}

/// The physical optimizer's rules, with ours in the places of some and before those that plan sorts.
fn physical(
    rules: &[Arc<dyn PhysicalOptimizerRule + Send + Sync>],
) -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    let mut rules = filter_first::in_place(&filter_pushdown::in_place(rules));
    let sorts = EnsureRequirements::new();
    if let Some(at) = rules.iter().position(|rule| rule.name() == sorts.name()) {
        rules.insert(at, Arc::new(OuterConstants));
    }
    rules
}
