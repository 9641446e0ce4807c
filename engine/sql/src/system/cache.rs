//! The table `system.cache`: reads the entries and counters of the lake's cache and returns one row for each collection and
//! entry.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::common::Result;
use datafusion::execution::TaskContext;
use ruvector_rulake::{CacheStats, CachedEntry, RuLake};

use super::SystemTable;

/// `system.cache`: one row for each collection and entry in memory.
///
/// | column | |
/// |---|---|
/// | `backend`, `collection` | whose it is; an entry that several share has a row for each |
/// | `vector_column`, `metric`, `kind`, `seed`, `rerank_factor` | what it is an index of |
/// | `generation`, `witness` | the state it answers from, and its seal |
/// | `vectors`, `bytes` | how many, and the memory they take |
/// | `hits`, `misses`, `loads`, `primes`, `follows` | how often the collection's entries were found, missing, read, built, followed |
/// | `prime_ms` | time spent building and following |
#[derive(Debug)]
pub(crate) struct CacheTable {
    lake: Arc<RuLake>,
    schema: SchemaRef,
}

impl CacheTable {
    pub(crate) fn new(lake: Arc<RuLake>) -> Self {
        let text = |name| Field::new(name, DataType::Utf8, true);
        let number = |name| Field::new(name, DataType::Int64, true);
        let schema = Arc::new(Schema::new(vec![
            text("backend"),
            text("collection"),
            text("vector_column"),
            text("metric"),
            text("kind"),
            number("seed"),
            number("rerank_factor"),
            text("generation"),
            text("witness"),
            number("vectors"),
            number("bytes"),
            number("hits"),
            number("misses"),
            number("loads"),
            number("primes"),
            number("follows"),
            number("prime_ms"),
        ]));
        Self { lake, schema }
    }
}

/// An entry as one collection has it.
struct EntryRow {
    backend: String,
    collection: String,
    cached: CachedEntry,
    stats: CacheStats,
}

#[async_trait]
impl SystemTable for CacheTable {
    fn name(&self) -> &'static str {
        "cache"
    }

    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    async fn rows(&self, _context: &TaskContext) -> Result<RecordBatch> {
        let stats = self.lake.cache_stats_by_collection();
        let mut rows = Vec::new();
        for cached in self.lake.cached_entries() {
            for key in &cached.collections {
                let (backend, collection) = key.clone();
                let stats = stats.get(key).copied().unwrap_or_default();
                rows.push(EntryRow { backend, collection, cached: cached.clone(), stats });
            }
        }
        let text = |value: fn(&EntryRow) -> String| -> ArrayRef {
            Arc::new(rows.iter().map(|row| Some(value(row))).collect::<StringArray>())
        };
        // What does not fit is as good as unknown.
        let number = |value: fn(&EntryRow) -> u128| -> ArrayRef {
            Arc::new(rows.iter().map(|row| i64::try_from(value(row)).ok()).collect::<Int64Array>())
        };
        let columns = vec![
            text(|row| row.backend.clone()),
            text(|row| row.collection.clone()),
            text(|row| row.cached.spec.column.clone()),
            text(|row| row.cached.spec.metric.to_string()),
            text(|row| row.cached.spec.kind.to_string()),
            number(|row| row.cached.spec.seed.into()),
            number(|row| row.cached.spec.rerank_factor as u128),
            text(|row| row.cached.entry.generation().to_string()),
            text(|row| row.cached.entry.witness().to_owned()),
            number(|row| row.cached.entry.index().len() as u128),
            number(|row| row.cached.entry.memory_bytes() as u128),
            number(|row| row.stats.hits.into()),
            number(|row| row.stats.misses.into()),
            number(|row| row.stats.loads.into()),
            number(|row| row.stats.primes.into()),
            number(|row| row.stats.follows.into()),
            number(|row| row.stats.prime_time.as_millis()),
        ];
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }
}
