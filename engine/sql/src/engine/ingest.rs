//! Ingest: rows of a client, of any origin, become rows of a table in one transaction.

use datafusion::common::TableReference;
use datafusion::execution::SendableRecordBatchStream;

use crate::catalog::main_schema::{CreateRequest, TableKind};
use crate::engine::Engine;
use crate::running::answer::Answer;
use crate::session::Session;
use crate::statements::column_types::stored_types;
use ruvector_udfs::error::{Error, ErrorKind, Result};
use ruvector_udfs::role::Role;

/// Treatment of an existing or missing table by [`Engine::ingest`].
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
    /// Writes the rows of `data` to `table` in one transaction and returns their number.
    ///
    /// Columns are matched by name. `List<Float32>` and `FixedSizeList` of floats go into vector columns.
    ///
    /// It is a statement of `system.queries`, as `INGEST INTO table`: it can be killed, and may take as long as engine and
    /// session let a statement take.
    ///
    /// # Errors
    /// `AlreadyExists`, `NotFound` by `mode`; `InvalidInput` for columns that do not fit; `PermissionDenied` for a session
    /// that may not write; `Cancelled` if it was killed or took too long. Nothing is written on error.
    pub async fn ingest(
        &self,
        session: &Session,
        table: &str,
        mode: IngestMode,
        data: SendableRecordBatchStream,
    ) -> Result<u64> {
        let running = self.begin(session, &format!("INGEST INTO {table}"));
        let written = async { self.write(session, table, mode, data).await.map(Answer::Count) };
        match running.run_here(written).await? {
            Answer::Count(count) => Ok(count),
            Answer::Rows(_) => Err(Error::new(ErrorKind::Internal, "an ingest answered with rows, expected a count")),
        }
    }

    /// Writes the rows of an ingest for [`Engine::ingest`], which watches over it.
    async fn write(
        &self,
        session: &Session,
        table: &str,
        mode: IngestMode,
        data: SendableRecordBatchStream,
    ) -> Result<u64> {
        session.role().check(Role::Writer, "ingest")?;
        let table = self.state.main_table(&TableReference::parse_str(table))?;
        let data = self.state.uploads.watch(&table, data);
        let main = self.state.main();
        let request = CreateRequest {
            table: &table,
            kind: TableKind::Delta,
            if_not_exists: mode == IngestMode::CreateAppend,
            or_replace: mode != IngestMode::CreateAppend,
        };
        let creation = match mode {
            IngestMode::Append => None,
            _ => self.state.main_schema().create(&request).await?,
        };
        let Some(creation) = creation else { return Ok(main.append(&table, data).await?) };
        let schema = stored_types(&data.schema())?;
        match mode == IngestMode::Replace && creation.replaces {
            true => Ok(main.overwrite(&table, schema, data).await?),
            // For `Create`, it refuses a table that exists.
            false => Ok(main.create_with(&table, schema, data).await?),
        }
    }
}
