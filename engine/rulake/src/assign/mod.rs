//! Assignment: the values of an array as values of a column's type, exactly or not at all.
//!
//! Rows that come in (ingest, INSERT, CREATE TABLE AS) go through it. Fields of structs are matched by name, lists and maps
//! item by item; only rows that exist count: what lies outside a slice or below a NULL is never looked at. Two conversions
//! round: a number with a fraction into a FLOAT or DOUBLE column, and any number into a coordinate of a vector. An explicit
//! CAST of a query is not its job.

mod conform;
mod convert;
mod place;
mod scalar;
mod text;

pub use conform::conform;
pub use convert::assign;
