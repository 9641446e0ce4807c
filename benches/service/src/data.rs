//! Vectors around centres, the same for the same seed on every machine.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, FixedSizeListArray, Float32Array, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use ruvector_rulake::vector_column::vector_type;

use crate::Failure;

const CENTRES: u64 = 1000;

/// `id` and `vec`.
///
/// # Errors
/// If `dim` is no dimension.
pub fn schema(dim: usize) -> Result<SchemaRef, Failure> {
    Ok(Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("vec", vector_type(dim)?, true),
    ])))
}

/// Rows `first..first + count`: a row is the same whichever batch it is in.
///
/// # Errors
/// If `dim` is no dimension.
pub fn rows(seed: u64, first: usize, count: usize, dim: usize) -> Result<RecordBatch, Failure> {
    let values: Vec<f32> = (first..first + count).flat_map(|row| vector(seed, row as u64, dim)).collect();
    let schema = schema(dim)?;
    let DataType::FixedSizeList(item, size) = schema.field(1).data_type() else { return Err("not a vector".into()) };
    let vectors = FixedSizeListArray::try_new(Arc::clone(item), *size, Arc::new(Float32Array::from(values)), None)?;
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values((first..first + count).map(|row| row as i64)));
    Ok(RecordBatch::try_new(schema, vec![ids, Arc::new(vectors)])?)
}

/// The vector of a row: its centre, and noise about as large.
pub fn vector(seed: u64, row: u64, dim: usize) -> Vec<f32> {
    let mut centre = Random(seed ^ (mix(row.wrapping_add(seed)) % CENTRES).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut noise = Random(seed.rotate_left(17) ^ row.wrapping_mul(0xd134_2543_de82_ef95));
    (0..dim).map(|_| centre.signed() + 0.5 * noise.signed()).collect()
}

/// Writes rows to one file, as the Parquet library does by default, in row groups of so many rows.
///
/// # Errors
/// If the file cannot be written.
pub fn write_parquet(path: &Path, rows: &RecordBatch, row_group: Option<usize>) -> Result<(), Failure> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let properties = row_group.map(|rows| WriterProperties::builder().set_max_row_group_row_count(Some(rows)).build());
    let mut writer = ArrowWriter::try_new(File::create(path)?, rows.schema(), properties)?;
    writer.write(rows)?;
    writer.close()?;
    Ok(())
}

/// SplitMix64.
struct Random(u64);

impl Random {
    /// About normal: the sum of four uniform numbers.
    fn signed(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let bits = mix(self.0);
        let sum: u64 = (0..4).map(|i| (bits >> (16 * i)) & 0xffff).sum();
        sum as f32 / 65536.0 - 2.0
    }
}

fn mix(state: u64) -> u64 {
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
