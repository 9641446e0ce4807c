//! Rows as a table that a person reads.
//!
//! Numbers stand on the right, long vectors show their first floats and their length, and text is cut to one line of
//! bounded width without control characters (a stored escape sequence must not command the terminal). `EXPLAIN` is shown
//! whole.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Float32Type, Schema};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use arrow::util::pretty::pretty_format_batches_with_options;

use crate::config::{TABLE_TEXT_MAX, TABLE_VECTOR_MAX};

const NULL: &str = "NULL";

/// The table of `batches`, with a header even if there are no rows.
pub(super) fn render(schema: &Schema, batches: &[RecordBatch]) -> Result<String, ArrowError> {
    let mut fields = Vec::new();
    let mut columns: Vec<ArrayRef> = Vec::new();
    for (index, field) in schema.fields().iter().enumerate() {
        let cells: Result<Vec<_>, _> =
            batches.iter().map(|batch| cells(batch.column(index), is_plan(schema))).collect();
        let mut cells = cells?.concat();
        if field.data_type().is_numeric() {
            align_right(&mut cells, field.name());
        }
        fields.push(Field::new(field.name(), DataType::Utf8, true));
        columns.push(Arc::new(StringArray::from(cells)));
    }
    if fields.is_empty() {
        return Ok("(no columns)".to_owned());
    }
    let table = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?;
    let options = FormatOptions::default().with_null(NULL);
    Ok(pretty_format_batches_with_options(&[table], &options)?.to_string())
}

/// Whether this is the answer to `EXPLAIN`.
fn is_plan(schema: &Schema) -> bool {
    schema.fields().iter().map(|field| field.name().as_str()).eq(["plan_type", "plan"])
}

fn cells(column: &ArrayRef, whole: bool) -> Result<Vec<Option<String>>, ArrowError> {
    if let Some(vectors) = Vectors::of(column)? {
        return Ok((0..column.len()).map(|row| vectors.cell(row)).collect());
    }
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(column, &options)?;
    let cell = |row: usize| {
        if column.is_null(row) {
            return Ok(None);
        }
        let text = formatter.value(row).try_to_string()?;
        Ok(Some(if whole { text } else { one_line(&text) }))
    };
    (0..column.len()).map(cell).collect()
}

/// `text` on one line of at most [`TABLE_TEXT_MAX`] characters.
fn one_line(text: &str) -> String {
    let mut line: String =
        text.chars().take(TABLE_TEXT_MAX + 1).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if let Some((end, _)) = line.char_indices().nth(TABLE_TEXT_MAX) {
        line.truncate(end);
        line.pop();
        line.push('…');
    }
    line
}

fn align_right(cells: &mut [Option<String>], name: &str) {
    let null = if cells.iter().any(Option::is_none) { NULL.len() } else { 0 };
    let widest = cells.iter().flatten().map(String::len).max().unwrap_or(0);
    let width = widest.max(null).max(name.chars().count());
    for cell in cells {
        *cell = Some(format!("{:>width$}", cell.as_deref().unwrap_or(NULL)));
    }
}

/// A column of lists of floats.
struct Vectors {
    rows: ArrayRef,
}

impl Vectors {
    fn of(column: &ArrayRef) -> Result<Option<Self>, ArrowError> {
        let (DataType::FixedSizeList(element, _) | DataType::List(element) | DataType::LargeList(element)) =
            column.data_type()
        else {
            return Ok(None);
        };
        if !element.data_type().is_floating() {
            return Ok(None);
        }
        let float32 = Arc::new(Field::new_list_field(DataType::Float32, true));
        Ok(Some(Self { rows: cast(column, &DataType::LargeList(float32))? }))
    }

    fn cell(&self, row: usize) -> Option<String> {
        if self.rows.is_null(row) {
            return None;
        }
        let floats = self.rows.as_list::<i64>().value(row);
        let floats = floats.as_primitive::<Float32Type>();
        let dim = floats.len();
        if dim <= TABLE_VECTOR_MAX {
            let floats = floats.iter().map(|x| x.map_or(NULL.to_owned(), |x| x.to_string()));
            return Some(format!("[{}]", floats.collect::<Vec<_>>().join(", ")));
        }
        let first = floats.iter().take(2).map(|x| x.map_or(NULL.to_owned(), |x| format!("{x:.2}")));
        Some(format!("[{}, ... {dim}]", first.collect::<Vec<_>>().join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{FixedSizeListArray, Float32Array, Int64Array};

    #[test]
    fn numbers_stand_right_and_vectors_are_short() {
        let batch = batch(
            vec![Some(7), None, Some(1000)],
            vec!["a cat", "two\nlines", &"long ".repeat(100)],
            (0..3 * 384).map(|i| i as f32 / 10.0).collect(),
        );
        let table = render(batch.schema_ref(), &[batch.slice(0, 2), batch.slice(2, 1)]).unwrap();
        let long = format!("{}…", &"long ".repeat(20)[..99]);
        assert_eq!(
            table,
            format!(
                "\
+------+{0}+-------------------------+
| id   | body{1} | vec                     |
+------+{0}+-------------------------+
|    7 | a cat{2} | [0.00, 0.10, ... 384]   |
| NULL | two lines{3} | [38.40, 38.50, ... 384] |
| 1000 | {long} | [76.80, 76.90, ... 384] |
+------+{0}+-------------------------+",
                "-".repeat(102),
                " ".repeat(96),
                " ".repeat(95),
                " ".repeat(91),
            )
        );
    }

    #[test]
    fn a_short_vector_is_shown_whole() {
        let batch = batch(vec![Some(1)], vec!["x"], vec![0.5, -1.0, 2.25]);
        assert!(render(&batch.schema(), &[batch]).unwrap().contains("[0.5, -1, 2.25]"));
    }

    #[test]
    fn no_rows_have_a_header() {
        let batch = batch(vec![], vec![], vec![]);
        assert!(render(batch.schema_ref(), &[]).unwrap().contains("| id | body | vec |"));
    }

    #[test]
    fn stored_text_cannot_command_the_terminal() {
        assert_eq!(one_line("\u{1b}[2Jgone\t!"), " [2Jgone !");
    }

    #[test]
    fn a_plan_is_whole() {
        let plan = "line one\n".repeat(30);
        let batch = RecordBatch::try_from_iter([
            ("plan_type", Arc::new(StringArray::from(vec!["logical_plan"])) as ArrayRef),
            ("plan", Arc::new(StringArray::from(vec![plan])) as ArrayRef),
        ])
        .unwrap();
        assert_eq!(render(&batch.schema(), &[batch]).unwrap().matches("line one").count(), 30);
    }

    fn batch(ids: Vec<Option<i64>>, bodies: Vec<&str>, floats: Vec<f32>) -> RecordBatch {
        let dim = floats.len() / ids.len().max(1);
        let field = Arc::new(Field::new_list_field(DataType::Float32, true));
        let vectors = FixedSizeListArray::new(field, dim.max(1) as i32, Arc::new(Float32Array::from(floats)), None);
        RecordBatch::try_from_iter_with_nullable([
            ("id", Arc::new(Int64Array::from(ids)) as ArrayRef, true),
            ("body", Arc::new(StringArray::from(bodies)) as ArrayRef, true),
            ("vec", Arc::new(vectors) as ArrayRef, true),
        ])
        .unwrap()
    }
}
