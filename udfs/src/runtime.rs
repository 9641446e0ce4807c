//! Where statements hold what they need besides tables and indexes.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use datafusion::execution::memory_pool::{FairSpillPool, TrackConsumersPool};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};

use crate::error::Result;

/// The runtime of all sessions of an engine; for the limits see [`crate::EngineConfig`].
pub(crate) fn runtime(memory_bytes_max: Option<usize>, spill_dir: Option<PathBuf>) -> Result<Arc<RuntimeEnv>> {
    // A listing that was kept would hide the files that others write into external tables.
    let mut builder = RuntimeEnvBuilder::new().with_object_list_cache_limit(0);
    if let Some(bytes) = memory_bytes_max {
        // Statements that can spill get equal shares of it; an error names those who hold most.
        let pool = TrackConsumersPool::new(FairSpillPool::new(bytes), NonZeroUsize::MIN.saturating_add(2));
        builder = builder.with_memory_pool(Arc::new(pool));
    }
    if let Some(dir) = spill_dir {
        builder = builder.with_temp_file_path(dir);
    }
    Ok(builder.build_arc()?)
}
