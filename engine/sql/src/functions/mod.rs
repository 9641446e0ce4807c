//! Table functions over the engine's tables: operations of the lake, and the history of a table.

pub(crate) mod lake;
pub(crate) mod table_history;
