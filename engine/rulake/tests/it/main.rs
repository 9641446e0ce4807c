//! ruLake against real Delta tables on disk.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod bundle_exchange;
mod cache;
mod conformance;
mod delta;
mod folders;
mod layers;
mod support;
