//! Places: the number of statements that run at the same time, in all and per user, and the line of those that wait.
//!
//! Takes a caller, and gives a [`Permit`] that is kept for as long as the statement runs. Admins who signed in have a few places
//! more when all others are taken. It does not run anything: see [`crate::execution::executor`].

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use ruvector_sql::Role;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tonic::Status;

use crate::config::{ADMIN_PLACES, ServerConfig};
use crate::execution::sessions::Caller;

/// Users that are remembered although none of their statements runs or waits: a bound of memory.
const IDLE_USERS_MAX: usize = 1024;

/// Bounds of the statements that run and wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PlaceLimits {
    pub(crate) statements_max: usize,
    /// Zero is three quarters of `statements_max`.
    pub(crate) statements_per_user_max: usize,
    pub(crate) statements_waiting_max: usize,
    pub(crate) statement_wait_max: Duration,
}

impl From<&ServerConfig> for PlaceLimits {
    fn from(config: &ServerConfig) -> Self {
        Self {
            statements_max: config.statements_max,
            statements_per_user_max: config.statements_per_user_max,
            statements_waiting_max: config.statements_waiting_max,
            statement_wait_max: config.statement_wait_max,
        }
    }
}

/// The caller that takes a place.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Occupant<'a> {
    /// `None` without authentication: callers cannot be told apart then, and have no limit of their own.
    pub(crate) user: Option<&'a str>,
    pub(crate) is_admin: bool,
}

impl<'a> From<&'a Caller> for Occupant<'a> {
    fn from(caller: &'a Caller) -> Self {
        // Without authentication every caller is an admin: a reserve for all would be none.
        let user = caller.user();
        Self { user, is_admin: user.is_some() && caller.role() == Role::Admin }
    }
}

/// The place of one statement, for as long as this is kept.
pub(crate) struct Permit {
    /// Held for its `Drop`.
    _place: OwnedSemaphorePermit,
    /// Held for its `Drop`: the part of the user's own limit.
    _of_user: Option<OwnedSemaphorePermit>,
}

impl Permit {
    /// A place that counts for no user.
    pub(crate) fn of(place: OwnedSemaphorePermit) -> Self {
        Self { _place: place, _of_user: None }
    }
}

/// The places of a server.
pub(crate) struct Places {
    limits: PlaceLimits,
    general: Arc<Semaphore>,
    /// For admins, when the general ones are taken.
    reserved: Arc<Semaphore>,
    /// For one look at what runs, when the others are taken.
    looking: Arc<Semaphore>,
    waiting: AtomicUsize,
    users: Mutex<HashMap<String, Arc<User>>>,
}

/// The part of one user.
struct User {
    running: Arc<Semaphore>,
    waiting: AtomicUsize,
}

impl Places {
    pub(crate) fn new(limits: PlaceLimits) -> Self {
        Self {
            limits,
            general: Arc::new(Semaphore::new(limits.statements_max.min(Semaphore::MAX_PERMITS))),
            reserved: Arc::new(Semaphore::new(ADMIN_PLACES)),
            looking: Arc::new(Semaphore::new(1)),
            waiting: AtomicUsize::new(0),
            users: Mutex::default(),
        }
    }

    /// Waits until one more statement may run: first come, first served.
    ///
    /// # Errors
    /// `Unavailable` if too many wait already, or it was not its turn for too long.
    pub(crate) async fn admit(&self, who: Occupant<'_>) -> Result<Permit, Status> {
        if let Some(permit) = self.try_admit(who) {
            return Ok(permit);
        }
        let PlaceLimits { statements_max, statements_waiting_max, statement_wait_max, .. } = self.limits;
        let _waits = QueueSlot::one_more(&self.waiting, statements_waiting_max).ok_or_else(|| {
            Status::unavailable(format!(
                "the server is busy: {statements_max} statements run and {statements_waiting_max} wait: try again"
            ))
        })?;
        let user = self.user(who);
        let _user_waits = match &user {
            Some(user) => Some(QueueSlot::one_more(&user.waiting, self.waiting_per_user_max()).ok_or_else(|| {
                Status::unavailable(format!(
                    "user {} has {} statements that wait, which is the most that one user may have: try again",
                    who.user.unwrap_or_default(),
                    self.waiting_per_user_max()
                ))
            })?),
            None => None,
        };
        let place = async {
            tokio::select! {
                permit = self.general(user.as_deref()) => permit,
                permit = self.reserved(who) => permit,
            }
        };
        match timeout(statement_wait_max, place).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) => Err(Status::unavailable("the server is stopping")),
            Err(_) => Err(Status::unavailable(match &user {
                Some(user) if user.running.available_permits() == 0 => format!(
                    "user {} has {} statements that run, which is the most that one user may have, and none ended for \
                     {} s: try again",
                    who.user.unwrap_or_default(),
                    self.per_user_max(),
                    statement_wait_max.as_secs()
                ),
                _ => format!(
                    "the server is busy: {statements_max} statements run, and it was not this one's turn for {} s: try \
                     again",
                    statement_wait_max.as_secs()
                ),
            })),
        }
    }

    /// Like [`Places::admit`], for statements that read `system.queries`: one may run above the limits, so that a full server
    /// can still be inspected.
    pub(crate) async fn admit_monitoring(&self, who: Occupant<'_>) -> Result<Permit, Status> {
        if let Some(permit) = self.try_admit(who) {
            return Ok(permit);
        }
        match Arc::clone(&self.looking).try_acquire_owned() {
            Ok(place) => Ok(Permit::of(place)),
            Err(_) => self.admit(who).await,
        }
    }

    /// Statements that run and that wait.
    pub(crate) fn load(&self) -> (usize, usize) {
        let general = self.limits.statements_max.saturating_sub(self.general.available_permits());
        let reserved = ADMIN_PLACES.saturating_sub(self.reserved.available_permits());
        (general + reserved, self.waiting.load(Ordering::Relaxed))
    }

    fn try_admit(&self, who: Occupant<'_>) -> Option<Permit> {
        let general = || {
            let of_user = match self.user(who) {
                Some(user) => Some(Arc::clone(&user.running).try_acquire_owned().ok()?),
                None => None,
            };
            let place = Arc::clone(&self.general).try_acquire_owned().ok()?;
            Some(Permit { _place: place, _of_user: of_user })
        };
        let reserved = || match who.is_admin {
            true => Arc::clone(&self.reserved).try_acquire_owned().ok().map(Permit::of),
            false => None,
        };
        general().or_else(reserved)
    }

    async fn general(&self, user: Option<&User>) -> Result<Permit, AcquireError> {
        let of_user = match user {
            Some(user) => Some(Arc::clone(&user.running).acquire_owned().await?),
            None => None,
        };
        let place = Arc::clone(&self.general).acquire_owned().await?;
        Ok(Permit { _place: place, _of_user: of_user })
    }

    /// A place of the reserve. Never resolves for callers that are no admins.
    async fn reserved(&self, who: Occupant<'_>) -> Result<Permit, AcquireError> {
        match who.is_admin {
            true => Arc::clone(&self.reserved).acquire_owned().await.map(Permit::of),
            false => std::future::pending().await,
        }
    }

    /// The user's part, if there is a limit per user.
    fn user(&self, who: Occupant<'_>) -> Option<Arc<User>> {
        let name = who.user.filter(|_| self.per_user_max() < self.limits.statements_max)?;
        let mut users = self.users.lock();
        if let Some(user) = users.get(name) {
            return Some(Arc::clone(user));
        }
        if users.len() >= IDLE_USERS_MAX {
            // A permit holds the semaphore, a waiter the user.
            users.retain(|_, user| Arc::strong_count(user) > 1 || Arc::strong_count(&user.running) > 1);
        }
        let running = Arc::new(Semaphore::new(self.per_user_max().min(Semaphore::MAX_PERMITS)));
        let user = Arc::new(User { running, waiting: AtomicUsize::new(0) });
        users.insert(name.to_owned(), Arc::clone(&user));
        Some(user)
    }

    /// Statements of one user that run at the same time.
    fn per_user_max(&self) -> usize {
        match self.limits.statements_per_user_max {
            0 => three_quarters(self.limits.statements_max),
            max => max,
        }
    }

    /// Statements of one user that wait: the line is no place to keep others out of either.
    fn waiting_per_user_max(&self) -> usize {
        three_quarters(self.limits.statements_waiting_max)
    }
}

/// Three quarters of `all`, rounded up.
pub(crate) fn three_quarters(all: usize) -> usize {
    all - all / 4
}

/// A waiter, counted as long as this is kept.
struct QueueSlot<'a>(&'a AtomicUsize);

impl<'a> QueueSlot<'a> {
    fn one_more(waiting: &'a AtomicUsize, max: usize) -> Option<Self> {
        let entered = waiting
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |waiting| (waiting < max).then_some(waiting + 1));
        entered.ok().map(|_| Self(waiting))
    }
}

impl Drop for QueueSlot<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic::Code;

    const ANN: Occupant<'_> = Occupant { user: Some("ann"), is_admin: false };
    const BOB: Occupant<'_> = Occupant { user: Some("bob"), is_admin: false };
    const ADMIN: Occupant<'_> = Occupant { user: Some("admin"), is_admin: true };

    #[tokio::test]
    async fn waiters_get_their_turn_in_order_and_too_many_are_refused() {
        let places = Arc::new(places(2, Duration::from_secs(60)));
        let running =
            [places.admit(Occupant::default()).await.unwrap(), places.admit(Occupant::default()).await.unwrap()];
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut waiting = Vec::new();
        for number in 0..3 {
            let (places, order) = (Arc::clone(&places), Arc::clone(&order));
            waiting.push(tokio::spawn(async move {
                let _permit = places.admit(Occupant::default()).await.unwrap();
                order.lock().push(number);
                tokio::time::sleep(Duration::from_millis(1)).await;
            }));
            tokio::task::yield_now().await;
        }
        assert_eq!(places.load(), (2, 3));
        let refused = places.admit(Occupant::default()).await.err().unwrap();
        assert_eq!(refused.code(), Code::Unavailable);
        assert_eq!(refused.message(), "the server is busy: 2 statements run and 3 wait: try again");
        drop(running);
        futures::future::join_all(waiting).await;
        assert_eq!(*order.lock(), [0, 1, 2]);
        assert_eq!(places.load(), (0, 0));
    }

    #[tokio::test]
    async fn a_statement_waits_for_so_long_and_no_longer() {
        let places = places(1, Duration::from_millis(20));
        let _running = places.admit(Occupant::default()).await.unwrap();
        let refused = places.admit(Occupant::default()).await.err().unwrap();
        assert_eq!(refused.code(), Code::Unavailable);
        assert_eq!(places.load(), (1, 0));
    }

    #[tokio::test]
    async fn one_user_cannot_take_every_place() {
        let places = places(4, Duration::from_millis(20));
        let mut anns = Vec::new();
        for _ in 0..3 {
            anns.push(places.admit(ANN).await.unwrap());
        }
        let refused = places.admit(ANN).await.err().unwrap();
        assert!(refused.message().starts_with("user ann has 3 statements that run"), "{refused}");
        let bobs = places.admit(BOB).await.unwrap();
        anns.pop();
        anns.push(places.admit(ANN).await.unwrap());
        drop(bobs);
        assert_eq!(places.load(), (3, 0));
    }

    #[tokio::test]
    async fn a_full_server_has_places_for_admins() {
        let places = places(1, Duration::from_millis(20));
        let general = places.admit(ADMIN).await.unwrap();
        assert!(places.admit(BOB).await.is_err());
        let mut reserved = Vec::new();
        for _ in 0..ADMIN_PLACES {
            reserved.push(places.admit(ADMIN).await.unwrap());
        }
        assert_eq!(places.load(), (1 + ADMIN_PLACES, 0));
        assert!(places.admit(ADMIN).await.is_err());
        // One look at what runs is always possible.
        let look = places.admit_monitoring(BOB).await.unwrap();
        assert!(places.admit_monitoring(BOB).await.is_err());
        drop((general, look));
        places.admit(BOB).await.unwrap();
    }

    fn places(statements_max: usize, statement_wait_max: Duration) -> Places {
        let (statements_per_user_max, statements_waiting_max) = (0, 3);
        Places::new(PlaceLimits { statements_max, statements_per_user_max, statements_waiting_max, statement_wait_max })
    }
}
