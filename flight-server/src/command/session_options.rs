//! `SetSessionOptions`, `GetSessionOptions` and `CloseSession`. arrow-flight has none of their messages.
//!
//! An option is a setting of the SQL session under its own name; `catalog` and `schema`, as JDBC and ADBC call them, are
//! the session's defaults.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use prost::{Enumeration, Message};
use ruvector_sql::Session;
use tonic::Status;

use crate::execution::session_option::{OptionValue, Value};
use crate::execution::sessions::Caller;
use crate::execution::state::ServerState;
use crate::wire::status::status;

/// The action `SetSessionOptions`.
pub(crate) const SET: &str = "SetSessionOptions";
/// The action `GetSessionOptions`.
pub(crate) const GET: &str = "GetSessionOptions";
/// The action `CloseSession`.
pub(crate) const CLOSE: &str = "CloseSession";

/// `SetSessionOptionsRequest` and `GetSessionOptionsResult` look the same.
#[derive(Clone, PartialEq, Message)]
struct Options {
    #[prost(btree_map = "string, message", tag = "1")]
    options: BTreeMap<String, OptionValue>,
}

#[derive(Clone, PartialEq, Message)]
struct SetResult {
    #[prost(btree_map = "string, message", tag = "1")]
    errors: BTreeMap<String, SetError>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct SetError {
    #[prost(enumeration = "SetErrorValue", tag = "1")]
    value: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
enum SetErrorValue {
    Unspecified = 0,
    InvalidName = 1,
    InvalidValue = 2,
    Error = 3,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct CloseResult {
    /// 1: closed.
    #[prost(int32, tag = "1")]
    status: i32,
}

/// Sets options of the caller's own session. Says for each that failed, why.
pub(crate) async fn set(state: &ServerState, caller: &Caller, body: &[u8]) -> Result<Bytes, Status> {
    let request = Options::decode(body).map_err(|e| Status::invalid_argument(e.to_string()))?;
    let session = state.sessions.own(caller);
    let mut errors = BTreeMap::new();
    for (name, option) in request.options {
        let set = set_one(state, caller, Arc::clone(&session), &name, option.value.clone());
        match set.await {
            Ok(()) => {
                let kept = option.value.is_some().then_some(option);
                state.sessions.note_option(caller, &name, kept);
            }
            Err(error) => {
                errors.insert(name, SetError { value: error.into() });
            }
        }
    }
    Ok(SetResult { errors }.encode_to_vec().into())
}

/// The options that were set in the caller's session.
pub(crate) fn get(state: &ServerState, caller: &Caller) -> Result<Bytes, Status> {
    let options = state.sessions.options(caller).ok_or_else(|| Status::not_found("there is no such session"))?;
    Ok(Options { options }.encode_to_vec().into())
}

/// Forgets the caller's session. Closing what is not open is no error: clients close twice.
pub(crate) fn close(state: &ServerState, caller: &Caller) -> Bytes {
    state.sessions.close(caller);
    CloseResult { status: 1 }.encode_to_vec().into()
}

async fn set_one(
    state: &ServerState,
    caller: &Caller,
    session: Arc<Session>,
    name: &str,
    value: Option<Value>,
) -> Result<(), SetErrorValue> {
    let setting = setting(name).ok_or(SetErrorValue::InvalidName)?;
    let sql = match value {
        Some(value) => {
            format!("SET {setting} = '{}'", text(value).ok_or(SetErrorValue::InvalidValue)?.replace('\'', "''"))
        }
        None => format!("RESET {setting}"),
    };
    let audit = state.audit(caller, &sql);
    let engine = Arc::clone(&state.engine);
    let set = async move { audit.ended(engine.execute(&session, &sql, &[]).await.map(|_| 0).map_err(|e| status(&e))) };
    match state.executor.run_detached(set).await {
        Ok(_) => Ok(()),
        Err(error) => {
            // Without its message, which may have the value in it.
            tracing::debug!(option = name, code = ?error.code(), "a session option is refused");
            Err(SetErrorValue::Error)
        }
    }
}

/// The SQL setting that an option means, or `None` if it cannot be the name of one.
fn setting(name: &str) -> Option<&str> {
    match name {
        "catalog" => Some("datafusion.catalog.default_catalog"),
        "schema" => Some("datafusion.catalog.default_schema"),
        _ => {
            let is_part = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            name.split('.').all(is_part).then_some(name)
        }
    }
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::String(value) => Some(value),
        Value::Bool(value) => Some(value.to_string()),
        Value::Int64(value) => Some(value.to_string()),
        Value::Double(value) => Some(value.to_string()),
        Value::StringList(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_is_a_setting_and_never_sql() {
        assert_eq!(setting("schema"), Some("datafusion.catalog.default_schema"));
        assert_eq!(setting("ruvector.use_index"), Some("ruvector.use_index"));
        for name in ["", "a..b", "x = 1; DROP TABLE docs", "a'b"] {
            assert_eq!(setting(name), None, "{name}");
        }
    }

    #[test]
    fn messages_have_the_bytes_of_the_protocol() {
        let options = BTreeMap::from([("k".to_owned(), OptionValue { value: Some(Value::Int64(1)) })]);
        let bytes = Options { options }.encode_to_vec();
        // Field 1 (a map entry): key "k" in 1, value in 2; the value is field 3 as a fixed 64-bit number.
        assert_eq!(bytes, [0x0a, 14, 0x0a, 1, b'k', 0x12, 9, 0x19, 1, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(CloseResult { status: 1 }.encode_to_vec(), [0x08, 1]);
    }
}
