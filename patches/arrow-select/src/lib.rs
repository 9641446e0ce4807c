//! The crate `arrow-select` with a bound on the copies of rows.
//!
//! Joins, `unnest` and windows of DataFusion 55 repeat rows with [`take::take`] and [`interleave::interleave`], 8,192 to a batch,
//! before any operator counts the memory. 8,192 copies of one text of 200 KB are 1.6 GB, and where memory is refused, the process
//! ends. Here the size of the copies is computed first (`copies`).
//!
//! Everything else is the original's. The workspace puts this crate in the original's place (`[patch.crates-io]`). It goes when
//! DataFusion sizes its batches by bytes.

mod copies;

pub use upstream::{coalesce, concat, dictionary, filter, merge, nullif, union_extract, window, zip};

/// Rows of an array by their indices.
pub mod take {
    use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
    use arrow_schema::ArrowError;

    pub use upstream::take::*;

    use crate::copies;

    /// Takes the elements of `values` at `indices`.
    ///
    /// # Errors
    /// `MemoryError` if the copies of elements would be too large; others for indices out of bounds, if `options` check them.
    pub fn take(values: &dyn Array, indices: &dyn Array, options: Option<TakeOptions>) -> Result<ArrayRef, ArrowError> {
        if !copies::has_lengths(values.data_type()) {
            return upstream::take::take(values, indices, options);
        }
        copies::check_taken(values, indices)?;
        let step = copies::rows_at_once(values, indices.len());
        if step >= indices.len() {
            return upstream::take::take(values, indices, options);
        }
        let starts = (0..indices.len()).step_by(step);
        let pieces = starts.map(|start| {
            let piece = indices.slice(start, step.min(indices.len() - start));
            let mut taken = upstream::take::take(values, piece.as_ref(), options.clone())?;
            taken.shrink_to_fit();
            Ok(taken)
        });
        let pieces = pieces.collect::<Result<Vec<_>, ArrowError>>()?;
        upstream::concat::concat(&pieces.iter().map(AsRef::as_ref).collect::<Vec<_>>())
    }

    /// Takes the elements of each array at `indices`.
    ///
    /// # Errors
    /// As [`take`].
    pub fn take_arrays(
        arrays: &[ArrayRef],
        indices: &dyn Array,
        options: Option<TakeOptions>,
    ) -> Result<Vec<ArrayRef>, ArrowError> {
        arrays.iter().map(|array| take(array.as_ref(), indices, options.clone())).collect()
    }

    /// Takes the rows of a batch at `indices`.
    ///
    /// # Errors
    /// As [`take`].
    pub fn take_record_batch(record_batch: &RecordBatch, indices: &dyn Array) -> Result<RecordBatch, ArrowError> {
        let columns = take_arrays(record_batch.columns(), indices, None)?;
        let options = RecordBatchOptions::new().with_row_count(Some(indices.len()));
        RecordBatch::try_new_with_options(record_batch.schema(), columns, &options)
    }
}

/// Rows of several arrays by their places.
pub mod interleave {
    use arrow_array::{Array, ArrayRef, RecordBatch};
    use arrow_schema::ArrowError;

    use crate::copies;

    /// Takes the elements at `indices`, each an array and an element of it.
    ///
    /// # Errors
    /// `MemoryError` if the copies of elements would be too large; others if the arrays have different types.
    pub fn interleave(values: &[&dyn Array], indices: &[(usize, usize)]) -> Result<ArrayRef, ArrowError> {
        if values.first().is_some_and(|first| copies::has_lengths(first.data_type())) {
            copies::check_interleaved(values, indices)?;
        }
        upstream::interleave::interleave(values, indices)
    }

    /// Takes the rows at `indices`, each a batch and a row of it.
    ///
    /// # Errors
    /// As [`interleave`].
    pub fn interleave_record_batch(
        record_batches: &[&RecordBatch],
        indices: &[(usize, usize)],
    ) -> Result<RecordBatch, ArrowError> {
        let Some(first) = record_batches.first() else {
            return Err(ArrowError::InvalidArgumentError(
                "interleave: expected at least one batch, got none".to_owned(),
            ));
        };
        let columns = (0..first.num_columns()).map(|column| {
            let values: Vec<_> = record_batches.iter().map(|batch| batch.column(column).as_ref()).collect();
            interleave(&values, indices)
        });
        RecordBatch::try_new(first.schema(), columns.collect::<Result<Vec<_>, _>>()?)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::cast::AsArray;
    use arrow_array::types::Int64Type;
    use arrow_array::{
        Array, ArrayRef, ListArray, RecordBatch, StringArray, StringViewArray, UInt32Array, UInt64Array,
    };
    use arrow_schema::ArrowError;

    use crate::interleave::interleave;
    use crate::take::{take, take_record_batch};

    fn refused(result: Result<impl std::fmt::Debug, ArrowError>) {
        let error = result.unwrap_err();
        assert!(matches!(&error, ArrowError::MemoryError(text) if text.contains("expected at most")), "{error}");
    }

    #[test]
    fn copies_of_long_rows_are_refused() {
        let text = "x".repeat(1 << 20);
        let texts = StringArray::from(vec![text.as_str(), "y"]);
        let same = UInt64Array::from(vec![0; 1000]);
        refused(take(&texts, &same, None));
        let lists = ListArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![Some(7); 1 << 17]), None]);
        refused(take(&lists, &UInt32Array::from(vec![0; 1000]), None));
        let nested = ListArray::try_new(
            Arc::new(arrow_schema::Field::new("item", texts.data_type().clone(), true)),
            arrow_buffer::OffsetBuffer::from_lengths([1, 1]),
            Arc::new(texts.clone()),
            None,
        );
        refused(take(&nested.unwrap(), &same, None));
        refused(interleave(&[&texts, &texts], &[(1, 0); 1000]));
        // Views share the text.
        let views = StringViewArray::from(vec![text.as_str()]);
        assert_eq!(take(&views, &same, None).unwrap().len(), 1000);
        assert_eq!(take(&texts, &UInt64Array::from(vec![1; 1000]), None).unwrap().as_string::<i32>().value(999), "y");
    }

    #[test]
    fn columns_of_a_batch_are_counted_together() {
        let text = "x".repeat(1 << 20);
        let column = || Arc::new(StringArray::from(vec![text.as_str()])) as ArrayRef;
        let batch =
            |columns: usize| RecordBatch::try_from_iter((0..columns).map(|i| (format!("c{i}"), column()))).unwrap();
        assert_eq!(take_record_batch(&batch(4), &UInt64Array::from(vec![0; 100])).unwrap().num_rows(), 100);
        refused(take_record_batch(&batch(6), &UInt64Array::from(vec![0; 100])));
        // Batches one after the other are not.
        for _ in 0..8 {
            assert_eq!(take_record_batch(&batch(1), &UInt64Array::from(vec![0; 100])).unwrap().num_rows(), 100);
        }
    }

    #[test]
    fn each_row_once_is_never_refused() {
        let texts = StringArray::from(vec!["x".repeat(20 << 20); 40]);
        let backwards = UInt32Array::from_iter_values((0..40).rev());
        assert_eq!(take(&texts, &backwards, None).unwrap().len(), 40);
    }

    #[test]
    fn short_rows_beside_a_long_one_reserve_no_memory_of_it() {
        // By the average length, 100,000 copies would take 600 GB.
        let lists =
            ListArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![Some(7); 1 << 20]), Some(vec![Some(8)])]);
        let taken = take(&lists, &UInt32Array::from(vec![1; 100_000]), None).unwrap();
        assert_eq!(taken.len(), 100_000);
        assert_eq!(taken.as_list::<i32>().value(99_999).as_primitive::<Int64Type>().value(0), 8);
    }

    #[test]
    fn indices_may_be_null_and_out_of_bounds() {
        let texts = StringArray::from(vec!["a", "b"]);
        let taken = take(&texts, &UInt32Array::from(vec![Some(1), None]), None).unwrap();
        assert_eq!(taken.as_string::<i32>().iter().collect::<Vec<_>>(), [Some("b"), None]);
        let checked = Some(crate::take::TakeOptions { check_bounds: true });
        assert!(take(&texts, &UInt32Array::from(vec![7]), checked).is_err());
        assert_eq!(take(&texts, &UInt32Array::from(Vec::<u32>::new()), None).unwrap().len(), 0);
    }
}
