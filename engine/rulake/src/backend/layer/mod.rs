//! Layers around any backend, for cross-cutting concerns: counting, throttling, time limits, caps, faults.
//!
//! A [`Layered`] backend passes each of its operations through a [`Layer`]. Properties of a snapshot that need no request
//! (schema, generation, parts, ...) do not go through it. Layers stack, the outermost is asked first:
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use ruvector_rulake::backend::layer::{Counting, Layered, Operation, TimeLimited};
//! use ruvector_rulake::{Backend, LocalBackend};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
//! let counting = Arc::new(Counting::default());
//! let counted = Layered::new(Arc::new(LocalBackend::new("hot")), Arc::clone(&counting));
//! let backend = Layered::new(Arc::new(counted), Arc::new(TimeLimited::new(Duration::from_secs(30))));
//! assert!(backend.list().await.unwrap().is_empty());
//! assert_eq!(counting.calls(Operation::List), 1);
//! # });
//! ```

mod around;
mod capped;
mod counting;
mod exec;
mod fault_injecting;
mod layered;
mod operation;
mod scan_totals;
mod size;
mod throttled;
mod time_limited;

pub use capped::Capped;
pub use counting::Counting;
pub use fault_injecting::{Fault, FaultInjecting};
pub use layered::Layered;
pub use operation::{Call, Layer, Operation, Outcome};
pub use size::Size;
pub use throttled::Throttled;
pub use time_limited::TimeLimited;
