//! The table `system.bundles`: reads the entries of the lake's cache and returns the bundle of each collection and witness.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::common::Result;
use datafusion::execution::TaskContext;
use ruvector_rulake::{Bundle, CollectionKey, RuLake};

use super::SystemTable;

/// `system.bundles`: the bundle of every collection that answers come from, as it would be published: one row for each
/// witness in memory.
///
/// | column | |
/// |---|---|
/// | `backend`, `collection` | whose it is |
/// | `data_ref` | URI of the bytes of record |
/// | `dim`, `rotation_seed`, `rerank_factor` | of its index |
/// | `generation` | the state |
/// | `witness` | SHAKE-256 over the columns before it, from `data_ref` on |
/// | `format_version` | of the file |
#[derive(Debug)]
pub(crate) struct BundlesTable {
    lake: Arc<RuLake>,
    schema: SchemaRef,
}

impl BundlesTable {
    pub(crate) fn new(lake: Arc<RuLake>) -> Self {
        let text = |name| Field::new(name, DataType::Utf8, true);
        let number = |name| Field::new(name, DataType::Int64, true);
        let schema = Arc::new(Schema::new(vec![
            text("backend"),
            text("collection"),
            text("data_ref"),
            number("dim"),
            number("rotation_seed"),
            number("rerank_factor"),
            text("generation"),
            text("witness"),
            number("format_version"),
        ]));
        Self { lake, schema }
    }
}

#[async_trait]
impl SystemTable for BundlesTable {
    fn name(&self) -> &'static str {
        "bundles"
    }

    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    async fn rows(&self, _context: &TaskContext) -> Result<RecordBatch> {
        // Entries of several kinds over one column have one witness.
        let mut bundles: BTreeMap<(CollectionKey, String), Bundle> = BTreeMap::new();
        for cached in self.lake.cached_entries() {
            let entry = &cached.entry;
            let (dim, generation) = (entry.index().dim().get(), entry.generation().clone());
            let bundle = Bundle::new(entry.data_ref(), dim, cached.spec.seed, cached.spec.rerank_factor, generation);
            for collection in cached.collections {
                bundles.insert((collection, bundle.witness.clone()), bundle.clone());
            }
        }
        let text = |value: fn(&CollectionKey, &Bundle) -> String| -> ArrayRef {
            Arc::new(bundles.iter().map(|((key, _), bundle)| Some(value(key, bundle))).collect::<StringArray>())
        };
        let number = |value: fn(&Bundle) -> u64| -> ArrayRef {
            Arc::new(bundles.values().map(|bundle| i64::try_from(value(bundle)).ok()).collect::<Int64Array>())
        };
        let columns = vec![
            text(|key, _| key.0.clone()),
            text(|key, _| key.1.clone()),
            text(|_, bundle| bundle.data_ref.clone()),
            number(|bundle| bundle.dim as u64),
            number(|bundle| bundle.rotation_seed),
            number(|bundle| bundle.rerank_factor as u64),
            text(|_, bundle| bundle.generation.to_string()),
            text(|_, bundle| bundle.witness.clone()),
            number(|bundle| bundle.format_version.into()),
        ];
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }
}
