//! The table `system.indexes`: reads the declared indexes, the index tables, the builds and the cached entries, and returns one
//! row for each index.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::common::Result;
use datafusion::execution::TaskContext;
use futures::future::join_all;
use ruvector_rabitq::VectorIndex;
use ruvector_rulake::{BuildProgress, CachedEntry, IndexBackend, IndexSpec, Pinned, RuLake, ServedIndex};
use serde_json::json;

use super::SystemTable;
use crate::catalog::index::IndexCatalog;
use crate::catalog::index::builds::Builds;
use crate::statements::create_index::bits_of;
use ruvector_udfs::declared_index::{DeclaredIndex, IndexDefinition};
use ruvector_udfs::names::MAIN;

/// `system.indexes`: one row for each index, in the order they were declared, then those that are tables.
///
/// | column | |
/// |---|---|
/// | `name`, `backend`, `collection`, `vector_column` | what it is called, and what it is over |
/// | `kind`, `metric`, `parameters` | as in `CREATE INDEX`; parameters are JSON |
/// | `state` | `building`; `ready`; `stale`: in memory for an older state of the table, from which the next search makes the newest; `cold`: not in memory, the next search reads its file or builds it; `failed`: exact search answers |
/// | `rows_read` | by the build at work |
/// | `vectors_done`, `vectors_total` | encoded, and how many there are to encode |
/// | `bytes` | of memory |
/// | `generation` | of the table, that it answers from |
/// | `error` | why it could not be built, or its table cannot be asked |
#[derive(Debug)]
pub(crate) struct IndexesTable {
    lake: Arc<RuLake>,
    builds: Arc<Builds>,
    indexes: Arc<IndexCatalog>,
    tables: Arc<IndexBackend>,
    schema: SchemaRef,
}

impl IndexesTable {
    pub(crate) fn new(
        lake: Arc<RuLake>,
        builds: Arc<Builds>,
        indexes: Arc<IndexCatalog>,
        tables: Arc<IndexBackend>,
    ) -> Self {
        let text = |name| Field::new(name, DataType::Utf8, true);
        let number = |name| Field::new(name, DataType::Int64, true);
        let schema = Arc::new(Schema::new(vec![
            text("name"),
            text("backend"),
            text("collection"),
            text("vector_column"),
            text("kind"),
            text("metric"),
            text("parameters"),
            text("state"),
            number("rows_read"),
            number("vectors_done"),
            number("vectors_total"),
            number("bytes"),
            text("generation"),
            text("error"),
        ]));
        Self { lake, builds, indexes, tables, schema }
    }
}

/// An index, and what is known of it.
struct IndexRow {
    index: DeclaredIndex,
    /// True if it is a table by itself, not an index over one.
    is_table: bool,
    making: Option<BuildProgress>,
    cached: Option<CachedEntry>,
    newest: ruvector_rulake::Result<Arc<Pinned>>,
}

impl IndexRow {
    /// The index that the table is.
    fn own(&self) -> Option<&ServedIndex> {
        self.newest.as_ref().ok().filter(|_| self.is_table)?.snapshot().index()
    }

    /// Specification of the index; `None` for an index table whose file cannot be read.
    fn spec(&self) -> Option<&IndexSpec> {
        match (self.is_table, self.own()) {
            (true, own) => own.map(|own| &own.spec),
            (false, _) => Some(&self.index.spec),
        }
    }

    fn state(&self) -> &'static str {
        let status = &self.index.status;
        let may_answer = match &self.newest {
            Ok(newest) => status.may_answer(newest.snapshot().generation()),
            Err(_) => status.is_built(),
        };
        match (&self.cached, &self.newest) {
            _ if self.own().is_some() => "ready",
            _ if self.is_table => "failed",
            _ if self.making.is_some() => "building",
            _ if !may_answer && status.error().is_some() => "failed",
            _ if !status.is_built() => "building",
            (Some(cached), Ok(newest)) if cached.entry.generation() != newest.snapshot().generation() => "stale",
            (Some(_), _) => "ready",
            (None, _) => "cold",
        }
    }

    fn parameters(&self) -> Option<String> {
        let spec = self.spec()?;
        let mut parameters = json!({ "seed": spec.seed, "rerank_factor": spec.rerank_factor });
        let others = [
            ("bits", bits_of(spec.kind)),
            ("nlist", spec.nlist.map(|lists| lists as u64)),
            ("nprobe", spec.nprobe.map(|lists| lists as u64)),
        ];
        for (name, value) in others {
            if let Some(value) = value {
                parameters[name] = value.into();
            }
        }
        Some(parameters.to_string())
    }

    /// The index that answers at this moment.
    fn answering(&self) -> Option<&dyn VectorIndex> {
        match self.own() {
            Some(own) => Some(own.index()),
            None => self.cached.as_ref().map(|cached| cached.entry.index()),
        }
    }

    fn vectors_done(&self) -> Option<usize> {
        match &self.making {
            Some(making) => Some(making.vectors_done),
            None => self.answering().map(|index| index.len()),
        }
    }

    fn vectors_total(&self) -> Option<usize> {
        match (&self.making, self.answering()) {
            (Some(making), _) => making.vectors_total,
            (None, Some(index)) if self.state() == "ready" => Some(index.len()),
            _ => self.newest.as_ref().ok()?.snapshot().num_rows(),
        }
    }

    fn bytes(&self) -> Option<usize> {
        match &self.cached {
            Some(cached) => Some(cached.entry.memory_bytes()),
            None => self.own().map(|own| own.index().memory_bytes()),
        }
    }

    fn generation(&self) -> Option<String> {
        match &self.cached {
            Some(cached) => Some(cached.entry.generation().to_string()),
            None => self.own().and(self.newest.as_ref().ok()).map(|newest| newest.snapshot().generation().to_string()),
        }
    }

    fn error(&self) -> Option<String> {
        self.index.status.error().or_else(|| self.newest.as_ref().err().map(ToString::to_string))
    }
}

#[async_trait]
impl SystemTable for IndexesTable {
    fn name(&self) -> &'static str {
        "indexes"
    }

    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    async fn rows(&self, _context: &TaskContext) -> Result<RecordBatch> {
        let mut indexes = self.indexes.list();
        // An index that is built again is declared as well.
        let awaited = self.builds.awaited().into_iter();
        let awaited: Vec<_> = awaited.filter(|index| indexes.iter().all(|known| !known.is(index))).collect();
        indexes.extend(awaited);
        let num_declared = indexes.len();
        let of_table = |name: String| {
            // What it is an index of is in the table itself.
            let spec = IndexSpec::new(String::new());
            let definition = IndexDefinition { name: name.clone(), backend: MAIN.to_owned(), table: name, spec };
            DeclaredIndex::new(definition, true)
        };
        indexes.extend(self.tables.names().into_iter().map(of_table));
        // Together: the slowest decides how long it takes, not their number.
        let newest = indexes.iter().map(|index| self.lake.pin(&index.backend, &index.table, None));
        let newest = join_all(newest).await;
        let (making, cached) = (self.lake.builds(), self.lake.cached_entries());
        let row = |(position, (index, newest)): (usize, (DeclaredIndex, _))| {
            let mut row = IndexRow { index, is_table: position >= num_declared, making: None, cached: None, newest };
            let Some(spec) = row.spec().cloned() else { return row };
            let key = (row.index.backend.clone(), row.index.table.clone());
            row.making = making.iter().find(|making| making.spec == spec && making.collection == key).cloned();
            let is_cached = |cached: &&CachedEntry| cached.spec == spec && cached.collections.contains(&key);
            row.cached = cached.iter().find(is_cached).cloned();
            row
        };
        let rows: Vec<IndexRow> = indexes.into_iter().zip(newest).enumerate().map(row).collect();
        let text = |value: fn(&IndexRow) -> Option<String>| -> ArrayRef {
            Arc::new(rows.iter().map(value).collect::<StringArray>())
        };
        let number = |value: fn(&IndexRow) -> Option<usize>| -> ArrayRef {
            Arc::new(rows.iter().map(|row| i64::try_from(value(row)?).ok()).collect::<Int64Array>())
        };
        let columns = vec![
            text(|row| Some(row.index.name.clone())),
            text(|row| Some(row.index.backend.clone())),
            text(|row| Some(row.index.table.clone())),
            text(|row| Some(row.spec()?.column.clone())),
            text(|row| Some(row.spec()?.kind.to_string())),
            text(|row| Some(row.spec()?.metric.to_string())),
            text(IndexRow::parameters),
            text(|row| Some(row.state().to_owned())),
            number(|row| Some(row.making.as_ref()?.rows_read)),
            number(IndexRow::vectors_done),
            number(IndexRow::vectors_total),
            number(IndexRow::bytes),
            text(IndexRow::generation),
            text(IndexRow::error),
        ];
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }
}
