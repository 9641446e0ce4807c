//! Text embedding on ONNX Runtime: a sentence in, a unit vector out.
//!
//! It is a library that finds a sentence-transformers model by name, checks its bytes, and runs it on the CPU.
//! It is not a server, not a training tool and not a tokenizer for anything but the model it loaded.
//!
//! ```no_run
//! use ruvector_embed::{Control, DEFAULT_MODEL, Embedder, EmbedderOptions};
//!
//! # fn main() -> ruvector_embed::Result<()> {
//! let embedder = Embedder::from_pretrained(DEFAULT_MODEL, &EmbedderOptions::default())?;
//! let vectors = embedder.embed_batch(&["a cat", "a kitten", "a tax form"], &Control::default())?;
//! assert_eq!(vectors.len(), 3 * embedder.dim());
//! # Ok(())
//! # }
//! ```
//!
//! Everything here blocks: embedding is CPU work. Call it from a blocking thread, not from an async task that must
//! stay responsive. The network is touched in one place only, `hub`, and only when no folder holds the model.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test fails by panicking"))]

mod error;
mod options;

mod name;

mod digest;

mod hub;

mod locate;

mod manifest;

mod runtime;

mod config;

mod tokens;

mod model;

mod embedder;

pub use embedder::Embedder;
pub use error::{Error, ErrorKind, Result};
pub use name::{DEFAULT_MODEL, known_dim};
pub use options::{Control, EmbedderOptions};
