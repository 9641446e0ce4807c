//! The end of a planning whose statement was stopped: each rule of the planner first looks whether the statement goes on.
//!
//! A planner waits for nothing, so that nothing else can end it. One rule may take long for one node; it is not interrupted.

use std::fmt;
use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::{AnalyzerRule, ApplyOrder, OptimizerConfig, OptimizerRule};

use crate::running::stop::Stop;

type Analyzer = Arc<dyn AnalyzerRule + Send + Sync>;
type Optimizer = Arc<dyn OptimizerRule + Send + Sync>;

/// The rules of an analyzer, which end with their statement.
pub(crate) fn analyzer(rules: Vec<Analyzer>) -> Vec<Analyzer> {
    rules.into_iter().map(|rule| Arc::new(UntilStopped(rule)) as Analyzer).collect()
}

/// The rules of an optimizer, which end with their statement.
pub(crate) fn optimizer(rules: Vec<Optimizer>) -> Vec<Optimizer> {
    rules.into_iter().map(|rule| Arc::new(UntilStopped(rule)) as Optimizer).collect()
}

/// A rule that looks whether its statement goes on.
struct UntilStopped<R>(R);

impl<R: fmt::Debug> fmt::Debug for UntilStopped<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl AnalyzerRule for UntilStopped<Analyzer> {
    fn analyze(&self, plan: LogicalPlan, config: &ConfigOptions) -> Result<LogicalPlan> {
        check()?;
        self.0.analyze(plan, config)
    }

    fn name(&self) -> &str {
        self.0.name()
    }
}

impl OptimizerRule for UntilStopped<Optimizer> {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        self.0.apply_order()
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        check()?;
        self.0.rewrite(plan, config)
    }
}

/// Checks that the statement that is being planned goes on.
fn check() -> Result<()> {
    match Stop::current() {
        Some(stop) => stop.check().map_err(|stopped| DataFusionError::External(Box::new(stopped))),
        None => Ok(()),
    }
}
