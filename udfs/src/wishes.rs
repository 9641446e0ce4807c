//! What a statement wishes of the tables it names: how old their state may be, how long a backend may take to tell it, and
//! whether to go on without it.
//!
//! Tables are looked up by DataFusion, which has no place for wishes: they go along with the task that plans.

use std::future::Future;
use std::time::Duration;

use datafusion::common::ResolvedTableReference;
use ruvector_rulake::Consistency;

use crate::catalog::CATALOG;
use crate::error::{Error, Result};

tokio::task_local! {
    static WISHES: Wishes;
}

/// What is wished of one table.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Wish {
    pub(crate) table: ResolvedTableReference,
    pub(crate) consistency: Option<Consistency>,
    pub(crate) timeout: Option<Duration>,
    /// Whether to go on without the table if its backend does not answer.
    pub(crate) partial: bool,
}

/// The wishes of a statement.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wishes {
    of_tables: Vec<Wish>,
    /// Whether every backend is asked again, whatever is said of its consistency.
    anew: bool,
}

impl Wishes {
    /// Adds a wish.
    ///
    /// # Errors
    /// `InvalidInput` if another is wished of the table: a statement reads a table in one state.
    pub(crate) fn add(&mut self, wish: Wish) -> Result<()> {
        match self.of_tables.iter().find(|known| known.table == wish.table && **known != wish) {
            Some(known) => Err(Error::invalid_input(format!(
                "a statement reads a table in one state: two calls of knn() say different things of {}",
                known.table
            ))),
            None => {
                self.of_tables.push(wish);
                Ok(())
            }
        }
    }

    /// The same wishes, of the newest states: for the second try after a state went away.
    pub(crate) fn anew(self) -> Self {
        Self { anew: true, ..self }
    }

    /// Whether the statement that is being planned wishes for the newest states.
    pub(crate) fn are_anew() -> bool {
        WISHES.try_with(|wishes| wishes.anew).unwrap_or(false)
    }

    /// Plans with these wishes.
    pub(crate) async fn during<T>(self, planning: impl Future<Output = T>) -> T {
        WISHES.scope(self, planning).await
    }

    /// What the statement that is being planned wishes of a table.
    pub(crate) fn of(backend: &str, table: &str) -> Option<Wish> {
        let is_meant =
            |wish: &&Wish| (&*wish.table.catalog, &*wish.table.schema, &*wish.table.table) == (CATALOG, backend, table);
        WISHES.try_with(|wishes| wishes.of_tables.iter().find(is_meant).cloned()).ok().flatten()
    }
}
