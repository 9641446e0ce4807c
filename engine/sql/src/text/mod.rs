//! SQL as text: words, statements and their ends, dialects, clauses of older states, and the form that logs show.
//! The size and the depth of a text are bounded here, before it is parsed.

pub(crate) mod as_of;
pub(crate) mod batch_insert;
pub(crate) mod dialect;
pub(crate) mod kind;
pub(crate) mod nesting;
pub(crate) mod own_question;
pub(crate) mod redact;
pub mod split;
pub(crate) mod stars;
pub(crate) mod text_size;
pub(crate) mod time_travel;
pub(crate) mod tokens;
