//! Plans that are made before the values of parameters are known: a `knn($1, ...)` is bound to values each time that the plan
//! runs.
//!
//! DataFusion plans no placeholder physically, so a parameter anywhere else leaves a plan as it is. A statement with such a
//! parameter is planned again with its values, which also lets the optimizer see them.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, exec_datafusion_err};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, UserDefinedLogicalNode, Volatility};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::execution_plan::reset_plan_states;
use datafusion::scalar::ScalarValue;
use ruvector_rulake::operator::{OperatorExec, operator_of};
use ruvector_rulake::vector_column::dim_of;

use super::logical::federated::FederatedNode;
use super::logical::join::KnnJoinNode;
use super::logical::knn::{KnnNode, Query, parameter_position};
use super::physical::join::KnnJoinExec;
use super::physical::knn::KnnExec;
use crate::collection::CollectionTable;

/// A plan whose searches take parameters when it runs.
pub struct Parameterized {
    /// The plan.
    pub plan: LogicalPlan,
    /// True if a cast of a query vector was left out. The search does the same conversion, but not for text.
    pub casts: bool,
}

/// The plan with searches that take parameters when it runs, which may be many times. `None` if it has other parameters, reads
/// other tables than ours, or answers something else each time.
pub fn parameterize(plan: LogicalPlan) -> Result<Option<Parameterized>> {
    let mut casts = false;
    let parameterized = plan.transform_down_with_subqueries(|plan| match parameterize_node(&plan, &mut casts) {
        Some(node) => Ok(Transformed::yes(LogicalPlan::Extension(Extension { node }))),
        None => Ok(Transformed::no(plan)),
    })?;
    let plan = parameterized.data;
    let mut fits = true;
    plan.apply_with_subqueries(|plan| {
        fits &= match plan {
            LogicalPlan::TableScan(scan) => {
                source_as_provider(&scan.source)?.downcast_ref::<CollectionTable>().is_some()
            }
            LogicalPlan::Extension(extension) => {
                let node = extension.node.as_any();
                if let Some(node) = node.downcast_ref::<KnnNode>() {
                    // Its one expression is `k`.
                    if matches!(&node.k, Expr::Placeholder(k) if parameter_position(k).is_some()) {
                        return Ok(TreeNodeRecursion::Continue);
                    }
                    true
                } else {
                    // A backend that is left out may be there the next time.
                    let federated = node.downcast_ref::<FederatedNode>();
                    federated.map_or(node.is::<KnnJoinNode>(), |node| node.federation.absent.is_empty())
                }
            }
            LogicalPlan::Dml(_) | LogicalPlan::Ddl(_) | LogicalPlan::Statement(_) | LogicalPlan::Copy(_) => false,
            LogicalPlan::Explain(_) | LogicalPlan::Analyze(_) | LogicalPlan::DescribeTable(_) => false,
            _ => true,
        };
        for expr in plan.expressions() {
            fits &= is_fixed(&expr)?;
        }
        Ok(if fits { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    })?;
    Ok(fits.then_some(Parameterized { plan, casts }))
}

/// True if a plan has a search.
pub fn contains_search(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|plan| {
        if let LogicalPlan::Extension(extension) = plan {
            let node = extension.node.as_any();
            found |= node.is::<KnnNode>() || node.is::<KnnJoinNode>() || node.is::<FederatedNode>();
        }
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

/// Nodes that start over when they are reset, also while another run of them goes on. An aggregate keeps the bounds that it
/// found, and a scalar subquery has one place for its value.
const REUSABLE: [&str; 20] = [
    "CoalesceBatchesExec",
    "CoalescePartitionsExec",
    "CooperativeExec",
    "CrossJoinExec",
    "DataSourceExec",
    "EmptyExec",
    "FederatedKnnExec",
    "FilterExec",
    "GlobalLimitExec",
    "HashJoinExec",
    "KnnExec",
    "KnnJoinExec",
    "LocalLimitExec",
    "NestedLoopJoinExec",
    "PlaceholderRowExec",
    "ProjectionExec",
    "RepartitionExec",
    "SortExec",
    "SortPreservingMergeExec",
    "WithVectorsExec",
];

/// True if a plan may run many times.
pub fn is_reusable(plan: &Arc<dyn ExecutionPlan>) -> bool {
    REUSABLE.contains(&plan.name()) && plan.children().into_iter().all(is_reusable)
}

/// The tables that a plan reads or searches.
pub fn tables(plan: &LogicalPlan) -> Result<Vec<CollectionTable>> {
    let mut found = Vec::new();
    plan.apply_with_subqueries(|plan| {
        match plan {
            LogicalPlan::TableScan(scan) => {
                found.extend(source_as_provider(&scan.source)?.downcast_ref::<CollectionTable>().cloned());
            }
            LogicalPlan::Extension(extension) => {
                let node = extension.node.as_any();
                let target = node.downcast_ref::<KnnNode>().map(|node| &node.target);
                let target = target.or_else(|| node.downcast_ref::<KnnJoinNode>().map(|node| &node.target));
                found.extend(target.map(|target| target.table.clone()));
            }
            _ => {}
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

/// The search without its query vectors, if they are a parameter.
fn parameterize_node(plan: &LogicalPlan, casts: &mut bool) -> Option<Arc<dyn UserDefinedLogicalNode>> {
    let LogicalPlan::Extension(extension) = plan else { return None };
    let node = extension.node.as_any();
    if let Some(knn) = node.downcast_ref::<KnnNode>() {
        return Some(Arc::new(with_parameter(knn, casts)?));
    }
    let join = node.downcast_ref::<KnnJoinNode>().filter(|join| join.parameter.is_some() && !join.is_parameterized)?;
    let mut join = join.clone();
    join.is_parameterized = true;
    Some(Arc::new(join))
}

fn with_parameter(node: &KnnNode, casts: &mut bool) -> Option<KnnNode> {
    let Query::Plan(LogicalPlan::Projection(query)) = &node.query else { return None };
    let ([query], LogicalPlan::EmptyRelation(_)) = (query.expr.as_slice(), query.input.as_ref()) else { return None };
    let Expr::Placeholder(query) = as_given(query, casts) else { return None };
    let mut parameterized = node.clone();
    parameterized.query = Query::Parameter(parameter_position(query)?);
    Some(parameterized)
}

/// The expression under what makes it a vector.
fn as_given<'a>(expr: &'a Expr, casts: &mut bool) -> &'a Expr {
    match expr {
        Expr::Alias(alias) => as_given(&alias.expr, casts),
        Expr::Cast(cast) if dim_of(cast.field.data_type()).is_some() || is_list(cast.field.data_type()) => {
            *casts = true;
            as_given(&cast.expr, casts)
        }
        other => other,
    }
}

fn is_list(data_type: &DataType) -> bool {
    matches!(data_type, DataType::List(item) | DataType::LargeList(item) if item.data_type() == &DataType::Float32)
}

/// Returns true if an expression has the same value each time, and no parameter.
fn is_fixed(expr: &Expr) -> Result<bool> {
    let mut fixed = true;
    expr.apply(|expr| {
        fixed &= match expr {
            Expr::Placeholder(_) | Expr::ScalarVariable(..) => false,
            Expr::ScalarFunction(function) => function.func.signature().volatility == Volatility::Immutable,
            _ => true,
        };
        Ok(if fixed { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    })?;
    Ok(fixed)
}

/// The plan with values for its parameters, ready to run once.
///
/// # Errors
/// If an argument has no value, or one that does not fit.
pub fn bind(plan: &Arc<dyn ExecutionPlan>, values: &[ScalarValue]) -> Result<Arc<dyn ExecutionPlan>> {
    let value = |position: usize| {
        values.get(position).ok_or_else(|| exec_datafusion_err!("parameter ${} has no value", position + 1))
    };
    // Most are one node.
    if plan.children().is_empty()
        && let Some(bound) = bind_node(plan, value)?
    {
        return Ok(bound);
    }
    let bound = Arc::clone(plan).transform_up(|plan| match bind_node(&plan, value)? {
        Some(bound) => Ok(Transformed::yes(bound)),
        None => Ok(Transformed::no(plan)),
    })?;
    reset_plan_states(bound.data)
}

fn bind_node<'a>(
    plan: &Arc<dyn ExecutionPlan>,
    value: impl Fn(usize) -> Result<&'a ScalarValue>,
) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    if let Some(knn) = operator_of::<KnnExec>(plan) {
        return Ok(Some(OperatorExec::plan(knn.bind(value)?)));
    }
    match operator_of::<KnnJoinExec>(plan) {
        Some(join) => Ok(Some(OperatorExec::plan(join.bind(value)?))),
        None => Ok(None),
    }
}
