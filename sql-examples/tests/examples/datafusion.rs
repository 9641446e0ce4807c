//! DataFusion's SQL goes on working: its own sqllogictest files, through our engine, in a catalog in memory.
//!
//! The files are those of the crate `datafusion-sqllogictest` that `Cargo.lock` names. It is never built; cargo tells where
//! its sources are.

use std::collections::HashSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use arrow::array::{Array, AsArray, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Float16Type, Float32Type, Float64Type, Schema};
use arrow::util::display::ArrayFormatter;
use datafusion::catalog::{CatalogProvider, MemoryCatalogProvider, MemorySchemaProvider};
use datafusion::common::DataFusionError;
use datafusion::config::FormatOptions;
use futures::TryStreamExt;
use ruvector_sql::{Answer, Engine, EngineConfig, Session};
use sqllogictest::{DB, DBOutput, DefaultColumnType, Location, Normalizer, Record, Runner, strict_column_validator};
use tokio::runtime::Handle;

use self::left_out::{FILES, STATEMENTS, TABLES};
use crate::{root, runtime};

mod left_out;

#[test]
fn the_sql_of_datafusion_keeps_its_meaning() {
    let folder = files_of_datafusion();
    let only = std::env::var("RUVECTOR_DATAFUSION_FILE").ok();
    let mut files = Vec::new();
    find(&folder, &mut files);
    files.sort();
    let left_out = |file: &str| FILES.iter().any(|(_, files)| files.iter().any(|left| file.starts_with(left)));
    let names: Vec<String> = files
        .iter()
        .map(|file| file.strip_prefix(&folder).unwrap().to_str().unwrap().replace('\\', "/"))
        .filter(|file| only.as_ref().map_or_else(|| !left_out(file), |only| file.contains(only)))
        .collect();
    let (mut statements, mut left_out, mut failed) = (0, 0, Vec::new());
    for name in &names {
        let ran = run(&folder.join(name), name);
        statements += ran.statements;
        left_out += ran.left_out;
        failed.extend(ran.failed);
    }
    println!("{statements} statements of {} of {} files, {left_out} left out", names.len(), files.len());
    assert!(only.is_some() || statements > 10_000, "only {statements} statements");
    assert!(failed.is_empty(), "{} statements answer otherwise\n\n{}", failed.len(), failed.join("\n\n"));
}

/// The folder of the files, in the sources of the crate.
fn files_of_datafusion() -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let metadata = Command::new(cargo)
        .args(["metadata", "--locked", "--format-version", "1", "--features", "ruvector-sql-examples/datafusion-files"])
        // Without it the crates of every other platform would be fetched.
        .args(["--filter-platform", &host()])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(metadata.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&metadata.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&metadata.stdout).unwrap();
    let package = metadata["packages"].as_array().unwrap().iter().find(|p| p["name"] == "datafusion-sqllogictest");
    let manifest = package.unwrap()["manifest_path"].as_str().unwrap();
    Path::new(manifest).with_file_name("test_files")
}

/// The platform of this machine, by the name that cargo knows it by.
fn host() -> String {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = String::from_utf8(Command::new(rustc).arg("-vV").output().unwrap().stdout).unwrap();
    version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap().to_owned()
}

fn find(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            find(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "slt") {
            files.push(path);
        }
    }
}

/// Result of a file.
#[derive(Default)]
struct Ran {
    /// Statements that answered as they should.
    statements: usize,
    /// Statements that are not run, or of tables that are not there.
    left_out: usize,
    failed: Vec<String>,
}

fn run(path: &Path, name: &str) -> Ran {
    let runtime = runtime();
    let (engine, session) = runtime.block_on(runtime.spawn(session())).unwrap();
    let handle = runtime.handle().clone();
    let connect = || async { Ok(Connection::new(handle.clone(), Arc::clone(&engine), Arc::clone(&session))) };
    let mut runner = Runner::new(connect);
    runner.add_label("Datafusion");
    runner.with_column_validator(strict_column_validator);
    runner.with_normalizer(|line| line.trim_end().to_owned());
    runner.with_validator(validate);
    let mut ran = Ran::default();
    let mut absent: HashSet<String> = TABLES.iter().map(|table| (*table).to_owned()).collect();
    for record in sqllogictest::parse_file::<DefaultColumnType>(path).unwrap() {
        let (line, sql) = match &record {
            Record::Halt { .. } => break,
            Record::Statement { loc, sql, .. } | Record::Query { loc, sql, .. } => (line_in(path, loc), words(sql)),
            _ => (0, Vec::new()),
        };
        if reads_or_writes_files(&sql) {
            // Its table is not there for the statements that follow.
            absent.extend(created(&sql));
            ran.left_out += 1;
            continue;
        }
        let of_file = || STATEMENTS.iter().filter(|(_, file, _)| *file == name).flat_map(|(_, _, lines)| *lines);
        let known = of_file().find(|lines| lines.contains(&line));
        match (runner.run(record).map_err(|e| e.display(false).to_string()), known) {
            (Ok(_), Some(lines)) if lines.start() == lines.end() => {
                ran.failed.push(format!("{name}:{line} is left out, and answers as it should"));
            }
            (Ok(_), _) => ran.statements += usize::from(!sql.is_empty()),
            (Err(_), Some(_)) => ran.left_out += 1,
            (Err(message), None) if is_absent(&message, &absent) => {
                absent.extend(created(&sql));
                ran.left_out += 1;
            }
            (Err(message), None) => ran.failed.push(format!("{name}:{line}\n{message}")),
        }
    }
    runner.shutdown();
    ran
}

/// The line of a statement, or 0 if it is in a file that this one includes.
fn line_in(path: &Path, loc: &Location) -> u32 {
    if Path::new(loc.file()) == path { loc.line() } else { 0 }
}

/// The words of a statement, in small letters.
fn words(sql: &str) -> Vec<String> {
    let lines = sql.lines().filter(|line| !line.trim_start().starts_with("--"));
    lines.flat_map(str::split_whitespace).map(str::to_lowercase).collect()
}

/// Files are not in the crate; and COPY is refused, for it would write anywhere.
fn reads_or_writes_files(sql: &[String]) -> bool {
    let external = sql.iter().take(5).any(|word| word == "external");
    let copies = sql.iter().take(3).any(|word| word == "copy");
    copies || (external && sql[0] == "create")
}

/// The name of the table or view that a statement makes.
fn created(sql: &[String]) -> Option<String> {
    let at = sql.iter().position(|word| word == "table" || word == "view").filter(|_| sql[0] == "create")?;
    let name = sql[at + 1..].iter().find(|word| !["if", "not", "exists"].contains(&word.as_str()))?;
    Some(name.split('(').next().unwrap_or_default().trim_matches(&['"', ';'][..]).to_owned())
}

/// True if a statement failed because one of these tables is not there.
fn is_absent(message: &str, absent: &HashSet<String>) -> bool {
    absent.iter().any(|table| {
        message.contains(&format!(".{table}' not found"))
            || message.contains(&format!("Table '{table}' doesn't exist"))
            || message.contains(&format!("View '{table}' doesn't exist"))
    })
}

/// An engine, and a session of it that is as DataFusion's tests expect theirs.
async fn session() -> (Arc<Engine>, Arc<Session>) {
    let engine = Engine::open(EngineConfig::default()).await.unwrap();
    let session = engine.session();
    let context = session.context();
    let catalog = MemoryCatalogProvider::new();
    catalog.register_schema("public", Arc::new(MemorySchemaProvider::new())).unwrap();
    context.register_catalog("datafusion", Arc::new(catalog));
    let state = context.state_ref();
    let mut state = state.write();
    let options = state.config_mut().options_mut();
    options.catalog.default_catalog = "datafusion".to_owned();
    options.catalog.default_schema = "public".to_owned();
    options.catalog.information_schema = false;
    options.catalog.create_default_catalog_and_schema = true;
    options.sql_parser.map_string_types_to_utf8view = true;
    options.execution.parquet.schema_force_view_types = true;
    options.execution.target_partitions = 4;
    drop(state);
    (engine, session)
}

/// A connection whose answers are written as DataFusion's runner writes them, plans line by line.
pub(crate) struct Connection {
    runtime: Handle,
    engine: Arc<Engine>,
    session: Arc<Session>,
}

impl Connection {
    pub(crate) fn new(runtime: Handle, engine: Arc<Engine>, session: Arc<Session>) -> Self {
        Self { runtime, engine, session }
    }
}

/// The error, in the words of DataFusion if it is an error of DataFusion.
#[derive(Debug)]
pub(crate) struct Message(String);

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Message {}

impl From<ruvector_sql::Error> for Message {
    fn from(error: ruvector_sql::Error) -> Self {
        match std::error::Error::source(&error).and_then(|source| source.downcast_ref::<DataFusionError>()) {
            Some(source) => Self(format!("DataFusion error: {}", source.strip_backtrace())),
            None => Self(error.to_string()),
        }
    }
}

pub(crate) type Output = DBOutput<DefaultColumnType>;

impl DB for Connection {
    type Error = Message;
    type ColumnType = DefaultColumnType;

    fn run(&mut self, sql: &str) -> Result<Output, Message> {
        let (engine, session, sql) = (Arc::clone(&self.engine), Arc::clone(&self.session), sql.to_owned());
        let answer = self.runtime.spawn(async move { answer(&engine, &session, &sql).await });
        self.runtime.block_on(answer).map_err(|e| Message(format!("it panicked: {e}")))?
    }

    fn engine_name(&self) -> &str {
        "DataFusion"
    }
}

async fn answer(engine: &Arc<Engine>, session: &Arc<Session>, sql: &str) -> Result<Output, Message> {
    let (schema, batches) = match engine.execute(session, sql, &[]).await? {
        // DataFusion answers a row with the count.
        Answer::Count(count) if is_dml(sql) => {
            let schema = Arc::new(Schema::new(vec![Field::new("count", DataType::Int64, false)]));
            let counts = Arc::new(Int64Array::from(vec![count as i64]));
            (Arc::clone(&schema), vec![RecordBatch::try_new(schema, vec![counts]).unwrap()])
        }
        Answer::Count(count) => return Ok(DBOutput::StatementComplete(count)),
        Answer::Rows(rows) => {
            let schema = rows.schema();
            (schema, rows.try_collect().await.map_err(|e| Message::from(ruvector_sql::Error::from(e)))?)
        }
    };
    let types = schema.fields().iter().map(|field| type_letter(field.data_type())).collect();
    let mut rows: Vec<Vec<String>> = Vec::new();
    for batch in &batches {
        for row in 0..batch.num_rows() {
            rows.extend(lines(batch.columns().iter().map(|column| value(column.as_ref(), row)).collect()));
        }
    }
    Ok(DBOutput::Rows { types, rows })
}

fn is_dml(sql: &str) -> bool {
    let first = sql.split_whitespace().next().unwrap_or_default().to_lowercase();
    ["insert", "update", "delete"].contains(&first.as_str())
}

fn type_letter(data_type: &DataType) -> DefaultColumnType {
    match data_type {
        text if text.is_string() => DefaultColumnType::Text,
        DataType::Dictionary(_, value) if value.is_string() => DefaultColumnType::Text,
        integer if integer.is_integer() => DefaultColumnType::Integer,
        number if number.is_numeric() => DefaultColumnType::FloatingPoint,
        _ => DefaultColumnType::Any,
    }
}

/// A value as DataFusion's runner writes it.
fn value(array: &dyn Array, row: usize) -> String {
    if array.is_null(row) {
        return "NULL".to_owned();
    }
    match array.data_type() {
        DataType::Null => "NULL".to_owned(),
        DataType::Float16 => number(&array.as_primitive::<Float16Type>().value(row).to_string()),
        DataType::Float32 => number(&array.as_primitive::<Float32Type>().value(row).to_string()),
        DataType::Float64 => number(&array.as_primitive::<Float64Type>().value(row).to_string()),
        decimal if decimal.is_decimal() => trimmed(&displayed(array, row)),
        DataType::Dictionary(..) => {
            let dictionary = array.as_any_dictionary();
            value(dictionary.values().as_ref(), dictionary.normalized_keys()[row])
        }
        text if text.is_string() => match displayed(array, row) {
            empty if empty.is_empty() => "(empty)".to_owned(),
            text => text.trim_end_matches('\n').replace('\0', "\\0"),
        },
        _ => displayed(array, row),
    }
}

fn displayed(array: &dyn Array, row: usize) -> String {
    let options = FormatOptions { null: "NULL".to_owned(), ..FormatOptions::default() };
    ArrayFormatter::try_new(array, &(&options).try_into().unwrap()).unwrap().value(row).to_string()
}

/// A float with at most 12 digits after the point.
fn number(text: &str) -> String {
    match text {
        "inf" => "Infinity".to_owned(),
        "-inf" => "-Infinity".to_owned(),
        "NaN" => "NaN".to_owned(),
        text if text.split_once('.').is_some_and(|(_, digits)| digits.len() > 12) => {
            trimmed(&format!("{:.12}", text.parse::<f64>().unwrap()))
        }
        text => trimmed(text),
    }
}

/// A number without zeros at its end.
fn trimmed(text: &str) -> String {
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text };
    // Also of decimals whose scale is negative, which are written `000`.
    let is_zero = text.trim_start_matches('-').chars().all(|digit| digit == '0');
    if is_zero { "0".to_owned() } else { text.to_owned() }
}

/// A row whose last value has several lines, such as a plan, as several rows.
fn lines(mut row: Vec<String>) -> Vec<Vec<String>> {
    match row.pop() {
        Some(last) if last.contains('\n') => {
            let numbered = last.split('\n').enumerate().map(|(i, line)| {
                let content = line.trim_start();
                vec![format!("{:02}){}{content}", i + 1, "-".repeat(line.len() - content.len()))]
            });
            std::iter::once(row).chain(numbered).collect()
        }
        Some(last) => {
            row.push(last);
            vec![row]
        }
        None => vec![row],
    }
}

/// True if rows are as expected; `<slt:ignore>` stands for anything.
fn validate(normalizer: Normalizer, actual: &[Vec<String>], expected: &[String]) -> bool {
    const ANYTHING: &str = "<slt:ignore>";
    let expected: Vec<String> = expected.iter().map(normalizer).collect();
    let actual: Vec<String> = actual.iter().map(|row| row.join(" ").trim_end().to_owned()).collect();
    if !expected.iter().any(|line| line.contains(ANYTHING)) {
        return actual == expected;
    }
    let (actual, expected) = (actual.join("\n"), expected.join("\n"));
    let mut rest = actual.as_str();
    expected.split(ANYTHING).enumerate().all(|(i, part)| match rest.find(part) {
        Some(at) if i > 0 || at == 0 => {
            rest = &rest[at + part.len()..];
            true
        }
        _ => false,
    })
}
