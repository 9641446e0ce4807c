//! The place where statements run, as arguments: in this process, or on a server.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use ruvector_embed::EmbedderOptions;
use ruvector_flight_server::config::check_folder;
use ruvector_sql::EngineConfig;
use tokio::runtime::Runtime;

use crate::runtime::{new_folder, open};
use crate::target::Target;
use crate::target::remote::{Remote, RemoteArgs};

/// The place where statements run: this process, or a server.
#[derive(Args, Clone)]
pub(crate) struct PlaceArgs {
    #[command(flatten)]
    engine: EngineArgs,
    #[command(flatten)]
    remote: RemoteArgs,
}

impl PlaceArgs {
    /// True if the arguments name a server.
    pub(crate) fn is_remote(&self) -> bool {
        self.remote.is_some()
    }

    /// Opens the engine, or connects to the server.
    pub(crate) fn target(self, runtime: &Runtime) -> Result<Target, String> {
        Ok(match Remote::from_args(self.remote)? {
            Some(remote) => runtime.block_on(Target::connect(remote))?,
            None => {
                let config = self.engine.config();
                check_folder("--data", config.data_dir.as_deref()).map_err(|e| e.to_string())?;
                if let Some(path) = new_folder(&config) {
                    let _ = writeln!(io::stderr(), "new database in {}", path.display());
                }
                Target::embedded(runtime.block_on(open(runtime, config))?)
            }
        })
    }
}

#[derive(Args, Clone)]
struct EngineArgs {
    /// Folder of the tables. Without it they live in a temporary folder and end with the process.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Folder of the embedding model itself (`model.onnx`, `tokenizer.json`).
    #[arg(long, value_name = "DIR")]
    model_dir: Option<PathBuf>,
    /// Folder of embedding models by name [default: $RUVECTOR_MODELS_DIR].
    #[arg(long, value_name = "DIR")]
    models_dir: Option<PathBuf>,
    /// The ONNX Runtime library [default: $ORT_DYLIB_PATH].
    #[arg(long, value_name = "FILE")]
    onnxruntime: Option<PathBuf>,
}

impl EngineArgs {
    fn config(self) -> EngineConfig {
        let Self { data, model_dir, models_dir, onnxruntime } = self;
        let embed = EmbedderOptions { model_dir, models_dir, onnxruntime, ..EmbedderOptions::default() };
        EngineConfig { data_dir: data, embed, ..EngineConfig::default() }
    }
}
