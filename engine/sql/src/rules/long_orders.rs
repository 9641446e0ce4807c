//! `ORDER BY` of many keys below a projection.
//!
//! DataFusion 55 derives the orders of a projection from the order of its input: one for each choice of a cast or of the column for
//! each key, which are 2^n for n keys, and then compares all with each other. It derives none from a function that it does not know.
//! Here such a function is around each key after the first eight.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Expr, LogicalPlan, ScalarUDF};
use datafusion::optimizer::AnalyzerRule;

use super::unchanged;

/// Keys from which orders are derived. A bound: eight make at most 256.
const KEYS_MAX: usize = 8;

/// The name of the function around the other keys.
const NAME: &str = "further_key";

/// Hides the keys of long orders.
#[derive(Debug)]
pub(crate) struct LongOrders {
    further_key: Arc<ScalarUDF>,
}

impl LongOrders {
    pub(crate) fn new() -> Self {
        Self { further_key: Arc::new(unchanged::function(NAME, false)) }
    }
}

impl AnalyzerRule for LongOrders {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        let hidden = plan.transform_up_with_subqueries(|plan| {
            let LogicalPlan::Sort(mut sort) = plan else { return Ok(Transformed::no(plan)) };
            let further = sort.expr.iter_mut().skip(KEYS_MAX).filter(|key| !is_further(&key.expr));
            let mut changed = false;
            for key in further {
                let call = ScalarFunction::new_udf(Arc::clone(&self.further_key), vec![key.expr.clone()]);
                key.expr = Expr::ScalarFunction(call);
                changed = true;
            }
            let sort = LogicalPlan::Sort(sort);
            Ok(if changed { Transformed::yes(sort) } else { Transformed::no(sort) })
        });
        hidden.map(|hidden| hidden.data)
    }

    fn name(&self) -> &str {
        "long_orders"
    }
}

fn is_further(expr: &Expr) -> bool {
    matches!(expr, Expr::ScalarFunction(call) if call.name() == NAME)
}
