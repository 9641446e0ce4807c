//! CREATE TABLE, DROP TABLE, CREATE INDEX and DROP INDEX.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::common::TableReference;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{CreateMemoryTable, DropTable, LogicalPlan};
use datafusion::physical_plan::execute_stream;
use datafusion::sql::sqlparser::ast::{BinaryOperator, CreateIndex, Expr as SqlExpr, ObjectName, UnaryOperator, Value};
use ruvector_rulake::{Backend, Consistency, IndexKind, IndexSpec};

use crate::catalog::MAIN;
use crate::engine::Engine;
use crate::error::{Error, ErrorKind, Result};
use crate::index::IndexDefinition;
use crate::one_state::of_one_state;
use crate::statement::table_reference;

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
    let table = engine.main_table(&create.name)?;
    let exists = engine.main().list().await?.contains(&table);
    if exists && create.if_not_exists {
        return Ok(0);
    }
    if exists && !create.or_replace {
        return Err(Error::new(ErrorKind::AlreadyExists, format!("table {table} exists already")));
    }
    let schema = stored_types(create.input.schema().as_arrow())?;
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
    let table = engine.main_table(&drop.name)?;
    match engine.main().drop(&table).await {
        Ok(()) => {}
        Err(e) if drop.if_exists && e.kind() == ruvector_rulake::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(e.into()),
    }
    engine.indexes().remove_table(MAIN, &table)?;
    engine.lake().invalidate_cache(MAIN, &table)?;
    Ok(())
}

/// Runs CREATE INDEX: builds the index, then declares it.
pub(crate) async fn create_index(engine: &Engine, state: &SessionState, create: &CreateIndex) -> Result<()> {
    let refuse = |clause: &str| Err(Error::not_supported(format!("{clause} in CREATE INDEX is not supported")));
    if create.unique {
        return refuse("UNIQUE");
    }
    if create.predicate.is_some() {
        return refuse("WHERE");
    }
    if !create.include.is_empty() {
        return refuse("INCLUDE");
    }
    let Some(name) = &create.name else {
        return Err(Error::invalid_input("CREATE INDEX needs a name: CREATE INDEX name ON table (column)"));
    };
    let (backend, table) = engine.backend_table(&table_reference(&create.table_name))?;
    let name = index_name(&table_reference(name), backend.id())?;
    if engine.indexes().find(backend.id(), &name).is_some() {
        return match create.if_not_exists {
            true => Ok(()),
            false => Err(Error::new(ErrorKind::AlreadyExists, format!("index {name} exists already"))),
        };
    }
    let pinned = engine.lake().pin(backend.id(), &table, Some(Consistency::Fresh)).await?;
    let spec = index_spec(create)?;
    if pinned.snapshot().schema().field_with_name(&spec.column).is_err() {
        return Err(Error::new(ErrorKind::NotFound, format!("table {table} has no column {}", spec.column)));
    }
    engine.lake().entry(&pinned, &spec, &state.task_ctx()).await?;
    engine.indexes().add(IndexDefinition { name, backend: backend.id().to_owned(), table, spec })?;
    Ok(())
}

/// The name of an index, which is in the schema of its table whether it says so or not.
fn index_name(reference: &TableReference, schema: &str) -> Result<String> {
    match reference.schema() {
        Some(other) if other != schema => {
            Err(Error::invalid_input(format!("an index is in the schema of its table: expected {schema}, got {other}")))
        }
        _ => Ok(reference.table().to_owned()),
    }
}

fn index_spec(create: &CreateIndex) -> Result<IndexSpec> {
    let [column] = create.columns.as_slice() else {
        return Err(Error::invalid_input(format!("an index is over 1 column, got {}", create.columns.len())));
    };
    let SqlExpr::Identifier(ident) = &column.column.expr else {
        return Err(Error::invalid_input(format!("an index is over a column, got {}", column.column.expr)));
    };
    let folded = if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_lowercase() };
    let mut spec = IndexSpec::new(folded);
    if let Some(kind) = &create.using {
        spec.kind = kind.to_string().to_lowercase().parse()?;
    }
    for option in &create.with {
        let SqlExpr::BinaryOp { left, op: BinaryOperator::Eq, right } = option else {
            return Err(Error::invalid_input(format!("WITH takes name = value, got {option}")));
        };
        match left.to_string().to_lowercase().as_str() {
            "metric" => spec.metric = text(right)?.parse()?,
            "seed" => spec.seed = number(right)?,
            "rerank_factor" => spec.rerank_factor = size("rerank_factor", right)?,
            "nlist" => spec.nlist = Some(number_of_lists("nlist", right)?),
            "nprobe" => spec.nprobe = Some(number_of_lists("nprobe", right)?),
            other => {
                let known = "metric, seed, rerank_factor, nlist, nprobe";
                return Err(Error::invalid_input(format!(
                    "no such index option: expected one of {known}, got {other}"
                )));
            }
        }
    }
    if spec.kind != IndexKind::IvfRabitq && (spec.nlist.is_some() || spec.nprobe.is_some()) {
        return Err(Error::invalid_input(format!(
            "nlist and nprobe are options of an index with lists: expected USING ivf_rabitq, got {}",
            spec.kind
        )));
    }
    Ok(spec)
}

fn size(name: &str, value: &SqlExpr) -> Result<usize> {
    usize::try_from(number(value)?).map_err(|_| Error::invalid_input(format!("{name} is too large: {value}")))
}

fn number_of_lists(name: &str, value: &SqlExpr) -> Result<usize> {
    match size(name, value)? {
        0 => Err(Error::invalid_input(format!("{name} is out of range: expected at least 1, got 0"))),
        lists => Ok(lists),
    }
}

fn text(value: &SqlExpr) -> Result<String> {
    match value {
        SqlExpr::Identifier(ident) => Ok(ident.value.to_lowercase()),
        SqlExpr::Value(value) => match value.clone().into_string() {
            Some(text) => Ok(text),
            None => Err(Error::invalid_input(format!("expected a string, got {value}"))),
        },
        other => Err(Error::invalid_input(format!("expected a string, got {other}"))),
    }
}

fn number(value: &SqlExpr) -> Result<u64> {
    let not_a_number = || Error::invalid_input(format!("expected an integer of at least 0, got {value}"));
    match value {
        SqlExpr::Value(inner) => match &inner.value {
            Value::Number(digits, _) => digits.to_string().parse().map_err(|_| not_a_number()),
            _ => Err(not_a_number()),
        },
        SqlExpr::UnaryOp { op: UnaryOperator::Plus, expr } => number(expr),
        _ => Err(not_a_number()),
    }
}

/// Runs DROP INDEX.
pub(crate) fn drop_indexes(engine: &Engine, names: &[ObjectName], if_exists: bool) -> Result<()> {
    let names = names.iter().map(|name| {
        let reference = table_reference(name);
        (reference.schema().unwrap_or(MAIN).to_owned(), reference.table().to_owned())
    });
    let names: Vec<_> = names.collect();
    let exists = |(backend, name): &(String, String)| engine.indexes().find(backend, name).is_some();
    if let Some((backend, name)) = names.iter().find(|name| !exists(name)).filter(|_| !if_exists) {
        return Err(Error::new(ErrorKind::NotFound, format!("no such index: {backend}.{name}")));
    }
    for (backend, name) in names.iter().filter(|name| exists(name)) {
        engine.indexes().remove(backend, name)?;
    }
    Ok(())
}
