//! The DataFusion runtime of all sessions: the memory pool with its limit, and the folder for spilled rows.

use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use datafusion::common::Result as DataFusionResult;
use datafusion::execution::memory_pool::{
    FairSpillPool, MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation, TrackConsumersPool,
};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};

use ruvector_udfs::error::Result;

/// Operators that take more than they reserve, by the start of their names, and how often their size they take on top. A hash
/// table or an array that grows is copied into one of twice its size, and an aggregate reserves it afterwards; joins put the
/// batches of their left side together.
const TAKE_MORE: [(&str, usize); 4] =
    [("AggregateStream[", 2), ("HashJoinInput", 1), ("NestedLoopJoinLoad[", 1), ("CrossJoinExec", 1)];

/// The runtime of all sessions of an engine; for the limits see [`crate::EngineConfig`].
pub(crate) fn runtime(memory_bytes_max: Option<usize>, spill_dir: Option<PathBuf>) -> Result<Arc<RuntimeEnv>> {
    // A listing that was kept would hide the files that others write into external tables.
    let mut builder = RuntimeEnvBuilder::new().with_object_list_cache_limit(0);
    if let Some(bytes) = memory_bytes_max {
        // Statements that can spill get equal shares of it; an error names those who hold most.
        let pool = TrackConsumersPool::new(FairSpillPool::new(bytes), NonZeroUsize::MIN.saturating_add(2));
        builder = builder.with_memory_pool(Arc::new(RoomToGrow(pool)));
    }
    if let Some(dir) = spill_dir {
        builder = builder.with_temp_file_path(dir);
    }
    Ok(builder.build_arc()?)
}

/// A pool in which operators that take more than they reserve grow only while there is room for all of it.
#[derive(Debug)]
struct RoomToGrow<P>(P);

impl<P: MemoryPool> fmt::Display for RoomToGrow<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl<P: MemoryPool> MemoryPool for RoomToGrow<P> {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.0.register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.0.unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.0.grow(reservation, additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.0.shrink(reservation, shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> DataFusionResult<()> {
        let name = reservation.consumer().name();
        let more = TAKE_MORE.iter().find(|(start, _)| name.starts_with(start)).map_or(0, |(_, more)| *more);
        let room = reservation.size().saturating_add(additional).saturating_mul(more);
        self.0.try_grow(reservation, additional.saturating_add(room))?;
        self.0.shrink(reservation, room);
        Ok(())
    }

    fn reserved(&self) -> usize {
        self.0.reserved()
    }

    fn memory_limit(&self) -> MemoryLimit {
        self.0.memory_limit()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_that_take_more_need_room_for_it() {
        let pool: Arc<dyn MemoryPool> = Arc::new(RoomToGrow(FairSpillPool::new(900)));
        let reserve = |name: &str| MemoryConsumer::new(name).register(&pool);
        let aggregate = reserve("AggregateStream[0]");
        assert!(aggregate.try_grow(301).is_err());
        aggregate.try_grow(300).unwrap();
        assert_eq!(pool.reserved(), 300);
        assert!(aggregate.try_grow(1).is_err());
        let sort = reserve("ExternalSorter[0]");
        sort.try_grow(600).unwrap();
        assert!(sort.try_grow(1).is_err());
        drop((aggregate, sort));
        assert_eq!(pool.reserved(), 0);
        reserve("HashJoinInput[3]").try_grow(450).unwrap();
        assert!(reserve("HashJoinInput").try_grow(451).is_err());
    }
}
