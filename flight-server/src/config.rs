//! Every default of the server and the shell, with its unit and its reason.

use std::time::Duration;

/// Where `ruvector serve` listens. Loopback, since there is no authentication; the port is the usual one of Flight SQL
/// examples, so that snippets found elsewhere work.
pub const LISTEN: &str = "127.0.0.1:50051";

/// Largest message the server reads, in bytes. gRPC's own default of 4 MiB is less than one batch of 8192 x 768 floats,
/// and ADBC sends a batch of `adbc_ingest` as one message.
pub const MESSAGE_BYTES_MAX: usize = 256 << 20;

/// Size of the messages the server writes, in bytes: below the 4 MiB at which many clients stop reading, with room for
/// headers. A single row larger than this is still one message.
pub const MESSAGE_BYTES_TARGET: usize = 2 << 20;

/// Largest list of request headers, in bytes. JDBC turns unknown connection parameters and cookies into headers and
/// passes 8 KiB easily.
pub const HEADER_LIST_BYTES_MAX: u32 = 64 << 10;

/// Encoded messages that wait for a slow client, per stream: enough to overlap work and sending, and a bound on memory
/// (this times [`MESSAGE_BYTES_TARGET`]).
pub const STREAM_MESSAGES_MAX: usize = 4;

/// Time between HTTP/2 pings on a silent connection. Load balancers drop idle connections after 4 to 6 minutes.
pub const PING_INTERVAL: Duration = Duration::from_secs(60);

/// Time to wait for the answer to a ping before the connection counts as dead.
pub const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// A session unused for this long is forgotten with its settings.
pub const SESSION_IDLE_MAX: Duration = Duration::from_secs(60 * 60);

/// Sessions kept; beyond it the one unused for longest is forgotten. Any bearer token opens a session, so there must be
/// a bound.
pub const SESSIONS_MAX: usize = 1000;

/// Longest bearer token that names a session, in bytes. JSON web tokens are below 8 KiB.
pub const TOKEN_BYTES_MAX: usize = 8 << 10;

/// On SIGTERM, the time for running statements and streams to finish before they are cut off.
pub const DRAIN_MAX: Duration = Duration::from_secs(10);

/// Stack of the threads that plan and run SQL, in bytes. DataFusion plans by recursion, and builds without full
/// optimisation use several times the stack: the usual 2 MiB overflows at some tens of nested expressions.
pub const STACK_BYTES: usize = 16 << 20;

/// Threads that read and write sockets. They only move bytes: the engine has threads of its own.
pub const IO_THREADS: usize = 2;

/// Parameters of one statement when rows of parameters for an INSERT are put together: bounds the time to plan it and the
/// memory of its text.
pub const INSERT_PARAMETERS_MAX: usize = 4000;

/// Rows the shell reads for a table: its column widths need all rows in memory. `--format csv` and `json` have no limit.
pub const TABLE_ROWS_MAX: usize = 1000;

/// Width at which the shell cuts a line of text in a table, in characters. Whole values: `--format csv` or `json`.
pub const TABLE_TEXT_MAX: usize = 100;

/// Floats of a vector that the shell shows in full; of longer ones it shows the first two and the length.
pub const TABLE_VECTOR_MAX: usize = 4;
