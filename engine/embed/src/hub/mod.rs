//! The model hub: where it is, what its cache folder holds, and how a file gets there.
//!
//! The cache has the layout of the Python client `huggingface_hub`, so both share downloads:
//!
//! ```text
//! models--owner--model/
//!   blobs/<digest>             the bytes; named by SHA-256 (large files) or Git blob id (small ones)
//!   refs/main                  the commit that `main` was at
//!   snapshots/<commit>/<path>  a link to a blob
//! .locks/models--owner--model/<digest>.lock
//! ```
//!
//! The Python client does not check what it downloaded. We do, twice: before a blob gets its name, and at each load.

mod cache;
mod client;
mod download;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::PathBuf;

use crate::EmbedderOptions;

pub(crate) use cache::{cached, verify_cached};
pub(crate) use download::download;

/// The public hub.
const DEFAULT_ENDPOINT: &str = "https://huggingface.co";

/// The places of the hub and its cache, from the options and the environment.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct HubSettings {
    /// Without a slash at the end.
    pub(crate) endpoint: String,
    pub(crate) offline: bool,
    /// `None` if there is neither an option, nor a variable, nor a home folder.
    pub(crate) cache: Option<PathBuf>,
    /// Sent to the endpoint and to no other host.
    token: Option<String>,
}

impl HubSettings {
    /// Options win over `variable`, which looks a name up in the environment.
    pub(crate) fn new(options: &EmbedderOptions, variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |key: &str| variable(key).filter(|value| !value.is_empty());
        let path = |key: &str| set(key).map(PathBuf::from);
        let cache = options
            .hub_cache
            .clone()
            .or_else(|| path("HF_HUB_CACHE"))
            .or_else(|| path("HUGGINGFACE_HUB_CACHE"))
            .or_else(|| path("HF_HOME").map(|home| home.join("hub")))
            .or_else(|| path("XDG_CACHE_HOME").map(|cache| cache.join("huggingface").join("hub")))
            .or_else(|| std::env::home_dir().map(|home| home.join(".cache").join("huggingface").join("hub")));
        let endpoint = options.hub_endpoint.clone().or_else(|| set("HF_ENDPOINT"));
        let endpoint = endpoint.as_deref().unwrap_or(DEFAULT_ENDPOINT).trim_end_matches('/').to_owned();
        // The values that the Python client takes for true.
        let is_true = |value: String| ["1", "ON", "YES", "TRUE"].contains(&value.to_ascii_uppercase().as_str());
        let offline = options.offline || set("HF_HUB_OFFLINE").is_some_and(is_true);
        Self { endpoint, offline, cache, token: set("HF_TOKEN") }
    }
}

/// Without the token.
impl fmt::Debug for HubSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HubSettings")
            .field("endpoint", &self.endpoint)
            .field("offline", &self.offline)
            .field("cache", &self.cache)
            .finish_non_exhaustive()
    }
}
