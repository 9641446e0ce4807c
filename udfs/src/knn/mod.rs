//! `knn(table, query, k, ...)`: the relation of the `k` nearest rows.
//!
//! In travel order: `plan::knn_arguments` of `ruvector_sql` prepares its arguments; [`planner`] turns the table factor into a
//! [`node::KnnNode`]; [`prefilter`] gives a WHERE on it its meaning before any optimizer rule runs; [`exec`] answers it.
//!
//! The node's inputs are plans: one that yields the query vector, and one that yields the addresses of the rows that a
//! filter allows. So parameters bind, subqueries plan and functions are evaluated as anywhere else, when the plan runs;
//! and no optimizer rule has anything to push through the node.

pub mod arguments;
pub mod exec;
pub mod federated;
pub mod join;
pub mod node;
pub mod open;
pub mod order_by;
pub mod planner;
pub mod prefilter;
mod queries;
pub(crate) mod recall;
mod resolve;
mod search;

use datafusion::common::Result;
use datafusion::common::tree_node::TreeNode;
use datafusion::logical_expr::Expr;

use crate::scalar::embed::EMBED;

/// True if the value of an expression may change between evaluations. `embed()` is excluded: it is declared volatile so that no
/// planner runs it, but it answers the same for the same text.
fn changes_each_time(expr: &Expr) -> Result<bool> {
    expr.exists(|expr| {
        Ok(expr.is_volatile_node() && !matches!(expr, Expr::ScalarFunction(call) if call.name() == EMBED))
    })
}

/// The relations of this module, by their names in SQL.
pub fn relations() -> [&'static str; 3] {
    [arguments::KNN.name, arguments::BATCH.name, arguments::RECALL.name]
}

/// The column of distances in the relation's answer.
pub const DISTANCE_COLUMN: &str = "_distance";
/// The qualifier of its columns, if the query gives it no alias.
pub const RELATION: &str = "knn";
