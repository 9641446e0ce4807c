//! Runs `CREATE EXTERNAL TABLE ... STORED AS RBPX`, and what drops or takes the names of index tables.

use std::path::{Path, PathBuf};

use datafusion::sql::parser::CreateExternalTable;
use ruvector_rabitq::VectorIndex;
use ruvector_rulake::backend::index::check_file;
use ruvector_rulake::failpoint::reach;

use crate::catalog::index::retire::forget_table;
use crate::catalog::main_schema::{CreateRequest, TableKind, exists_already};
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
    let main = engine.main_schema();
    let request = CreateRequest {
        table: &table,
        kind: TableKind::Index,
        if_not_exists: create.if_not_exists,
        or_replace: create.or_replace,
    };
    let Some(creation) = main.create(&request).await? else { return Ok(()) };
    let path = location(create)?;
    check_file(&path).await?;
    main.index_tables().declare(&table, path, creation.replaces)?;
    if creation.replaces {
        engine.lake().invalidate_cache(MAIN, &table)?;
    }
    Ok(())
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
    let main = engine.main_schema();
    let _claim = main.claim(name).await;
    match main.kind_of(name).await? {
        Some(TableKind::Delta | TableKind::External) => Err(exists_already(name)),
        // The index tables refuse the name of another one.
        Some(TableKind::Index) | None => Ok(main.index_tables().register(name, index)?),
    }
}

/// Drops an index table, whose name is claimed. Its file stays; indexes over it go.
pub(crate) fn drop_table(engine: &EngineState, name: &str) -> Result<()> {
    // After a kill between the two, the next start forgets the indexes of a table that is not there.
    engine.main_schema().index_tables().forget(name)?;
    reach("drop_index_table.removed");
    forget_table(engine.indexes(), engine.builds(), MAIN, name)?;
    engine.lake().invalidate_cache(MAIN, name)?;
    Ok(())
}
