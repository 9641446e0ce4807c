//! CREATE INDEX, DROP INDEX and REINDEX: the parser, the options of the WITH clause, and the execution.

mod options;
mod parse;
pub(crate) mod run;

pub(crate) use options::bits_of;
pub(crate) use parse::{IndexStatement, parse};
