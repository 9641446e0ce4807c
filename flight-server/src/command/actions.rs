//! The list of actions. arrow-flight's own list names transactions and Substrait, which this server does not have.

use arrow_flight::ActionType;

use super::{cancel, session_options};

/// The action that makes a prepared statement.
pub(crate) const CREATE_PREPARED_STATEMENT: &str = "CreatePreparedStatement";

/// The actions that DoAction answers.
pub(crate) fn list() -> Vec<ActionType> {
    [
        (CREATE_PREPARED_STATEMENT, "Plans a statement and returns a handle for it."),
        ("ClosePreparedStatement", "Does nothing: a handle holds its own state."),
        (cancel::CANCEL_FLIGHT_INFO, "Ends the streams of a query."),
        ("CancelQuery", "Ends the streams of a query. Replaced by CancelFlightInfo."),
        (session_options::SET, "Sets options of the caller's session."),
        (session_options::GET, "Returns the options that were set in the caller's session."),
        (session_options::CLOSE, "Forgets the caller's session."),
    ]
    .into_iter()
    .map(|(name, description)| ActionType { r#type: name.to_owned(), description: description.to_owned() })
    .collect()
}
