//! Rows as a table, CSV or JSON, on standard output.

use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::csv::WriterBuilder as CsvWriterBuilder;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::json::writer::{JsonArray, WriterBuilder as JsonWriterBuilder};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use clap::ValueEnum;
use futures::TryStreamExt;
use futures::stream::BoxStream;

use super::table;
use super::target::Outcome;
use crate::config::TABLE_ROWS_MAX;

/// How rows are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Aligned columns for a person: long values are shortened, at most 1000 rows are read.
    Table,
    /// Comma-separated values with a header, per statement.
    Csv,
    /// One JSON array of objects per statement.
    Json,
}

/// What was printed of an answer; as text, the line below the rows.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    Rows(usize),
    /// There are more rows; they were not read.
    FirstRows(usize),
    Count(u64),
    /// Whoever read our output has gone (`| head`).
    OutputClosed,
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rows(1) => write!(f, "1 row"),
            Self::Rows(n) => write!(f, "{n} rows"),
            Self::FirstRows(n) => write!(f, "first {n} rows; for all of them: --format csv or json"),
            Self::Count(0) => write!(f, "OK"),
            Self::Count(1) => write!(f, "OK, 1 row changed"),
            Self::Count(n) => write!(f, "OK, {n} rows changed"),
            Self::OutputClosed => Ok(()),
        }
    }
}

/// Prints an answer to standard output.
pub(crate) async fn print(outcome: Outcome, format: Format) -> Result<Shown, String> {
    let (schema, rows) = match outcome {
        Outcome::Count(count) => return Ok(Shown::Count(count)),
        Outcome::Rows(schema, rows) => (schema, rows),
    };
    let shown = match format {
        Format::Table => print_table(schema, rows).await,
        Format::Csv => print_csv(&schema, rows).await,
        Format::Json => print_json(rows).await,
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

type Rows = BoxStream<'static, Result<RecordBatch, String>>;

async fn print_table(schema: SchemaRef, mut rows: Rows) -> Result<Shown, PrintError> {
    let mut batches = Vec::new();
    let mut num_rows = 0;
    while let Some(batch) = rows.try_next().await? {
        let wanted = batch.num_rows().min(TABLE_ROWS_MAX - num_rows);
        num_rows += wanted;
        batches.push(batch.slice(0, wanted));
        if wanted < batch.num_rows() {
            writeln!(io::stdout(), "{}", table::render(&schema, &batches)?)?;
            return Ok(Shown::FirstRows(num_rows));
        }
    }
    writeln!(io::stdout(), "{}", table::render(&schema, &batches)?)?;
    Ok(Shown::Rows(num_rows))
}

async fn print_csv(schema: &SchemaRef, mut rows: Rows) -> Result<Shown, PrintError> {
    let mut num_rows = 0;
    write_csv(&RecordBatch::new_empty(Arc::clone(schema)), true)?;
    while let Some(batch) = rows.try_next().await? {
        num_rows += batch.num_rows();
        write_csv(&batch, false)?;
    }
    Ok(Shown::Rows(num_rows))
}

fn write_csv(batch: &RecordBatch, header: bool) -> Result<(), PrintError> {
    let mut text = Vec::new();
    CsvWriterBuilder::new().with_header(header).build(&mut text).write(&nested_as_text(batch)?)?;
    Ok(io::stdout().write_all(&text)?)
}

async fn print_json(mut rows: Rows) -> Result<Shown, PrintError> {
    let mut num_rows = 0;
    let builder = JsonWriterBuilder::new().with_explicit_nulls(true);
    let mut writer = builder.build::<_, JsonArray>(Vec::new());
    while let Some(batch) = rows.try_next().await? {
        num_rows += batch.num_rows();
        writer.write(&batch)?;
        // The writer is not kept on standard output itself: its lock cannot be held while waiting.
        io::stdout().write_all(writer.get_ref())?;
        writer.get_mut().clear();
    }
    writer.finish()?;
    let mut out = io::stdout();
    out.write_all(writer.get_ref())?;
    writeln!(out)?;
    Ok(Shown::Rows(num_rows))
}

/// `batch` with vectors and other nested values as text, which CSV needs.
fn nested_as_text(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let mut fields = Vec::new();
    let mut columns = Vec::new();
    for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
        if field.data_type().is_nested() {
            fields.push(Field::new(field.name(), DataType::Utf8, true));
            columns.push(as_text(column)?);
        } else {
            fields.push(field.as_ref().clone());
            columns.push(Arc::clone(column));
        }
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

fn as_text(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(column, &options)?;
    let values = (0..column.len())
        .map(|row| if column.is_null(row) { Ok(None) } else { formatter.value(row).try_to_string().map(Some) });
    Ok(Arc::new(values.collect::<Result<StringArray, _>>()?))
}

/// Why rows could not be printed.
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

impl From<String> for PrintError {
    fn from(message: String) -> Self {
        Self::Rows(message)
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

    #[test]
    fn the_line_below_the_rows() {
        for (shown, line) in [
            (Shown::Rows(0), "0 rows"),
            (Shown::Rows(1), "1 row"),
            (Shown::Count(0), "OK"),
            (Shown::Count(1), "OK, 1 row changed"),
            (Shown::Count(12), "OK, 12 rows changed"),
        ] {
            assert_eq!(shown.to_string(), line);
        }
    }
}
