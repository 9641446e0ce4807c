//! Random tables `mem.docs`, conditions on their rows, and what an answer is held against.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, FixedSizeListArray, Int64Array, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Float32Type, Float64Type, Int64Type, Schema};
use datafusion::scalar::ScalarValue;
use ruvector_rulake::LocalBackend;
use ruvector_rulake::vector_column::vector_type;

use crate::support::Database;

pub(crate) const DIM: usize = 4;

/// A stream of numbers from a seed.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }

    pub(crate) fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// Coarse numbers, so that some distances are equal.
    pub(crate) fn vector(&mut self) -> Vec<f32> {
        (0..DIM).map(|_| f32::from(u16::try_from(self.below(33)).unwrap()) / 8.0 - 2.0).collect()
    }
}

/// `num_rows` rows: `id`, `tag` (0 to 999, some NULL), `name`, `vec` (`nulls` of 100 are NULL).
pub(crate) fn rows(random: &mut Random, num_rows: usize, nulls: usize) -> RecordBatch {
    let ids = Int64Array::from_iter_values(0..i64::try_from(num_rows).unwrap());
    let tags: Int64Array =
        (0..num_rows).map(|_| Some(i64::try_from(random.below(1000)).unwrap()).filter(|tag| tag % 17 > 0)).collect();
    let names = StringArray::from_iter_values((0..num_rows).map(|row| format!("n{}", row % 7)));
    let vectors = (0..num_rows).map(|_| {
        let vector = random.vector();
        (random.below(100) >= nulls).then(|| vector.into_iter().map(Some).collect::<Vec<_>>())
    });
    let vectors: Vec<_> = vectors.collect();
    let vectors = FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(vectors, i32::try_from(DIM).unwrap());
    let schema = Schema::new(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("tag", DataType::Int64, true),
        Field::new("name", DataType::Utf8, true),
        Field::new("vec", vector_type(DIM).unwrap(), true),
    ]);
    let columns: Vec<ArrayRef> = vec![Arc::new(ids), Arc::new(tags), Arc::new(names), Arc::new(vectors)];
    RecordBatch::try_new(Arc::new(schema), columns).unwrap()
}

/// A table `mem.docs` in several batches.
pub(crate) async fn database(random: &mut Random, num_rows: usize, nulls: usize) -> Database {
    let database = Database::temporary().await;
    let backend = LocalBackend::new("mem");
    let all = rows(random, num_rows, nulls);
    let cut = random.below(num_rows.max(1));
    backend.put("docs", all.schema(), &[all.slice(0, cut), all.slice(cut, num_rows - cut)]).unwrap();
    database.engine.add_backend(Arc::new(backend)).unwrap();
    database
}

/// The answers: id and what was ordered by.
pub(crate) async fn pairs(database: &Database, sql: &str, params: &[ScalarValue]) -> Vec<(i64, Option<f64>)> {
    let batches = database.try_query(sql, params).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
    let of_batch = |batch: &RecordBatch| {
        let ids = batch.column(0).as_primitive::<Int64Type>().clone();
        let numbers = cast(batch.column(1), &DataType::Float64).unwrap();
        let numbers = numbers.as_primitive::<Float64Type>();
        (0..batch.num_rows())
            .map(|row| (ids.value(row), numbers.is_valid(row).then(|| numbers.value(row))))
            .collect::<Vec<_>>()
    };
    batches.iter().flat_map(of_batch).collect()
}

pub(crate) async fn explained(database: &Database, sql: &str) -> String {
    let batches = database.query(&format!("EXPLAIN {sql}")).await;
    let text = |batch: &RecordBatch| batch.column(1).as_string::<i32>().iter().flatten().collect::<Vec<_>>().join("\n");
    batches.iter().map(text).collect::<Vec<_>>().join("\n")
}

/// Each answer is one that sorting all rows could have given.
pub(crate) fn assert_same(
    answers: &[(i64, Option<f64>)],
    expected: &[(i64, Option<f64>)],
    all: &HashMap<i64, Option<f64>>,
    what: &str,
) {
    let numbers = |pairs: &[(i64, Option<f64>)]| pairs.iter().map(|(_, number)| *number).collect::<Vec<_>>();
    assert_eq!(numbers(answers), numbers(expected), "{what}");
    let distinct: HashSet<i64> = answers.iter().map(|(id, _)| *id).collect();
    assert_eq!(distinct.len(), answers.len(), "{what}: a row came twice");
    for (id, number) in answers {
        assert_eq!(all.get(id), Some(number), "{what}: row {id} is not in the table, or not so far away");
    }
}

/// From none of the rows over one in a thousand to all of them.
pub(crate) const FILTERS: [&str; 10] = [
    "",
    "WHERE tag < 1",
    "WHERE tag < 10",
    "WHERE tag BETWEEN 100 AND 400",
    "WHERE name = 'n3' AND tag > 500",
    "WHERE name LIKE 'n%'",
    "WHERE tag IS NULL OR tag >= 0",
    "WHERE tag IN (SELECT tag FROM mem.docs WHERE id % 3 = 0)",
    "WHERE vec IS NOT NULL AND id % 2 = 0",
    "WHERE false",
];
