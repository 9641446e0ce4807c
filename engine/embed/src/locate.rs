//! From a model name to a folder whose files may be trusted.

use std::env;
use std::path::{Path, PathBuf};

use crate::hub::{self, HubSettings};
use crate::name::{DEFAULT_MODEL, KnownModel, ModelName};
use crate::{EmbedderOptions, Error, ErrorKind, Result, config, manifest};

/// The variable that names the folder of models.
const MODELS_DIR_VARIABLE: &str = "RUVECTOR_MODELS_DIR";

/// A folder that holds a model and its tokenizer. Holding one proves that the two files are there, not that their
/// bytes are right: that is [`verify`](Self::verify).
#[derive(Debug)]
pub(crate) struct ModelFolder {
    dir: PathBuf,
    onnx: PathBuf,
    tokenizer: PathBuf,
    in_hub_cache: bool,
}

impl ModelFolder {
    pub(crate) fn open(dir: &Path) -> Option<Self> {
        let tokenizer = dir.join("tokenizer.json");
        let onnx = ["onnx/model.onnx", "model.onnx"].into_iter().map(|name| dir.join(name)).find(|p| p.is_file())?;
        tokenizer.is_file().then(|| Self { dir: dir.to_path_buf(), onnx, tokenizer, in_hub_cache: false })
    }

    /// Opens a snapshot folder of the hub's cache.
    pub(crate) fn open_snapshot(dir: &Path) -> Option<Self> {
        Some(Self { in_hub_cache: true, ..Self::open(dir)? })
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn onnx(&self) -> &Path {
        &self.onnx
    }

    pub(crate) fn tokenizer(&self) -> &Path {
        &self.tokenizer
    }

    /// Checks the bytes against what is known of them: the folder's manifest, or in the hub's cache the names of the
    /// blobs (which are their digests) and the pins of a known model.
    pub(crate) fn verify(&self, known: Option<&KnownModel>) -> Result<()> {
        if self.in_hub_cache {
            [&self.onnx, &self.tokenizer].into_iter().try_for_each(|file| hub::verify_cached(file, known))
        } else {
            manifest::verify(&self.dir, &[&self.onnx, &self.tokenizer])
        }
    }

    /// The dimension that `config.json` states.
    pub(crate) fn config_dim(&self) -> Option<usize> {
        config::hidden_size(&self.dir)
    }
}

/// Finds the model's folder on this machine, and downloads it if there is none.
pub(crate) fn resolve(name: &ModelName, options: &EmbedderOptions) -> Result<ModelFolder> {
    let mut tried = Vec::new();
    if let Some(folder) = local(name, options, &mut tried)? {
        return Ok(folder);
    }
    let settings = HubSettings::new(options, |key| env::var(key).ok());
    let build = if name.to_string() == DEFAULT_MODEL { "build it with `make model`, " } else { "" };
    let online = options.online_hint.unwrap_or("let the hub be reached");
    let how = format!("{build}set RUVECTOR_MODELS_DIR to a folder of models, or {online}");
    if settings.offline {
        tried.push(format!("{} (not asked: offline)", settings.endpoint));
        return Err(Error::not_found(format!("model {name} was not found; {how}")).with("tried", tried.join("; ")));
    }
    let explain = |error: Error| {
        let message = format!("model {name} was not found; {how}");
        let wrapped = match error.kind() {
            ErrorKind::NotFound => Error::not_found(message),
            ErrorKind::Unavailable => Error::unavailable(message),
            // A file that failed its check or a wrong endpoint is its own story.
            _ => return error,
        };
        tried.push(format!("{} ({error})", settings.endpoint));
        wrapped.with("tried", tried.join("; "))
    };
    hub::download(name, &settings).map_err(explain)
}

/// Finds the model's folder on this machine; adds to `tried` where it was not.
pub(crate) fn local(
    name: &ModelName,
    options: &EmbedderOptions,
    tried: &mut Vec<String>,
) -> Result<Option<ModelFolder>> {
    if let Some(dir) = &options.model_dir {
        return ModelFolder::open(dir).ok_or_else(|| no_model_in(dir)).map(Some);
    }
    if let Some(models) = models_dir(options) {
        for dir in name.folders().iter().map(|folder| models.join(folder)) {
            if let Some(folder) = ModelFolder::open(&dir) {
                return Ok(Some(folder));
            }
            tried.push(dir.display().to_string());
        }
    }
    let settings = HubSettings::new(options, |key| env::var(key).ok());
    Ok(hub::cached(name, &settings, tried))
}

pub(crate) fn no_model_in(dir: &Path) -> Error {
    Error::not_found("no model in this folder; `make model` builds one")
        .with("expected", "model.onnx (or onnx/model.onnx) and tokenizer.json")
        .with("tried", dir.display())
}

fn models_dir(options: &EmbedderOptions) -> Option<PathBuf> {
    let variable = |key| env::var_os(key).filter(|value| !value.is_empty()).map(PathBuf::from);
    options.models_dir.clone().or_else(|| variable(MODELS_DIR_VARIABLE)).or_else(|| {
        let cache = variable("XDG_CACHE_HOME").or_else(|| Some(env::home_dir()?.join(".cache")));
        Some(cache?.join("ruvector").join("models"))
    })
}
