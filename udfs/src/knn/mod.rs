//! `knn(table, query, k, ...)`: the relation of the `k` nearest rows, and its relatives `knn_batch()` and `recall()`.
//!
//! ```text
//! text          sql/        a table factor and its arguments become a logical node
//!  |            logical/    KnnNode, KnnJoinNode (a search for each row), FederatedNode (several backends), RecallNode
//!  v            rules/      before DataFusion's optimizer: WHERE, ORDER BY with LIMIT and LATERAL become parts of a node
//! answer        physical/   each node's execution plan, and the search of one table
//! ```
//!
//! `plan::knn_arguments` of `ruvector_sql` prepares the arguments before [`sql`] reads them; [`parameterize`] lets a plan run many
//! times with other query vectors.
//!
//! The inputs of a node are plans: one that yields the query vectors, and one that yields the addresses of the rows that a
//! filter allows. So parameters bind, subqueries plan and functions are evaluated as anywhere else, when the plan runs;
//! and no optimizer rule has anything to push through the node.

pub mod argument;
mod list_types;
pub mod logical;
pub mod parameterize;
pub mod physical;
pub mod rules;
pub mod sql;

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

/// The column of distances in the relation's answer.
pub const DISTANCE_COLUMN: &str = "_distance";
/// The qualifier of its columns, if the query gives it no alias.
pub const RELATION: &str = "knn";
