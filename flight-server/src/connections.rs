//! Connections: how many there are, in all and from one address, and how long they may be silent.
//!
//! Takes the listener, and gives a stream of [`Connection`]s to serve; a connection beyond a limit is closed at once. A
//! connection ends when its client has not begun to speak in time, and when it has had no call for too long. TLS and HTTP/2 are
//! not known here: [`Counted`] tells which connections have calls.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::{Stream, stream};
use http_body::{Body as HttpBody, Frame, SizeHint};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, Sleep, sleep};
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service, http};
use tonic::server::NamedService;
use tonic::transport::server::{Connected, TcpConnectInfo, TlsConnectInfo};

use crate::config::{ACCEPT_PAUSE, SPEAK_MAX, ServerConfig};
use crate::execution::places::three_quarters;

/// Bytes by which a client has begun to speak: those of the preface of HTTP/2. The greeting of TLS is longer.
const GREETING_BYTES: usize = 24;

/// Bounds of the connections.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConnectionLimits {
    pub(crate) connections_max: usize,
    /// Zero is three quarters of `connections_max`.
    pub(crate) connections_per_address_max: usize,
    /// Zero is no limit.
    pub(crate) idle_max: Duration,
    pub(crate) speak_max: Duration,
}

impl From<&ServerConfig> for ConnectionLimits {
    fn from(config: &ServerConfig) -> Self {
        Self {
            connections_max: config.connections_max,
            connections_per_address_max: config.connections_per_address_max,
            idle_max: config.connection_idle_max,
            speak_max: SPEAK_MAX,
        }
    }
}

/// The connections of a server. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Connections {
    limits: ConnectionLimits,
    open: Arc<Mutex<HashMap<SocketAddr, Activity>>>,
    accepted: Arc<AtomicU64>,
}

/// The calls of one connection.
struct Activity {
    /// Tells it from an earlier connection of the same peer.
    number: u64,
    running: usize,
    /// The time at which the last call ended, or the connection was opened.
    quiet_since: Instant,
}

impl Connections {
    pub(crate) fn new(limits: ConnectionLimits) -> Self {
        Self { limits, open: Arc::default(), accepted: Arc::default() }
    }

    /// The connections that `listener` accepts and the limits allow.
    pub(crate) fn accept(self, listener: TcpListener) -> impl Stream<Item = io::Result<Connection>> {
        stream::unfold((self, listener), |(connections, listener)| async move {
            loop {
                match listener.accept().await {
                    Ok((stream, peer)) => {
                        if let Some(connection) = connections.admit(stream, peer) {
                            return Some((Ok(connection), (connections, listener)));
                        }
                        tracing::debug!(%peer, "a connection beyond the limits is closed");
                    }
                    Err(error) => {
                        // The process may have as many files open as it can: the next attempt would fail as fast.
                        tracing::warn!(%error, "a connection cannot be accepted");
                        sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        })
    }

    /// The number of open connections.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.open.lock().len()
    }

    /// Notes a call on the connection from `peer`, for as long as the result is kept.
    fn call(&self, peer: SocketAddr) -> Call {
        let mut open = self.open.lock();
        let number = open.get_mut(&peer).map(|activity| {
            activity.running += 1;
            activity.number
        });
        drop(open);
        Call { connections: self.clone(), peer, number }
    }

    fn admit(&self, stream: TcpStream, peer: SocketAddr) -> Option<Connection> {
        let ConnectionLimits { connections_max, connections_per_address_max, speak_max, .. } = self.limits;
        let per_address_max = match connections_per_address_max {
            0 => three_quarters(connections_max),
            max => max,
        };
        let mut open = self.open.lock();
        let of_address = open.keys().filter(|other| same_host(other.ip(), peer.ip())).count();
        if open.len() >= connections_max || of_address >= per_address_max {
            return None;
        }
        let number = self.accepted.fetch_add(1, Ordering::Relaxed);
        // A client may take its port again before its last connection is gone here.
        open.insert(peer, Activity { number, running: 0, quiet_since: Instant::now() });
        drop(open);
        // Small messages are not held back; a socket that cannot do so works too.
        let _ = stream.set_nodelay(true);
        let silence = Box::pin(sleep(speak_max));
        Some(Connection { stream, silence, heard: 0, place: Place { connections: self.clone(), peer, number } })
    }

    /// The time at which the connection from `peer` will have been quiet for too long, unless a call comes.
    fn quiet_until(&self, peer: SocketAddr) -> Instant {
        let idle_max = self.limits.idle_max;
        match self.open.lock().get(&peer) {
            Some(activity) if activity.running == 0 => activity.quiet_since + idle_max,
            _ => Instant::now() + idle_max,
        }
    }
}

/// True if two addresses are of one host. An address of IPv6 counts as its network of 64 bits, which one host may have whole.
fn same_host(one: IpAddr, other: IpAddr) -> bool {
    match (one.to_canonical(), other.to_canonical()) {
        (IpAddr::V6(one), IpAddr::V6(other)) => one.segments()[..4] == other.segments()[..4],
        (one, other) => one == other,
    }
}

/// A connection that counts, and that ends when it is silent for too long.
pub(crate) struct Connection {
    stream: TcpStream,
    /// Ends at the next check for silence.
    silence: Pin<Box<Sleep>>,
    /// Bytes that came, up to [`GREETING_BYTES`].
    heard: usize,
    place: Place,
}

/// One of the connections; as long as this is kept.
struct Place {
    connections: Connections,
    peer: SocketAddr,
    number: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.connections.open.lock();
        if open.get(&self.peer).is_some_and(|activity| activity.number == self.number) {
            open.remove(&self.peer);
        }
    }
}

impl Connection {
    /// The reason that the connection ends now, if it does. Without a reason, `context` is woken for the next check.
    fn poll_silent(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        let Place { connections, peer, .. } = &self.place;
        while self.silence.as_mut().poll(context).is_ready() {
            if self.heard < GREETING_BYTES {
                return Poll::Ready(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the client did not begin to speak in time",
                ));
            }
            if connections.limits.idle_max.is_zero() {
                return Poll::Pending;
            }
            let until = connections.quiet_until(*peer);
            if until <= Instant::now() {
                return Poll::Ready(io::Error::new(io::ErrorKind::TimedOut, "the connection had no call for too long"));
            }
            self.silence.as_mut().reset(until);
        }
        Poll::Pending
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(context, buffer) {
            self.heard = GREETING_BYTES.min(self.heard + buffer.filled().len() - before);
            return Poll::Ready(read);
        }
        self.poll_silent(context).map(Err)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

impl Connected for Connection {
    /// The same as of a bare socket, by which tonic finds the address of a caller.
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.stream.connect_info()
    }
}

/// A service whose calls keep their connections from being silent.
#[derive(Clone)]
pub(crate) struct Counted<S> {
    inner: S,
    connections: Connections,
}

impl<S> Counted<S> {
    pub(crate) fn new(inner: S, connections: Connections) -> Self {
        Self { inner, connections }
    }
}

impl<S: NamedService> NamedService for Counted<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<http::Request<Body>> for Counted<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let call = peer(request.extensions()).map(|peer| self.connections.call(peer));
        let answer = self.inner.call(request);
        Box::pin(async move {
            let response = answer.await?;
            Ok(match call {
                Some(call) => call.answers(response),
                None => response,
            })
        })
    }
}

/// The address from which a call came.
fn peer(extensions: &http::Extensions) -> Option<SocketAddr> {
    let tcp = extensions.get::<TcpConnectInfo>();
    let tls = || extensions.get::<TlsConnectInfo<TcpConnectInfo>>().map(TlsConnectInfo::get_ref);
    tcp.or_else(tls)?.remote_addr()
}

/// A call that runs; dropping it ends it.
struct Call {
    connections: Connections,
    peer: SocketAddr,
    number: Option<u64>,
}

impl Call {
    /// The call's answer: the call runs until its body is sent, or given up.
    fn answers(self, response: http::Response<Body>) -> http::Response<Body> {
        response.map(|body| Body::new(Answering { body, _call: self }))
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if let Some(activity) = self.connections.open.lock().get_mut(&self.peer)
            && Some(activity.number) == self.number
        {
            activity.running = activity.running.saturating_sub(1);
            activity.quiet_since = Instant::now();
        }
    }
}

/// The body of an answer.
struct Answering {
    body: Body,
    /// Held for its `Drop`.
    _call: Call,
}

impl HttpBody for Answering {
    type Data = <Body as HttpBody>::Data;
    type Error = <Body as HttpBody>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::StreamExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::timeout;

    const LIMITS: ConnectionLimits = ConnectionLimits {
        connections_max: 2,
        connections_per_address_max: 2,
        idle_max: Duration::from_millis(200),
        speak_max: Duration::from_millis(100),
    };

    #[tokio::test]
    async fn a_connection_beyond_the_limit_is_closed_and_one_that_ends_makes_room() {
        let (address, connections, mut accepted) = listen(LIMITS).await;
        let mut clients = Vec::new();
        let mut served = Vec::new();
        for _ in 0..2 {
            clients.push(TcpStream::connect(address).await.unwrap());
            served.push(accepted.next().await.unwrap().unwrap());
        }
        let mut refused = TcpStream::connect(address).await.unwrap();
        assert!(timeout(Duration::from_millis(100), accepted.next()).await.is_err());
        let read = refused.read(&mut [0; 8]).await;
        assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
        served.pop();
        clients.push(TcpStream::connect(address).await.unwrap());
        served.push(accepted.next().await.unwrap().unwrap());
        assert_eq!(connections.len(), 2);
    }

    #[tokio::test]
    async fn one_address_leaves_room_for_others() {
        let limits = ConnectionLimits { connections_max: 100, connections_per_address_max: 1, ..LIMITS };
        let (address, connections, accepted) = listen(limits).await;
        let _first = TcpStream::connect(address).await.unwrap();
        let mut second = TcpStream::connect(address).await.unwrap();
        let serving = tokio::spawn(accepted.collect::<Vec<_>>());
        // It is closed: there is nothing to read, or not even a connection.
        let read = second.read(&mut [0; 8]).await;
        assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
        assert_eq!(connections.len(), 1);
        serving.abort();
        assert!(same_host("::ffff:10.0.0.1".parse().unwrap(), "10.0.0.1".parse().unwrap()));
        assert!(same_host("2001:db8::1".parse().unwrap(), "2001:db8::2".parse().unwrap()));
        assert!(!same_host("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap()));
    }

    #[tokio::test]
    async fn a_client_has_to_speak_and_to_call() {
        let (address, connections, mut accepted) = listen(LIMITS).await;
        let mut silent = TcpStream::connect(address).await.unwrap();
        let mut served = accepted.next().await.unwrap().unwrap();
        silent.write_all(b"PRI").await.unwrap();
        served.read_exact(&mut [0; 3]).await.unwrap();
        let ended = served.read(&mut [0; 8]).await.unwrap_err();
        assert_eq!(ended.kind(), io::ErrorKind::TimedOut);
        drop(served);

        let mut client = TcpStream::connect(address).await.unwrap();
        let mut served = accepted.next().await.unwrap().unwrap();
        client.write_all(&[0; GREETING_BYTES]).await.unwrap();
        served.read_exact(&mut [0; GREETING_BYTES]).await.unwrap();
        let call = connections.call(client.local_addr().unwrap());
        // A connection with a call is not silent, however long it takes.
        let waited = timeout(LIMITS.idle_max * 3, served.read(&mut [0; 8])).await;
        assert!(waited.is_err());
        drop(call);
        let ended = served.read(&mut [0; 8]).await.unwrap_err();
        assert_eq!(ended.to_string(), "the connection had no call for too long");
        drop(served);
        assert_eq!(connections.len(), 0);
    }

    async fn listen(
        limits: ConnectionLimits,
    ) -> (SocketAddr, Connections, Pin<Box<dyn Stream<Item = io::Result<Connection>> + Send>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Connections::new(limits);
        (address, connections.clone(), Box::pin(connections.accept(listener)))
    }
}
