//! Index files (`.rbpx`): the same index gives the same bytes on every machine, and there is one file for each index.
//!
//! An index file is derived data. One that is truncated, torn or altered in any byte is
//! [`Corrupt`](crate::error::ErrorKind::Corrupt), never a wrong answer: rebuild it.
//!
//! A file is read into memory, unless it is asked for [`mapped`](load_mapped). A mapped file that is cut short or written over
//! makes the next search `Corrupt`.

mod attributes;
mod fields;
mod file;
mod format;
mod header;
mod lists;
mod methods;
mod numbers;
mod parts;
mod reader;
mod sections;
mod source;
mod unsaved;
mod writer;

#[cfg(test)]
mod tests;

pub use file::{load_any, load_bytes, load_mapped};
pub use format::EXTENSION;
pub use unsaved::remove_unsaved;
