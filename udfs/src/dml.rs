//! INSERT, DELETE and UPDATE, from the plan before any optimizer rule has seen it onto the Delta library's operations.
//!
//! Not through `TableProvider::delete_from` and `update`: those may get an empty filter, meaning every row, for
//! `WHERE false`, `IN (SELECT ...)` or `EXISTS`.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchemaRef};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::dml::InsertOp;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{DmlStatement, Expr, Filter, LogicalPlan, LogicalPlanBuilder, WriteOp};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::physical_plan::{collect, execute_stream};
use datafusion::scalar::ScalarValue;
use ruvector_rulake::Backend;
use ruvector_rulake::vectors::{check_vectors, dim_of};

use crate::engine::Engine;
use crate::error::{Error, ErrorKind, Result};
use crate::one_state::of_one_state;

/// Values that a subquery in the predicate of a DELETE or UPDATE may yield.
const SUBQUERY_ROWS_MAX: usize = 1_000_000;

/// Runs a data change and returns the number of rows that it changed.
pub(crate) async fn execute(engine: &Engine, state: &SessionState, dml: DmlStatement) -> Result<u64> {
    let table = engine.main_table(&dml.table_name)?;
    match dml.op {
        WriteOp::Insert(op) => insert(engine, state, &table, op, &dml.input).await,
        WriteOp::Delete => delete(engine, state, &table, analyze(state, &dml.input)?).await,
        WriteOp::Update => update(engine, state, &table, &dml).await,
        other => Err(Error::not_supported(format!("{} is not supported", other.name()))),
    }
}

async fn insert(engine: &Engine, state: &SessionState, table: &str, op: InsertOp, input: &LogicalPlan) -> Result<u64> {
    let plan = state.create_physical_plan(input).await?;
    let rows = of_one_state(execute_stream(plan, state.task_ctx())?, input)?;
    match op {
        InsertOp::Append => Ok(engine.main().append(table, rows).await?),
        InsertOp::Overwrite => {
            let schema = engine.main().snapshot(table).await?.schema();
            Ok(engine.main().overwrite(table, schema, rows).await?)
        }
        InsertOp::Replace => Err(Error::not_supported("REPLACE INTO is not supported")),
    }
}

async fn delete(engine: &Engine, state: &SessionState, table: &str, input: LogicalPlan) -> Result<u64> {
    match predicate_of(state, &input).await? {
        Rows::None => Ok(0),
        Rows::All => Ok(engine.main().delete(table, None).await?),
        Rows::Where(predicate) => Ok(engine.main().delete(table, Some(predicate)).await?),
    }
}

async fn update(engine: &Engine, state: &SessionState, table: &str, dml: &DmlStatement) -> Result<u64> {
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

/// Type coercion and the like; no optimizer rule.
fn analyze(state: &SessionState, plan: &LogicalPlan) -> Result<LogicalPlan> {
    Ok(state.analyzer().execute_and_check(plan.clone(), state.config_options(), |_, _| {})?)
}

/// Which rows a statement means.
enum Rows {
    None,
    All,
    Where(Expr),
}

/// The predicate over the scan of the table, or `None` if there is none.
fn rows_of(input: &LogicalPlan) -> Result<Option<&Expr>> {
    let scans = |plan: &LogicalPlan| match plan {
        LogicalPlan::SubqueryAlias(alias) => matches!(alias.input.as_ref(), LogicalPlan::TableScan(_)),
        other => matches!(other, LogicalPlan::TableScan(_)),
    };
    match input {
        LogicalPlan::Filter(Filter { predicate, input, .. }) if scans(input) => Ok(Some(predicate)),
        other if scans(other) => Ok(None),
        other => {
            Err(Error::not_supported(format!("DELETE or UPDATE of the rows of {} is not supported", other.display())))
        }
    }
}

async fn predicate_of(state: &SessionState, input: &LogicalPlan) -> Result<Rows> {
    let Some(predicate) = rows_of(input)? else { return Ok(Rows::All) };
    let predicate = resolve_subqueries(state, predicate.clone()).await?;
    refuse_volatile(&predicate)?;
    // IS TRUE: the library deletes every row for a predicate that simplifies to NULL, as `id > NULL` does.
    let holds = simplify(state, predicate.is_true(), input.schema())?;
    match &holds {
        Expr::Literal(ScalarValue::Boolean(Some(true)), _) => Ok(Rows::All),
        Expr::Literal(..) => Ok(Rows::None),
        _ => Ok(Rows::Where(unqualified(holds)?)),
    }
}

fn simplify(state: &SessionState, expr: Expr, schema: &DFSchemaRef) -> Result<Expr> {
    let context = SimplifyContext::builder()
        .with_schema(Arc::clone(schema))
        .with_config_options(Arc::clone(state.config_options()))
        .build();
    Ok(ExprSimplifier::new(context).simplify(expr)?)
}

fn refuse_volatile(expr: &Expr) -> Result<()> {
    match expr.is_volatile() {
        true => Err(Error::not_supported(format!("DELETE or UPDATE with {expr}: its value changes from call to call"))),
        false => Ok(()),
    }
}

/// The Delta library knows the table's columns by their plain names.
fn unqualified(expr: Expr) -> Result<Expr> {
    let plain = expr.transform(|expr| match expr {
        Expr::Column(column) => Ok(Transformed::yes(Expr::Column(Column::from_name(column.name)))),
        other => Ok(Transformed::no(other)),
    })?;
    Ok(plain.data)
}

/// Replaces subqueries that do not refer to the table by the values that they yield.
async fn resolve_subqueries(state: &SessionState, expr: Expr) -> Result<Expr> {
    let mut subqueries = Vec::new();
    expr.apply(|expr| {
        if matches!(expr, Expr::ScalarSubquery(_) | Expr::InSubquery(_) | Expr::Exists(_) | Expr::SetComparison(_)) {
            subqueries.push(expr.clone());
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    let mut resolved = expr;
    for subquery in subqueries {
        let value = resolve(state, &subquery).await?;
        resolved = resolved
            .transform(
                |expr| if expr == subquery { Ok(Transformed::yes(value.clone())) } else { Ok(Transformed::no(expr)) },
            )?
            .data;
    }
    Ok(resolved)
}

async fn resolve(state: &SessionState, expr: &Expr) -> Result<Expr> {
    let (subquery, what) = match expr {
        Expr::ScalarSubquery(subquery) => (subquery, "a subquery"),
        Expr::InSubquery(within) => (&within.subquery, "IN (SELECT ...)"),
        Expr::Exists(exists) => (&exists.subquery, "EXISTS"),
        other => return Err(Error::not_supported(format!("DELETE or UPDATE with {other} is not supported"))),
    };
    if !subquery.outer_ref_columns.is_empty() {
        return Err(Error::not_supported(format!(
            "DELETE or UPDATE with {what} that refers to the table itself is not supported: select the keys of the rows \
             in a subquery that stands alone, as in WHERE id IN (SELECT ...)"
        )));
    }
    let plan = subquery.subquery.as_ref().clone();
    match expr {
        Expr::Exists(exists) => {
            let plan = LogicalPlanBuilder::from(plan).limit(0, Some(1))?.build()?;
            let rows: usize = run(state, plan).await?.iter().map(|batch| batch.num_rows()).sum();
            Ok(Expr::Literal(ScalarValue::Boolean(Some((rows > 0) != exists.negated)), None))
        }
        Expr::InSubquery(within) => {
            let values = first_column(state, plan).await?;
            if values.len() > SUBQUERY_ROWS_MAX {
                let message = format!("{what} yields too many rows: at most {SUBQUERY_ROWS_MAX}, got {}", values.len());
                return Err(Error::new(ErrorKind::ResourceExhausted, message));
            }
            if values.is_empty() {
                return Ok(Expr::Literal(ScalarValue::Boolean(Some(within.negated)), None));
            }
            let list = values.into_iter().map(|value| Expr::Literal(value, None)).collect();
            Ok(Expr::InList(InList::new(within.expr.clone(), list, within.negated)))
        }
        _ => {
            let data_type = plan.schema().field(0).data_type().clone();
            let mut values = first_column(state, plan).await?;
            match (values.pop(), values.is_empty()) {
                (Some(value), true) => Ok(Expr::Literal(value, None)),
                (None, _) => Ok(Expr::Literal(ScalarValue::try_from(&data_type)?, None)),
                _ => Err(Error::invalid_input("a subquery used as a value yields more than one row")),
            }
        }
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

async fn first_column(state: &SessionState, plan: LogicalPlan) -> Result<Vec<ScalarValue>> {
    let mut values = Vec::new();
    for batch in run(state, plan).await? {
        for row in 0..batch.num_rows() {
            values.push(ScalarValue::try_from_array(batch.column(0), row)?);
        }
    }
    Ok(values)
}

async fn run(state: &SessionState, plan: LogicalPlan) -> Result<Vec<arrow::array::RecordBatch>> {
    let plan = state.create_physical_plan(&plan).await?;
    Ok(collect(plan, state.task_ctx()).await?)
}
