//! CREATE TABLE and DROP TABLE.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{CreateMemoryTable, DropTable, LogicalPlan};
use datafusion::physical_plan::execute_stream;
use ruvector_rulake::Backend;

use crate::catalog::MAIN;
use crate::dml::analyze;
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
    let is_index = engine.index_tables().contains(&table);
    let exists = is_index || engine.main().list().await?.contains(&table);
    if exists && create.if_not_exists {
        return Ok(0);
    }
    if exists && !create.or_replace {
        return Err(Error::new(ErrorKind::AlreadyExists, format!("table {table} exists already")));
    }
    if is_index {
        return Err(Error::not_supported(format!("table {table} is an index and cannot be replaced: DROP it")));
    }
    // Types are coerced by then: before, `SELECT 1 UNION SELECT 'a'` is one of numbers.
    let schema = stored_types(analyze(state, &create.input)?.schema().as_arrow())?;
    if !exists && matches!(create.input.as_ref(), LogicalPlan::EmptyRelation(empty) if !empty.produce_one_row) {
        engine.main().create(&table, &schema).await?;
        return Ok(0);
    }
    let plan = state.create_physical_plan(&create.input).await?;
    let rows = of_one_state(execute_stream(plan, state.task_ctx())?, &create.input)?;
    match exists {
        true => Ok(engine.main().overwrite(&table, schema, rows).await?),
        false => Ok(engine.main().create_with(&table, schema, rows).await?),
    }
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
