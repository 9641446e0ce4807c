//! ruLake against real Delta tables on disk.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod cache;
mod delta;
mod folders;
mod requests;
mod support;
