//! The one way in: sessions, statements and what they answer.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::scalar::ScalarValue;

use crate::error::{Error, ErrorKind, Result};

/// How an [`Engine`] is opened.
#[derive(Clone, Debug, Default)]
pub struct EngineConfig {
    /// Folder of the default backend `main`. `None` keeps tables in a temporary folder that goes with the engine.
    pub data_dir: Option<PathBuf>,
    /// How `embed()` finds its model and its runtime.
    pub embed: ruvector_embed::EmbedderOptions,
}

/// The SQL engine over one data directory. Cheap to share; safe from many threads.
#[derive(Debug)]
pub struct Engine {}

/// One client's settings (`SET ...`). Statements of one session may run at the same time.
#[derive(Debug)]
pub struct Session {}

/// What a statement answers.
pub enum Answer {
    /// Rows, made as they are pulled. Dropping the stream ends the work.
    Rows(SendableRecordBatchStream),
    /// The statement ran to its end and changed this many rows (0 for DDL and SET).
    Count(u64),
}

/// What is known of a statement before it runs.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The schema of its rows, or `None` if it answers with a count (DDL, DML, SET).
    pub schema: Option<SchemaRef>,
    /// One field per parameter, in order of `$1, $2, ...`; the type `Null` where it is not known.
    pub parameters: SchemaRef,
}

/// What [`Engine::ingest`] does with a table of that name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IngestMode {
    /// Create the table; an error if it exists.
    Create,
    /// Append to it; an error if it does not exist.
    Append,
    /// Replace it, or create it.
    Replace,
    /// Append to it, or create it.
    CreateAppend,
}

impl Engine {
    /// Opens the engine.
    ///
    /// # Errors
    /// `InvalidInput` if `data_dir` cannot be made or is not a folder.
    pub async fn open(config: EngineConfig) -> Result<Arc<Self>> {
        let _ = config;
        Err(Error::new(ErrorKind::Internal, "not yet"))
    }

    /// A new session with default settings.
    pub fn session(&self) -> Arc<Session> {
        Arc::new(Session {})
    }

    /// Parses and plans `sql` without running anything.
    ///
    /// # Errors
    /// As [`Engine::execute`], for what planning can see.
    pub async fn prepare(&self, session: &Session, sql: &str) -> Result<Prepared> {
        let _ = (session, sql);
        Err(Error::new(ErrorKind::Internal, "not yet"))
    }

    /// Runs one statement. `params` are the values of `$1, $2, ...` (or of `?`, in order).
    ///
    /// DDL and DML run to their end before this returns, exactly once; queries run as their stream is pulled.
    ///
    /// # Errors
    /// Of every kind; nothing is changed on error.
    pub async fn execute(&self, session: &Session, sql: &str, params: &[ScalarValue]) -> Result<Answer> {
        let _ = (session, sql, params);
        Err(Error::new(ErrorKind::Internal, "not yet"))
    }

    /// Writes the rows of `data` to `table` in one transaction and returns their number.
    ///
    /// Columns are matched by name. `List<Float32>` and `FixedSizeList` of floats go into vector columns.
    ///
    /// # Errors
    /// `AlreadyExists`, `NotFound` by `mode`; `InvalidInput` for columns that do not fit. Nothing is written on error.
    pub async fn ingest(
        &self,
        session: &Session,
        table: &str,
        mode: IngestMode,
        data: SendableRecordBatchStream,
    ) -> Result<u64> {
        let _ = (session, table, mode, data);
        Err(Error::new(ErrorKind::Internal, "not yet"))
    }
}
