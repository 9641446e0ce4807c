//! The executor: runs statements on the engine's threads, never on those that serve sockets.
//!
//! A statement that changes something runs to its end even if its caller goes away, so that it is never half cancelled. A query
//! stops when its client no longer reads it. Both are counted, so that a stopping server can wait for them.
//!
//! A bounded number of statements runs at the same time ([`crate::execution::places`]). A query that is not read for too long
//! is ended: it would keep others waiting. A query that is killed ends at once, also while its client reads nothing.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use arrow_flight::FlightData;
use bytes::Bytes;
use futures::stream::{AbortHandle, AbortRegistration, Abortable, Aborted};
use futures::{FutureExt, Stream, StreamExt, stream};
use parking_lot::Mutex;
use ruvector_sql::{Stop, Turn};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tonic::Status;

use crate::config::{STREAM_MESSAGES_MAX, ServerConfig};
use crate::execution::places::{Permit, PlaceLimits, Places};
use crate::execution::pulse::Pulse;
use crate::wire::encode::{Encoded, FlightMessages};
use crate::wire::status::{panic_status, status, task_status};

/// The stream of messages that answers a DoGet.
pub(crate) type FlightStream = Pin<Box<dyn Stream<Item = Result<FlightData, Status>> + Send>>;

/// The engine's threads and what runs on them.
pub(crate) struct Executor {
    runtime: Handle,
    alive: mpsc::Sender<Infallible>,
    queries: Queries,
    limits: Limits,
    places: Places,
    pulse: Pulse,
    /// The place of a task that runs where it is asked for.
    inline: Arc<Semaphore>,
}

/// Bounds of the executor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) places: PlaceLimits,
    pub(crate) stall_max: Duration,
    pub(crate) keep_alive_interval: Duration,
}

impl From<&ServerConfig> for Limits {
    fn from(config: &ServerConfig) -> Self {
        Self {
            places: PlaceLimits::from(config),
            stall_max: config.stall_max,
            keep_alive_interval: config.keep_alive_interval,
        }
    }
}

/// Resolves when nothing runs any more.
pub(crate) struct Idle(mpsc::Receiver<Infallible>);

impl Executor {
    /// Executor on the threads of `runtime`, and the way to wait for its end once this is dropped.
    pub(crate) fn new(runtime: Handle, limits: Limits) -> (Self, Idle) {
        let (alive, idle) = mpsc::channel(1);
        let (queries, places, pulse) = (Queries::default(), Places::new(limits.places), Pulse::start(&runtime));
        (Self { runtime, alive, queries, limits, places, pulse, inline: Arc::new(Semaphore::new(1)) }, Idle(idle))
    }

    /// The places of statements.
    pub(crate) fn places(&self) -> &Places {
        &self.places
    }

    /// The pulse of the engine's threads.
    pub(crate) fn pulse(&self) -> &Pulse {
        &self.pulse
    }

    /// The time that a client may keep a statement waiting.
    pub(crate) fn stall_max(&self) -> Duration {
        self.limits.stall_max
    }

    /// Runs `task` to its end, whether or not the caller waits for it.
    pub(crate) async fn run_detached<T: Send + 'static>(
        &self,
        task: impl Future<Output = Result<T, Status>> + Send + 'static,
    ) -> Result<T, Status> {
        self.spawn(task).await.unwrap_or_else(|e| Err(task_status(&e)))
    }

    /// Runs `task` for as long as the caller waits for it.
    pub(crate) async fn run_attached<T: Send + 'static>(
        &self,
        task: impl Future<Output = Result<T, Status>> + Send + 'static,
    ) -> Result<T, Status> {
        StopOnDrop(self.spawn(task)).join().await.unwrap_or_else(|e| Err(task_status(&e)))
    }

    /// The place of the one task that may run where it is asked for, if it is free: others have these threads for their sockets.
    pub(crate) fn inline_place(&self) -> Option<Permit> {
        // A runtime of one thread has no other thread that could run them.
        let threads = Handle::current().runtime_flavor();
        let place = Arc::clone(&self.inline).try_acquire_owned().ok();
        place.filter(|_| threads == RuntimeFlavor::MultiThread).map(Permit::of)
    }

    /// Runs `task` on the thread that asks for it, for what is over before another would have begun. What it starts beside
    /// itself runs on the engine's threads.
    pub(crate) async fn run_inline<T>(
        &self,
        _place: Permit,
        task: impl Future<Output = Result<T, Status>>,
    ) -> Result<T, Status> {
        let mut task = pin!(AssertUnwindSafe(task).catch_unwind());
        let done = poll_fn(|context| {
            let _engine = self.runtime.enter();
            task.as_mut().poll(context)
        });
        done.await.unwrap_or_else(|_| Err(panic_status()))
    }

    /// Encodes on the engine's threads for as long as the result is read, a few messages ahead of the reader. `permit` is
    /// kept until then. [`Executor::cancel`] with the same `id` ends it with an error, and so does a kill that `stops` tells
    /// of; an empty `id` is no id.
    pub(crate) fn stream(&self, id: Bytes, encoded: Encoded, permit: Option<Permit>, stops: Stops) -> FlightStream {
        let Encoded { messages, keep_alive } = encoded;
        let messages = self.ahead(id, messages, permit, stops);
        let interval = self.limits.keep_alive_interval;
        Box::pin(stream::unfold((messages, false), move |(mut messages, begun)| {
            let keep_alive = keep_alive.clone();
            async move {
                // Before the first message, the schema, nothing else may come.
                let next = match begun {
                    true => timeout(interval, messages.next()).await.unwrap_or(Some(Ok(keep_alive))),
                    false => messages.next().await,
                };
                Some((next?, (messages, true)))
            }
        }))
    }

    fn ahead(&self, id: Bytes, mut messages: FlightMessages, permit: Option<Permit>, stops: Stops) -> FlightStream {
        let (sender, receiver) = mpsc::channel(STREAM_MESSAGES_MAX);
        let (query, registration) = self.queries.enter(id);
        let stall_max = self.limits.stall_max;
        let turns = stops.clone();
        let pump = async move {
            while let Some(message) = messages.next().await {
                let sent = tokio::select! {
                    sent = timeout(stall_max, sender.send(message)) => sent,
                    stopped = stops.stopped() => return Some(stopped),
                };
                match sent {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) => return None,
                    Err(_) => {
                        tracing::warn!("a query ends: its client took no rows for {stall_max:?}");
                        let message = format!("no rows were taken for {} s", stall_max.as_secs());
                        return Some(Status::deadline_exceeded(message));
                    }
                }
            }
            None
        };
        // What the task returns is its last word, whatever is in the channel.
        let task = self.spawn(async move {
            let (_query, _permit) = (query, permit);
            match Abortable::new(in_turns(turns, pump), registration).await {
                Ok(last_word) => last_word,
                Err(Aborted) => Some(Status::cancelled("the query was cancelled")),
            }
        });
        let state = (receiver, Some(StopOnDrop(task)));
        Box::pin(stream::unfold(state, |(mut receiver, mut task)| async move {
            if let Some(message) = receiver.recv().await {
                return Some((message, (receiver, task)));
            }
            // The sender is gone. A task that panicked must not look like the end of the rows.
            let error = task.take()?.join().await.unwrap_or_else(|panicked| Some(task_status(&panicked)))?;
            Some((Err(error), (receiver, None)))
        }))
    }

    /// Ends the streams of query `id`. Says whether there was one.
    pub(crate) fn cancel(&self, id: &Bytes) -> bool {
        !id.is_empty() && self.queries.cancel(id)
    }

    fn spawn<T: Send + 'static>(&self, task: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
        let alive = self.alive.clone();
        self.runtime.spawn(async move {
            let _alive = alive;
            task.await
        })
    }
}

impl Idle {
    /// Waits until the [`Executor`] is dropped and all it started has ended.
    pub(crate) async fn wait(mut self) {
        let _ = self.0.recv().await;
    }
}

/// A task that stops when this is dropped.
struct StopOnDrop<T>(JoinHandle<T>);

impl<T> StopOnDrop<T> {
    async fn join(mut self) -> Result<T, tokio::task::JoinError> {
        (&mut self.0).await
    }
}

impl<T> Drop for StopOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Tells that the statement whose rows a stream hands on was stopped. A stream of several statements, one after the other, has
/// the newest one. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Stops(Arc<Mutex<Option<Stop>>>);

impl Stops {
    /// Notes the statement that begins now.
    pub(crate) fn begun(&self, stop: Stop) {
        *self.0.lock() = Some(stop);
    }

    /// Resolves when the statement is stopped, with what its client is told.
    async fn stopped(&self) -> Status {
        let stop = self.0.lock().clone();
        match stop {
            Some(stop) => status(&stop.stopped().await),
            None => std::future::pending().await,
        }
    }
}

/// Polls a task that hands out the rows of statements, in the turns of the newest one.
async fn in_turns<T>(stops: Stops, task: impl Future<Output = T>) -> T {
    let mut task = pin!(task);
    let mut turn = Turn::default();
    let polled = poll_fn(|context| {
        let stop = stops.0.lock().clone();
        match stop {
            Some(stop) => stop.poll_in_turn(&mut turn, context, |context| task.as_mut().poll(context)),
            None => task.as_mut().poll(context),
        }
    });
    polled.await
}

/// The streams that run. A query that is fetched twice has two.
#[derive(Clone, Default)]
struct Queries(Arc<Mutex<Streams>>);

#[derive(Default)]
struct Streams {
    next: u64,
    running: HashMap<u64, (Bytes, AbortHandle)>,
}

/// The entry of one stream in [`Queries`]; dropping it takes it out.
struct Entry {
    queries: Queries,
    number: u64,
}

impl Queries {
    fn enter(&self, id: Bytes) -> (Entry, AbortRegistration) {
        let (handle, registration) = AbortHandle::new_pair();
        let mut streams = self.0.lock();
        let number = streams.next;
        streams.next += 1;
        streams.running.insert(number, (id, handle));
        (Entry { queries: self.clone(), number }, registration)
    }

    fn cancel(&self, id: &Bytes) -> bool {
        let streams = self.0.lock();
        let mut found = false;
        for (_, handle) in streams.running.values().filter(|(running, _)| running == id) {
            handle.abort();
            found = true;
        }
        found
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.queries.0.lock().running.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::execution::places::Occupant;
    use crate::wire::encode::{Batches, encode};
    use arrow::array::{Int64Array, RecordBatch};
    use futures::TryStreamExt;
    use tonic::Code;

    #[tokio::test]
    async fn a_panic_is_an_error_and_not_the_end_of_the_rows() {
        let (executor, _idle) = executor();
        let rows = stream::iter([Ok(batch())]).chain(stream::once(async { panic!("on purpose") }));
        let result: Result<Vec<_>, _> =
            executor.stream(Bytes::new(), encoded(rows.boxed()), None, Stops::default()).try_collect().await;
        assert_eq!(result.unwrap_err().code(), Code::Internal);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_runs_at_once_may_start_more_and_its_panic_is_an_error() {
        let (executor, _idle) = executor();
        let place = executor.inline_place().unwrap();
        assert!(executor.inline_place().is_none(), "there is one");
        let started = executor.run_inline(place, async { Ok(tokio::spawn(async { 7 })) }).await.unwrap();
        assert_eq!(started.await.unwrap(), 7);
        let place = executor.inline_place().unwrap();
        let panicked: Result<(), _> = executor.run_inline(place, async { panic!("on purpose") }).await;
        assert_eq!(panicked.unwrap_err().code(), Code::Internal);
    }

    #[tokio::test]
    async fn a_cancelled_query_ends_with_an_error() {
        let (executor, _idle) = executor();
        let id = Bytes::from_static(b"q");
        let rows = stream::iter([Ok(batch())]).chain(stream::pending()).boxed();
        let mut messages = executor.stream(id.clone(), encoded(rows), None, Stops::default());
        messages.next().await.unwrap().unwrap();
        assert!(executor.cancel(&id));
        let rest: Result<Vec<_>, _> = messages.try_collect().await;
        assert_eq!(rest.unwrap_err().code(), Code::Cancelled);
        assert!(!executor.cancel(&id));
    }

    #[tokio::test]
    async fn a_stream_nobody_reads_stops() {
        let (executor, idle) = executor();
        drop(executor.stream(Bytes::new(), encoded(stream::pending().boxed()), None, Stops::default()));
        drop(executor);
        timeout(Duration::from_secs(5), idle.wait()).await.unwrap();
    }

    #[tokio::test]
    async fn an_update_runs_to_its_end_without_its_caller() {
        let (executor, idle) = executor();
        let (done, mut is_done) = mpsc::channel(1);
        let update = executor.run_detached(async move {
            tokio::time::sleep(Duration::from_millis(50)).await;
            done.send(()).await.map_err(|_| Status::internal("test ended early"))
        });
        assert!(timeout(Duration::from_millis(1), update).await.is_err());
        drop(executor);
        idle.wait().await;
        assert!(is_done.recv().await.is_some());
    }

    #[tokio::test]
    async fn a_query_without_rows_yet_sends_batches_without_rows() {
        let (executor, _idle) = executor();
        let rows = stream::once(async {
            tokio::time::sleep(limits().keep_alive_interval * 10).await;
            Ok(batch())
        });
        let messages: Vec<_> =
            executor.stream(Bytes::new(), encoded(rows.boxed()), None, Stops::default()).try_collect().await.unwrap();
        let messages = stream::iter(messages.into_iter().map(Ok));
        let batches: Vec<_> =
            arrow_flight::decode::FlightRecordBatchStream::new_from_flight_data(messages).try_collect().await.unwrap();
        let rows: Vec<_> = batches.iter().map(RecordBatch::num_rows).collect();
        assert!(rows.len() > 1, "{rows:?}");
        assert_eq!(rows.iter().rposition(|rows| *rows == 0), Some(rows.len() - 2));
        assert_eq!(rows.last(), Some(&1));
    }

    #[tokio::test]
    async fn a_client_that_takes_no_rows_loses_its_query_and_its_place() {
        let (executor, idle) = executor();
        let permit = executor.places().admit(Occupant::default()).await.unwrap();
        let mut messages = executor.stream(
            Bytes::new(),
            encoded(stream::repeat_with(|| Ok(batch())).boxed()),
            Some(permit),
            Stops::default(),
        );
        assert_eq!(executor.places().load(), (1, 0));
        timeout(Duration::from_secs(20), async {
            while executor.places().load() != (0, 0) {
                tokio::time::sleep(limits().stall_max / 4).await;
            }
        })
        .await
        .unwrap();
        drop(executor);
        idle.wait().await;
        // What was made is still handed out; then it says why there is no more.
        for _ in 0..STREAM_MESSAGES_MAX {
            messages.next().await.unwrap().unwrap();
        }
        assert_eq!(messages.next().await.unwrap().unwrap_err().code(), Code::DeadlineExceeded);
        assert!(messages.next().await.is_none());
    }

    fn limits() -> Limits {
        Limits {
            places: PlaceLimits::from(&ServerConfig::default()),
            stall_max: Duration::from_millis(60),
            keep_alive_interval: Duration::from_millis(20),
        }
    }

    fn executor() -> (Executor, Idle) {
        Executor::new(Handle::current(), limits())
    }

    fn batch() -> RecordBatch {
        RecordBatch::try_from_iter([("a", Arc::new(Int64Array::from(vec![1])) as _)]).unwrap()
    }

    fn encoded(rows: Batches) -> Encoded {
        encode(batch().schema(), rows).unwrap()
    }
}
