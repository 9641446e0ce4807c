//! UPDATE and DELETE as queries.

use std::sync::Arc;

use arrow::datatypes::Field;
use datafusion::common::DFSchema;
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::logical_expr::expr::Cast;
use datafusion::logical_expr::{DmlStatement, Expr, Filter, LogicalPlan, LogicalPlanBuilder, SubqueryAlias};
use datafusion::prelude::{col, ident, lit};
use datafusion::sql::parser::Statement as DfStatement;
use datafusion::sql::unparser::expr_to_sql;
use ruvector_rulake::address::ADDRESS_COLUMN;
use ruvector_rulake::backend::delta::ChangeKind;

use super::assignments::written_casts;
use super::{ChangeQuery, target_of};
use crate::statements::assign::assigned_value;
use ruvector_udfs::collection::CollectionTable;
use ruvector_udfs::error::{Error, Result};

/// The column that says whether a row is deleted.
pub(super) const DELETED_COLUMN: &str = "_ruvector_deleted";

/// Bytes of a condition in the log, at most: a vector or a list of ids in it helps no reader.
const CONDITION_BYTES_MAX: usize = 2048;

pub(super) fn delete(dml: &DmlStatement) -> Result<ChangeQuery> {
    let input = match dml.input.as_ref() {
        // A DELETE that is planned as an UPDATE.
        LogicalPlan::Projection(projection) => projection.input.as_ref(),
        input => input,
    };
    let condition = condition_of(input);
    let plan = match input {
        LogicalPlan::TableScan(_) | LogicalPlan::SubqueryAlias(_) => None,
        input => Some(by_address(LogicalPlanBuilder::from(addressed(input)?).project(row(true))?)?),
    };
    Ok(ChangeQuery { kind: ChangeKind::Delete, condition, columns: Vec::new(), plan })
}

pub(super) fn update(dml: &DmlStatement, statement: &DfStatement) -> Result<ChangeQuery> {
    let LogicalPlan::Projection(projection) = dml.input.as_ref() else {
        return Err(Error::not_supported(format!("UPDATE of {} is not supported", dml.input.display())));
    };
    let schema = target_of(dml)?.snapshot().schema();
    let (mut columns, mut exprs) = (Vec::new(), row(false));
    for (position, (expr, field)) in projection.expr.iter().zip(schema.fields()).enumerate() {
        let value = expr.clone().unalias();
        if matches!(&value, Expr::Column(column) if &column.name == field.name()) {
            continue;
        }
        columns.push(position);
        exprs.push(
            assigned(value, field, projection.input.schema(), written_casts(statement, field.name()))
                .alias(field.name()),
        );
    }
    let condition = condition_of(&projection.input);
    let plan = by_address(LogicalPlanBuilder::from(addressed(&projection.input)?).project(exprs)?)?;
    Ok(ChangeQuery { kind: ChangeKind::Update, condition, columns, plan: Some(plan) })
}

/// The value for a column, without the cast that the planner put around it: that would cut off what does not fit.
fn assigned(value: Expr, column: &Field, schema: &DFSchema, num_written: usize) -> Expr {
    let mut num_casts = 0;
    let mut inner = &value;
    while let Expr::Cast(Cast { expr, .. }) = inner {
        num_casts += 1;
        inner = expr.as_ref();
    }
    match value {
        Expr::Cast(Cast { expr, .. }) if num_casts > num_written => assigned_value(*expr, column, schema),
        value => assigned_value(value, column, schema),
    }
}

/// The first columns of a change: the address of the row, and whether it is deleted.
fn row(deleted: bool) -> Vec<Expr> {
    vec![col(ADDRESS_COLUMN), lit(deleted).alias(DELETED_COLUMN)]
}

/// The rows in the order of their addresses, new ones last.
pub(super) fn by_address(rows: LogicalPlanBuilder) -> Result<LogicalPlan> {
    Ok(rows.sort([ident(ADDRESS_COLUMN).sort(true, false)])?.build()?)
}

/// The rows of a table that a statement means, with their addresses.
fn addressed(input: &LogicalPlan) -> Result<LogicalPlan> {
    match input {
        LogicalPlan::Filter(Filter { predicate, input, .. }) => {
            Ok(LogicalPlan::Filter(Filter::try_new(predicate.clone(), Arc::new(addressed(input)?))?))
        }
        LogicalPlan::SubqueryAlias(alias) => {
            let rows = addressed(&alias.input)?;
            Ok(LogicalPlan::SubqueryAlias(SubqueryAlias::try_new(Arc::new(rows), alias.alias.clone())?))
        }
        LogicalPlan::TableScan(scan) => {
            let provider = source_as_provider(&scan.source)?;
            let Some(table) = provider.downcast_ref::<CollectionTable>() else {
                return Err(Error::not_supported(format!("table {} cannot be changed by SQL", scan.table_name)));
            };
            let source = provider_as_source(Arc::new(table.addressed()));
            Ok(LogicalPlanBuilder::scan(scan.table_name.clone(), source, None)?.build()?)
        }
        other => {
            Err(Error::not_supported(format!("UPDATE or DELETE of the rows of {} is not supported", other.display())))
        }
    }
}

fn condition_of(input: &LogicalPlan) -> Option<String> {
    match input {
        LogicalPlan::Filter(filter) => Some(text_of(&filter.predicate)),
        _ => None,
    }
}

/// An expression as SQL, as far as a reader of the log wants to know it.
pub(super) fn text_of(expr: &Expr) -> String {
    let mut text = expr_to_sql(expr).map_or_else(|_| expr.to_string(), |sql| sql.to_string());
    if text.len() > CONDITION_BYTES_MAX {
        let end = (0..=CONDITION_BYTES_MAX).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
        text.push_str("...");
    }
    text
}
