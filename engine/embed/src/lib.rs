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

/// What went wrong: a small kind to act on, a message to read.
mod error;
/// Where models and the runtime library are looked for, and how a long call is watched.
mod options;

/// Model names, and what is known about a model before it is loaded.
mod name;

/// SHA-256 and Git blob digests of files.
mod digest;

/// The model hub: its cache folder and its downloader.
mod hub;

/// From a model name to a folder whose files may be trusted.
mod locate;

/// `manifest.json`: which bytes a model folder should hold.
mod manifest;

/// Finding and loading `libonnxruntime`, once per process.
mod runtime;

/// The JSON files beside a model: sequence length, pooling, dimension.
mod config;

/// Texts to token ids, and token ids to batches.
mod tokens;

/// The ONNX session: token ids in, pooled unit vectors out.
mod model;

/// [`Embedder`]: the parts above, put together.
mod embedder;

pub use embedder::Embedder;
pub use error::{Error, ErrorKind, Result};
pub use name::{DEFAULT_MODEL, known_dim};
pub use options::{Control, EmbedderOptions};
