//! Runs `CREATE EXTERNAL TABLE ... STORED AS RBPX`, and what drops or takes the names of index tables.

use std::path::{Path, PathBuf};

use datafusion::common::TableReference;
use datafusion::sql::parser::CreateExternalTable;
use ruvector_rabitq::VectorIndex;
use ruvector_rulake::backend::index::check_file;
use ruvector_rulake::failpoint::reach;

use crate::catalog::index::retire::forget_table;
use crate::state::EngineState;
use crate::text::dialect::table_reference;
use ruvector_udfs::error::{Error, ErrorKind, Result};
use ruvector_udfs::names::MAIN;

/// The file type of index files.
const RBPX: &str = "RBPX";

/// Returns true if the statement makes an index a table.
pub(crate) fn is_index_table(create: &CreateExternalTable) -> bool {
    create.file_type.eq_ignore_ascii_case(RBPX)
}

/// Runs CREATE EXTERNAL TABLE over an index file. The file is read once before the table is kept.
pub(crate) async fn create(engine: &EngineState, create: &CreateExternalTable) -> Result<()> {
    let table = engine.main_name(&table_reference(&create.name))?;
    refuse_ignored_clauses(create)?;
    let taken = is_taken(engine, &table).await?;
    if taken || engine.index_tables().contains(&table) {
        return match () {
            () if create.if_not_exists => Ok(()),
            // Rows would be lost that are nowhere else.
            () if create.or_replace && taken => Err(Error::not_supported(format!(
                "table {table} holds rows and cannot be replaced by an index: DROP it"
            ))),
            () if create.or_replace => replace(engine, create, &table).await,
            () => Err(Error::new(ErrorKind::AlreadyExists, format!("table {table} exists already"))),
        };
    }
    let path = location(create)?;
    check_file(&path).await?;
    match engine.index_tables().declare(&table, path, false).await {
        // Another client declared it since the check.
        Err(e) if e.kind() == ruvector_rulake::ErrorKind::AlreadyExists && create.if_not_exists => Ok(()),
        declared => Ok(declared?),
    }
}

/// Returns true if a table of that name exists and is no index.
async fn is_taken(engine: &EngineState, table: &str) -> Result<bool> {
    if engine.index_tables().contains(table) {
        return Ok(false);
    }
    let (main, _) = engine.backend_table(&TableReference::bare(table))?;
    Ok(main.list().await?.iter().any(|known| known == table))
}

async fn replace(engine: &EngineState, create: &CreateExternalTable, table: &str) -> Result<()> {
    let path = location(create)?;
    check_file(&path).await?;
    engine.index_tables().declare(table, path, true).await?;
    Ok(engine.lake().invalidate_cache(MAIN, table)?)
}

fn refuse_ignored_clauses(create: &CreateExternalTable) -> Result<()> {
    let refuse = |clause: &str| {
        Err(Error::not_supported(format!(
            "{clause} in CREATE EXTERNAL TABLE ... STORED AS {RBPX} is not supported: the file says it all"
        )))
    };
    match create {
        CreateExternalTable { columns, .. } if !columns.is_empty() => refuse("a list of columns"),
        CreateExternalTable { table_partition_cols, .. } if !table_partition_cols.is_empty() => {
            refuse("PARTITIONED BY")
        }
        CreateExternalTable { order_exprs, .. } if !order_exprs.is_empty() => refuse("WITH ORDER"),
        CreateExternalTable { constraints, .. } if !constraints.is_empty() => refuse("a constraint"),
        CreateExternalTable { options, .. } if !options.is_empty() => refuse("OPTIONS"),
        CreateExternalTable { temporary: true, .. } => refuse("TEMPORARY"),
        CreateExternalTable { unbounded: true, .. } => refuse("UNBOUNDED"),
        _ => Ok(()),
    }
}

/// The file that is meant, as it is from everywhere: the next start may have another working directory.
fn location(create: &CreateExternalTable) -> Result<PathBuf> {
    let [location] = create.locations.as_slice() else {
        return Err(Error::invalid_input(format!("LOCATION: expected one index file, got {}", create.locations.len())));
    };
    let path = match location.split_once("://") {
        None => location.as_str(),
        Some(("file", path)) => path,
        Some(_) => {
            return Err(Error::not_supported(format!(
                "LOCATION: expected the path of a local index file, got {location}"
            )));
        }
    };
    let path = Path::new(path).canonicalize().map_err(|e| {
        let kind = if e.kind() == std::io::ErrorKind::NotFound { ErrorKind::NotFound } else { ErrorKind::InvalidInput };
        Error::new(kind, format!("LOCATION: the index file cannot be opened: path {path}, reason {e}"))
    })?;
    match path.is_file() {
        true => Ok(path),
        false => Err(Error::invalid_input(format!("LOCATION: expected an index file, got {}", path.display()))),
    }
}

/// Makes an index a table of `main`, for as long as the engine lives.
pub(crate) async fn register(engine: &EngineState, name: &str, index: Box<dyn VectorIndex>) -> Result<()> {
    if is_taken(engine, name).await? {
        return Err(Error::new(ErrorKind::AlreadyExists, format!("table {name} exists already")));
    }
    Ok(engine.index_tables().register(name, index).await?)
}

/// Drops a table if it is an index, and returns true if it was.
pub(crate) async fn drop_table(engine: &EngineState, name: &str) -> Result<bool> {
    if !engine.index_tables().contains(name) {
        return Ok(false);
    }
    // After a kill between the two, the next start forgets the indexes of a table that is not there.
    engine.index_tables().forget(name).await?;
    reach("drop_index_table.removed");
    forget_table(engine.indexes(), engine.builds(), MAIN, name)?;
    engine.lake().invalidate_cache(MAIN, name)?;
    Ok(true)
}
