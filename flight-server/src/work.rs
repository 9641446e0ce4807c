//! Where statements run: on the engine's threads, never on those that serve sockets.
//!
//! A statement that changes something runs to its end even if its caller goes away, so that it is never half cancelled; a
//! query stops when nobody reads it any more. Both are counted, so that a stopping server can wait for them.

use std::collections::HashMap;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;

use arrow_flight::FlightData;
use arrow_flight::encode::FlightDataEncoder;
use bytes::Bytes;
use futures::stream::{AbortHandle, AbortRegistration, Abortable};
use futures::{Stream, StreamExt, stream};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tonic::Status;

use crate::config::STREAM_MESSAGES_MAX;
use crate::error::task_status;

/// What a DoGet answers with.
pub(crate) type FlightStream = Pin<Box<dyn Stream<Item = Result<FlightData, Status>> + Send>>;

/// The engine's threads and what runs on them.
pub(crate) struct Work {
    runtime: Handle,
    alive: mpsc::Sender<Infallible>,
    queries: Queries,
}

/// Resolves when nothing runs any more.
pub(crate) struct Idle(mpsc::Receiver<Infallible>);

impl Work {
    /// Work on the threads of `runtime`, and the way to wait for its end once this is dropped.
    pub(crate) fn new(runtime: Handle) -> (Self, Idle) {
        let (alive, idle) = mpsc::channel(1);
        (Self { runtime, alive, queries: Queries::default() }, Idle(idle))
    }

    /// Runs `task` to its end, whether or not the caller waits for it.
    pub(crate) async fn to_the_end<T: Send + 'static>(
        &self,
        task: impl Future<Output = Result<T, Status>> + Send + 'static,
    ) -> Result<T, Status> {
        self.spawn(task).await.unwrap_or_else(|e| Err(task_status(&e)))
    }

    /// Runs `task` for as long as the caller waits for it.
    pub(crate) async fn while_wanted<T: Send + 'static>(
        &self,
        task: impl Future<Output = Result<T, Status>> + Send + 'static,
    ) -> Result<T, Status> {
        StopOnDrop(self.spawn(task)).join().await.unwrap_or_else(|e| Err(task_status(&e)))
    }

    /// Encodes on the engine's threads for as long as the result is read, a few messages ahead of the reader.
    /// [`Work::cancel`] with the same `id` ends it with an error; an empty `id` is no id.
    pub(crate) fn stream(&self, id: Bytes, messages: FlightDataEncoder) -> FlightStream {
        let (sender, receiver) = mpsc::channel(STREAM_MESSAGES_MAX);
        let (query, registration) = self.queries.enter(id);
        let task = self.spawn(async move {
            let _query = query;
            let mut messages = Abortable::new(messages, registration);
            while let Some(message) = messages.next().await {
                if sender.send(message.map_err(Status::from)).await.is_err() {
                    return;
                }
            }
            if messages.is_aborted() {
                let _ = sender.send(Err(Status::cancelled("the query was cancelled"))).await;
            }
        });
        let state = (receiver, Some(StopOnDrop(task)));
        Box::pin(stream::unfold(state, |(mut receiver, mut task)| async move {
            if let Some(message) = receiver.recv().await {
                return Some((message, (receiver, task)));
            }
            // The sender is gone. A task that panicked must not look like the end of the rows.
            let error = task.take()?.join().await.err()?;
            Some((Err(task_status(&error)), (receiver, None)))
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
    /// Waits until the [`Work`] is dropped and all it started has ended.
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
    use arrow::array::{Int64Array, RecordBatch};
    use arrow_flight::encode::FlightDataEncoderBuilder;
    use arrow_flight::error::FlightError;
    use futures::TryStreamExt;
    use std::time::Duration;
    use tonic::Code;

    #[tokio::test]
    async fn a_panic_is_an_error_and_not_the_end_of_the_rows() {
        let (work, _idle) = Work::new(Handle::current());
        let rows = stream::iter([Ok(batch())]).chain(stream::once(async { panic!("on purpose") }));
        let result: Result<Vec<_>, _> = work.stream(Bytes::new(), encoder(rows)).try_collect().await;
        assert_eq!(result.unwrap_err().code(), Code::Internal);
    }

    #[tokio::test]
    async fn a_cancelled_query_ends_with_an_error() {
        let (work, _idle) = Work::new(Handle::current());
        let id = Bytes::from_static(b"q");
        let mut messages = work.stream(id.clone(), encoder(stream::iter([Ok(batch())]).chain(stream::pending())));
        messages.next().await.unwrap().unwrap();
        assert!(work.cancel(&id));
        let rest: Result<Vec<_>, _> = messages.try_collect().await;
        assert_eq!(rest.unwrap_err().code(), Code::Cancelled);
        assert!(!work.cancel(&id));
    }

    #[tokio::test]
    async fn a_stream_nobody_reads_stops() {
        let (work, idle) = Work::new(Handle::current());
        drop(work.stream(Bytes::new(), encoder(stream::pending())));
        drop(work);
        tokio::time::timeout(Duration::from_secs(5), idle.wait()).await.unwrap();
    }

    #[tokio::test]
    async fn an_update_runs_to_its_end_without_its_caller() {
        let (work, idle) = Work::new(Handle::current());
        let (done, mut is_done) = mpsc::channel(1);
        let update = work.to_the_end(async move {
            tokio::time::sleep(Duration::from_millis(50)).await;
            done.send(()).await.map_err(|_| Status::internal("test ended early"))
        });
        assert!(tokio::time::timeout(Duration::from_millis(1), update).await.is_err());
        drop(work);
        idle.wait().await;
        assert!(is_done.recv().await.is_some());
    }

    fn batch() -> RecordBatch {
        RecordBatch::try_from_iter([("a", Arc::new(Int64Array::from(vec![1])) as _)]).unwrap()
    }

    fn encoder(rows: impl Stream<Item = Result<RecordBatch, FlightError>> + Send + 'static) -> FlightDataEncoder {
        FlightDataEncoderBuilder::new().with_schema(batch().schema()).build(rows)
    }
}
