//! ruLake against real backends.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod assign;
mod bundle_exchange;
mod cache;
mod conformance;
mod crash;
mod delta;
mod exact;
mod folders;
mod follow;
mod keyed;
mod keyed_conformance;
mod lake;
mod layers;
mod local;
mod requests;
mod support;
mod waiting;
