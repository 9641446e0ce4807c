//! Lookup options of a statement's tables: the age that their state may have, the time that a backend has to tell it, and whether
//! to go on without it.
//!
//! DataFusion looks tables up by name alone, so the options are values of the task that plans.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use datafusion::catalog::TableProvider;
use datafusion::common::config::ConfigOptions;
use datafusion::common::{ResolvedTableReference, Result as DfResult};
use parking_lot::Mutex;
use ruvector_rulake::Consistency;

use crate::error::{Error, Result};
use crate::names::CATALOG;
use crate::settings::Settings;

tokio::task_local! {
    static OPTIONS: LookupOptions;
    static PREFETCHED: Mutex<HashMap<(String, String), Found>>;
}

/// The answer of a backend to the name of a table.
pub type Found = DfResult<Option<Arc<dyn TableProvider>>>;

/// Lookup options of one table.
#[derive(Clone, Debug, PartialEq)]
pub struct TableLookup {
    /// The table.
    pub table: ResolvedTableReference,
    /// The age that its state may have; `None` leaves it to the session, the collection, the backend and the lake.
    pub consistency: Option<Consistency>,
    /// The time that its backend has; `None` is no limit.
    pub timeout: Option<Duration>,
    /// True if the statement goes on without the table when its backend does not answer.
    pub partial: bool,
}

/// Lookup options of a statement.
#[derive(Clone, Debug, Default)]
pub struct LookupOptions {
    tables: Vec<TableLookup>,
    /// The consistency that the session asks of all tables.
    consistency: Option<Consistency>,
    /// True if every backend is asked again, regardless of its consistency.
    force_refresh: bool,
}

impl LookupOptions {
    /// Adds the options of a table.
    ///
    /// # Errors
    /// `InvalidInput` if the table has other options already: a statement reads a table in one state.
    pub fn add(&mut self, lookup: TableLookup) -> Result<()> {
        match self.tables.iter().find(|known| known.table == lookup.table && **known != lookup) {
            Some(known) => Err(Error::invalid_input(format!(
                "a statement reads a table in one state: two calls of knn() say different things of {}",
                known.table
            ))),
            None => {
                self.tables.push(lookup);
                Ok(())
            }
        }
    }

    /// The same options, for the newest states: for the second try after a state went away.
    pub fn refreshed(self) -> Self {
        Self { force_refresh: true, ..self }
    }

    /// Runs a future, perhaps a look-up of tables, with these options and those of a session.
    pub async fn scope<F: Future>(mut self, settings: &ConfigOptions, future: F) -> F::Output {
        self.consistency = Settings::of(settings).consistency();
        OPTIONS.scope(self, future).await
    }

    /// True if the statement that is being planned needs the newest states.
    pub fn force_refresh() -> bool {
        OPTIONS.try_with(|options| options.force_refresh).unwrap_or(false)
    }

    /// True if a statement is being planned. Otherwise tables are looked up for their metadata, as `information_schema` does.
    pub fn is_planning() -> bool {
        OPTIONS.try_with(|_| ()).is_ok()
    }

    /// Takes a table that was looked up before planning began; `None` the second time.
    pub fn take_prefetched(backend: &str, table: &str) -> Option<Found> {
        PREFETCHED.try_with(|found| found.lock().remove(&(backend.to_owned(), table.to_owned()))).ok().flatten()
    }

    /// The age that the state of a table may have for the statement that is being planned.
    pub fn consistency_of(backend: &str, table: &str) -> Option<Consistency> {
        let of_session = || OPTIONS.try_with(|options| options.consistency).ok().flatten();
        Self::of(backend, table).and_then(|lookup| lookup.consistency).or_else(of_session)
    }

    /// The options of a table in the statement that is being planned.
    pub fn of(backend: &str, table: &str) -> Option<TableLookup> {
        let is_named = |lookup: &&TableLookup| {
            (&*lookup.table.catalog, &*lookup.table.schema, &*lookup.table.table) == (CATALOG, backend, table)
        };
        OPTIONS.try_with(|options| options.tables.iter().find(is_named).cloned()).ok().flatten()
    }
}

/// Runs a future with tables that were looked up already, by backend and name.
pub async fn with_prefetched<F: Future>(found: HashMap<(String, String), Found>, future: F) -> F::Output {
    PREFETCHED.scope(Mutex::new(found), future).await
}
