//! The configuration: settings of the operator, and every other number of the server, with its unit and its reason.
//!
//! A setting is a flag of `ruvector serve`, a variable of the environment and a key of the file that `--config` names; the
//! first of these that says something wins over the next, and all win over the default. `setting.rs` lists them; the page
//! `docs/server.md` is made from that list.

mod engine;

mod memory;

mod error;

mod files;

mod setting;

mod sources;

use std::path::PathBuf;
use std::time::Duration;

pub use error::ConfigError;
pub use files::{check_folder, read};
pub use sources::{Environment, Flags, Found, Sources};

/// The settings of `ruvector serve`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// The address of the server, and its limits.
    pub server: ServerConfig,
    /// The places of tables and models.
    pub engine: EngineConfig,
    /// Encryption.
    pub tls: TlsConfig,
    /// Authentication of callers.
    pub auth: AuthConfig,
}

/// The address of the server, and its limits.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerConfig {
    /// `HOST:PORT` to listen on; port 0 takes a free one. Loopback unless said otherwise; the port is the usual one of
    /// Flight SQL examples, so that snippets found elsewhere work.
    pub listen: String,
    /// True if the server may listen on an address that other machines can reach although TLS or authentication is missing.
    pub insecure_allow_remote: bool,
    /// Largest message the server reads, in bytes. gRPC's own default of 4 MiB is less than one batch of 8192 x 768 floats,
    /// and ADBC sends a batch of `adbc_ingest` as one message.
    pub message_bytes_max: usize,
    /// Largest list of request headers, in bytes. JDBC turns unknown connection parameters and cookies into headers and
    /// passes 8 KiB easily.
    pub header_list_bytes_max: usize,
    /// Sessions kept; beyond it the one unused for longest is forgotten, of the user with the most. Without authentication any
    /// bearer token opens a session, so there must be a bound.
    pub sessions_max: usize,
    /// A session unused for this long is forgotten with its settings.
    pub session_idle_max: Duration,
    /// On SIGTERM, the time for running statements and streams to finish before they are cut off.
    pub drain_max: Duration,
    /// Time between HTTP/2 pings on a silent connection. Load balancers drop idle connections after 4 to 6 minutes.
    pub ping_interval: Duration,
    /// Time between batches without rows on the stream of a query that has none yet: proxies cut streams on which nothing
    /// comes, whatever pings say.
    pub keep_alive_interval: Duration,
    /// Statements that run at the same time; more wait, first come first served.
    pub statements_max: usize,
    /// Statements of one user that run at the same time; zero is three quarters of `statements_max`, so that one user cannot
    /// keep all others out. Without authentication there are no users and no such limit.
    pub statements_per_user_max: usize,
    /// Statements that wait; more are told to try again.
    pub statements_waiting_max: usize,
    /// The time that a statement waits before it is told to try again.
    pub statement_wait_max: Duration,
    /// The time that a statement may take; zero is no limit.
    pub statement_time_max: Duration,
    /// The time that a client may take no rows before its query ends, or send none before its ingest ends. A stalled client
    /// holds memory and one of the statements that run.
    pub stall_max: Duration,
    /// Connections at the same time; more are closed at once. Half of the 1,024 files that a process may usually have open: the
    /// others are tables and indexes.
    pub connections_max: usize,
    /// Connections from one address; zero is three quarters of `connections_max`, so that one client cannot keep all others
    /// out.
    pub connections_per_address_max: usize,
    /// A connection without a call for this long is closed; zero is no limit. Pools of clients keep connections for minutes and
    /// open them again.
    pub connection_idle_max: Duration,
    /// `HOST:PORT` of `/metrics` and `/healthz`, if they are wanted.
    pub http_listen: Option<String>,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:50051".to_owned(),
            insecure_allow_remote: false,
            message_bytes_max: 256 << 20,
            header_list_bytes_max: 64 << 10,
            sessions_max: 1000,
            session_idle_max: Duration::from_secs(60 * 60),
            drain_max: Duration::from_secs(10),
            ping_interval: Duration::from_secs(60),
            keep_alive_interval: Duration::from_secs(20),
            statements_max: 64,
            statements_per_user_max: 0,
            statements_waiting_max: 1024,
            statement_wait_max: Duration::from_secs(30),
            statement_time_max: Duration::ZERO,
            stall_max: Duration::from_secs(5 * 60),
            connections_max: 512,
            connections_per_address_max: 0,
            connection_idle_max: Duration::from_secs(60 * 60),
            http_listen: None,
        }
    }
}

/// The places of tables and models.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EngineConfig {
    /// Folder of the tables.
    pub data: Option<PathBuf>,
    /// Folder of the embedding model itself.
    pub model_dir: Option<PathBuf>,
    /// Folder of embedding models by name.
    pub models_dir: Option<PathBuf>,
    /// True if models that are in no folder are fetched from the hub. False by default: every reader may name any model, and
    /// the hub is asked with the operator's token.
    pub models_download: bool,
    /// The ONNX Runtime library.
    pub onnxruntime: Option<PathBuf>,
    /// Memory that statements share for rows, in bytes; zero is half of what the machine (or its control group) has.
    pub memory_bytes_max: usize,
    /// Folder of the files that take what does not fit into it.
    pub spill_dir: Option<PathBuf>,
}

/// Encryption.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TlsConfig {
    /// The server's certificate and those between it and its authority, as PEM.
    pub cert: Option<PathBuf>,
    /// The private key of the certificate, as PEM.
    pub key: Option<PathBuf>,
    /// The authority whose certificates clients must have, as PEM.
    pub client_ca: Option<PathBuf>,
}

/// Authentication of callers.
#[derive(Clone, Debug, PartialEq)]
pub struct AuthConfig {
    /// The file of users and tokens.
    pub users: Option<PathBuf>,
    /// The time for which the token of a sign-in is good: a working day.
    pub token_lifetime: Duration,
    /// Passwords checked at the same time. A check costs 19 MiB and some hundredths of a second of a core by design, so there
    /// must be a bound; others wait.
    pub password_checks_max: usize,
}

impl Default for AuthConfig {
    fn default() -> Self {
        Self { users: None, token_lifetime: Duration::from_secs(12 * 60 * 60), password_checks_max: 2 }
    }
}

/// Size of the messages the server writes, in bytes: below the 4 MiB at which many clients stop reading, with room for
/// headers. A single row larger than this is still one message.
pub const MESSAGE_BYTES_TARGET: usize = 2 << 20;

/// Bytes that one message of Arrow data from a client may decode to; a larger message that is not compressed may decode to its
/// own size. The dictionaries of one stream may take as many together. It is the default of the largest message: data that
/// could be sent as it is may be sent compressed.
pub const ARROW_DECODED_BYTES_MAX: usize = 256 << 20;

/// Largest header of a message of Arrow data from a client, in bytes: 16 for each buffer and each field of a batch, some 100
/// for each field of a schema.
pub const ARROW_HEADER_BYTES_MAX: usize = 16 << 20;

/// Fields of a schema from a client, nested ones included.
pub const ARROW_FIELDS_MAX: usize = 100_000;

/// Bytes of all names, time zones and metadata of a schema from a client. A header can name the same text many times.
pub const ARROW_TEXT_BYTES_MAX: usize = 16 << 20;

/// Bytes that one value of a fixed size may have in a schema from a client, as a vector: a single NULL takes as many.
pub const ARROW_VALUE_BYTES_MAX: usize = 16 << 20;

/// Rows of a batch from a client that no byte stands for (columns of type Null, run-end encoded ones, batches without
/// columns); a larger batch may have 8 for each of its bytes. They become bytes when they are cast.
pub const ARROW_EMPTY_ROWS_MAX: usize = 1 << 20;

/// Time after which the caller of a DoExchange is asked for again: a token may end while its stream goes on.
pub const EXCHANGE_CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// Encoded messages that wait for a slow client, per stream: enough to overlap work and sending, and a bound on memory
/// (this times [`MESSAGE_BYTES_TARGET`]).
pub const STREAM_MESSAGES_MAX: usize = 4;

/// Statements of admins that run beside `statements_max` when all others are taken: one to look, one to act.
pub const ADMIN_PLACES: usize = 2;

/// Time between two requests to the allocator to give freed memory back to the system.
pub const GIVE_BACK_INTERVAL: Duration = Duration::from_secs(1);

/// Time between two signs of life of the engine's threads.
pub const PULSE_INTERVAL: Duration = Duration::from_millis(250);

/// Age of the last sign of life from which on the server is not healthy. A bound: planning and sorting keep single threads busy
/// for seconds, but rarely all of them.
pub const PULSE_AGE_MAX: Duration = Duration::from_secs(5);

/// Time to wait for the answer to a ping before the connection counts as dead.
pub const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// Time that a client has for its part of the TLS handshake.
pub const TLS_HANDSHAKE_MAX: Duration = Duration::from_secs(10);

/// TLS handshakes at the same time; more connections wait in the queue of the system.
pub const TLS_HANDSHAKES_MAX: usize = 1024;

/// Time that a client has to begin to speak on a new connection.
pub const SPEAK_MAX: Duration = Duration::from_secs(10);

/// Pause after a connection could not be accepted, as when the process has too many files open.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Longest bearer token, in bytes. JSON web tokens are below 8 KiB.
pub const TOKEN_BYTES_MAX: usize = 8 << 10;

/// Longest name of a user and longest password, in bytes each.
pub const CREDENTIAL_BYTES_MAX: usize = 1 << 10;

/// Sign-ins that wait for their password to be checked; more are told to try again.
pub const SIGN_INS_WAITING_MAX: usize = 128;

/// Tokens of one user that are good at the same time; a sign-in beyond it ends the oldest. Pools sign in once for each
/// connection.
pub const TOKENS_PER_USER_MAX: usize = 1000;

/// Characters of an error that a client is sent: it travels in a header, of which clients and proxies take some kilobytes.
pub const ERROR_CHARS_MAX: usize = 1500;

/// Characters of a statement that the audit log shows.
pub const AUDIT_CHARS_MAX: usize = 1000;

/// Characters of the name that are kept of a sign-in that failed: whatever a stranger sends is in the log.
pub const AUDIT_USER_CHARS_MAX: usize = 64;

/// Stack of the threads that plan and run SQL, in bytes. DataFusion plans by recursion, and builds without full
/// optimisation use several times the stack: the usual 2 MiB overflows at some tens of nested expressions.
pub const STACK_BYTES: usize = 16 << 20;

/// Threads of the engine beside those of the cores, at most: each takes a stack, of which only what was used is memory.
pub const ENGINE_THREADS_MAX: usize = 128;

/// Threads that read and write sockets. They only move bytes: the engine has threads of its own.
pub const IO_THREADS: usize = 2;
