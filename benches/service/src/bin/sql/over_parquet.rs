//! The ten nearest of 100,000 vectors of 384 coordinates in a Parquet file, without an index and with one, beside DuckDB over
//! the same file.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use ruvector_bench_service::{Failure, Report, SEED, data, median};
use ruvector_sql::{Engine, EngineConfig, Session};

use crate::duckdb::DuckDb;
use crate::in_memory::list;

const ROWS: usize = 100_000;
const DIM: usize = 384;
/// Rows of a row group, so that every thread of either engine has some.
const ROW_GROUP: usize = 25_000;
const QUERIES: usize = 12;
const ROUNDS: usize = 3;

const SQL: &str = "SELECT id FROM docs ORDER BY l2_distance(vec, $1) LIMIT 10";

pub(crate) async fn run(python: Option<&Path>, report: &mut Report) -> Result<(), Failure> {
    eprintln!("over Parquet: {ROWS} vectors of {DIM}");
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("docs.parquet");
    data::write_parquet(&file, &data::rows(SEED, 0, ROWS, DIM)?, Some(ROW_GROUP))?;
    let queries: Vec<Vec<f32>> = (0..QUERIES).map(|i| data::vector(SEED, (ROWS + i) as u64, DIM)).collect();
    let engine = Engine::open(EngineConfig::default()).await?;
    let session = engine.session();
    let create = format!("CREATE EXTERNAL TABLE docs STORED AS PARQUET LOCATION '{}'", file.display());
    engine.execute(&session, &create, &[]).await?;

    let mut peer = python.map(|python| DuckDb::start(python, &file)).transpose()?;
    if let Some(peer) = &mut peer {
        eprintln!("DuckDB {} with {} threads", peer.version, peer.threads);
    }
    let (mut theirs, mut exact) = (Vec::new(), Vec::new());
    let mut expected = Vec::new();
    for round in 0..=ROUNDS {
        for query in &queries {
            let (ids, time) = ours(&engine, &session, query).await?;
            if let Some(peer) = &mut peer {
                let (known, time) = peer.nearest(query)?;
                if known != ids {
                    return Err(format!("DuckDB finds {known:?}, exact search {ids:?}").into());
                }
                theirs.push(time);
            }
            exact.push(time);
            if round == 0 {
                expected.push(ids);
            }
        }
        if round == 0 {
            // What was warming up.
            theirs.clear();
            exact.clear();
        }
    }
    engine.execute(&session, "CREATE INDEX docs_vec ON docs USING rabitq_plus (vec)", &[]).await?;
    let mut indexed = Vec::new();
    for _ in 0..=50 {
        for (query, expected) in queries.iter().zip(&expected) {
            let (ids, time) = ours(&engine, &session, query).await?;
            if ids != *expected {
                return Err(format!("the index finds {ids:?}, exact search {expected:?}").into());
            }
            indexed.push(time);
        }
    }
    let theirs = (!theirs.is_empty()).then(|| median(theirs));
    let (exact, indexed) = (median(exact), median(indexed));
    compare(report, "ORDER BY distance LIMIT 10 over Parquet, no index, beside DuckDB", 2.0, exact, theirs);
    compare(report, "the same with an index, beside DuckDB", 100.0, indexed, theirs);
    Ok(())
}

async fn ours(engine: &Arc<Engine>, session: &Arc<Session>, query: &[f32]) -> Result<(Vec<i64>, Duration), Failure> {
    let query = [list(query)];
    let started = Instant::now();
    let answer = engine.execute(session, SQL, &query).await?.collect().await?;
    let time = started.elapsed();
    let ids = answer.iter().flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec());
    Ok((ids.collect(), time))
}

fn compare(report: &mut Report, name: &str, times: f64, ours: Duration, theirs: Option<Duration>) {
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let (measured, met) = match theirs {
        Some(theirs) => {
            let ratio = theirs.as_secs_f64() / ours.as_secs_f64();
            (format!("{ratio:.1}x ({:.2} ms, DuckDB {:.1} ms)", ms(ours), ms(theirs)), ratio >= times)
        }
        None => (format!("{:.2} ms; DuckDB was not measured: it needs --python", ms(ours)), false),
    };
    report.target(name, &format!("at least {times}x faster"), measured, met);
}
