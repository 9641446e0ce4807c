//! Tables to test with, and what is in them.

use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, AsArray, FixedSizeListArray, Float32Array, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Float32Type, Int64Type, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use parquet::arrow::ArrowWriter;
use ruvector_rulake::vector_column::vector_type;
use ruvector_rulake::{Backend, Entry, IndexSpec, Result, RuLake, Snapshot};

pub(crate) const DIM: usize = 4;

pub(crate) fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, true),
        Field::new("vec", vector_type(DIM).unwrap(), true),
    ]))
}

/// The vector of a row: its id, and functions of it that are exact in Float32.
#[expect(clippy::cast_precision_loss, reason = "ids in tests are small")]
pub(crate) fn vector(id: i64) -> [f32; DIM] {
    let x = id as f32;
    [x, -x, x / 2.0, 1.0]
}

pub(crate) fn rows(ids: &[i64]) -> RecordBatch {
    let vectors: Vec<_> = ids.iter().map(|id| Some(vector(*id).map(Some))).collect();
    let vectors = FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(vectors, DIM.try_into().unwrap());
    let columns: Vec<ArrayRef> = vec![Arc::new(Int64Array::from(ids.to_vec())), Arc::new(vectors)];
    RecordBatch::try_new(schema(), columns).unwrap()
}

pub(crate) fn stream(batch: RecordBatch) -> SendableRecordBatchStream {
    Box::pin(RecordBatchStreamAdapter::new(batch.schema(), futures::stream::iter([Ok(batch)])))
}

/// One context for all: a plan finds the object stores that were registered when it was made.
pub(crate) fn context() -> Arc<TaskContext> {
    static CONTEXT: LazyLock<Arc<TaskContext>> = LazyLock::new(Arc::default);
    Arc::clone(&CONTEXT)
}

pub(crate) fn ids(batch: &RecordBatch) -> Vec<i64> {
    batch.column(0).as_primitive::<Int64Type>().values().to_vec()
}

pub(crate) fn vectors(column: &ArrayRef) -> Vec<Vec<f32>> {
    let values = |row: Option<ArrayRef>| -> Vec<f32> {
        let values: Float32Array = row.unwrap().as_primitive::<Float32Type>().clone();
        values.values().to_vec()
    };
    column.as_fixed_size_list().iter().map(values).collect()
}

/// Seeded numbers: SplitMix64.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    #[expect(clippy::cast_possible_truncation, reason = "less than bound, which is a usize")]
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }

    /// In `-1.0..1.0`.
    #[expect(clippy::cast_precision_loss, reason = "24 bits fit")]
    pub(crate) fn signed(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// Rows of random vectors, some of them equal, some NULL.
pub(crate) fn random_rows(random: &mut Random, ids: Range<i64>) -> RecordBatch {
    let ids: Vec<i64> = ids.collect();
    let vectors: Vec<_> = ids
        .iter()
        .map(|_| match random.below(20) {
            0 => None,
            1 => Some([Some(1.0); DIM]),
            _ => Some(std::array::from_fn(|_| Some(random.signed() * 10.0))),
        })
        .collect();
    let vectors =
        FixedSizeListArray::from_iter_primitive::<Float32Type, [Option<f32>; DIM], _>(vectors, DIM.try_into().unwrap());
    let columns: Vec<ArrayRef> = vec![Arc::new(Int64Array::from(ids)), Arc::new(vectors)];
    RecordBatch::try_new(schema(), columns).unwrap()
}

/// A lake over one backend.
pub(crate) fn lake_over(backend: &Arc<impl Backend + 'static>) -> RuLake {
    let lake = RuLake::new();
    lake.register_backend(Arc::clone(backend) as _).unwrap();
    lake
}

pub(crate) fn write_parquet(path: &Path, batch: &RecordBatch) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
}

/// A backend of one state.
#[derive(Debug)]
struct Held(Arc<dyn Snapshot>);

#[async_trait]
impl Backend for Held {
    fn id(&self) -> &str {
        "held"
    }

    async fn list(&self) -> Result<Vec<String>> {
        Ok(vec!["docs".to_owned()])
    }

    async fn snapshot(&self, _collection: &str) -> Result<Arc<dyn Snapshot>> {
        Ok(Arc::clone(&self.0))
    }
}

/// The entry over a state, of a lake that has nothing else.
pub(crate) async fn entry_over(snapshot: &Arc<dyn Snapshot>, spec: &IndexSpec) -> Result<Arc<Entry>> {
    let lake = lake_over(&Arc::new(Held(Arc::clone(snapshot))));
    let pinned = lake.pin("held", "docs", None).await?;
    lake.entry(&pinned, spec, &context()).await
}
