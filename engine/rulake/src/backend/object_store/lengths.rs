//! Detection of the columns of lists that hold vectors: their lists have one length in all files.
//!
//! A footer has the number of items of a column. If it is the number of rows times the length so far, nothing is read. Else
//! the first lists of the file are read, and all of them if the first ones do not explain the number.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema};
use datafusion::datasource::object_store::ObjectStoreUrl;
use datafusion::physical_plan::collect;
use object_store::{ObjectMeta, ObjectStore};

use super::footer::{Footer, Lengths};
use crate::backend::parquet::{DataFile, ParquetFiles};
use crate::contract::{ScanRequest, Snapshot};
use crate::error::{Result, from_datafusion};
use crate::vector_lists;
use crate::vector_type::{Coordinate, DIM_KEY, NO_VECTORS_KEY, VectorType, undecided, with_length, with_note};
use crate::witness::Generation;

/// Rows looked at for the length of lists.
const ROWS_LOOKED_AT: usize = 1024;

/// Adds to each column of lists of `Float32` its dimension, or the reason why it has none. If there is no vector column then, the
/// same to each column of lists of other numbers.
pub(super) async fn mark_vectors(
    store: &Arc<dyn ObjectStore>,
    store_url: &ObjectStoreUrl,
    fields: &mut [Arc<Field>],
    files: &[ObjectMeta],
    footers: &[Arc<Footer>],
) -> Result<()> {
    let is_float = |coordinate: Coordinate| coordinate == Coordinate::Float32;
    mark(store, store_url, fields, files, footers, is_float).await?;
    match fields.iter().any(|field| VectorType::of(field).is_some()) {
        true => Ok(()),
        false => mark(store, store_url, fields, files, footers, |coordinate| !is_float(coordinate)).await,
    }
}

async fn mark(
    store: &Arc<dyn ObjectStore>,
    store_url: &ObjectStoreUrl,
    fields: &mut [Arc<Field>],
    files: &[ObjectMeta],
    footers: &[Arc<Footer>],
    is_meant: impl Fn(Coordinate) -> bool,
) -> Result<()> {
    for field in fields {
        if !undecided(field).is_some_and(&is_meant) {
            continue;
        }
        let mut dim = None;
        let mut reason = None;
        for (file, footer) in files.iter().zip(footers) {
            if footer.num_rows == 0 || footer.schema.field_with_name(field.name()).is_err() {
                continue;
            }
            let look = Look { store, store_url, file, footer, field };
            match look.dim(dim).await? {
                Ok(found) => dim = found,
                Err(other) => {
                    reason = Some(other);
                    break;
                }
            }
        }
        *field = match (reason, dim) {
            (Some(reason), _) => with_note(field, NO_VECTORS_KEY, reason),
            (None, Some(dim)) => with_length(field, DIM_KEY, dim),
            (None, None) => continue,
        };
    }
    Ok(())
}

/// A look at one column of one file.
struct Look<'a> {
    store: &'a Arc<dyn ObjectStore>,
    store_url: &'a ObjectStoreUrl,
    file: &'a ObjectMeta,
    footer: &'a Footer,
    field: &'a Arc<Field>,
}

impl Look<'_> {
    /// The length of the lists of the files so far and of this one, or why they have not one length.
    async fn dim(&self, known: Option<usize>) -> Result<Result<Option<usize>, String>> {
        let items = self.footer.items.get(self.field.name()).copied();
        if known.is_some_and(|dim| items == Some(self.footer.num_rows * dim)) {
            return Ok(Ok(known));
        }
        let lengths = self.lengths(Some(ROWS_LOOKED_AT)).await?;
        let dim = match self.one_length(known, &lengths) {
            Ok(None) => return Ok(Ok(None)),
            Ok(Some(dim)) => dim,
            Err(reason) => return Ok(Err(reason)),
        };
        if items.is_none_or(|items| is_explained(items, self.footer.num_rows, dim)) {
            return Ok(Ok(Some(dim)));
        }
        let lengths = self.lengths(None).await?;
        Ok(self.one_length(Some(dim), &lengths))
    }

    fn one_length(&self, known: Option<usize>, lengths: &Lengths) -> Result<Option<usize>, String> {
        let expected = known.or_else(|| lengths.iter().min_by_key(|(_, row)| **row).map(|(length, _)| *length));
        let wrong = lengths.iter().filter(|(length, _)| Some(**length) != expected || **length == 0);
        match (wrong.min_by_key(|(_, row)| **row), expected) {
            (Some((got, row)), Some(expected)) => {
                let file = &self.file.location;
                Err(format!("lists of several lengths: file {file}, row {row}, expected {expected}, got {got}"))
            }
            _ => Ok(expected),
        }
    }

    /// The lengths of the first lists, or of all.
    async fn lengths(&self, limit: Option<usize>) -> Result<Lengths> {
        let key = (self.field.name().clone(), limit.is_none());
        if let Some(lengths) = self.footer.lengths.lock().get(&key) {
            return Ok(lengths.clone());
        }
        let lengths = self.read(limit).await?;
        self.footer.lengths.lock().insert(key, lengths.clone());
        Ok(lengths)
    }

    async fn read(&self, limit: Option<usize>) -> Result<Lengths> {
        let schema = Arc::new(Schema::new(vec![Arc::clone(self.field)]));
        let files = ParquetFiles {
            data_ref: String::new(),
            generation: Generation::Number(0),
            schema: Arc::clone(&schema),
            stored: schema,
            partition_columns: Vec::new(),
            files: [DataFile::of_object(self.file.clone(), self.footer.num_rows, Vec::new())].into(),
            index_dir: None,
            store: Arc::clone(self.store),
            store_url: self.store_url.clone(),
            footers: Arc::default(),
        };
        let (context, request) = (Arc::default(), ScanRequest { limit, ..ScanRequest::default() });
        let plan = files.scan(&context, &request).await?;
        let named = |e| from_datafusion(e).with("file", &self.file.location);
        let (mut lengths, mut first) = (Lengths::new(), 0);
        for batch in collect(plan, context).await.map_err(named)? {
            for (row, length) in vector_lists::lengths(batch.column(0))?.enumerate() {
                if let Some(length) = length {
                    lengths.entry(length).or_insert(first + row);
                }
            }
            first += batch.num_rows();
        }
        Ok(lengths)
    }
}

/// Returns true if rows of `dim` items and NULL rows, which count as one item, can have `items` in all.
fn is_explained(items: usize, rows: usize, dim: usize) -> bool {
    let missing = (rows * dim).checked_sub(items);
    match dim {
        1 => missing == Some(0),
        _ => missing.is_some_and(|missing| missing % (dim - 1) == 0 && missing / (dim - 1) <= rows),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_rows_that_are_null_explain_fewer_items() {
        for (items, rows, dim, expected) in [
            (6, 3, 2, true),
            (5, 3, 2, true),
            (2, 3, 2, false),
            (7, 3, 2, false),
            (3, 3, 1, true),
            (9, 3, 4, true),
            (10, 3, 4, false),
            (6, 3, 4, true),
        ] {
            assert_eq!(is_explained(items, rows, dim), expected, "{items} items in {rows} rows of {dim}");
        }
    }
}
