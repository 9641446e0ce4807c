//! Runs `CREATE INDEX`, `DROP INDEX` and `REINDEX`.

use std::sync::Arc;

use datafusion::common::TableReference;
use datafusion::execution::TaskContext;
use datafusion::sql::sqlparser::ast::{CreateIndex, Expr as SqlExpr, ObjectName};
use ruvector_rulake::failpoint::reach;
use ruvector_rulake::{Consistency, ErrorKind as LakeErrorKind};

use super::IndexStatement;
use super::options::{Options, background};
use crate::catalog::index::retire::retire;
use crate::state::EngineState;
use crate::text::dialect::table_reference;
use ruvector_udfs::declared_index::{DeclaredIndex, IndexDefinition};
use ruvector_udfs::error::{Error, ErrorKind, Result};
use ruvector_udfs::names::MAIN;

/// Runs one of the statements.
pub(crate) async fn execute(engine: &EngineState, context: &Arc<TaskContext>, statement: IndexStatement) -> Result<()> {
    match statement {
        IndexStatement::Create { create, or_replace } => create_index(engine, context, &create, or_replace).await,
        IndexStatement::Drop { names, if_exists } => drop_indexes(engine, &names, if_exists).await,
        IndexStatement::Reindex { name, is_table, options } => {
            reindex(engine, context, &name, is_table, &options).await
        }
    }
}

/// Declares an index when it is built, or builds it once it is declared.
async fn create_index(
    engine: &EngineState,
    context: &Arc<TaskContext>,
    create: &CreateIndex,
    or_replace: bool,
) -> Result<()> {
    refuse_ignored_clauses(create)?;
    if or_replace && create.if_not_exists {
        return Err(Error::invalid_input("CREATE INDEX takes OR REPLACE or IF NOT EXISTS, got both"));
    }
    let Some(name) = &create.name else {
        return Err(Error::invalid_input("CREATE INDEX needs a name: CREATE INDEX name ON table (column)"));
    };
    let (backend, table) = engine.backend_table(&table_reference(&create.table_name))?;
    let name = index_name(&table_reference(name), backend.id())?;
    if engine.indexes().find(backend.id(), &name).is_some() && !or_replace {
        return match create.if_not_exists {
            true => Ok(()),
            false => Err(Error::new(ErrorKind::AlreadyExists, format!("index {name} exists already"))),
        };
    }
    let Options { spec, background } = Options::of(create)?;
    let fresh = backend.has_generations().then_some(Consistency::Fresh);
    let pinned = engine.lake().pin(backend.id(), &table, fresh).await?;
    if pinned.snapshot().schema().field_with_name(&spec.column).is_err() {
        return Err(Error::new(ErrorKind::NotFound, format!("table {table} has no column {}", spec.column)));
    }
    // A build in the background must not hide an error that is visible now.
    spec.witness(pinned.snapshot().as_ref())?;
    let definition = IndexDefinition { name, backend: backend.id().to_owned(), table, spec };
    let index = DeclaredIndex::new(definition, false);
    if !background {
        // Its file is there before it is declared: the note makes the start after a kill remove it.
        engine.indexes().note(&index)?;
        if let Err(e) = engine.builds().wait_for(&index, false, context).await {
            // It may have been written all the same.
            retire(engine.lake(), engine.indexes(), engine.builds(), vec![index]).await?;
            return Err(e.into());
        }
        index.status.set_built();
        reach("create_index.built");
    }
    let before = match engine.indexes().add(index.clone(), or_replace) {
        Ok(before) => before,
        Err(e) => {
            retire(engine.lake(), engine.indexes(), engine.builds(), vec![index]).await?;
            // Another client may have declared one of that name while it was built.
            return match e.kind() == LakeErrorKind::AlreadyExists && create.if_not_exists {
                true => Ok(()),
                false => Err(e.into()),
            };
        }
    };
    reach("create_index.declared");
    if background {
        engine.builds().start(index, false, context);
    }
    match before {
        Some(before) => retire(engine.lake(), engine.indexes(), engine.builds(), vec![before]).await,
        None => Ok(()),
    }
}

/// Refuses clauses that DataFusion's parser accepts and CREATE INDEX does not support.
fn refuse_ignored_clauses(create: &CreateIndex) -> Result<()> {
    let refuse = |clause: &str| Err(Error::not_supported(format!("{clause} in CREATE INDEX is not supported")));
    // CONCURRENTLY changes nothing: no reader or writer ever waits for a build.
    match create {
        CreateIndex { unique: true, .. } => refuse("UNIQUE"),
        CreateIndex { predicate: Some(_), .. } => refuse("WHERE"),
        CreateIndex { nulls_distinct: Some(_), .. } => refuse("NULLS DISTINCT"),
        CreateIndex { include, .. } if !include.is_empty() => refuse("INCLUDE"),
        CreateIndex { index_options, .. } if !index_options.is_empty() => refuse("an option outside of WITH"),
        CreateIndex { alter_options, .. } if !alter_options.is_empty() => refuse("ALGORITHM or LOCK"),
        _ => Ok(()),
    }
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

/// Runs DROP INDEX.
async fn drop_indexes(engine: &EngineState, names: &[ObjectName], if_exists: bool) -> Result<()> {
    let names: Vec<_> = names.iter().map(qualified).collect();
    let exists = |(backend, name): &(String, String)| engine.indexes().find(backend, name).is_some();
    if let Some((backend, name)) = names.iter().find(|name| !exists(name)).filter(|_| !if_exists) {
        return Err(no_such_index(backend, name));
    }
    let mut dropped = Vec::new();
    for (backend, name) in names.iter().filter(|name| exists(name)) {
        match engine.indexes().remove(backend, name) {
            // Another client dropped it since the check.
            Err(e) if e.kind() == LakeErrorKind::NotFound && if_exists => {}
            removed => dropped.push(removed?),
        }
    }
    reach("drop_index.forgotten");
    retire(engine.lake(), engine.indexes(), engine.builds(), dropped).await
}

/// Schema and name of an index.
fn qualified(name: &ObjectName) -> (String, String) {
    let reference = table_reference(name);
    (reference.schema().unwrap_or(MAIN).to_owned(), reference.table().to_owned())
}

fn no_such_index(backend: &str, name: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("no such index: {backend}.{name}"))
}

/// Builds indexes again; the old ones answer until then, if they are there.
async fn reindex(
    engine: &EngineState,
    context: &Arc<TaskContext>,
    name: &ObjectName,
    is_table: bool,
    options: &[SqlExpr],
) -> Result<()> {
    let background = background(options)?;
    let indexes = match is_table {
        true => {
            let (backend, table) = engine.backend_table(&table_reference(name))?;
            let fresh = backend.has_generations().then_some(Consistency::Fresh);
            engine.lake().pin(backend.id(), &table, fresh).await?;
            engine.indexes().of_table(backend.id(), &table)
        }
        false => {
            let (backend, name) = qualified(name);
            vec![engine.indexes().find(&backend, &name).ok_or_else(|| no_such_index(&backend, &name))?]
        }
    };
    for index in indexes {
        // One that is being built for the first time begins from the start, too.
        engine.builds().stop(&index);
        let anew = index.status.is_built();
        if background {
            engine.builds().start(index, anew, context);
        } else {
            engine.builds().wait_for(&index, anew, context).await?;
            engine.indexes().set_built(&index)?;
        }
    }
    Ok(())
}
