//! A search through the lake beside the same search on the index itself: 100,000 vectors of 128 coordinates, one thread.

use std::sync::Arc;
use std::time::{Duration, Instant};

use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use ruvector_bench_service::{Failure, Report, SEED, data, median_of};
use ruvector_rabitq::SearchParams;
use ruvector_rulake::{Consistency, DeltaBackend, IndexSpec, LocalBackend, RuLake, SearchOptions};
use tokio::runtime::Runtime;

const ROWS: usize = 100_000;
const DIM: usize = 128;
const QUERIES: usize = 200;
const ROUNDS: usize = 41;
const K: usize = 10;

pub(crate) fn run(runtime: &Runtime, report: &mut Report) -> Result<(), Failure> {
    eprintln!("hits: {ROWS} vectors of {DIM}");
    let folder = tempfile::tempdir()?;
    let (rows, schema) = (data::rows(SEED, 0, ROWS, DIM)?, data::schema(DIM)?);
    let local = LocalBackend::new("local");
    local.put("docs", Arc::clone(&schema), std::slice::from_ref(&rows))?;
    let delta = DeltaBackend::open("delta", folder.path())?;
    let stream = RecordBatchStreamAdapter::new(Arc::clone(&schema), futures::stream::iter([Ok(rows)]));
    runtime.block_on(delta.create_with("docs", schema, Box::pin(stream)))?;
    let lake = Arc::new(RuLake::new());
    lake.register_backend(Arc::new(local))?;
    lake.register_backend(Arc::new(delta))?;

    let queries: Arc<Vec<Vec<f32>>> =
        Arc::new((0..QUERIES).map(|i| data::vector(SEED, (ROWS + i) as u64, DIM)).collect());
    let eventual = Some(Consistency::Eventual(Duration::from_secs(3600)));
    let ratio = |backend, consistency| compare(runtime, &lake, backend, consistency, &queries);

    let (fresh, _) = ratio("local", None)?;
    report.target(
        "a hit on LocalBackend, FRESH, beside the index",
        "at most 1.02x",
        format!("{fresh:.3}x"),
        fresh <= 1.02,
    );
    let (hit, _) = ratio("delta", eventual)?;
    report.target("a hit on Delta, EVENTUAL, beside the index", "at most 1.02x", format!("{hit:.3}x"), hit <= 1.02);
    let (_, more) = ratio("delta", None)?;
    let micros = more * 1e6;
    report.target(
        "a hit on Delta, FRESH, more than the index",
        "at most 200 us",
        format!("{micros:.0} us"),
        micros <= 200.0,
    );
    clients(runtime, &lake, &queries, report)
}

/// The time that a search through the lake takes longer: as a ratio, and in seconds.
fn compare(
    runtime: &Runtime,
    lake: &RuLake,
    backend: &str,
    consistency: Option<Consistency>,
    queries: &[Vec<f32>],
) -> Result<(f64, f64), Failure> {
    let options = SearchOptions { consistency, ..SearchOptions::default() };
    let entry = runtime.block_on(async {
        let pinned = lake.pin(backend, "docs", consistency).await?;
        lake.entry(&pinned, &IndexSpec::new("vec"), &Arc::default()).await
    })?;
    let index = entry.index();
    let direct = |query: &[f32]| index.search(query, &SearchParams::new(K));
    let through = |query: &[f32]| runtime.block_on(lake.search_one(backend, "docs", query, K, &options));
    for query in queries {
        let (expected, got) = (direct(query)?, through(query)?);
        // The rows lie in the order of their ids, in one file.
        if !expected.iter().map(|hit| hit.id as i64).eq(got.iter().map(|hit| hit.id)) {
            return Err(format!("the lake over {backend} answers other than its index").into());
        }
    }
    let (mut ratios, mut differences) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let per_query = |started: Instant| started.elapsed().as_secs_f64() / queries.len() as f64;
        let index = || -> Result<f64, Failure> {
            let started = Instant::now();
            for query in queries {
                std::hint::black_box(direct(query)?);
            }
            Ok(per_query(started))
        };
        // The runtime is entered once: a program that awaits is in it already.
        let lake = || -> Result<f64, Failure> {
            runtime.block_on(async {
                let started = Instant::now();
                for query in queries {
                    std::hint::black_box(lake.search_one(backend, "docs", query, K, &options).await?);
                }
                Ok(per_query(started))
            })
        };
        // The second of two finds warmer caches: they take turns.
        let (index, lake) = if round % 2 == 0 {
            (index()?, lake()?)
        } else {
            let lake = lake()?;
            (index()?, lake)
        };
        ratios.push(lake / index);
        differences.push(lake - index);
    }
    Ok((median_of(ratios), median_of(differences)))
}

/// Searches of 8 clients at a time beside those of one.
fn clients(
    runtime: &Runtime,
    lake: &Arc<RuLake>,
    queries: &Arc<Vec<Vec<f32>>>,
    report: &mut Report,
) -> Result<(), Failure> {
    const CLIENTS: usize = 8;
    let serve = |clients: usize, each: usize| -> Result<f64, Failure> {
        let started = Instant::now();
        let tasks: Vec<_> = (0..clients)
            .map(|client| {
                let (lake, queries) = (Arc::clone(lake), Arc::clone(queries));
                runtime.spawn(async move {
                    let options = SearchOptions::default();
                    for i in 0..each {
                        let query = &queries[(client * 37 + i) % queries.len()];
                        lake.search_one("local", "docs", query, K, &options).await?;
                    }
                    Ok::<_, ruvector_rulake::Error>(())
                })
            })
            .collect();
        for task in tasks {
            runtime.block_on(task)??;
        }
        Ok((clients * each) as f64 / started.elapsed().as_secs_f64())
    };
    let mut ratios = Vec::new();
    for _ in 0..9 {
        let one = serve(1, 4000)?;
        ratios.push(serve(CLIENTS, 1000)? / one);
    }
    let (ratio, cores) = (median_of(ratios), std::thread::available_parallelism()?.get());
    let least = 0.9 * cores.min(CLIENTS) as f64;
    report.target(
        &format!("{CLIENTS} clients beside one, on {cores} cores"),
        &format!("at least {least:.1}x"),
        format!("{ratio:.2}x"),
        ratio >= least,
    );
    Ok(())
}
