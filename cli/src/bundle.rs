//! `ruvector bundle`: the state of a table, published, and held against what is cached.
//!
//! What concerns a table is SQL, so that it works on a server too; a bundle alone is looked at here.

use std::fmt;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use ruvector_rulake::bundle::{Bundle, FILE_NAME};
use ruvector_rulake::{Error, ErrorKind};
use tokio::runtime::Runtime;
use tonic::Code;

use crate::failed;
use crate::logging::log_to_stderr;
use crate::place::PlaceArgs;
use crate::runtime::engine_runtime;
use crate::sql::command::{literal, schema_and_name};
use crate::sql::output::print_line;
use crate::target::{Failure, Target};

/// The subcommands of `ruvector bundle`.
#[derive(Subcommand)]
pub(crate) enum BundleAction {
    /// Write the bundle of a table's newest state to a folder, which is made if it is not there. With --remote it is a
    /// folder of the server.
    Publish(Box<OnTable>),
    /// Check the seal of a bundle, and print what it says.
    Show {
        /// The folder of `table.rulake.json`.
        folder: PathBuf,
    },
    /// Check the seal of a bundle on this machine, and whether it names the newest state of a table.
    Verify(Box<OnTable>),
    /// Let a server forget what it has in memory of a table, if a bundle in a folder of it names another state.
    Refresh(Box<OnTable>),
    /// Write the indexes of a table to a folder, and the bundle beside them. With --remote it is a folder of the server.
    Save(Box<OnTable>),
    /// Let a server read what `save` wrote to a folder of it, so that its next search has the indexes.
    Warm(Box<OnTable>),
}

/// A table, a folder, and where they are.
#[derive(Args)]
pub(crate) struct OnTable {
    /// The table, as in SQL: `docs`, `lake.docs`.
    table: String,
    /// The folder of `table.rulake.json`.
    folder: String,
    #[command(flatten)]
    place: PlaceArgs,
}

/// The reason that a bundle command failed. Each has its exit code, because callers react differently to each.
#[derive(Debug)]
pub(crate) enum BundleError {
    /// There is no bundle there: publish one.
    Missing(String),
    /// The bundle, or a file beside it, is not what was written: trust nothing of it.
    Damaged(String),
    /// The bundle is whole, and names another state.
    Outdated(String),
    /// Anything else: a table that is not there, a folder that cannot be written, a server that does not answer.
    Failed(String),
}

impl BundleError {
    /// The exit code of the command: 1 for failures, as everywhere.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Failed(_) => 1,
            Self::Missing(_) => 3,
            Self::Damaged(_) => 4,
            Self::Outdated(_) => 5,
        }
    }
}

impl fmt::Display for BundleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Missing(message) | Self::Damaged(message) | Self::Outdated(message) | Self::Failed(message)) = self;
        f.write_str(message)
    }
}

impl From<String> for BundleError {
    fn from(message: String) -> Self {
        Self::Failed(message)
    }
}

/// Classifies the failure of a statement on a bundle: only damage can be told from other failures by its code.
impl From<Failure> for BundleError {
    fn from(Failure { code, message }: Failure) -> Self {
        match code {
            Code::DataLoss => Self::Damaged(message),
            Code::NotFound if message.starts_with("no bundle") => Self::Missing(message),
            _ => Self::Failed(message),
        }
    }
}

impl From<Error> for BundleError {
    fn from(error: Error) -> Self {
        match error.kind() {
            ErrorKind::NotFound => Self::Missing(error.to_string()),
            ErrorKind::Corrupt | ErrorKind::WitnessMismatch => Self::Damaged(error.to_string()),
            _ => Self::Failed(error.to_string()),
        }
    }
}

/// Runs the command: returns its exit code.
pub(crate) fn run(action: BundleAction) -> u8 {
    log_to_stderr("error");
    let runtime = match engine_runtime(0) {
        Ok(runtime) => runtime,
        Err(message) => return failed(message, 1),
    };
    let done = act(action, &runtime);
    runtime.shutdown_background();
    match done {
        Ok(()) => 0,
        Err(error) => failed(&error, error.exit_code()),
    }
}

/// Does what the command says, and prints what came of it.
fn act(action: BundleAction, runtime: &Runtime) -> Result<(), BundleError> {
    let (on, is_of_server) = match &action {
        BundleAction::Show { folder } => return show(folder),
        BundleAction::Publish(on) | BundleAction::Verify(on) | BundleAction::Save(on) => (on, false),
        BundleAction::Refresh(on) | BundleAction::Warm(on) => (on, true),
    };
    if is_of_server && !on.place.is_remote() {
        let message = "this changes what a server has in memory: say which one, with --remote";
        return Err(BundleError::Failed(message.to_owned()));
    }
    // Before a server is asked for anything.
    let verified = match &action {
        BundleAction::Verify(on) => Some(Bundle::read_from_dir(Path::new(&on.folder))?),
        _ => None,
    };
    let (BundleAction::Publish(on)
    | BundleAction::Verify(on)
    | BundleAction::Refresh(on)
    | BundleAction::Save(on)
    | BundleAction::Warm(on)) = &action
    else {
        return Ok(());
    };
    let target = on.place.clone().target(runtime)?;
    let (table, folder) = (on.table.clone(), on.folder.clone());
    let done = runtime.spawn(async move {
        match action {
            BundleAction::Publish(_) => publish(&target, &table, &folder).await,
            BundleAction::Refresh(_) => refresh(&target, &table, &folder).await,
            BundleAction::Save(_) => save(&target, &table, &folder).await,
            BundleAction::Warm(_) => warm(&target, &table, &folder).await,
            BundleAction::Show { .. } | BundleAction::Verify(_) => match verified {
                Some(bundle) => verify(&target, &table, &bundle).await,
                None => Ok(()),
            },
        }
    });
    runtime.block_on(done).map_err(|e| format!("it failed unexpectedly: {e}"))?
}

fn show(folder: &Path) -> Result<(), BundleError> {
    let bundle = Bundle::read_from_dir(folder)?;
    let mut lines = vec![
        ("format_version", bundle.format_version.to_string()),
        ("data_ref", bundle.data_ref),
        ("dim", bundle.dim.to_string()),
        ("rotation_seed", bundle.rotation_seed.to_string()),
        ("rerank_factor", bundle.rerank_factor.to_string()),
        ("generation", bundle.generation.to_string()),
        ("witness", bundle.witness),
    ];
    let others =
        [("pii_policy", bundle.pii_policy), ("lineage_id", bundle.lineage_id), ("memory_class", bundle.memory_class)];
    lines.extend(others.into_iter().filter_map(|(name, value)| Some((name, value?))));
    for (name, value) in lines {
        // The author of the bundle must not control this terminal.
        let value: String = value.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        print_line(&format!("{name:<15}{value}"))?;
    }
    Ok(())
}

async fn publish(target: &Target, table: &str, folder: &str) -> Result<(), BundleError> {
    let witness = one(target, "publish_bundle", &[table, folder]).await?;
    let path = Path::new(folder).join(FILE_NAME);
    Ok(print_line(&format!("published {table} to {}\nwitness {witness}", path.display()))?)
}

async fn verify(target: &Target, table: &str, bundle: &Bundle) -> Result<(), BundleError> {
    let newest = newest_state(target, table).await?;
    let named = TableState { data_ref: bundle.data_ref.clone(), generation: bundle.generation.to_string() };
    if newest.iter().all(|state| *state == named) {
        return Ok(print_line(&format!("the bundle is whole and names the newest state of {table}: {named}"))?);
    }
    let newest = newest.iter().map(TableState::to_string).collect::<Vec<_>>().join(", ");
    Err(BundleError::Outdated(format!("the bundle is whole, but {table} is in another state: {newest}, not {named}")))
}

async fn refresh(target: &Target, table: &str, folder: &str) -> Result<(), BundleError> {
    let result = one(target, "refresh_from_bundle", &[table, folder]).await?;
    match result.as_str() {
        "UP_TO_DATE" => Ok(print_line(&format!("{result}: the server has nothing else of {table} in memory"))?),
        "INVALIDATED" => Ok(print_line(&format!("{result}: the next search takes the newest state of {table}"))?),
        _ => {
            let path = Path::new(folder).join(FILE_NAME);
            Err(BundleError::Missing(format!("no bundle: path {}", path.display())))
        }
    }
}

async fn save(target: &Target, table: &str, folder: &str) -> Result<(), BundleError> {
    load(target, table).await?;
    let paths = call(target, "save_cache", &[table, folder]).await?;
    for path in &paths {
        print_line(&format!("wrote {path}"))?;
    }
    let path = Path::new(folder).join(FILE_NAME);
    Ok(print_line(&format!("published {table} to {}", path.display()))?)
}

async fn warm(target: &Target, table: &str, folder: &str) -> Result<(), BundleError> {
    let vectors = one(target, "warm_cache", &[table, folder]).await?;
    Ok(print_line(&format!("{vectors} vectors of {table} are indexed in memory"))?)
}

/// A state of a table, by what names it in a bundle.
#[derive(Debug, PartialEq)]
struct TableState {
    data_ref: String,
    generation: String,
}

impl fmt::Display for TableState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.generation, self.data_ref)
    }
}

/// The newest state of a table; of a server, those that it has in memory after a search.
async fn newest_state(target: &Target, table: &str) -> Result<Vec<TableState>, BundleError> {
    let (backend, collection) = schema_and_name(table);
    if let Target::Embedded { engine, .. } = target {
        let pinned = engine.lake().pin(&backend, &collection, None).await.map_err(|e| match e.kind() {
            // Not of the bundle.
            ErrorKind::NotFound => BundleError::Failed(e.to_string()),
            _ => e.into(),
        })?;
        let state = pinned.snapshot();
        let (data_ref, generation) = (state.data_ref().to_owned(), state.generation().to_string());
        return Ok(vec![TableState { data_ref, generation }]);
    }
    load(target, table).await?;
    let sql = format!(
        "SELECT DISTINCT data_ref, generation FROM system.bundles WHERE backend = {} AND collection = {}",
        literal(&backend),
        literal(&collection)
    );
    let rows = target.texts(&sql).await?.into_iter().filter_map(|row| <[String; 2]>::try_from(row).ok());
    let states: Vec<_> = rows.map(|[data_ref, generation]| TableState { data_ref, generation }).collect();
    match states.is_empty() {
        false => Ok(states),
        true => {
            Err(BundleError::Failed(format!("the server has nothing of {table} in memory: it needs an index there")))
        }
    }
}

/// Gets the indexes of a table into memory, by a search with each of them.
async fn load(target: &Target, table: &str) -> Result<(), Failure> {
    let (backend, collection) = schema_and_name(table);
    let sql = format!(
        "SELECT DISTINCT vector_column, metric FROM system.indexes WHERE backend = {} AND collection = {}",
        literal(&backend),
        literal(&collection)
    );
    for row in target.texts(&sql).await? {
        let [column, metric] = row.as_slice() else { continue };
        let quoted = format!("\"{}\"", column.replace('"', "\"\""));
        let search = format!(
            "SELECT count(*) FROM knn({}, (SELECT {quoted} FROM {table} WHERE {quoted} IS NOT NULL LIMIT 1), 1, \
             column => {}, metric => {})",
            literal(table),
            literal(column),
            literal(metric)
        );
        target.texts(&search).await?;
    }
    Ok(())
}

/// The rows of a function of the lake, which has one column.
async fn call(target: &Target, function: &str, arguments: &[&str]) -> Result<Vec<String>, Failure> {
    let arguments: Vec<_> = arguments.iter().map(|argument| literal(argument)).collect();
    let rows = target.texts(&format!("SELECT * FROM {function}({})", arguments.join(", "))).await?;
    Ok(rows.into_iter().flatten().collect())
}

async fn one(target: &Target, function: &str, arguments: &[&str]) -> Result<String, Failure> {
    Ok(call(target, function, arguments).await?.into_iter().next().unwrap_or_default())
}
