//! SQL lessons that are tests.
//!
//! Each `.slt` file beside this folder teaches one thing, and [`run`] proves it, once with the engine in this process
//! and once over a Flight SQL server. A file starts with an empty database of its own.
//!
//! It is not a test framework: files are in the [sqllogictest] format, and its crate reads and compares them.
//!
//! A lesson that says `control substitution on` has `$LAKE`: a folder of Parquet files and index files, its own.
//!
//! How values are written is in [`values`]. Rows are compared in the order they come, so a query that does not say
//! `ORDER BY` says `rowsort`.
//!
//! [sqllogictest]: https://github.com/risinglightdb/sqllogictest-rs
#![forbid(unsafe_code)]

/// The text of a value in a `.slt` file.
pub mod values;

/// The folder that `$LAKE` stands for.
pub mod lake;

/// The places where a lesson runs.
mod place;

use std::io;
use std::path::{Path, PathBuf};

pub use place::Place;
use sqllogictest::{Runner, strict_column_validator};

/// The lessons, in the order of their names.
///
/// # Errors
/// If the folder cannot be read.
pub fn files() -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(env!("CARGO_MANIFEST_DIR"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "slt") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Runs the lesson `file` at `place`.
///
/// # Errors
/// What differs first, with its line.
pub fn run(file: &Path, place: Place) -> Result<(), String> {
    let runtime = place::runtime().map_err(|e| format!("cannot start threads: {e}"))?;
    let database = runtime.block_on(place::Database::open(place, runtime.handle().clone()))?;
    let folder = tempfile::tempdir().map_err(|e| format!("no temporary folder can be made: {e}"))?;
    runtime.block_on(lake::write(folder.path()))?;
    let mut runner = Runner::new(|| async { Ok(database.connect()) });
    runner.with_column_validator(strict_column_validator);
    runner.set_var(lake::VARIABLE.to_owned(), folder.path().display().to_string());
    let result = runner.run_file(file).map_err(|e| e.display(false).to_string());
    runner.shutdown();
    drop(runner);
    database.close();
    result
}
