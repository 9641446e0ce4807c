//! `CREATE BACKEND [IF NOT EXISTS] name TYPE kind OPTIONS (key 'value', ...)` and `DROP BACKEND [IF EXISTS] name`.
//!
//! A backend is opened and listed before it is kept. The catalog of backends ([`crate::catalog::backend`]) keeps it.

mod parse;

use ruvector_rulake::failpoint::reach;

use crate::catalog::backend::{BackendDefinition, CreateBackend, open};
use crate::catalog::index::retire::forget_backend;
use crate::catalog::{Registered, SYSTEM};
use crate::state::EngineState;
use ruvector_udfs::error::{Error, ErrorKind, Result};
use ruvector_udfs::names::MAIN;

pub(crate) use parse::{BackendStatement, parse};

/// Schemas that are no backends, or not the user's.
const RESERVED: [&str; 3] = [MAIN, "information_schema", SYSTEM];

/// Runs one of the statements.
pub(crate) async fn execute(engine: &EngineState, statement: BackendStatement) -> Result<()> {
    match statement {
        BackendStatement::Create(create) => create_backend(engine, create).await,
        BackendStatement::Drop { name, if_exists } => drop_backend(engine, &name, if_exists).await,
    }
}

async fn create_backend(engine: &EngineState, create: CreateBackend) -> Result<()> {
    check_name(&create.name)?;
    let _alone = engine.backend_changes().lock().await;
    if engine.backends().find(&create.name).is_some() {
        return match create.if_not_exists {
            true => Ok(()),
            false => Err(Error::new(ErrorKind::AlreadyExists, format!("backend {} exists already", create.name))),
        };
    }
    let name = create.name.clone();
    let definition = BackendDefinition::new(create)?;
    let registered = open(definition.clone(), engine.declared().index_root())?;
    registered.backend.list().await?;
    engine.declared().add(definition)?;
    match engine.backends().add(registered) {
        Ok(()) => Ok(()),
        Err(e) => {
            engine.declared().begin_drop(&name)?;
            engine.declared().finish_drop(&name)?;
            Err(e)
        }
    }
}

async fn drop_backend(engine: &EngineState, name: &str, if_exists: bool) -> Result<()> {
    let _alone = engine.backend_changes().lock().await;
    match engine.backends().find(name) {
        _ if RESERVED.contains(&name) => {
            return Err(Error::not_supported(format!("backend {name} is part of ruvector and cannot be dropped")));
        }
        Some(Registered { definition: Some(_), .. }) => {}
        Some(_) => {
            return Err(Error::not_supported(format!(
                "backend {name} was added by the program and cannot be dropped by SQL"
            )));
        }
        None if if_exists => return Ok(()),
        None => return Err(Error::new(ErrorKind::NotFound, format!("no such backend: {name}"))),
    }
    // Two files change: the note in the first one makes a start after a kill complete the drop.
    engine.declared().begin_drop(name)?;
    reach("drop_backend.noted");
    if let Err(e) = forget_backend(engine.indexes(), engine.builds(), name) {
        engine.declared().undo_drop(name)?;
        return Err(e);
    }
    reach("drop_backend.indexes_forgotten");
    engine.backends().remove(name);
    if let Err(e) = engine.declared().finish_drop(name) {
        tracing::warn!(backend = name, reason = %e, "the drop of a backend is completed at the next start");
    }
    Ok(())
}

/// A backend is a schema, and the name of a folder for its index files.
fn check_name(name: &str) -> Result<()> {
    if RESERVED.contains(&name) {
        return Err(Error::invalid_input(format!("name of a backend: {} are taken, got {name}", RESERVED.join(", "))));
    }
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
    match name.starts_with(char::is_alphanumeric) && name.chars().all(plain) && name.len() <= 128 {
        true => Ok(()),
        false => Err(Error::invalid_input(format!(
            "name of a backend: expected letters, digits, '_' or '-', starting with a letter or digit, got {name:?}"
        ))),
    }
}
