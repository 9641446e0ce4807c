//! The Flight services: authentication of each call, and the command that answers it.

use std::pin::Pin;

use futures::Stream;
use tonic::{Response, Status};

pub(crate) mod auth_layer;
pub(crate) mod frontend;

mod flight_sql;

/// The response to a call, or the status that it fails with.
type Reply<T> = Result<Response<T>, Status>;

/// A response of several messages.
type ReplyStream<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;
