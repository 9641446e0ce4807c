//! Runs `CREATE INDEX`, `DROP INDEX` and `REINDEX`.

use std::sync::Arc;

use datafusion::common::TableReference;
use datafusion::execution::TaskContext;
use datafusion::sql::sqlparser::ast::{CreateIndex, Expr as SqlExpr, ObjectName};
use ruvector_rulake::failpoint::reach;
use ruvector_rulake::{Consistency, ErrorKind as LakeErrorKind, RuLake};

use super::IndexStatement;
use super::options::{Options, background};
use crate::catalog::index::IndexCatalog;
use crate::engine::Engine;
use crate::statements::table_reference;
use ruvector_udfs::declared_index::{DeclaredIndex, IndexDefinition};
use ruvector_udfs::error::{Error, ErrorKind, Result};
use ruvector_udfs::names::MAIN;

/// Runs one of the statements.
pub(crate) async fn execute(engine: &Engine, context: &Arc<TaskContext>, statement: IndexStatement) -> Result<()> {
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
    engine: &Engine,
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
            retire(engine, vec![index]).await?;
            return Err(e.into());
        }
        index.status.set_built();
        reach("create_index.built");
    }
    let before = match engine.indexes().add(index.clone(), or_replace) {
        Ok(before) => before,
        Err(e) => {
            retire(engine, vec![index]).await?;
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
        Some(before) => retire(engine, vec![before]).await,
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
async fn drop_indexes(engine: &Engine, names: &[ObjectName], if_exists: bool) -> Result<()> {
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
    retire(engine, dropped).await
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
    engine: &Engine,
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

/// Forgets the indexes over a table that is gone, and stops their builds.
pub(crate) fn forget_table(engine: &Engine, backend: &str, table: &str) -> Result<()> {
    stop(engine, &engine.indexes().remove_table(backend, table)?);
    Ok(())
}

/// Forgets the indexes over the tables of a backend that is gone, and stops their builds.
pub(crate) fn forget_backend(engine: &Engine, backend: &str) -> Result<()> {
    stop(engine, &engine.indexes().remove_backend(backend)?);
    Ok(())
}

fn stop(engine: &Engine, dropped: &[DeclaredIndex]) {
    for index in dropped {
        index.status.set_dropped();
        engine.builds().stop(index);
    }
}

/// Stops the builds of indexes that are not declared any more, and discards what was made for them, unless another index
/// answers from the same.
async fn retire(engine: &Engine, dropped: Vec<DeclaredIndex>) -> Result<()> {
    for index in dropped {
        index.status.set_dropped();
        if !is_shared(engine.indexes(), &index) {
            engine.builds().stop(&index);
        }
        // An index file that stays costs room; that the index is dropped stands.
        if let Err(e) = discard(engine.lake(), engine.indexes(), &index).await {
            tracing::warn!(index = index.name, reason = %e, "the file of a dropped index is left until the next start");
        }
    }
    Ok(())
}

/// Removes the files of indexes whose creation or drop was cut short, in the background: their backends may be slow.
pub(crate) fn discard_undeclared(lake: &Arc<RuLake>, indexes: &Arc<IndexCatalog>) {
    let undeclared = indexes.undeclared();
    if undeclared.is_empty() {
        return;
    }
    let (lake, indexes) = (Arc::clone(lake), Arc::clone(indexes));
    tokio::spawn(async move {
        for index in undeclared {
            // The program may add the backend later, and a later start finds it.
            if lake.backend(&index.backend).is_err() {
                continue;
            }
            if let Err(e) = discard(&lake, &indexes, &index).await {
                tracing::warn!(index = index.name, reason = %e, "the file of an index is left until the next start");
            }
        }
    });
}

/// Discards what was made for an index that is not declared, unless another index answers from the same, and the note of it.
async fn discard(lake: &RuLake, indexes: &IndexCatalog, index: &IndexDefinition) -> ruvector_rulake::Result<()> {
    if !is_shared(indexes, index) {
        match lake.pin(&index.backend, &index.table, Some(Consistency::Stale)).await {
            Ok(pinned) => lake.discard(&pinned, &index.spec).await?,
            // The file went with its table.
            Err(e) if e.kind() == LakeErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
    }
    reach("drop_index.discarded");
    indexes.forget_file(index)
}

/// Returns true if a declared index answers from the same entry and file.
fn is_shared(indexes: &IndexCatalog, index: &IndexDefinition) -> bool {
    indexes.of_table(&index.backend, &index.table).iter().any(|other| other.shares_entry_with(index))
}
