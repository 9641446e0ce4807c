//! The Flight services: authentication of each call, and the command that answers it.

pub(crate) mod auth_layer;
pub(crate) mod frontend;

mod flight_sql;
