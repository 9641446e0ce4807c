//! Options: the places of models and of the runtime library, and the control of a long call.

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::{Error, Result};

/// The sources of models and of the runtime library. The default finds both through the environment.
///
/// A model is looked for in `model_dir` alone if that is set; else in `models_dir`, in the hub's cache folder, and
/// last on the hub itself.
#[derive(Clone, Debug, Default)]
pub struct EmbedderOptions {
    /// A folder with `model.onnx` (or `onnx/model.onnx`) and `tokenizer.json`. It wins over everything else: the name
    /// given to [`Embedder::from_pretrained`](crate::Embedder::from_pretrained) is then only a label.
    pub model_dir: Option<PathBuf>,
    /// A folder of models by name: `models_dir/all-MiniLM-L6-v2`. By default `$RUVECTOR_MODELS_DIR`, else
    /// `ruvector/models` in the user's cache folder (`$XDG_CACHE_HOME`, else `~/.cache`).
    pub models_dir: Option<PathBuf>,
    /// The ONNX Runtime library (1.17 or newer), or a folder that holds it. By default `$ORT_DYLIB_PATH`, else beside
    /// the running executable, else what the system's linker finds. One library serves the whole process: once it is
    /// loaded, another path given later is checked to exist but not loaded.
    pub onnxruntime: Option<PathBuf>,
    /// Threads for one inference, by default one per available core. Concurrent calls share them: batches of
    /// different callers take turns.
    pub threads: Option<usize>,
    /// The hub's cache folder. By default `$HF_HUB_CACHE`, `$HUGGINGFACE_HUB_CACHE`, `$HF_HOME/hub`,
    /// `$XDG_CACHE_HOME/huggingface/hub`, `~/.cache/huggingface/hub`, the first that is set: the folder that the
    /// Python clients use, in the same layout.
    pub hub_cache: Option<PathBuf>,
    /// The hub's address. By default `$HF_ENDPOINT`, else the public hub.
    pub hub_endpoint: Option<String>,
    /// `true` never asks the hub; so does `HF_HUB_OFFLINE=1` in the environment.
    pub offline: bool,
    /// Advice for the error of a model that is in no folder: how to let the hub be asked where it is not.
    pub online_hint: Option<&'static str>,
}

/// The control of a long call: its progress and its cancellation. The default has neither.
#[derive(Clone, Copy, Default)]
pub struct Control<'a> {
    /// Called after each batch, on the calling thread, with the number of texts done so far; the last call gets the
    /// number of all texts.
    pub progress: Option<&'a (dyn Fn(usize) + Sync)>,
    /// Looked at before each batch. Once `true` the call ends with [`ErrorKind::Cancelled`](crate::ErrorKind) and
    /// returns no vectors.
    pub cancel: Option<&'a AtomicBool>,
}

impl Control<'_> {
    pub(crate) fn check(&self, done: usize, total: usize) -> Result<()> {
        match self.cancel {
            Some(cancel) if cancel.load(Ordering::Relaxed) => {
                Err(Error::cancelled("embedding was cancelled").with("texts done", done).with("of", total))
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn report(&self, done: usize) {
        if let Some(progress) = self.progress {
            progress(done);
        }
    }
}

impl fmt::Debug for Control<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control").field("progress", &self.progress.is_some()).field("cancel", &self.cancel).finish()
    }
}
