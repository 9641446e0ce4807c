//! The model hub: where it is, what its cache folder holds, and how a file gets there.

use std::path::{Path, PathBuf};

use crate::locate::ModelFolder;
use crate::name::{KnownModel, ModelName};
use crate::{EmbedderOptions, Error, Result};

#[derive(Clone)]
pub(crate) struct HubSettings {
    pub(crate) endpoint: String,
    pub(crate) offline: bool,
    pub(crate) cache: Option<PathBuf>,
}

impl HubSettings {
    pub(crate) fn new(options: &EmbedderOptions, _variable: impl Fn(&str) -> Option<String>) -> Self {
        Self { endpoint: "hub".into(), offline: true, cache: options.hub_cache.clone() }
    }
}

pub(crate) fn cached(_: &ModelName, _: &HubSettings, _: &mut Vec<String>) -> Option<ModelFolder> {
    None
}

pub(crate) fn verify_cached(_: &Path, _: Option<&KnownModel>) -> Result<()> {
    Ok(())
}

pub(crate) fn download(_: &ModelName, _: &HubSettings) -> Result<ModelFolder> {
    Err(Error::unavailable("the hub cannot be asked yet"))
}
