//! A bound on conditions that move down a plan.
//!
//! DataFusion 55 moves a condition below a projection, with the expressions of the projection in the place of its columns. Below n
//! projections of `a + a AS a` the condition has 2^n parts. A search that replaces ORDER BY reads its key in the same way. The sizes
//! are computed here from the scans upwards, before anything moves.

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion, TreeNodeVisitor};
use datafusion::common::{DFSchema, DataFusionError, Result};
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::optimizer::AnalyzerRule;

/// Parts of a condition below all projections, at most. A bound: so many take a second in a release build.
const PARTS_MAX: u64 = 20_000;
/// The growth of a condition from which on it counts. A bound: a long condition that does not grow is as it was written.
const GROWTH_FEW: u64 = 16;

/// Checks the conditions and keys of a plan.
#[derive(Debug)]
pub(crate) struct Moved;

impl AnalyzerRule for Moved {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        check(&plan)?;
        Ok(plan)
    }

    fn name(&self) -> &str {
        "sizes_of_moved_conditions"
    }
}

fn check(plan: &LogicalPlan) -> Result<()> {
    let mut sizes = ColumnSizes(Vec::new());
    plan.visit(&mut sizes).map(|_| ())
}

/// The sizes of the columns of the plans whose parents have not been visited: the parts of each below all projections.
struct ColumnSizes(Vec<Vec<u64>>);

impl TreeNodeVisitor<'_> for ColumnSizes {
    type Node = LogicalPlan;

    fn f_up(&mut self, plan: &LogicalPlan) -> Result<TreeNodeRecursion> {
        plan.apply_subqueries(|subquery| check(subquery).map(|()| TreeNodeRecursion::Jump))?;
        let inputs = plan.inputs();
        let below = self.0.split_off(self.0.len().saturating_sub(inputs.len()));
        let columns = plan.schema().fields().len();
        let input = match (inputs.first(), below.first()) {
            (Some(plan), Some(sizes)) => Some((plan.schema().as_ref(), sizes.as_slice())),
            _ => None,
        };
        let own = match (plan, input) {
            (LogicalPlan::Projection(projection), Some((schema, sizes))) => {
                projection.expr.iter().map(|expr| parts(expr, schema, sizes)).collect()
            }
            (LogicalPlan::Aggregate(aggregate), Some((schema, sizes))) => {
                aggregate.group_expr.iter().map(|expr| parts(expr, schema, sizes)).collect()
            }
            (LogicalPlan::Filter(filter), Some((schema, sizes))) => {
                condition(&filter.predicate, schema, sizes)?;
                sizes.to_vec()
            }
            (LogicalPlan::Sort(sort), Some((schema, sizes))) => {
                sort.expr.iter().try_for_each(|key| condition(&key.expr, schema, sizes))?;
                sizes.to_vec()
            }
            (LogicalPlan::Join(join), Some(_)) => {
                let both: Vec<u64> = below.concat();
                if let (Some(filter), Ok(schema)) = (&join.filter, join.left.schema().join(join.right.schema())) {
                    condition(filter, &schema, &both)?;
                }
                if let [left, right] = below.as_slice() {
                    for (of_left, of_right) in &join.on {
                        condition(of_left, join.left.schema(), left)?;
                        condition(of_right, join.right.schema(), right)?;
                    }
                }
                match below.as_slice() {
                    [left, _] if left.len() == columns => left.clone(),
                    [_, right] if right.len() == columns => right.clone(),
                    _ => both,
                }
            }
            (LogicalPlan::Union(_), Some(_)) => (0..columns)
                .map(|at| below.iter().filter_map(|sizes| sizes.get(at)).copied().max().unwrap_or(1))
                .collect(),
            (_, Some((_, sizes))) => sizes.to_vec(),
            (_, None) => Vec::new(),
        };
        self.0.push(own.into_iter().chain(std::iter::repeat(1)).take(columns).collect());
        Ok(TreeNodeRecursion::Continue)
    }
}

/// Checks the size of a condition.
fn condition(expr: &Expr, schema: &DFSchema, sizes: &[u64]) -> Result<()> {
    let moved = parts(expr, schema, sizes);
    if moved <= PARTS_MAX || moved / parts(expr, schema, &[]).max(1) < GROWTH_FEW {
        return Ok(());
    }
    Err(DataFusionError::Plan(format!(
        "a condition or a key of an order: expected at most {PARTS_MAX} parts with those of the columns that it names, in all \
         queries below it, got {moved}"
    )))
}

/// The parts of an expression, with those of its columns.
fn parts(expr: &Expr, schema: &DFSchema, sizes: &[u64]) -> u64 {
    let mut parts: u64 = 0;
    // An error would be one of the closure, which has none.
    let _ = expr.apply(|expr| {
        let more = match expr {
            Expr::Literal(..) => 0,
            Expr::Column(column) => {
                schema.maybe_index_of_column(column).and_then(|at| sizes.get(at)).copied().unwrap_or(1)
            }
            _ => 1,
        };
        parts = parts.saturating_add(more);
        Ok(TreeNodeRecursion::Continue)
    });
    parts.max(1)
}
