//! A collection too large to be built in passing: what priming, restarting and following cost.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::prelude::{col, lit};
use futures::stream;
use ruvector_bench_service::{Failure, Report, SEED, data, median};
use ruvector_rabitq::SearchParams;
use ruvector_rulake::{Backend, CacheStats, DeltaBackend, FsBackend, IndexSpec, RuLake, SearchOptions, exact};
use tokio::runtime::Runtime;

const DIM: usize = 384;
const FILES: usize = 10;
const K: usize = 10;

pub(crate) fn run(runtime: &Runtime, rows: usize, report: &mut Report) -> Result<(), Failure> {
    let folder = tempfile::Builder::new().prefix("bench-lake").tempdir_in(std::env::current_dir()?.join(".cache"))?;
    runtime.block_on(async {
        folder_of_parquet(&folder.path().join("parquet"), rows, report).await?;
        delta(&folder.path().join("delta"), rows, report).await
    })
}

/// Priming from Parquet, restarting, and following files that are added.
async fn folder_of_parquet(root: &Path, rows: usize, report: &mut Report) -> Result<(), Failure> {
    eprintln!("Parquet: {rows} vectors of {DIM} in {FILES} files");
    let each = rows / FILES;
    for file in 0..FILES {
        let path = root.join(format!("docs/{file:03}.parquet"));
        data::write_parquet(&path, &data::rows(SEED, file * each, each, DIM)?, None)?;
    }
    let backend: Arc<dyn Backend> = Arc::new(FsBackend::open("lake", root)?);
    let lake = lake_over(&backend)?;
    let prime = first_answer(&lake).await?;
    check(&lake, rows).await?;
    let stats = lake.cache_stats();
    let share = |part: Duration| 100.0 * part.as_secs_f64() / stats.prime_time.as_secs_f64();
    let bound = share(stats.read_time) + share(stats.encode_time);
    report.target(
        "priming from Parquet is reading and encoding",
        "at least 80 % of the whole",
        format!(
            "{:.1} s: reading {:.0} %, encoding {:.0} %, writing the index file {:.0} %",
            prime.as_secs_f64(),
            share(stats.read_time),
            share(stats.encode_time),
            share(stats.write_time)
        ),
        bound >= 80.0,
    );
    let steady = latency(&lake, 200).await?;
    drop(lake);

    // As a new process has it, but for the page cache: nothing is known of the folder.
    let backend: Arc<dyn Backend> = Arc::new(FsBackend::open("lake", root)?);
    let restarted = lake_over(&backend)?;
    let first = first_answer(&restarted).await?;
    let early = latency(&restarted, 50).await?;
    let stats = restarted.cache_stats();
    let of_prime = prime.as_secs_f64() / first.as_secs_f64();
    report.target(
        "the first answer after a restart",
        "in under 1/50 of the prime time",
        format!("1/{of_prime:.0} ({:.0} ms)", first.as_secs_f64() * 1e3),
        stats.loads == 1 && of_prime >= 50.0,
    );
    let slower = early.as_secs_f64() / steady.as_secs_f64();
    report.target(
        "the 50 answers after it, beside steady ones",
        "at most 1.5x",
        format!("{slower:.2}x ({:.2} ms)", steady.as_secs_f64() * 1e3),
        slower <= 1.5,
    );
    check(&restarted, rows).await?;

    let more = data::rows(SEED, rows, rows / 100, DIM)?;
    data::write_parquet(&root.join("docs/appended.parquet"), &more, None)?;
    followed(&backend, &restarted, rows + rows / 100, "an append of 1 %", 5.0, report).await
}

/// Following rows that are deleted all over a Delta table.
async fn delta(root: &Path, rows: usize, report: &mut Report) -> Result<(), Failure> {
    eprintln!("Delta: {rows} vectors of {DIM}");
    let table = Arc::new(DeltaBackend::open("lake", root)?);
    let schema = data::schema(DIM)?;
    let each = rows / FILES;
    table.create("docs", &schema).await?;
    for file in 0..FILES {
        let batch = data::rows(SEED, file * each, each, DIM)?;
        let stream = RecordBatchStreamAdapter::new(Arc::clone(&schema), stream::iter([Ok(batch)]));
        table.append("docs", Box::pin(stream)).await?;
    }
    let backend: Arc<dyn Backend> = Arc::clone(&table) as _;
    let lake = lake_over(&backend)?;
    first_answer(&lake).await?;
    check(&lake, rows).await?;
    let deleted = table.delete("docs", Some((col("id") % lit(100_i64)).eq(lit(7_i64)))).await?;
    followed(&backend, &lake, rows - usize::try_from(deleted)?, "a delete of 1 % of the rows, all over", 30.0, report)
        .await
}

/// Times the first answer after a change beside that of a lake which has nothing.
async fn followed(
    backend: &Arc<dyn Backend>,
    lake: &RuLake,
    rows: usize,
    what: &str,
    most: f64,
    report: &mut Report,
) -> Result<(), Failure> {
    let before = lake.cache_stats();
    let follow = first_answer(lake).await?;
    let after = lake.cache_stats();
    if (after.follows, after.primes) != (before.follows + 1, before.primes) {
        return Err(format!("{what} was not followed").into());
    }
    check(lake, rows).await?;
    let snapshot = backend.snapshot("docs").await?;
    if let Some(folder) = snapshot.index_dir() {
        std::fs::remove_dir_all(folder)?;
    }
    let anew = lake_over(backend)?;
    let prime = first_answer(&anew).await?;
    // A follow this small writes no file: neither does what it is held against.
    let prime = prime - anew.cache_stats().write_time;
    let share = 100.0 * follow.as_secs_f64() / prime.as_secs_f64();
    let spent = |time: fn(&CacheStats) -> Duration| (time(&after) - time(&before)).as_secs_f64();
    report.target(
        &format!("following {what}"),
        &format!("in under {most:.0} % of a prime"),
        format!(
            "{share:.1} % ({:.2} of {:.1} s without writing; reading {:.2}, changing {:.2}, writing {:.2})",
            follow.as_secs_f64(),
            prime.as_secs_f64(),
            spent(|stats| stats.read_time),
            spent(|stats| stats.encode_time),
            spent(|stats| stats.write_time),
        ),
        share < most,
    );
    Ok(())
}

fn lake_over(backend: &Arc<dyn Backend>) -> Result<RuLake, Failure> {
    let lake = RuLake::new();
    lake.register_backend(Arc::clone(backend))?;
    Ok(lake)
}

async fn first_answer(lake: &RuLake) -> Result<Duration, Failure> {
    let started = Instant::now();
    lake.search_one("lake", "docs", &data::vector(SEED, 0, DIM), K, &SearchOptions::default()).await?;
    Ok(started.elapsed())
}

/// The middle of the times of some searches.
async fn latency(lake: &RuLake, searches: u64) -> Result<Duration, Failure> {
    let mut times = Vec::new();
    for i in 0..searches {
        let query = data::vector(SEED, u64::from(u32::MAX) + i, DIM);
        let started = Instant::now();
        lake.search_one("lake", "docs", &query, K, &SearchOptions::default()).await?;
        times.push(started.elapsed());
    }
    Ok(median(times))
}

/// Holds answers against exact search.
async fn check(lake: &RuLake, rows: usize) -> Result<(), Failure> {
    let pinned = lake.pin("lake", "docs", None).await?;
    let context = Arc::default();
    let spec = IndexSpec::new("vec");
    let entry = lake.entry(&pinned, &spec, &context).await?;
    if entry.index().len() != rows {
        return Err(format!("the entry has {} vectors of {rows}", entry.index().len()).into());
    }
    for i in 0..3 {
        let query = data::vector(SEED, u64::from(u32::MAX) + i, DIM);
        let snapshot = pinned.snapshot().as_ref();
        let expected = exact::search(snapshot, "vec", spec.metric, &query, K, None, &context).await?;
        if entry.search(&query, &SearchParams::new(K))? != expected {
            return Err("the entry answers other than exact search".into());
        }
    }
    Ok(())
}
