//! CREATE TABLE and DROP TABLE.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{CreateMemoryTable, DropTable, LogicalPlan};
use datafusion::sql::parser::Statement as DfStatement;
use datafusion::sql::sqlparser::ast::Statement;
use ruvector_rulake::vector_column::UNSIGNED_KEY;

use crate::catalog::index::retire::forget_table;
use crate::catalog::main_schema::{CreateRequest, TableKind};
use crate::limits::stop::start;
use crate::plan::snapshot::verified_stream;
use crate::state::EngineState;
use crate::statements::assign::assigned;
use crate::statements::column_types::stored_types;
use crate::statements::{create_external_table, create_index_table};
use ruvector_udfs::error::{Error, ErrorKind, Result};
use ruvector_udfs::names::MAIN;

/// Returns true if a statement is a CREATE TABLE with a list of columns: DataFusion's plan does not tell it from one without.
pub(crate) fn declares_columns(statement: &DfStatement) -> bool {
    let DfStatement::Statement(statement) = statement else { return false };
    matches!(statement.as_ref(), Statement::CreateTable(create) if !create.columns.is_empty())
}

/// Runs CREATE TABLE [AS] and returns the number of rows written. Where columns are declared, rows are assigned to them.
pub(crate) async fn create_table(
    engine: &EngineState,
    state: &SessionState,
    create: CreateMemoryTable,
    is_declared: bool,
) -> Result<u64> {
    let refuse = |clause: &str| Err(Error::not_supported(format!("{clause} in CREATE TABLE is not supported")));
    if create.temporary {
        return refuse("TEMPORARY");
    }
    if !create.constraints.is_empty() {
        return refuse("a PRIMARY KEY or UNIQUE constraint, which would not be enforced,");
    }
    if !create.column_defaults.is_empty() {
        return refuse("a DEFAULT");
    }
    let table = engine.main_name(&create.name)?;
    let request = CreateRequest {
        table: &table,
        kind: TableKind::Delta,
        if_not_exists: create.if_not_exists,
        or_replace: create.or_replace,
    };
    let Some(creation) = engine.main_schema().create(&request).await? else { return Ok(0) };
    let input = if is_declared { assigned(&create.input)? } else { create.input.as_ref().clone() };
    // Types are coerced by then: before, `SELECT 1 UNION SELECT 'a'` is one of numbers.
    let analyzed = analyze(state, &input)?;
    let types = analyzed.schema().as_arrow();
    let schema = if is_declared { with_unsigned(&stored_types(types)?, types) } else { stored_types(types)? };
    let made = match creation.replaces {
        true => overwrite(engine, state, &input, &table, Arc::clone(&schema)).await,
        false => make(engine, state, &input, &table, Arc::clone(&schema)).await,
    };
    // Another process made a table of that name since the check.
    match made {
        Err(e) if e.kind() == ErrorKind::AlreadyExists && create.if_not_exists => Ok(0),
        Err(e) if e.kind() == ErrorKind::AlreadyExists && create.or_replace => {
            overwrite(engine, state, &input, &table, schema).await
        }
        made => made,
    }
}

async fn make(
    engine: &EngineState,
    state: &SessionState,
    input: &LogicalPlan,
    table: &str,
    schema: SchemaRef,
) -> Result<u64> {
    if matches!(input, LogicalPlan::EmptyRelation(empty) if !empty.produce_one_row) {
        engine.main().create(table, &schema).await?;
        return Ok(0);
    }
    Ok(engine.main().create_with(table, schema, rows_of(state, input).await?).await?)
}

async fn overwrite(
    engine: &EngineState,
    state: &SessionState,
    input: &LogicalPlan,
    table: &str,
    schema: SchemaRef,
) -> Result<u64> {
    Ok(engine.main().overwrite(table, schema, rows_of(state, input).await?).await?)
}

async fn rows_of(state: &SessionState, input: &LogicalPlan) -> Result<SendableRecordBatchStream> {
    let plan = state.create_physical_plan(input).await?;
    Ok(verified_stream(start(plan, state.task_ctx())?, input)?)
}

/// Type coercion and the like; no optimizer rule.
fn analyze(state: &SessionState, plan: &LogicalPlan) -> Result<LogicalPlan> {
    Ok(state.analyzer().execute_and_check(plan.clone(), state.config_options(), |_, _| {})?)
}

/// Notes which columns were declared UNSIGNED: a Delta table has no such type, but its rows are checked when they are written.
fn with_unsigned(stored: &SchemaRef, declared: &Schema) -> SchemaRef {
    let noted = stored.fields().iter().zip(declared.fields()).map(|(stored, declared)| {
        match declared.data_type().is_unsigned_integer() {
            true => {
                let note = (UNSIGNED_KEY.to_owned(), declared.data_type().to_string());
                Arc::new(Field::clone(stored).with_metadata([note].into()))
            }
            false => Arc::clone(stored),
        }
    });
    Arc::new(Schema::new(noted.collect::<Vec<_>>()))
}

/// Runs DROP TABLE.
pub(crate) async fn drop_table(engine: &EngineState, drop: DropTable) -> Result<()> {
    let table = engine.main_name(&drop.name)?;
    let main = engine.main_schema();
    // An ingest has the name of its new table until its client has sent all rows, and is asked to give way.
    let _claim = engine.uploads().ask_until(&table, main.claim(&table)).await;
    match main.declared_kind(&table) {
        Some(TableKind::External) => return create_external_table::drop_table(engine, &table),
        Some(TableKind::Index) => return create_index_table::drop_table(engine, &table),
        Some(TableKind::Delta) | None => {}
    }
    let dropped = engine.main().drop_and(&table, || forget_table(engine.indexes(), engine.builds(), MAIN, &table));
    match engine.uploads().ask_until(&table, dropped).await {
        Ok(()) => {}
        Err(e) if drop.if_exists && e.kind() == ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(e),
    }
    engine.lake().invalidate_cache(MAIN, &table)?;
    Ok(())
}
