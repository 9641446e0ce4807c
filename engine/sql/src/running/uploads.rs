//! Uploads that give way: an ingest waits for its client's rows while it holds the lock of its table.
//!
//! Takes the rows of an ingest and hands them on. When DROP TABLE asks, an upload whose client has sent nothing for
//! [`PATIENCE`] ends with an error, so that nothing is written. An upload that goes on is waited for.

use std::sync::Arc;
use std::time::Duration;

use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{StreamExt, stream};
use ruvector_rulake::error::to_datafusion;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::{Sender, channel};
use tokio::time::{Instant, timeout};

/// Time for which an upload may be silent when its table is to be dropped. A bound.
const PATIENCE: Duration = Duration::from_secs(3);
/// Time between two questions of a DROP TABLE that waits.
const ASK_INTERVAL: Duration = Duration::from_secs(1);

/// The uploads of an engine.
#[derive(Debug)]
pub(crate) struct Uploads(Sender<Arc<str>>);

impl Default for Uploads {
    fn default() -> Self {
        // A question that is lost is asked again.
        Self(channel(16).0)
    }
}

impl Uploads {
    /// The rows of `data`, on their way to `table`.
    pub(crate) fn watch(&self, table: &str, data: SendableRecordBatchStream) -> SendableRecordBatchStream {
        let (schema, table) = (data.schema(), Arc::<str>::from(table));
        let rows = stream::unfold(Some((data, self.0.subscribe())), move |state| {
            let table = Arc::clone(&table);
            async move {
                let (mut data, mut asked) = state?;
                let since = Instant::now();
                loop {
                    tokio::select! {
                        biased;
                        next = data.next() => return next.map(|batch| (batch, Some((data, asked)))),
                        question = asked.recv() => match question {
                            Ok(dropped) if dropped == table && since.elapsed() >= PATIENCE => {
                                let message = "the table is dropped, and the client of this ingest sent no rows";
                                let error = ruvector_rulake::Error::unavailable(message).with("table", &table);
                                return Some((Err(to_datafusion(error)), None));
                            }
                            Ok(_) | Err(RecvError::Lagged(_)) => {}
                            // The engine is gone: no table will be dropped any more.
                            Err(RecvError::Closed) => {
                                let next = data.next().await;
                                return next.map(|batch| (batch, Some((data, asked))));
                            }
                        },
                    }
                }
            }
        });
        Box::pin(RecordBatchStreamAdapter::new(schema, rows))
    }

    /// Runs `dropping`, which waits for the writers of `table`, and asks them to give way.
    pub(crate) async fn ask_until<T>(&self, table: &str, dropping: impl Future<Output = T>) -> T {
        let mut dropping = std::pin::pin!(dropping);
        let table = Arc::<str>::from(table);
        loop {
            match timeout(ASK_INTERVAL, dropping.as_mut()).await {
                Ok(dropped) => return dropped,
                // Without uploads there is no receiver, which is no error.
                Err(_) => drop(self.0.send(Arc::clone(&table))),
            }
        }
    }
}
