//! SQL as text: words, statements and their ends, dialects, clauses of older states, and the form that logs show.

pub(crate) mod as_of;
pub(crate) mod dialect;
pub(crate) mod redact;
pub mod split;
pub(crate) mod tokens;
