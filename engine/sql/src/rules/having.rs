//! A filter without columns stays above an aggregate that has a row for no rows.
//!
//! DataFusion 55 pushes a filter below an aggregate if all of its columns are keys of groups. That holds for a filter without
//! columns (`HAVING (SELECT false)`, `HAVING $1`) above an aggregate without groups, which then counts no rows and answers.
//! A volatile filter (`HAVING random() < 0.5`) would be asked for each row, and not for each group. Here such filters are kept
//! back, and the others go to DataFusion's rule.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::Transformed;
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{Aggregate, Distinct, Expr, Filter, GroupingSet, LogicalPlan};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::push_down_filter::PushDownFilter;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

use super::in_place_of;

/// A list of rules.
type Rules = Vec<Arc<dyn OptimizerRule + Send + Sync>>;

/// The rules with ours in the places of DataFusion's.
pub(crate) fn in_place(rules: &[Arc<dyn OptimizerRule + Send + Sync>]) -> Rules {
    let replaced = PushDownFilter::new();
    let ours: Arc<dyn OptimizerRule + Send + Sync> = Arc::new(KeepsFilters(PushDownFilter::new()));
    in_place_of(rules, |rule| rule.name() == replaced.name(), &ours)
}

#[derive(Debug)]
struct KeepsFilters(PushDownFilter);

impl OptimizerRule for KeepsFilters {
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
        let LogicalPlan::Filter(filter) = plan else { return self.0.rewrite(plan, config) };
        let mut predicates = split_conjunction_owned(filter.predicate.clone());
        let mut input = &filter.input;
        // DataFusion's rule makes one filter of several, and then looks at what is below them.
        while let LogicalPlan::Filter(below) = input.as_ref() {
            predicates.splice(0..0, split_conjunction_owned(below.predicate.clone()));
            input = &below.input;
        }
        let (kept, pushed): (Vec<_>, Vec<_>) = predicates.into_iter().partition(|predicate| stays(predicate, input));
        if kept.is_empty() {
            return self.0.rewrite(LogicalPlan::Filter(filter), config);
        }
        let below = match conjunction(pushed) {
            Some(pushed) => {
                let pushed = Filter::try_new(pushed, Arc::clone(input))?;
                self.0.rewrite(LogicalPlan::Filter(pushed), config)?
            }
            None => Transformed::no(input.as_ref().clone()),
        };
        below.map_data(|below| {
            let (others, input) = match below {
                LogicalPlan::Filter(filter) => (split_conjunction_owned(filter.predicate), filter.input),
                other => (Vec::new(), Arc::new(other)),
            };
            match conjunction(others.into_iter().chain(kept)) {
                Some(predicate) => Ok(LogicalPlan::Filter(Filter::try_new(predicate, input)?)),
                None => Ok(input.as_ref().clone()),
            }
        })
    }
}

/// Returns true if the rows of `input` must be there before `predicate` is asked.
fn stays(predicate: &Expr, input: &LogicalPlan) -> bool {
    match input {
        LogicalPlan::Aggregate(aggregate) => {
            predicate.is_volatile() || (predicate.column_refs().is_empty() && answers_no_rows(aggregate))
        }
        LogicalPlan::Window(_) | LogicalPlan::Distinct(Distinct::All(_) | Distinct::On(_)) => predicate.is_volatile(),
        _ => false,
    }
}

/// Returns true if an aggregate over no rows has a row.
fn answers_no_rows(aggregate: &Aggregate) -> bool {
    aggregate.group_expr.iter().all(|group| match group {
        Expr::GroupingSet(GroupingSet::Rollup(_) | GroupingSet::Cube(_)) => true,
        Expr::GroupingSet(GroupingSet::GroupingSets(sets)) => sets.iter().any(Vec::is_empty),
        _ => false,
    })
}
