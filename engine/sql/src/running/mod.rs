//! The statements that run and those that ran last: `system.queries`, `KILL`, and the time that a statement may take.
//!
//! A statement is known from its planning to the end of its rows. It can be stopped wherever it waits or hands out rows. A
//! change that is stopped while it is being committed may be in effect: the caller must look.
//!
//! `statement` is the record of one, `registry` has all records, `handle` and `task` run a statement for its caller, `stop` tells
//! its parts that it is stopped, and `turns` shares the processor.

pub(crate) mod answer;
pub(crate) mod handle;
pub(crate) mod registry;
pub(crate) mod statement;
pub(crate) mod stop;
mod task;
pub(crate) mod turns;
pub(crate) mod uploads;
