//! CREATE TABLE and DROP TABLE.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{CreateMemoryTable, DropTable, LogicalPlan};
use datafusion::physical_plan::execute_stream;
use ruvector_rulake::Backend;

use crate::catalog::MAIN;
use crate::engine::Engine;
use crate::error::{Error, ErrorKind, Result};
use crate::one_state::of_one_state;
use crate::{external, index};

/// Runs CREATE TABLE [AS] and returns the number of rows written.
pub(crate) async fn create_table(engine: &Engine, state: &SessionState, create: CreateMemoryTable) -> Result<u64> {
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
    if external::is_external(engine, &create.name) {
        return match create.if_not_exists {
            true => Ok(0),
            false => Err(Error::new(
                ErrorKind::AlreadyExists,
                format!("table {} exists already, as an external table", create.name.table()),
            )),
        };
    }
    let table = engine.main_name(&create.name)?;
    if engine.index_tables().contains(&table) {
        return match (create.if_not_exists, create.or_replace) {
            (true, _) => Ok(0),
            (_, true) => {
                Err(Error::not_supported(format!("table {table} is an index and cannot be replaced: DROP it")))
            }
            _ => Err(exists_already(&table)),
        };
    }
    let exists = engine.main().list().await?.contains(&table);
    if exists && !create.or_replace {
        return if create.if_not_exists { Ok(0) } else { Err(exists_already(&table)) };
    }
    // Types are coerced by then: before, `SELECT 1 UNION SELECT 'a'` is one of numbers.
    let schema = stored_types(analyze(state, &create.input)?.schema().as_arrow())?;
    let made = match exists {
        true => overwrite(engine, state, &create, &table, Arc::clone(&schema)).await,
        false => make(engine, state, &create, &table, Arc::clone(&schema)).await,
    };
    // Another client made a table of that name meanwhile.
    match made {
        Err(e) if e.kind() == ErrorKind::AlreadyExists && create.if_not_exists => Ok(0),
        Err(e) if e.kind() == ErrorKind::AlreadyExists && create.or_replace => {
            overwrite(engine, state, &create, &table, schema).await
        }
        made => made,
    }
}

async fn make(
    engine: &Engine,
    state: &SessionState,
    create: &CreateMemoryTable,
    table: &str,
    schema: SchemaRef,
) -> Result<u64> {
    if matches!(create.input.as_ref(), LogicalPlan::EmptyRelation(empty) if !empty.produce_one_row) {
        engine.main().create(table, &schema).await?;
        return Ok(0);
    }
    Ok(engine.main().create_with(table, schema, rows_of(state, create).await?).await?)
}

async fn overwrite(
    engine: &Engine,
    state: &SessionState,
    create: &CreateMemoryTable,
    table: &str,
    schema: SchemaRef,
) -> Result<u64> {
    Ok(engine.main().overwrite(table, schema, rows_of(state, create).await?).await?)
}

async fn rows_of(state: &SessionState, create: &CreateMemoryTable) -> Result<SendableRecordBatchStream> {
    let plan = state.create_physical_plan(&create.input).await?;
    Ok(of_one_state(execute_stream(plan, state.task_ctx())?, &create.input)?)
}

fn exists_already(table: &str) -> Error {
    Error::new(ErrorKind::AlreadyExists, format!("table {table} exists already"))
}

/// Type coercion and the like; no optimizer rule.
fn analyze(state: &SessionState, plan: &LogicalPlan) -> Result<LogicalPlan> {
    Ok(state.analyzer().execute_and_check(plan.clone(), state.config_options(), |_, _| {})?)
}

/// The schema that a Delta table can have: view and dictionary encodings are undone, vectors become Float32.
pub(crate) fn stored_types(schema: &Schema) -> Result<SchemaRef> {
    let stored = |field: &FieldRef| -> Result<Field> {
        let data_type = match field.data_type() {
            DataType::Utf8View | DataType::LargeUtf8 => DataType::Utf8,
            DataType::BinaryView | DataType::LargeBinary => DataType::Binary,
            DataType::Dictionary(_, value) => value.as_ref().clone(),
            DataType::FixedSizeList(item, dim) if item.data_type().is_floating() => {
                ruvector_rulake::vectors::vector_type(usize::try_from(*dim).unwrap_or(0))?
            }
            DataType::Null => {
                return Err(Error::invalid_input(format!("column {} has no type: cast it to one", field.name())));
            }
            other => other.clone(),
        };
        Ok(Field::new(field.name(), data_type, field.is_nullable()))
    };
    Ok(Arc::new(Schema::new(schema.fields().iter().map(stored).collect::<Result<Vec<_>>>()?)))
}

/// Runs DROP TABLE.
pub(crate) async fn drop_table(engine: &Engine, drop: DropTable) -> Result<()> {
    if external::drop_table(engine, &drop.name).await? {
        return Ok(());
    }
    let table = engine.main_name(&drop.name)?;
    if engine.drop_index_table(&table).await? {
        return Ok(());
    }
    match engine.main().drop(&table).await {
        Ok(()) => {}
        Err(e) if drop.if_exists && e.kind() == ruvector_rulake::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(e.into()),
    }
    index::ddl::forget_table(engine, MAIN, &table)?;
    engine.lake().invalidate_cache(MAIN, &table)?;
    Ok(())
}
