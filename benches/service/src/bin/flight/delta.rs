//! Rows into and out of a Delta table over Flight, beside the Delta library in this process.

use std::path::Path;
use std::time::Instant;

use arrow::array::RecordBatch;
use arrow_flight::Ticket;
use arrow_flight::sql::{CommandStatementIngest, TableDefinitionOptions, TableExistsOption, TableNotExistOption};
use datafusion::prelude::{SessionConfig, SessionContext};
use deltalake::DeltaTableBuilder;
use deltalake::protocol::SaveMode;
use futures::{StreamExt, TryStreamExt, stream};
use ruvector_bench_service::{Failure, Report, median_of};
use ruvector_sql::EngineConfig;

use crate::memory::Growth;
use crate::served::Served;
use crate::throughput::{DIM, Seen, batches, fetch};

const ROUNDS: usize = 3;

pub(crate) fn run(rows: usize, report: &mut Report) -> Result<(), Failure> {
    eprintln!("{rows} vectors of {DIM} into and out of Delta");
    let (folder, theirs) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let config = EngineConfig { data_dir: Some(folder.path().to_owned()), ..EngineConfig::default() };
    let (_engine, served) = Served::engine(config)?;
    let batches = batches(rows)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let (mut writes, mut reads, mut growth) = (Vec::new(), Vec::new(), None::<f64>);
        for round in 0..ROUNDS {
            let begun = Growth::begin();
            let ours = ingest(&served, &batches).await?;
            growth = begun.and_then(|begun| begun.mebibytes()).into_iter().chain(growth).reduce(f64::max);
            let path = theirs.path().join(format!("t{round}"));
            writes.push((ours, write(&path, &batches).await?));
            // Each reads what it wrote.
            reads
                .push((fetch(&served, Ticket::new("SELECT id, vec FROM docs"), rows).await?, read(&path, rows).await?));
        }
        let gigabytes = (rows * (DIM * 4 + 8)) as f64 / 1e9;
        for (name, times) in [("into", writes), ("from", reads)] {
            let ratio = median_of(times.iter().map(|(ours, theirs)| theirs / ours).collect());
            let ours = median_of(times.iter().map(|(ours, _)| gigabytes / ours).collect());
            let theirs = median_of(times.iter().map(|(_, theirs)| gigabytes / theirs).collect());
            report.target(
                &format!("{rows} x {DIM} {name} Delta over Flight, beside the Delta library without it"),
                "at least 80 %",
                format!("{:.0} % ({ours:.2} GB/s, the library {theirs:.2} GB/s)", ratio * 100.0),
                ratio >= 0.8,
            );
        }
        if let Some(growth) = growth {
            report.target(
                "growth of memory by an ingest into Delta, server and client together",
                "under 256 MiB",
                format!("{growth:.0} MiB"),
                growth < 256.0,
            );
        }
        Ok(())
    })
}

/// Seconds to write all rows over Flight.
async fn ingest(served: &Served, batches: &[RecordBatch]) -> Result<f64, Failure> {
    let mut client = served.client().await?;
    let command = CommandStatementIngest {
        table_definition_options: Some(TableDefinitionOptions {
            if_not_exist: TableNotExistOption::Create.into(),
            if_exists: TableExistsOption::Replace.into(),
        }),
        table: "docs".to_owned(),
        ..Default::default()
    };
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    let started = Instant::now();
    let written = client.execute_ingest(command, stream::iter(batches.to_vec()).map(Ok)).await?;
    let seconds = started.elapsed().as_secs_f64();
    match usize::try_from(written)? == rows {
        true => Ok(seconds),
        false => Err(format!("expected {rows} rows to be written, got {written}").into()),
    }
}

/// Seconds for the Delta library, as it writes by default.
async fn write(path: &Path, batches: &[RecordBatch]) -> Result<f64, Failure> {
    std::fs::create_dir_all(path)?;
    let url = deltalake::ensure_table_uri(path.to_str().ok_or("a path that is no text")?)?;
    let batches = batches.to_vec();
    let started = Instant::now();
    let table = DeltaTableBuilder::from_url(url)?.build()?;
    table.write(batches).with_save_mode(SaveMode::Overwrite).await?;
    Ok(started.elapsed().as_secs_f64())
}

/// Seconds for the Delta library to read what it wrote, by DataFusion.
async fn read(path: &Path, rows: usize) -> Result<f64, Failure> {
    let url = deltalake::ensure_table_uri(path.to_str().ok_or("a path that is no text")?)?;
    let started = Instant::now();
    let table = deltalake::open_table(url).await?;
    let context = SessionContext::new_with_config(SessionConfig::new());
    let provider = table.table_provider().build().await?;
    let mut batches = context.read_table(std::sync::Arc::new(provider))?.execute_stream().await?;
    let mut seen = Seen::default();
    while let Some(batch) = batches.try_next().await? {
        seen.add(&batch)?;
    }
    let seconds = started.elapsed().as_secs_f64();
    seen.check(rows)?;
    Ok(seconds)
}
