//! Authentication of a call, from its headers, before anything else of the call is read.
//!
//! A message may be hundreds of megabytes, and gRPC decodes it before the service sees the call. So the headers are checked
//! here. A caller that is not let in is turned away before the first byte of the message is taken. Only the handshake passes
//! without permission: it is how a client signs in.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service, http};
use tonic::metadata::MetadataMap;
use tonic::server::NamedService;
use tonic::{Request, Status};

use crate::execution::audit;
use crate::execution::sessions::Caller;
use crate::execution::state::ServerState;

/// The one call that needs no permission.
const HANDSHAKE: &str = "/arrow.flight.protocol.FlightService/Handshake";

/// A service whose callers are known: each request has its [`Caller`] with it.
#[derive(Clone)]
pub(crate) struct AuthLayer<S> {
    inner: S,
    state: Arc<ServerState>,
}

impl<S> AuthLayer<S> {
    pub(crate) fn new(inner: S, state: Arc<ServerState>) -> Self {
        Self { inner, state }
    }
}

impl<S: NamedService> NamedService for AuthLayer<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<http::Request<Body>> for AuthLayer<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        // The one that is ready is this one; its copy waits for the next call.
        let copy = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, copy);
        let state = Arc::clone(&self.state);
        Box::pin(async move {
            if request.uri().path() != HANDSHAKE {
                let metadata = MetadataMap::from_headers(request.headers().clone());
                let head = Request::from_parts(metadata, request.extensions().clone(), ());
                match caller(&state, &head).await {
                    Ok(caller) => request.extensions_mut().insert(caller),
                    Err(refused) => return Ok(refused.into_http()),
                };
            }
            inner.call(request).await
        })
    }
}

async fn caller(state: &ServerState, head: &Request<()>) -> Result<Caller, Status> {
    let start = Instant::now();
    let caller = Caller::of(&state.authentication, head).await;
    if let Err(refused) = &caller {
        audit::sign_in_refused(&state.metrics, head.metadata(), head.remote_addr(), start, refused);
    }
    caller
}
