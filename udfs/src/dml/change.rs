//! DELETE and UPDATE.

use std::sync::Arc;

use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{DmlStatement, Expr, LogicalPlan, LogicalPlanBuilder};
use ruvector_rulake::vectors::{check_vectors, dim_of};

use super::predicate::{Rows, predicate_of, refuse_volatile, unqualified};
use super::subquery::resolve_subqueries;
use super::{analyze, run};
use crate::engine::Engine;
use crate::error::{Error, Result};

pub(super) async fn delete(engine: &Engine, state: &SessionState, table: &str, input: LogicalPlan) -> Result<u64> {
    match predicate_of(state, &input).await? {
        Rows::None => Ok(0),
        Rows::All => Ok(engine.main().delete(table, None).await?),
        Rows::Where(predicate) => Ok(engine.main().delete(table, Some(predicate)).await?),
    }
}

pub(super) async fn update(engine: &Engine, state: &SessionState, table: &str, dml: &DmlStatement) -> Result<u64> {
    let input = analyze(state, &dml.input)?;
    let LogicalPlan::Projection(projection) = &input else {
        return Err(Error::not_supported(format!("UPDATE of {} is not supported", input.display())));
    };
    let predicate = predicate_of(state, &projection.input).await?;
    let mut assignments = Vec::new();
    for (expr, field) in projection.expr.iter().zip(projection.schema.fields()) {
        let value = expr.clone().unalias();
        if matches!(&value, Expr::Column(column) if &column.name == field.name()) {
            continue;
        }
        let value = resolve_subqueries(state, value).await?;
        refuse_volatile(&value)?;
        if dim_of(field.data_type()).is_some() {
            check_new_vectors(state, &value, field.name(), &projection.input).await?;
        }
        assignments.push((field.name().clone(), unqualified(value)?));
    }
    match predicate {
        Rows::None => Ok(0),
        Rows::All => Ok(engine.main().update(table, None, assignments).await?),
        Rows::Where(predicate) => Ok(engine.main().update(table, Some(predicate), assignments).await?),
    }
}

/// Refuses new vectors that are not finite, before anything is changed: the Delta library would store them.
async fn check_new_vectors(state: &SessionState, value: &Expr, name: &str, rows: &Arc<LogicalPlan>) -> Result<()> {
    let plan = LogicalPlanBuilder::from(rows.as_ref().clone()).project([value.clone().alias(name)])?.build()?;
    for batch in run(state, plan).await? {
        check_vectors(&batch)?;
    }
    Ok(())
}
