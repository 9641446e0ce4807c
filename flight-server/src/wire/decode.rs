//! From the messages of a client to batches.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use arrow_flight::FlightData;
use arrow_flight::decode::DecodedPayload;
use bytes::Bytes;
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use parking_lot::Mutex;
use tokio::time::timeout;
use tonic::Status;

use crate::wire::ipc;
use crate::wire::status::internal;

/// The Arrow data of a DoPut or a DoExchange.
pub(crate) struct Upload {
    pub(crate) schema: SchemaRef,
    pub(crate) batches: BoxStream<'static, Result<Piece, Status>>,
}

/// One batch, and what its sender wrote beside it (`app_metadata`).
pub(crate) struct Piece {
    pub(crate) batch: RecordBatch,
    pub(crate) metadata: Bytes,
}

/// The status that broke off an upload, for a caller that sees only that the engine failed.
#[derive(Clone, Default)]
pub(crate) struct UploadError(Arc<Mutex<Option<Status>>>);

/// Ends `messages` with `DeadlineExceeded` if the client sends none for `stall_max` while it is waited for.
pub(crate) fn not_stalled(
    messages: impl Stream<Item = Result<FlightData, Status>> + Send + Unpin + 'static,
    stall_max: Duration,
) -> impl Stream<Item = Result<FlightData, Status>> + Send + 'static {
    stream::unfold(Some(messages), move |messages| async move {
        let mut messages = messages?;
        match timeout(stall_max, messages.next()).await {
            Ok(next) => Some((next?, Some(messages))),
            Err(_) => {
                let seconds = stall_max.as_secs();
                tracing::warn!("an upload ends: its client sent nothing for {stall_max:?}");
                let message = format!("the client sent no data for {seconds} s, which is as long as it may take");
                Some((Err(Status::deadline_exceeded(message)), None))
            }
        }
    })
}

impl Upload {
    /// Reads `messages` up to their schema. `None` if they hold no Arrow data, only a command.
    ///
    /// # Errors
    /// `InvalidArgument` if the data does not begin with a schema or cannot be decoded.
    pub(crate) async fn read(
        messages: impl Stream<Item = Result<FlightData, Status>> + Send + 'static,
    ) -> Result<Option<Self>, Status> {
        // The command may come in a message of its own, which has neither header nor body.
        let data = messages.try_filter(|message| {
            let is_data = !message.data_header.is_empty() || !message.data_body.is_empty();
            std::future::ready(is_data)
        });
        let mut decoded = ipc::decode(data);
        let schema = match decoded.next().await.transpose()?.map(|first| first.payload) {
            None => return Ok(None),
            Some(DecodedPayload::Schema(schema)) => schema,
            Some(_) => return Err(Status::invalid_argument("Arrow data must begin with a schema")),
        };
        let batches = decoded.try_filter_map(|message| async move {
            match message.payload {
                DecodedPayload::RecordBatch(batch) => Ok(Some(Piece { batch, metadata: message.inner.app_metadata })),
                DecodedPayload::None => Ok(None),
                DecodedPayload::Schema(_) => Err(Status::invalid_argument("a second schema in one stream")),
            }
        });
        Ok(Some(Self { schema, batches: batches.boxed() }))
    }

    /// All rows in one batch: the values of parameters.
    pub(crate) async fn collect(self) -> Result<RecordBatch, Status> {
        let batches: Vec<_> = self.batches.map_ok(|piece| piece.batch).try_collect().await?;
        concat_batches(&self.schema, &batches).map_err(internal)
    }

    /// The rows as the engine takes them. If they break off, `UploadError` knows why.
    pub(crate) fn into_stream(self) -> (SendableRecordBatchStream, UploadError) {
        let error = UploadError::default();
        let noted = error.clone();
        let batches = self.batches.map_ok(|piece| piece.batch).map_err(move |status| {
            let message = status.message().to_owned();
            *noted.0.lock() = Some(status);
            DataFusionError::Execution(message)
        });
        (Box::pin(RecordBatchStreamAdapter::new(self.schema, batches)), error)
    }
}

impl UploadError {
    /// The upload's own error if it has one: the cause of `otherwise`.
    pub(crate) fn or(&self, otherwise: Status) -> Status {
        self.0.lock().take().unwrap_or(otherwise)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, Int64Array};
    use arrow_flight::utils::batches_to_flight_data;
    use tonic::Code;

    #[tokio::test]
    async fn a_message_that_claims_more_than_it_has_is_refused() {
        let batch = RecordBatch::try_from_iter([("a", Arc::new(Int64Array::from(vec![1, 2, 3])) as ArrayRef)]).unwrap();
        let valid = batches_to_flight_data(&batch.schema(), vec![batch.clone()]).unwrap();
        assert_eq!(collected(valid.clone()).await.unwrap(), batch);
        let mut torn = valid;
        torn[1].data_body = torn[1].data_body.slice(..8);
        let refused = collected(torn).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert!(
            refused.message().starts_with("Arrow data: the length of a message's body: expected at most the 8 bytes")
        );
    }

    #[tokio::test]
    async fn a_client_that_sends_nothing_is_not_waited_for_without_end() {
        let silent = stream::iter([Ok(FlightData::default())]).chain(stream::pending());
        let mut messages = Box::pin(not_stalled(silent, Duration::from_millis(20)));
        messages.next().await.unwrap().unwrap();
        assert_eq!(messages.next().await.unwrap().unwrap_err().code(), Code::DeadlineExceeded);
        assert!(messages.next().await.is_none());
        // The time is counted while the client is waited for, not while its last message is worked on.
        let quick = stream::iter([Ok(FlightData::default()), Ok(FlightData::default())]);
        let mut messages = Box::pin(not_stalled(quick, Duration::from_millis(20)));
        messages.next().await.unwrap().unwrap();
        tokio::time::sleep(Duration::from_millis(60)).await;
        messages.next().await.unwrap().unwrap();
    }

    async fn collected(messages: Vec<FlightData>) -> Result<RecordBatch, Status> {
        let upload = Upload::read(stream::iter(messages.into_iter().map(Ok))).await?;
        upload.unwrap().collect().await
    }
}
