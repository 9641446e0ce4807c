//! Rows as a table, CSV or JSON, on standard output.

use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::csv::WriterBuilder as CsvWriterBuilder;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::json::EncoderOptions;
use arrow::json::writer::{JsonArray, WriterBuilder as JsonWriterBuilder, make_encoder};
use clap::ValueEnum;
use futures::TryStreamExt;
use futures::stream::BoxStream;

use super::progress::Progress;
use super::table;
use super::view::{Sink, View};
use crate::target::{Failure, Outcome};

/// Format of printed rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Aligned columns for a person: long values are shortened, at most 1000 rows are read.
    Table,
    /// Comma-separated values with a header, per statement.
    Csv,
    /// One JSON array of objects per statement.
    Json,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Table => "table",
            Self::Csv => "csv",
            Self::Json => "json",
        })
    }
}

/// The part of an answer that was printed; as text, the line below the rows.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    Rows {
        num_rows: usize,
        columns_left_out: usize,
    },
    /// There are more rows; they were not read. The text says how to see them.
    FirstRows(usize, &'static str),
    Count(u64),
    /// The process that reads the output has gone (`| head`).
    OutputClosed,
}

impl Shown {
    fn rows(num_rows: usize) -> Self {
        Self::Rows { num_rows, columns_left_out: 0 }
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rows { num_rows, columns_left_out } => {
                write!(f, "{num_rows} row{}", if *num_rows == 1 { "" } else { "s" })?;
                match columns_left_out {
                    0 => Ok(()),
                    1 => write!(f, ", 1 column is not shown; \\x shows all"),
                    n => write!(f, ", {n} columns are not shown; \\x shows all"),
                }
            }
            Self::FirstRows(n, hint) => write!(f, "first {n} rows; for all of them: {hint}"),
            Self::Count(0) => write!(f, "OK"),
            Self::Count(1) => write!(f, "OK, 1 row changed"),
            Self::Count(n) => write!(f, "OK, {n} rows changed"),
            Self::OutputClosed => Ok(()),
        }
    }
}

/// Prints an answer where `view` says.
pub(super) async fn print(outcome: Outcome, view: &View, progress: &Progress) -> Result<Shown, String> {
    let (schema, rows) = match outcome {
        Outcome::Count(count) => return Ok(Shown::Count(count)),
        Outcome::Rows(schema, rows) => (schema, rows),
    };
    let counted = rows.inspect_ok(|batch| progress.add_rows(batch.num_rows()));
    let printer = Printer { view, progress };
    let shown = match view.format {
        Format::Table => printer.table(schema, Box::pin(counted)).await,
        Format::Csv => printer.csv(&schema, Box::pin(counted)).await,
        Format::Json => printer.json(Box::pin(counted)).await,
    };
    match shown {
        Err(PrintError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Shown::OutputClosed),
        other => other.map_err(|e| e.to_string()),
    }
}

/// Prints one line to standard output.
pub(crate) fn print_line(line: &str) -> Result<(), String> {
    match writeln!(io::stdout(), "{line}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(format!("cannot write: {error}")),
        _ => Ok(()),
    }
}

type Rows<'a> = BoxStream<'a, Result<RecordBatch, Failure>>;

struct Printer<'a> {
    view: &'a View,
    progress: &'a Progress,
}

impl Printer<'_> {
    async fn table(&self, schema: SchemaRef, mut rows: Rows<'_>) -> Result<Shown, PrintError> {
        let rows_max = self.view.rows_max.unwrap_or(usize::MAX);
        let mut batches = Vec::new();
        let mut num_rows = 0;
        let mut is_all = true;
        while let Some(batch) = rows.try_next().await? {
            let wanted = batch.num_rows().min(rows_max - num_rows);
            num_rows += wanted;
            batches.push(batch.slice(0, wanted));
            if wanted < batch.num_rows() {
                is_all = false;
                break;
            }
        }
        if num_rows == 0 && self.view.leave_out_empty {
            return Ok(Shown::rows(0));
        }
        let mut columns_left_out = 0;
        let text = match self.view.expanded {
            true => table::render_expanded(&schema, &batches, 1)?,
            false => {
                let rendered = table::render(&schema, &batches, self.view.sink.width())?;
                columns_left_out = rendered.columns_left_out;
                rendered.text + "\n"
            }
        };
        self.write(text.as_bytes())?;
        Ok(match (is_all, self.view.is_interactive) {
            (true, _) => Shown::Rows { num_rows, columns_left_out },
            (false, true) => Shown::FirstRows(num_rows, "\\rows all, or \\format csv or json"),
            (false, false) => Shown::FirstRows(num_rows, "--format csv or json"),
        })
    }

    async fn csv(&self, schema: &SchemaRef, mut rows: Rows<'_>) -> Result<Shown, PrintError> {
        let mut num_rows = 0;
        self.write(&csv(&RecordBatch::new_empty(Arc::clone(schema)), true)?)?;
        while let Some(batch) = rows.try_next().await? {
            num_rows += batch.num_rows();
            self.write(&csv(&batch, false)?)?;
        }
        Ok(Shown::rows(num_rows))
    }

    async fn json(&self, mut rows: Rows<'_>) -> Result<Shown, PrintError> {
        let mut num_rows = 0;
        let builder = JsonWriterBuilder::new().with_explicit_nulls(true);
        let mut writer = builder.build::<_, JsonArray>(Vec::new());
        while let Some(batch) = rows.try_next().await? {
            num_rows += batch.num_rows();
            writer.write(&batch)?;
            // The writer is not kept on standard output itself: its lock cannot be held while waiting.
            self.write(writer.get_ref())?;
            writer.get_mut().clear();
        }
        writer.finish()?;
        writer.get_mut().push(b'\n');
        self.write(writer.get_ref())?;
        Ok(Shown::rows(num_rows))
    }

    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        if let Sink::Stdout = self.view.sink {
            // Both are on one terminal.
            self.progress.clear();
        }
        self.view.sink.write(bytes)
    }
}

fn csv(batch: &RecordBatch, header: bool) -> Result<Vec<u8>, ArrowError> {
    let mut text = Vec::new();
    CsvWriterBuilder::new().with_header(header).build(&mut text).write(&nested_as_text(batch)?)?;
    Ok(text)
}

/// `batch` with vectors and other nested values as JSON, since CSV has no such values.
fn nested_as_text(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let mut fields = Vec::new();
    let mut columns = Vec::new();
    for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
        if field.data_type().is_nested() {
            fields.push(Field::new(field.name(), DataType::Utf8, true));
            columns.push(as_json(field, column)?);
        } else {
            fields.push(field.as_ref().clone());
            columns.push(Arc::clone(column));
        }
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

fn as_json(field: &FieldRef, column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let options = EncoderOptions::default().with_explicit_nulls(true);
    let mut encoder = make_encoder(field, column.as_ref(), &options)?;
    let mut json = Vec::new();
    let values = (0..column.len()).map(|row| {
        if column.is_null(row) {
            return None;
        }
        json.clear();
        encoder.encode(row, &mut json);
        Some(String::from_utf8_lossy(&json).into_owned())
    });
    Ok(Arc::new(values.collect::<StringArray>()))
}

/// The reason that rows could not be printed.
enum PrintError {
    Output(io::Error),
    Rows(String),
}

impl fmt::Display for PrintError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Output(error) => write!(f, "cannot write: {error}"),
            Self::Rows(message) => f.write_str(message),
        }
    }
}

impl From<io::Error> for PrintError {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl From<Failure> for PrintError {
    fn from(failure: Failure) -> Self {
        Self::Rows(failure.message)
    }
}

impl From<ArrowError> for PrintError {
    fn from(error: ArrowError) -> Self {
        Self::Rows(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ListArray, ListBuilder, StringBuilder};
    use arrow::datatypes::Float32Type;

    #[test]
    fn the_line_below_the_rows() {
        for (shown, line) in [
            (Shown::rows(0), "0 rows"),
            (Shown::rows(1), "1 row"),
            (Shown::Rows { num_rows: 2, columns_left_out: 3 }, "2 rows, 3 columns are not shown; \\x shows all"),
            (Shown::Count(0), "OK"),
            (Shown::Count(1), "OK, 1 row changed"),
            (Shown::Count(12), "OK, 12 rows changed"),
        ] {
            assert_eq!(shown.to_string(), line);
        }
    }

    #[test]
    fn nested_values_are_json_in_csv() {
        let floats = ListArray::from_iter_primitive::<Float32Type, _, _>([Some(vec![Some(0.5), None]), None]);
        let mut words = ListBuilder::new(StringBuilder::new());
        words.append_value([Some("a, \"b\""), None]);
        words.append_value([None::<&str>; 0]);
        let batch = RecordBatch::try_from_iter_with_nullable([
            ("vec", Arc::new(floats) as ArrayRef, true),
            ("words", Arc::new(words.finish()) as ArrayRef, true),
            ("text", Arc::new(StringArray::from(vec![Some("say \"hi\", two\nlines"), None])) as ArrayRef, true),
        ])
        .unwrap();
        assert_eq!(
            String::from_utf8(csv(&batch, true).unwrap()).unwrap(),
            "vec,words,text\n\
             \"[0.5,null]\",\"[\"\"a, \\\"\"b\\\"\"\"\",null]\",\"say \"\"hi\"\", two\nlines\"\n\
             ,[],\n"
        );
    }
}
