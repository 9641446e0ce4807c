//! A prepared `knn()` and `knn_batch()` over 100,000 vectors of 128 coordinates in memory, beside the index that answers.

use std::sync::Arc;
use std::time::Instant;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Float32Type, Int64Type};
use datafusion::scalar::ScalarValue;
use ruvector_bench_service::{Failure, Report, SEED, data, median_of};
use ruvector_rabitq::{Dim, Hit, IndexKind, SearchParams, VectorBatch, VectorIndex};
use ruvector_rulake::{Backend, IndexSpec, LocalBackend, RowAddress, RuLake, cpu_bound};
use ruvector_sql::{Engine, EngineConfig, Session};

const ROWS: usize = 100_000;
const DIM: usize = 128;
const QUERIES: usize = 1_000;
const K: usize = 10;
const ROUNDS: usize = 21;

const SINGLE: &str = "SELECT id, _distance FROM knn('hot.docs', $1, 10)";
const BATCH: &str = "SELECT query_id, id, _distance FROM knn_batch('hot.docs', (SELECT id, vec FROM hot.queries), 10)";

pub(crate) async fn run(report: &mut Report) -> Result<(), Failure> {
    eprintln!("in memory: {ROWS} vectors of {DIM}");
    let engine = Engine::open(EngineConfig::default()).await?;
    let session = engine.session();
    let (docs, asked) = (data::rows(SEED, 0, ROWS, DIM)?, data::rows(SEED, ROWS, QUERIES, DIM)?);
    let hot = LocalBackend::new("hot");
    hot.put("docs", data::schema(DIM)?, &[docs])?;
    hot.put("queries", data::schema(DIM)?, std::slice::from_ref(&asked))?;
    let hot: Arc<dyn Backend> = Arc::new(hot);
    engine.add_backend(Arc::clone(&hot))?;
    let lake = RuLake::new();
    lake.register_backend(hot)?;
    let pinned = lake.pin("hot", "docs", None).await?;
    for kind in [IndexKind::RabitqPlus, IndexKind::IvfRabitq] {
        let create = format!("CREATE INDEX docs_vec ON hot.docs USING {kind} (vec)");
        engine.execute(&session, &create, &[]).await?.collect().await?;
        let spec = IndexSpec { kind, ..IndexSpec::new("vec") };
        let entry = lake.entry(&pinned, &spec, &Arc::default()).await?;
        let bench = Bench { engine: &engine, session: &session, index: entry.index(), asked: vectors(&asked) };
        bench.single(report).await?;
        bench.batch(report).await?;
        engine.execute(&session, "DROP INDEX hot.docs_vec", &[]).await?;
    }
    Ok(())
}

struct Bench<'a> {
    engine: &'a Arc<Engine>,
    session: &'a Arc<Session>,
    index: &'a dyn VectorIndex,
    asked: Vec<f32>,
}

impl Bench<'_> {
    /// One query after the other.
    async fn single(&self, report: &mut Report) -> Result<(), Failure> {
        let values: Vec<ScalarValue> = self.asked.chunks(DIM).map(list).collect();
        let direct = |query: &[f32]| self.index.search(query, &SearchParams::new(K));
        let sql = async |value: &ScalarValue| {
            self.engine.execute(self.session, SINGLE, std::slice::from_ref(value)).await?.collect().await
        };
        for (query, value) in self.asked.chunks(DIM).zip(&values) {
            check(&direct(query)?, &sql(value).await?, 0)?;
        }
        let mut more = Vec::new();
        for round in 0..ROUNDS {
            let per_query = |started: Instant| started.elapsed().as_secs_f64() / QUERIES as f64;
            let bare = || -> Result<f64, Failure> {
                let started = Instant::now();
                for query in self.asked.chunks(DIM) {
                    std::hint::black_box(direct(query)?);
                }
                Ok(per_query(started))
            };
            let engine = async || -> Result<f64, Failure> {
                let started = Instant::now();
                for value in &values {
                    std::hint::black_box(sql(value).await?);
                }
                Ok(per_query(started))
            };
            // The second of two finds warmer caches: they take turns.
            let (bare, engine) = match round % 2 {
                0 => (bare()?, engine().await?),
                _ => {
                    let engine = engine().await?;
                    (bare()?, engine)
                }
            };
            more.push((bare * 1e6, (engine - bare) * 1e6));
        }
        let bare = median_of(more.iter().map(|(bare, _)| *bare).collect());
        let more = median_of(more.into_iter().map(|(_, more)| more).collect());
        report.target(
            &format!("a prepared knn() of {} in memory, more than the index", self.index.kind()),
            "at most 100 us",
            format!("{more:.1} us (the index: {bare:.1} us)"),
            more <= 100.0,
        );
        Ok(())
    }

    /// All queries at once.
    async fn batch(&self, report: &mut Report) -> Result<(), Failure> {
        let dim = Dim::new(DIM)?;
        let direct = || -> Result<_, Failure> {
            let queries = VectorBatch::new(dim, &self.asked)?;
            Ok(cpu_bound(|| self.index.search_batch(queries, &SearchParams::new(K)))?)
        };
        let sql = async || self.engine.execute(self.session, BATCH, &[]).await?.collect().await;
        let (expected, got) = (direct()?, sql().await?);
        check(&expected.concat(), &got, 1)?;
        let mut ratios = Vec::new();
        for round in 0..ROUNDS {
            let bare = || -> Result<f64, Failure> {
                let started = Instant::now();
                std::hint::black_box(direct()?);
                Ok(started.elapsed().as_secs_f64())
            };
            let engine = async || -> Result<f64, Failure> {
                let started = Instant::now();
                std::hint::black_box(sql().await?);
                Ok(started.elapsed().as_secs_f64())
            };
            let (bare, engine) = match round % 2 {
                0 => (bare()?, engine().await?),
                _ => {
                    let engine = engine().await?;
                    (bare()?, engine)
                }
            };
            ratios.push((engine / bare, bare * 1e3));
        }
        let bare = median_of(ratios.iter().map(|(_, bare)| *bare).collect());
        let ratio = median_of(ratios.into_iter().map(|(ratio, _)| ratio).collect());
        report.target(
            &format!("knn_batch() of {QUERIES} queries over {} in memory, beside the index", self.index.kind()),
            "at most 1.05x",
            format!("{ratio:.3}x (the index: {bare:.1} ms)"),
            ratio <= 1.05,
        );
        Ok(())
    }
}

/// Rows lie in the order of their ids, in one batch: an address is an id.
fn check(expected: &[Hit], got: &[RecordBatch], id: usize) -> Result<(), Failure> {
    let ids = got.iter().flat_map(|batch| batch.column(id).as_primitive::<Int64Type>().values().to_vec());
    let distances = got.iter().flat_map(|batch| batch.column(id + 1).as_primitive::<Float32Type>().values().to_vec());
    let expected_ids = expected.iter().map(|hit| i64::from(RowAddress::from(hit.id).row()));
    match ids.eq(expected_ids) && distances.eq(expected.iter().map(|hit| hit.distance.max(0.0).sqrt())) {
        true => Ok(()),
        false => Err("SQL answers other than the index".into()),
    }
}

fn vectors(rows: &RecordBatch) -> Vec<f32> {
    rows.column(1).as_fixed_size_list().values().as_primitive::<Float32Type>().values().to_vec()
}

/// A vector as a parameter.
pub(crate) fn list(vector: &[f32]) -> ScalarValue {
    let values = vector.iter().copied().map(Some);
    ScalarValue::List(Arc::new(arrow::array::ListArray::from_iter_primitive::<Float32Type, _, _>([Some(values)])))
}
