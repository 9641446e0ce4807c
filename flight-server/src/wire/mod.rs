//! The messages of the protocol, and the parts of it that a client shares with the server.
//!
//! Record batches become messages (`encode`), and messages become record batches (`decode`, behind the checks of `ipc`).
//! `handle` has the contents of tickets and of handles of statements, `status` the form of errors, `headers` those of sessions.

pub(crate) mod decode;
pub(crate) mod encode;
pub(crate) mod handle;
pub(crate) mod headers;
pub(crate) mod ipc;
pub(crate) mod status;

pub use headers::{bearer_token, session_cookie_of};
pub use ipc::{Malformed, decode as decode_batches, decode_schema};
pub use status::{internal, root_cause, status};

/// The `app_metadata` of a FlightInfo whose only row is the count of a statement that ran already.
pub const COUNT_METADATA: &[u8] = b"count";
