//! A server in this process, on threads of its own as `ruvector serve` has them, and clients of it.

use std::sync::Arc;

use arrow_flight::flight_service_server::{FlightService, FlightServiceServer};
use arrow_flight::sql::client::FlightSqlServiceClient;
use ruvector_bench_service::Failure;
use ruvector_flight_server::config::{IO_THREADS, STACK_BYTES};
use ruvector_flight_server::{Setup, bind, serve_on};
use ruvector_sql::{Engine, EngineConfig};
use tokio::runtime::{Builder, Runtime};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Channel, Endpoint, Server};

/// Larger than any message here.
pub(crate) const MESSAGE_BYTES_MAX: usize = 256 << 20;

/// A server that runs until this is dropped.
pub(crate) struct Served {
    pub(crate) address: String,
    engine_threads: Option<Runtime>,
    io_threads: Option<Runtime>,
}

impl Served {
    /// An engine, and a server of it.
    pub(crate) fn engine(config: EngineConfig) -> Result<(Arc<Engine>, Self), Failure> {
        let engine_threads = Builder::new_multi_thread().thread_stack_size(STACK_BYTES).enable_all().build()?;
        let io_threads = Builder::new_multi_thread().worker_threads(IO_THREADS).enable_all().build()?;
        let engine = engine_threads.block_on(Engine::open(config))?;
        let listener = io_threads.block_on(bind("127.0.0.1:0", false))?;
        let address = format!("http://{}", listener.local_addr()?);
        let served = serve_on(
            listener,
            Arc::clone(&engine),
            engine_threads.handle().clone(),
            Setup::default(),
            std::future::pending(),
        );
        io_threads.spawn(served);
        Ok((engine, Self { address, engine_threads: Some(engine_threads), io_threads: Some(io_threads) }))
    }

    /// A service without ruvector, on as many threads.
    pub(crate) fn bare(service: impl FlightService) -> Result<Self, Failure> {
        let io_threads = Builder::new_multi_thread().worker_threads(IO_THREADS).enable_all().build()?;
        let listener = io_threads.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))?;
        let address = format!("http://{}", listener.local_addr()?);
        let service = FlightServiceServer::new(service).max_decoding_message_size(MESSAGE_BYTES_MAX);
        let incoming = TcpListenerStream::new(listener);
        io_threads.spawn(async move {
            let incoming = futures::StreamExt::map(incoming, |stream| {
                stream.and_then(|stream| stream.set_nodelay(true).map(|()| stream))
            });
            Server::builder().add_service(service).serve_with_incoming(incoming).await
        });
        Ok(Self { address, engine_threads: None, io_threads: Some(io_threads) })
    }

    pub(crate) async fn channel(&self) -> Result<Channel, Failure> {
        Ok(Endpoint::from_shared(self.address.clone())?.tcp_nodelay(true).connect().await?)
    }

    /// A client with a session of its own.
    pub(crate) async fn client(&self) -> Result<FlightSqlServiceClient<Channel>, Failure> {
        let inner = arrow_flight::flight_service_client::FlightServiceClient::new(self.channel().await?)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let mut client = FlightSqlServiceClient::new_from_inner(inner);
        client.handshake("bench", "").await?;
        Ok(client)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        for runtime in [self.io_threads.take(), self.engine_threads.take()].into_iter().flatten() {
            runtime.shutdown_background();
        }
    }
}
