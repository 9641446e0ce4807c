//! The DataFusion command line with ruvector in it: `knn()`, `embed()`, and the tables of a data directory.
//!
//! All that is ruvector's is one call, [`ruvector_sql::register_all`]; any program with a DataFusion session can do the
//! same. Statements that are ruvector's alone, as CREATE INDEX, are those of `ruvector sql`.
//!
//! ```text
//! ruvector-datafusion-cli DATA_DIR                  the shell
//! ruvector-datafusion-cli DATA_DIR 'SELECT ...'     statements, then the end
//! ```

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion_cli::exec;
use datafusion_cli::object_storage::instrumented::InstrumentedObjectStoreRegistry;
use datafusion_cli::print_format::PrintFormat;
use datafusion_cli::print_options::{MaxRows, PrintOptions};
use ruvector_sql::{Engine, EngineConfig, register_all};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let data_dir = arguments.next().ok_or("usage: ruvector-datafusion-cli DATA_DIR [SQL...]")?;
    let statements: Vec<String> = arguments.collect();
    let engine = Engine::open(EngineConfig { data_dir: Some(PathBuf::from(data_dir)), ..EngineConfig::default() }).await?;

    // The names of tables are looked up among ruvector's, as in its own shell.
    let config = SessionConfig::new()
        .with_default_catalog_and_schema("ruvector", "main")
        .with_create_default_catalog_and_schema(false)
        .with_information_schema(true);
    let context = SessionContext::new_with_config(config);
    register_all(&context, &engine);

    let mut options = PrintOptions {
        format: PrintFormat::Automatic,
        quiet: !statements.is_empty(),
        maxrows: MaxRows::Limited(40),
        color: false,
        instrumented_registry: Arc::new(InstrumentedObjectStoreRegistry::new()),
    };
    match statements.is_empty() {
        true => Ok(exec::exec_from_repl(&context, &mut options).await?),
        false => Ok(exec::exec_from_commands(&context, statements, &options).await?),
    }
}
