//! Turns of long statements on the processor: as many statements' tasks compute at the same time as there are cores.
//!
//! The operating system shares the cores among all threads alike. With eight long statements on two cores, a short one would
//! wait for five times its own time. Here the tasks of a statement that has computed for [`LONG`] take turns: a task is polled
//! only while it holds one of [`TURNS`]. Shorter statements, sign-ins and KILL need no turn, and find a core at once.
//!
//! Time is wall time within polls: a task that waits for rows or a store holds no turn.

use std::any::Any;
use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, ready};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use datafusion::common::runtime::{JoinSetTracer, set_join_set_tracer};
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Time that a statement computes without turns. A bound: several times that of a short statement under load.
const LONG: Duration = Duration::from_millis(50);
/// Time that a task waits for a turn. A bound: a task that holds a turn and blocks its thread until another task is done would
/// wait for ever.
const WAIT_MAX: Duration = Duration::from_millis(500);

/// One turn per core.
static TURNS: LazyLock<Arc<Semaphore>> =
    LazyLock::new(|| Arc::new(Semaphore::new(available_parallelism().map_or(1, usize::from))));

thread_local! {
    /// The statement whose task the thread polls.
    static POLLED: RefCell<Option<Computed>> = const { RefCell::new(None) };
}

/// Time for which the tasks of a statement have computed. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Computed(Arc<AtomicU64>);

impl Computed {
    fn is_long(&self) -> bool {
        u128::from(self.0.load(Ordering::Relaxed)) >= LONG.as_nanos()
    }

    /// Counts the time of a poll, unless an outer poll does. Tasks that the poll spawns belong to the statement.
    pub(crate) fn count<T>(&self, poll: impl FnOnce() -> T) -> T {
        if is_polled() {
            return poll();
        }
        POLLED.with(|polled| *polled.borrow_mut() = Some(self.clone()));
        let _forget = Forget;
        let began = Instant::now();
        let polled = poll();
        let nanoseconds = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.0.fetch_add(nanoseconds, Ordering::Relaxed);
        polled
    }

    /// Polls a task of the statement to its end, in turns.
    pub(crate) async fn in_turns<T>(self, task: impl Future<Output = T>) -> T {
        let mut task = pin!(task);
        let mut turn = Turn::default();
        poll_fn(|context| turn.poll(&self, context, |context| task.as_mut().poll(context))).await
    }
}

/// Returns true within the poll of a statement's task.
fn is_polled() -> bool {
    POLLED.with(|polled| polled.borrow().is_some())
}

/// Ends the poll of a statement's task, also after a panic.
struct Forget;

impl Drop for Forget {
    fn drop(&mut self) {
        POLLED.with(|polled| polled.borrow_mut().take());
    }
}

/// The place of a task in the queue for turns. The task must be polled when it is woken, or be dropped: it keeps a turn that
/// it was given.
#[derive(Default)]
pub struct Turn {
    waits: Option<BoxFuture<'static, Option<OwnedSemaphorePermit>>>,
}

impl Turn {
    /// Polls a task of a statement as soon as it has a turn, if it needs one. A task that is polled within the poll of another
    /// needs none.
    pub(crate) fn poll<T>(
        &mut self,
        computed: &Computed,
        context: &mut Context<'_>,
        poll: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        if is_polled() {
            return poll(context);
        }
        let _turn = match computed.is_long() {
            true => ready!(self.poll_turn(context)),
            false => None,
        };
        computed.count(|| poll(context))
    }

    fn poll_turn(&mut self, context: &mut Context<'_>) -> Poll<Option<OwnedSemaphorePermit>> {
        if self.waits.is_none()
            && let Ok(turn) = Arc::clone(&TURNS).try_acquire_owned()
        {
            return Poll::Ready(Some(turn));
        }
        let waits = self.waits.get_or_insert_with(|| {
            Box::pin(async { timeout(WAIT_MAX, Arc::clone(&TURNS).acquire_owned()).await.ok()?.ok() })
        });
        let turn = ready!(Pin::new(waits).poll(context));
        self.waits = None;
        Poll::Ready(turn)
    }
}

/// Has the tasks that DataFusion spawns take turns. A process that traces these tasks in another way keeps it.
pub(crate) fn install() {
    let _ = set_join_set_tracer(&TasksInTurns);
}

struct TasksInTurns;

type Done = Box<dyn Any + Send>;

impl JoinSetTracer for TasksInTurns {
    fn trace_future(&self, task: BoxFuture<'static, Done>) -> BoxFuture<'static, Done> {
        match POLLED.with(|polled| polled.borrow().clone()) {
            Some(computed) => computed.in_turns(task).boxed(),
            None => task,
        }
    }

    fn trace_block(&self, work: Box<dyn FnOnce() -> Done + Send>) -> Box<dyn FnOnce() -> Done + Send> {
        work
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use tokio::sync::{Mutex, MutexGuard, SemaphorePermit};

    use super::*;

    /// Tests that count or take the turns run one after the other.
    static ALONE: Mutex<()> = Mutex::const_new(());

    async fn all_turns() -> (MutexGuard<'static, ()>, SemaphorePermit<'static>) {
        let cores = u32::try_from(available_parallelism().unwrap().get()).unwrap();
        (ALONE.lock().await, TURNS.acquire_many(cores).await.unwrap())
    }

    fn long() -> Computed {
        let computed = Computed::default();
        computed.0.store(u64::MAX / 2, Ordering::Relaxed);
        computed
    }

    /// A task of ten polls of `time` each. It counts the tasks that are polled at the same time, and the most of them.
    async fn ten_polls(time: Duration, now: Arc<AtomicUsize>, most: Arc<AtomicUsize>) {
        for _ in 0..10 {
            let polled = now.fetch_add(1, Ordering::SeqCst) + 1;
            most.fetch_max(polled, Ordering::SeqCst);
            std::thread::sleep(time);
            now.fetch_sub(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 16)]
    async fn long_statements_take_turns_and_short_ones_do_not_wait() {
        let _alone = ALONE.lock().await;
        let cores = available_parallelism().unwrap().get();
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let tasks: Vec<_> = (0..4 * cores)
            .map(|_| {
                let task = ten_polls(Duration::from_millis(5), Arc::clone(&now), Arc::clone(&most));
                tokio::spawn(long().in_turns(task))
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(10)).await;
        // While all turns are taken.
        let polled = Computed::default().in_turns(async { now.load(Ordering::SeqCst) }).await;
        assert!(polled > 0, "the long ones had ended");
        for task in tasks {
            task.await.unwrap();
        }
        assert!((1..=cores).contains(&most.load(Ordering::SeqCst)), "{most:?} of {cores}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn tasks_that_a_statement_spawns_count_for_it_and_take_turns() {
        install();
        let computed = Computed::default();
        let spawned = computed.clone().in_turns(async {
            let mut tasks = datafusion::common::runtime::JoinSet::new();
            tasks.spawn(async { std::thread::sleep(Duration::from_millis(120)) });
            tasks.join_next().await
        });
        spawned.await.unwrap().unwrap();
        assert!(computed.is_long(), "{computed:?}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_task_within_another_and_one_behind_blocked_turns_do_not_wait_for_ever() {
        let within = long().in_turns(async { long().in_turns(async { 7 }).await });
        assert_eq!(within.await, 7);
        let _all = all_turns().await;
        let waited = timeout(10 * WAIT_MAX, long().in_turns(async { 7 })).await;
        assert_eq!(waited, Ok(7));
    }

    #[tokio::test]
    async fn a_task_that_is_dropped_leaves_the_queue() {
        let all = all_turns().await;
        assert!(timeout(WAIT_MAX / 20, long().in_turns(async {})).await.is_err());
        drop(all);
        timeout(WAIT_MAX * 10, long().in_turns(async {})).await.unwrap();
    }
}
