//! Tables to test with, and what is in them.

use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, AsArray, FixedSizeListArray, Float32Array, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Float32Type, Int64Type, Schema, SchemaRef};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use ruvector_rulake::vectors::vector_type;

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
    let vectors = FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(vectors, DIM as i32);
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

/// Chance that a seed decides: xorshift64*.
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % bound
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }
}
