//! A condition of a correlated subquery reads the columns that it names.
//!
//! DataFusion 55 makes a join of a correlated subquery and gives all of its columns one qualifier. Where two of its tables have
//! a column of one name, `a.day > b.day` in a condition that is moved to the join becomes a comparison of one column with
//! itself. Here such columns have names of their own before that.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, Result};
use datafusion::logical_expr::{Expr, Filter, LogicalPlan, Projection};
use datafusion::optimizer::AnalyzerRule;

/// Names the columns of correlated conditions.
#[derive(Debug)]
pub(crate) struct InnerNames;

impl AnalyzerRule for InnerNames {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        let mut count = 0;
        let named = plan.transform_up_with_subqueries(|plan| match plan {
            LogicalPlan::Filter(filter) if filter.predicate.contains_outer() => with_names(filter, &mut count),
            other => Ok(Transformed::no(other)),
        });
        named.map(|named| named.data)
    }

    fn name(&self) -> &str {
        "names_of_inner_columns"
    }
}

fn with_names(filter: Filter, count: &mut usize) -> Result<Transformed<LogicalPlan>> {
    let schema = filter.input.schema();
    let mut named: Vec<(Column, Column)> = Vec::new();
    let predicate = filter.predicate.clone().transform_up(|expr| {
        let Expr::Column(column) = expr else { return Ok(Transformed::no(expr)) };
        if schema.fields().iter().filter(|field| *field.name() == column.name).count() < 2 {
            return Ok(Transformed::no(Expr::Column(column)));
        }
        let known = named.iter().find(|(known, _)| *known == column).map(|(_, name)| name.clone());
        let name = known.unwrap_or_else(|| {
            *count += 1;
            let name = Column::from_name(format!("__inner_{count}"));
            named.push((column, name.clone()));
            name
        });
        Ok(Transformed::yes(Expr::Column(name)))
    })?;
    if named.is_empty() {
        return Ok(Transformed::no(LogicalPlan::Filter(filter)));
    }
    let columns: Vec<Expr> = schema.columns().into_iter().map(Expr::Column).collect();
    let names = named.into_iter().map(|(column, name)| Expr::Column(column).alias(name.name));
    let input = Projection::try_new(columns.iter().cloned().chain(names).collect(), Arc::clone(&filter.input))?;
    let filter = Filter::try_new(predicate.data, Arc::new(LogicalPlan::Projection(input)))?;
    let without_names = Projection::try_new(columns, Arc::new(LogicalPlan::Filter(filter)))?;
    Ok(Transformed::yes(LogicalPlan::Projection(without_names)))
}
