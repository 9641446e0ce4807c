//! The one gate for Arrow's format (IPC) from outside: tickets, handles, DoPut, DoExchange.
//!
//! Arrow's decoders take the sizes in a message for the sizes of allocations, and the allocator ends the process where it
//! fails. So a message is checked before it is decoded: every size that it claims against the bytes that are present, and
//! the sum of what will be allocated against a budget ([`crate::config`]). Valid messages are not copied for it. Nothing
//! else in this crate calls a decoder of Arrow's on foreign bytes.

mod batch;
mod checker;
mod lz4;
mod malformed;
mod schema;

#[cfg(test)]
mod tests;

use std::panic::AssertUnwindSafe;

use arrow_flight::FlightData;
use arrow_flight::decode::{DecodedFlightData, FlightDataDecoder};
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, TryStreamExt};
use tonic::Status;

pub use checker::decode_schema;
pub(crate) use checker::{Checker, decode_batch};
pub use malformed::Malformed;

use crate::wire::status::decode_status;

/// Decodes Flight's messages as they come: a schema, then batches of it.
///
/// # Errors
/// `InvalidArgument` for the first message that is malformed, with its part, what was expected and what was got.
pub fn decode(
    messages: impl Stream<Item = Result<FlightData, Status>> + Send + 'static,
) -> BoxStream<'static, Result<DecodedFlightData, Status>> {
    let mut checker = Checker::default();
    let checked = messages.map(move |message| {
        let message = message?;
        checker.check(&message.data_header, &message.data_body)?;
        Ok::<_, Status>(message)
    });
    // Arrow's decoder asserts what the checks leave to it.
    let decoded = AssertUnwindSafe(FlightDataDecoder::new(checked.map_err(Into::into))).catch_unwind();
    decoded.map(|message| message.map_err(|_| checker::damaged())?.map_err(decode_status)).boxed()
}
