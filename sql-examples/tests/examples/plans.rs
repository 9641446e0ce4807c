//! Plans on paper: each file of `plans/` shows the logical and the physical plan of one kind of search or change.
//!
//! `make plans` (`RUVECTOR_WRITE_PLANS=1`) writes the expected plans again. The difference is for a reader to judge.
//!
//! Plans are the same on every machine: the session has a fixed number of partitions, and the names of folders and files
//! are replaced. `hot.docs` is a collection in memory; each file makes its other tables.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::TryStreamExt;
use ruvector_sql::{Answer, Engine, EngineConfig, Session};
use ruvector_sql_examples::lake;
use sqllogictest::{DB, DBOutput, DefaultColumnType, Runner, default_validator, strict_column_validator};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::datafusion::{Connection, Message, Output};
use crate::{root, runtime};

/// Set by `make plans`.
const WRITE: &str = "RUVECTOR_WRITE_PLANS";

/// Partitions that plans are made for, whatever the machine has.
const PARTITIONS: usize = 2;

/// Rows of `hot.docs`.
const ROWS: &str = "SELECT id, lang, CAST(vec AS FLOAT[3]) AS vec FROM (VALUES (1, 'en', [1.0, 0.0, 0.0]), \
                    (2, 'en', [0.0, 1.0, 0.0]), (3, 'de', [0.0, 0.0, 1.0])) AS t(id, lang, vec)";

/// Length of a UUID, as the Delta library writes one into the names of files.
const UUID_LENGTH: usize = 36;

#[test]
fn plans_are_as_they_are_written() {
    let mut files: Vec<PathBuf> = std::fs::read_dir(root().join("sql-examples/plans"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "slt"))
        .collect();
    files.sort();
    assert!(files.len() >= 5, "only {} files", files.len());
    let only = std::env::var("RUVECTOR_PLANS_FILE").ok();
    files.retain(|file| only.as_ref().is_none_or(|only| file.to_string_lossy().contains(only)));
    let failed: Vec<String> = files.iter().filter_map(|file| run(file).err()).collect();
    assert!(failed.is_empty(), "{} files differ: run `make plans`\n\n{}", failed.len(), failed.join("\n\n"));
}

fn run(file: &Path) -> Result<(), String> {
    let place = Place::open();
    let mut runner = Runner::new(|| async { Ok(place.connect()) });
    runner.with_column_validator(strict_column_validator);
    runner.with_normalizer(kept);
    runner.set_var(lake::VARIABLE.to_owned(), place.lake.path().display().to_string());
    let result = match std::env::var_os(WRITE) {
        None => runner.run_file(file).map_err(|e| e.display(false).to_string()),
        Some(_) => {
            let written = runner.update_test_file(file, " ", default_validator, kept, strict_column_validator);
            futures::executor::block_on(written).map_err(|e| e.to_string())
        }
    };
    runner.shutdown();
    result
}

/// The spaces of a plan are part of it.
#[expect(clippy::ptr_arg, reason = "the type of a normalizer")]
fn kept(line: &String) -> String {
    line.trim_end().to_owned()
}

/// An engine of one file, with its folders.
struct Place {
    runtime: Runtime,
    engine: Arc<Engine>,
    session: Arc<Session>,
    data: TempDir,
    lake: TempDir,
}

impl Place {
    fn open() -> Self {
        let (runtime, data, lake) = (runtime(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (data_dir, lake_dir) = (data.path().to_owned(), lake.path().to_owned());
        let opened = runtime.spawn(async move {
            lake::write(&lake_dir).await.unwrap();
            let config = EngineConfig { data_dir: Some(data_dir), ..EngineConfig::default() };
            let engine = Engine::open(config).await.unwrap();
            let session = session(&engine).await;
            (engine, session)
        });
        let (engine, session) = runtime.block_on(opened).unwrap();
        Self { runtime, engine, session, data, lake }
    }

    fn connect(&self) -> Plans {
        let connection =
            Connection::new(self.runtime.handle().clone(), Arc::clone(&self.engine), Arc::clone(&self.session));
        let folders = [(&self.data, "DATA"), (&self.lake, "LAKE")];
        let folders = folders.map(|(folder, name)| (folder.path().display().to_string(), name));
        Plans { connection, folders }
    }
}

/// A session with a fixed number of partitions, beside a collection in memory.
async fn session(engine: &Arc<Engine>) -> Arc<Session> {
    let session = engine.session();
    session.context().state_ref().write().config_mut().options_mut().execution.target_partitions = PARTITIONS;
    engine.execute(&session, "CREATE BACKEND hot TYPE memory", &[]).await.unwrap();
    let Answer::Rows(rows) = engine.execute(&session, ROWS, &[]).await.unwrap() else { panic!("expected rows") };
    let (schema, rows) = (rows.schema(), rows.try_collect::<Vec<_>>().await.unwrap());
    engine.memory_backend("hot").unwrap().put("docs", schema, &rows).unwrap();
    session
}

/// A connection whose answers name no folder and no file of this run.
struct Plans {
    connection: Connection,
    /// Paths, and the names that stand for them.
    folders: [(String, &'static str); 2],
}

impl DB for Plans {
    type Error = Message;
    type ColumnType = DefaultColumnType;

    fn run(&mut self, sql: &str) -> Result<Output, Message> {
        let output = self.connection.run(sql)?;
        let DBOutput::Rows { types, rows } = output else { return Ok(output) };
        let stable = |row: Vec<String>| row.iter().map(|value| self.stable(value)).collect();
        Ok(DBOutput::Rows { types, rows: rows.into_iter().map(stable).collect() })
    }

    fn engine_name(&self) -> &str {
        "ruvector"
    }
}

impl Plans {
    fn stable(&self, value: &str) -> String {
        let mut text = value.to_owned();
        for (path, name) in &self.folders {
            // A store has its paths without the first slash.
            text = text.replace(path, name).replace(path.trim_start_matches('/'), name);
        }
        without_uuids(&text)
    }
}

/// The text with `<uuid>` for each UUID in it.
fn without_uuids(text: &str) -> String {
    let (mut stable, mut rest) = (String::new(), text);
    while let Some(first) = rest.chars().next() {
        let end = match rest.get(..UUID_LENGTH).filter(|part| is_uuid(part)) {
            Some(_) => {
                stable.push_str("<uuid>");
                UUID_LENGTH
            }
            None => {
                stable.push(first);
                first.len_utf8()
            }
        };
        rest = &rest[end..];
    }
    stable
}

fn is_uuid(text: &str) -> bool {
    text.bytes().enumerate().all(|(at, byte)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    })
}
