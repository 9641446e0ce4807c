//! Rows as a table that a person reads.
//!
//! Numbers stand on the right, long vectors show their first floats and their length, and text is cut to one line of
//! bounded width without control characters (a stored escape sequence must not command the terminal). `EXPLAIN` is shown
//! whole. On a terminal a table is no wider than that: texts give way first, then columns in the middle.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Float32Type, Schema};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use arrow::util::pretty::pretty_format_batches;
use console::{measure_text_width, truncate_str};

use super::limits::{TABLE_TEXT_MAX, TABLE_VECTOR_MAX};

const NULL: &str = "NULL";

/// Width that a text keeps on a narrow terminal, in characters.
const TEXT_WIDTH_MIN: usize = 8;

/// The mark in the place of columns that are left out.
const LEFT_OUT: &str = "…";

/// A table, and how many columns of it the terminal has no room for.
pub(super) struct Rendered {
    pub(super) text: String,
    pub(super) columns_left_out: usize,
}

/// The table of `batches`, with a header even if there are no rows, on a terminal of `width` characters.
pub(super) fn render(schema: &Schema, batches: &[RecordBatch], width: Option<usize>) -> Result<Rendered, ArrowError> {
    let whole = is_plan(schema);
    let mut columns = columns(schema, batches, if whole { None } else { Some(TABLE_TEXT_MAX) })?;
    if columns.is_empty() {
        return Ok(Rendered { text: "(no columns)".to_owned(), columns_left_out: 0 });
    }
    let columns_left_out = match width {
        Some(width) if !whole => fit(&mut columns, width),
        _ => 0,
    };
    let mut fields = Vec::new();
    let mut arrays: Vec<ArrayRef> = Vec::new();
    for column in columns {
        fields.push(Field::new(column.name, DataType::Utf8, true));
        arrays.push(Arc::new(StringArray::from_iter_values(column.cells)));
    }
    let table = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?;
    Ok(Rendered { text: pretty_format_batches(&[table])?.to_string(), columns_left_out })
}

/// Each row of `batches` as lines of column and value.
pub(super) fn render_expanded(
    schema: &Schema,
    batches: &[RecordBatch],
    first_row: usize,
) -> Result<String, ArrowError> {
    let columns = columns(schema, batches, None)?;
    let name_width = columns.iter().map(|column| measure_text_width(&column.name)).max().unwrap_or(0);
    let num_rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    let mut text = String::new();
    for row in 0..num_rows {
        text.push_str(&format!("-[ row {} ]-\n", first_row + row));
        for column in &columns {
            let gap = " ".repeat(name_width - measure_text_width(&column.name));
            // The lines of a value stand below one another.
            let value = column.cells[row].trim_start().replace('\n', &format!("\n{} | ", " ".repeat(name_width)));
            text.push_str(&format!("{}{gap} | {value}\n", column.name));
        }
    }
    Ok(text)
}

/// A column as text.
struct Column {
    name: String,
    cells: Vec<String>,
    width: usize,
    /// True if cells may be cut. A number may not: a number that is cut is another number.
    may_shrink: bool,
}

/// All columns as text, cut to `chars_max`.
fn columns(schema: &Schema, batches: &[RecordBatch], chars_max: Option<usize>) -> Result<Vec<Column>, ArrowError> {
    let mut columns = Vec::new();
    for (index, field) in schema.fields().iter().enumerate() {
        let cells: Result<Vec<_>, _> = batches.iter().map(|batch| cells(batch.column(index), chars_max)).collect();
        let cells = cells?.concat().into_iter().map(|cell| cell.unwrap_or_else(|| NULL.to_owned())).collect();
        let name = one_line(field.name(), TABLE_TEXT_MAX);
        let mut column = Column { width: 0, name, cells, may_shrink: !field.data_type().is_numeric() };
        column.measure();
        if field.data_type().is_numeric() {
            column.align_right();
        }
        columns.push(column);
    }
    Ok(columns)
}

impl Column {
    fn measure(&mut self) {
        let widest = self.cells.iter().map(|cell| measure_text_width(cell)).max().unwrap_or(0);
        self.width = widest.max(measure_text_width(&self.name));
    }

    fn align_right(&mut self) {
        for cell in &mut self.cells {
            *cell = format!("{}{cell}", " ".repeat(self.width - measure_text_width(cell)));
        }
    }

    fn cut(&mut self, width: usize) {
        let cut = |text: &mut String| {
            if let Cow::Owned(shorter) = truncate_str(text, width, LEFT_OUT) {
                *text = shorter;
            }
        };
        cut(&mut self.name);
        self.cells.iter_mut().for_each(cut);
        self.measure();
    }
}

/// The width of a line of the table: each column has a border and two spaces.
fn line_width(columns: &[Column]) -> usize {
    columns.iter().map(|column| column.width + 3).sum::<usize>() + 1
}

/// Makes `columns` fit on a terminal, and returns how many of them are left out.
fn fit(columns: &mut Vec<Column>, width: usize) -> usize {
    // The widest gives way first, to the width of the next one.
    while line_width(columns) > width {
        let too_much = line_width(columns) - width;
        let shrinks = |column: &&mut Column| column.may_shrink && column.width > TEXT_WIDTH_MIN;
        let next = columns.iter().filter(|column| column.may_shrink).map(|column| column.width);
        let mut widths: Vec<_> = next.collect();
        widths.sort_unstable();
        widths.dedup();
        let second = widths.iter().rev().nth(1).copied().unwrap_or(0);
        let Some(widest) = columns.iter_mut().filter(shrinks).max_by_key(|column| column.width) else { break };
        let goal = (widest.width - too_much.min(widest.width)).max(second).max(TEXT_WIDTH_MIN);
        widest.cut(goal.min(widest.width - 1));
    }
    let mut left_out = 0;
    // The first and the last stay, with the mark between them.
    while line_width(columns) > width && columns.len() > if left_out == 0 { 2 } else { 3 } {
        let middle = columns.len() / 2;
        if left_out == 0 {
            let cells = vec![LEFT_OUT.to_owned(); columns[middle].cells.len()];
            columns[middle] = Column { name: LEFT_OUT.to_owned(), cells, width: 1, may_shrink: false };
        } else {
            // The one in the middle is the mark: columns on both sides of it go in turn.
            let mark = columns.iter().position(|column| column.name == LEFT_OUT && column.width == 1).unwrap_or(middle);
            let goes = if mark + 1 < columns.len() - 1 && mark <= columns.len() / 2 { mark + 1 } else { mark - 1 };
            columns.remove(goes);
        }
        left_out += 1;
    }
    left_out
}

/// True if `schema` is that of the answer to `EXPLAIN`.
fn is_plan(schema: &Schema) -> bool {
    schema.fields().iter().map(|field| field.name().as_str()).eq(["plan_type", "plan"])
}

fn cells(column: &ArrayRef, chars_max: Option<usize>) -> Result<Vec<Option<String>>, ArrowError> {
    if let Some(vectors) = Vectors::of(column)? {
        return Ok((0..column.len()).map(|row| vectors.cell(row)).collect());
    }
    let options = FormatOptions::default().with_null(NULL);
    let formatter = ArrayFormatter::try_new(column, &options)?;
    let cell = |row: usize| {
        if column.is_null(row) {
            return Ok(None);
        }
        let text = formatter.value(row).try_to_string()?;
        Ok(Some(match chars_max {
            Some(chars_max) => one_line(&text, chars_max),
            None => text.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect(),
        }))
    };
    (0..column.len()).map(cell).collect()
}

/// `text` on one line of at most `chars_max` characters.
fn one_line(text: &str, chars_max: usize) -> String {
    let mut line: String = text.chars().take(chars_max + 1).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if let Some((end, _)) = line.char_indices().nth(chars_max) {
        line.truncate(end);
        line.pop();
        line.push('…');
    }
    line
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
        let table = render(batch.schema_ref(), &[batch.slice(0, 2), batch.slice(2, 1)], None).unwrap().text;
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
        assert!(render(&batch.schema(), &[batch], None).unwrap().text.contains("[0.5, -1, 2.25]"));
    }

    #[test]
    fn no_rows_have_a_header() {
        let batch = batch(vec![], vec![], vec![]);
        assert!(render(batch.schema_ref(), &[], None).unwrap().text.contains("| id | body | vec |"));
    }

    #[test]
    fn stored_text_cannot_command_the_terminal() {
        assert_eq!(one_line("\u{1b}[2Jgone\t!", 100), " [2Jgone !");
    }

    #[test]
    fn a_table_is_no_wider_than_its_terminal() {
        let batch = batch(vec![Some(123_456_789)], vec![&"語".repeat(40)], vec![0.5, -1.0, 2.25]);
        for width in [60, 45, 38] {
            let rendered = render(batch.schema_ref(), std::slice::from_ref(&batch), Some(width)).unwrap();
            let widest = rendered.text.lines().map(measure_text_width).max().unwrap();
            assert!(widest <= width && widest > width - 4, "{}", rendered.text);
            assert_eq!(rendered.columns_left_out, 0);
            assert!(rendered.text.contains("| 123456789 | 語"), "{}", rendered.text);
        }
        let rendered = render(&batch.schema(), &[batch], Some(10)).unwrap();
        assert_eq!(rendered.columns_left_out, 1);
        assert!(rendered.text.contains("| 123456789 | … | ["), "{}", rendered.text);
    }

    #[test]
    fn many_columns_leave_out_those_in_the_middle() {
        let columns = (0..20).map(|i| (format!("column_{i}"), Arc::new(Int64Array::from(vec![i])) as ArrayRef));
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let rendered = render(batch.schema_ref(), std::slice::from_ref(&batch), Some(80)).unwrap();
        assert!(rendered.text.lines().all(|line| measure_text_width(line) <= 80), "{}", rendered.text);
        let header = rendered.text.lines().nth(1).unwrap();
        assert!(header.starts_with("| column_0 |") && header.ends_with("| column_19 |"), "{header}");
        assert_eq!(header.matches("column").count() + rendered.columns_left_out, 20);
    }

    #[test]
    fn a_row_is_lines() {
        let batch = batch(vec![Some(7), None], vec!["two\nlines", "\u{1b}[2J"], vec![0.5; 4]);
        assert_eq!(
            render_expanded(&batch.schema(), &[batch], 1).unwrap(),
            "-[ row 1 ]-\nid   | 7\nbody | two\n     | lines\nvec  | [0.5, 0.5]\n\
             -[ row 2 ]-\nid   | NULL\nbody | [2J\nvec  | [0.5, 0.5]\n"
        );
    }

    #[test]
    fn a_plan_is_whole() {
        let plan = "line one\n".repeat(30);
        let batch = RecordBatch::try_from_iter([
            ("plan_type", Arc::new(StringArray::from(vec!["logical_plan"])) as ArrayRef),
            ("plan", Arc::new(StringArray::from(vec![plan])) as ArrayRef),
        ])
        .unwrap();
        assert_eq!(render(&batch.schema(), &[batch], Some(40)).unwrap().text.matches("line one").count(), 30);
    }

    fn batch(ids: Vec<Option<i64>>, bodies: Vec<&str>, floats: Vec<f32>) -> RecordBatch {
        let dim = i32::try_from(floats.len() / ids.len().max(1)).unwrap();
        let field = Arc::new(Field::new_list_field(DataType::Float32, true));
        let vectors = FixedSizeListArray::new(field, dim.max(1), Arc::new(Float32Array::from(floats)), None);
        RecordBatch::try_from_iter_with_nullable([
            ("id", Arc::new(Int64Array::from(ids)) as ArrayRef, true),
            ("body", Arc::new(StringArray::from(bodies)) as ArrayRef, true),
            ("vec", Arc::new(vectors) as ArrayRef, true),
        ])
        .unwrap()
    }
}
