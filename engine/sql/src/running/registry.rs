//! The statements of an engine: those that run, and those that ended last. `system.queries` lists them and `KILL` stops them.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::running::statement::{Principal, RunningStatement};
use crate::text::own_question::is_own_question;
use ruvector_udfs::error::{Error, ErrorKind, Result};

/// Statements that are remembered when they have ended: enough to see the recent past.
const RECENT: usize = 100;
/// Statements of a user that were given up and still keep a thread, at most: a planner ends only between two of its steps. A
/// bound: one user could keep all threads by statements that are given up again and again.
const GIVEN_UP_MAX: usize = 8;

/// The statements of an engine. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct RunningStatements(Arc<Mutex<Registry>>);

/// The records of an engine's statements.
#[derive(Debug, Default)]
struct Registry {
    last_id: u64,
    running: BTreeMap<u64, Arc<RunningStatement>>,
    /// Tasks of each user that were given up and have not come to a place where they end.
    given_up: HashMap<Option<Arc<str>>, usize>,
    /// The ones that ended last, the oldest first.
    recent: VecDeque<Arc<RunningStatement>>,
}

impl RunningStatements {
    /// Adds a statement that begins now. It may take `limit`, if there is one. A question of the shell's own has no id and is in no
    /// list.
    pub(super) fn add(
        &self,
        session: String,
        principal: &Principal,
        sql: &str,
        limit: Option<Duration>,
    ) -> Arc<RunningStatement> {
        if is_own_question(sql) {
            return Arc::new(RunningStatement::new(0, session, principal.clone(), sql, limit));
        }
        let mut registry = self.0.lock();
        registry.last_id += 1;
        let statement = Arc::new(RunningStatement::new(registry.last_id, session, principal.clone(), sql, limit));
        registry.running.insert(statement.id, Arc::clone(&statement));
        statement
    }

    /// The statements that run and those that ran last, in the order in which they began.
    pub(crate) fn list(&self) -> Vec<Arc<RunningStatement>> {
        let registry = self.0.lock();
        let mut list: Vec<_> = registry.recent.iter().chain(registry.running.values()).cloned().collect();
        list.sort_unstable_by_key(|statement| statement.id);
        list
    }

    /// Stops statement `id`. Returns true if it ran, and false if it has ended already.
    ///
    /// # Errors
    /// `NotFound` if there never was one; `PermissionDenied` if it is another user's and the session's role is not admin.
    pub(crate) fn kill(&self, principal: &Principal, id: u64) -> Result<bool> {
        let registry = self.0.lock();
        let found = registry.running.get(&id).cloned();
        let last_id = registry.last_id;
        drop(registry);
        let Some(statement) = found else {
            return match (1..=last_id).contains(&id) {
                true => Ok(false),
                false => Err(Error::new(ErrorKind::NotFound, format!("no such statement: {id} (see system.queries)"))),
            };
        };
        if !principal.may_see(statement.principal.user.as_deref()) {
            let message = format!(
                "KILL of another user's statement needs the role admin, and this session has the role {}",
                principal.role
            );
            return Err(Error::new(ErrorKind::PermissionDenied, message));
        }
        statement.kill(principal.user.clone());
        Ok(true)
    }

    /// Takes statement `id` out of the list without a trace.
    pub(super) fn forget(&self, id: u64) {
        self.0.lock().running.remove(&id);
    }

    /// Moves statement `id` from those that run to those that ended last.
    pub(super) fn ended(&self, id: u64) {
        let mut registry = self.0.lock();
        if let Some(ended) = registry.running.remove(&id) {
            if registry.recent.len() == RECENT {
                registry.recent.pop_front();
            }
            registry.recent.push_back(ended);
        }
    }

    /// Refuses a statement of a user that has too many statements that were given up.
    ///
    /// # Errors
    /// `ResourceExhausted`.
    pub(super) fn check_given_up(&self, user: &Option<Arc<str>>) -> Result<()> {
        match self.0.lock().given_up.get(user).is_some_and(|tasks| *tasks >= GIVEN_UP_MAX) {
            true => Err(Error::new(
                ErrorKind::ResourceExhausted,
                format!("{GIVEN_UP_MAX} statements that were stopped are still being planned: try again later"),
            )),
            false => Ok(()),
        }
    }

    /// Counts a task of a user that was given up.
    pub(super) fn give_up(&self, user: Option<Arc<str>>) {
        *self.0.lock().given_up.entry(user).or_default() += 1;
    }

    /// Counts the end of a task of a user that was given up.
    pub(super) fn end_given_up(&self, user: &Option<Arc<str>>) {
        let mut registry = self.0.lock();
        if let Some(tasks) = registry.given_up.get_mut(user) {
            *tasks -= 1;
            if *tasks == 0 {
                registry.given_up.remove(user);
            }
        }
    }
}
