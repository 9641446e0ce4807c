//! From the settings of the server to those of its engine.

use ruvector_embed::EmbedderOptions;

use super::{Config, EngineConfig, memory};

impl Config {
    /// Returns the settings of the engine that the server opens.
    pub fn engine_config(&self) -> ruvector_sql::EngineConfig {
        let EngineConfig { data, model_dir, models_dir, models_download, onnxruntime, memory_bytes_max, spill_dir } =
            self.engine.clone();
        let statement_time_max = self.server.statement_time_max;
        ruvector_sql::EngineConfig {
            data_dir: data,
            embed: EmbedderOptions {
                model_dir,
                models_dir,
                onnxruntime,
                offline: !models_download,
                online_hint: (!models_download).then_some("let the server fetch it: engine.models_download = true"),
                ..EmbedderOptions::default()
            },
            statement_time_max: (!statement_time_max.is_zero()).then_some(statement_time_max),
            memory_bytes_max: match memory_bytes_max {
                0 => memory::half(),
                bytes => Some(bytes),
            },
            spill_dir,
        }
    }
}
