//! A join on IS NOT DISTINCT FROM stays one beside other joins.
//!
//! DataFusion 55 takes inner joins that stand together apart, to order them by their keys (`eliminate_cross_join`), and forgets
//! for which of them NULL equals NULL. Here a join for which it does is hidden from that rule, which looks at its inputs all the
//! same.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchemaRef, NullEquality, Result, internal_err};
use datafusion::logical_expr::{Expr, Extension, Join, JoinType, LogicalPlan, UserDefinedLogicalNodeCore};
use datafusion::optimizer::eliminate_cross_join::EliminateCrossJoin;
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

use super::in_place_of;

/// A list of rules.
type Rules = Vec<Arc<dyn OptimizerRule + Send + Sync>>;

/// The rules with ours in the places of DataFusion's.
pub(crate) fn in_place(rules: &[Arc<dyn OptimizerRule + Send + Sync>]) -> Rules {
    let replaced = EliminateCrossJoin::new();
    let ours: Arc<dyn OptimizerRule + Send + Sync> = Arc::new(KeepsNullEquality(EliminateCrossJoin::new()));
    in_place_of(rules, |rule| rule.name() == replaced.name(), &ours)
}

#[derive(Debug)]
struct KeepsNullEquality(EliminateCrossJoin);

impl OptimizerRule for KeepsNullEquality {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        self.0.apply_order()
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let hidden = plan.transform_up_with_subqueries(|plan| match plan {
            LogicalPlan::Join(join)
                if join.join_type == JoinType::Inner && join.null_equality == NullEquality::NullEqualsNull =>
            {
                let node = Arc::new(NullEqualJoin(join));
                Ok(Transformed::yes(LogicalPlan::Extension(Extension { node })))
            }
            other => Ok(Transformed::no(other)),
        })?;
        let was_hidden = hidden.transformed;
        let rewritten = self.0.rewrite(hidden.data, config)?;
        if !was_hidden {
            return Ok(rewritten);
        }
        rewritten.map_data(|plan| {
            let shown = plan.transform_up_with_subqueries(|plan| match plan {
                LogicalPlan::Extension(extension) => match extension.node.as_any().downcast_ref::<NullEqualJoin>() {
                    Some(NullEqualJoin(join)) => Ok(Transformed::yes(LogicalPlan::Join(join.clone()))),
                    None => Ok(Transformed::no(LogicalPlan::Extension(extension))),
                },
                other => Ok(Transformed::no(other)),
            });
            shown.map(|shown| shown.data)
        })
    }
}

/// A join that is hidden.
#[derive(Debug, PartialEq, Eq, Hash)]
struct NullEqualJoin(Join);

impl PartialOrd for NullEqualJoin {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.0.partial_cmp(&other.0)
    }
}

impl UserDefinedLogicalNodeCore for NullEqualJoin {
    fn name(&self) -> &str {
        "NullEqualJoin"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.0.left, &self.0.right]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.0.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "NullEqualJoin")
    }

    fn with_exprs_and_inputs(&self, _exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        let Ok([left, right]) = <[LogicalPlan; 2]>::try_from(inputs) else {
            return internal_err!("a join has two inputs");
        };
        Ok(Self(Join { left: Arc::new(left), right: Arc::new(right), ..self.0.clone() }))
    }
}
