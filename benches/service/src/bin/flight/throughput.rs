//! A million vectors out of memory, beside arrow-flight's own encoder and decoder.

use std::sync::Arc;
use std::time::Instant;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{ArrowNativeType, Float32Type, Int64Type};
use arrow_flight::Ticket;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::flight_service_client::FlightServiceClient;
use futures::TryStreamExt;
use ruvector_bench_service::{Failure, Report, SEED, data, median_of};
use ruvector_rulake::LocalBackend;
use ruvector_sql::EngineConfig;

use crate::bare::Bare;
use crate::memory::Growth;
use crate::served::{MESSAGE_BYTES_MAX, Served};

pub(crate) const DIM: usize = 384;
const BATCH: usize = 8192;
const ROUNDS: usize = 5;

pub(crate) fn run(rows: usize, report: &mut Report) -> Result<(), Failure> {
    eprintln!("{rows} vectors of {DIM} out of memory");
    let batches = batches(rows)?;
    let (engine, served) = Served::engine(EngineConfig::default())?;
    let hot = LocalBackend::new("hot");
    hot.put("docs", data::schema(DIM)?, &batches)?;
    engine.add_backend(Arc::new(hot))?;
    let bare = Served::bare(Bare { rows: batches })?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async {
        let (mut speeds, mut growth) = (Vec::new(), None::<f64>);
        for round in 0..=ROUNDS {
            let begun = Growth::begin();
            let ours = fetch(&served, Ticket::new("SELECT id, vec FROM hot.docs"), rows).await?;
            let grown = begun.and_then(|begun| begun.mebibytes());
            let theirs = fetch(&bare, Ticket::new("rows"), rows).await?;
            // The first round warms both up.
            if round > 0 {
                speeds.push((ours, theirs));
                growth = grown.into_iter().chain(growth).reduce(f64::max);
            }
        }
        let gigabytes = (rows * (DIM * 4 + 8)) as f64 / 1e9;
        let ratio = median_of(speeds.iter().map(|(ours, theirs)| theirs / ours).collect());
        let ours = median_of(speeds.iter().map(|(ours, _)| gigabytes / ours).collect());
        let theirs = median_of(speeds.iter().map(|(_, theirs)| gigabytes / theirs).collect());
        report.target(
            &format!("DoGet of {rows} x {DIM} from memory, beside arrow-flight's encoder and decoder"),
            "at least 80 %",
            format!("{:.0} % ({ours:.2} GB/s, bare {theirs:.2} GB/s)", ratio * 100.0),
            ratio >= 0.8,
        );
        if let Some(growth) = growth {
            report.target(
                "growth of memory by it, server and client together",
                "under 64 MiB",
                format!("{growth:.0} MiB"),
                growth < 64.0,
            );
        }
        Ok(())
    })
}

/// The rows, in batches as the engine has them.
pub(crate) fn batches(rows: usize) -> Result<Vec<RecordBatch>, Failure> {
    (0..rows).step_by(BATCH).map(|first| data::rows(SEED, first, BATCH.min(rows - first), DIM)).collect()
}

/// Seconds to fetch all rows. Each batch is looked at: all ids, and a coordinate.
pub(crate) async fn fetch(served: &Served, ticket: Ticket, rows: usize) -> Result<f64, Failure> {
    let mut client = FlightServiceClient::new(served.channel().await?).max_decoding_message_size(MESSAGE_BYTES_MAX);
    let started = Instant::now();
    let messages = client.do_get(ticket).await?.into_inner().map_err(Into::into);
    let mut batches = FlightRecordBatchStream::new_from_flight_data(messages);
    let mut seen = Seen::default();
    while let Some(batch) = batches.try_next().await? {
        seen.add(&batch)?;
    }
    let seconds = started.elapsed().as_secs_f64();
    seen.check(rows)?;
    Ok(seconds)
}

/// Count and sum of the rows that came.
#[derive(Default)]
pub(crate) struct Seen {
    rows: usize,
    sum: i64,
}

impl Seen {
    pub(crate) fn add(&mut self, batch: &RecordBatch) -> Result<(), Failure> {
        let ids = batch.column(0).as_primitive::<Int64Type>();
        self.rows += ids.len();
        self.sum += ids.values().iter().sum::<i64>();
        let values: &arrow::array::Float32Array = match batch.column(1).as_fixed_size_list_opt() {
            Some(vectors) => vectors.values().as_primitive::<Float32Type>(),
            None => batch.column(1).as_list::<i32>().values().as_primitive::<Float32Type>(),
        };
        if batch.num_rows() > 0 && data::vector(SEED, u64::try_from(ids.value(0))?, DIM)[0] != value_of(batch, values) {
            return Err("a vector is not the one that was written".into());
        }
        Ok(())
    }

    pub(crate) fn check(&self, rows: usize) -> Result<(), Failure> {
        let expected = rows as i64 * (rows as i64 - 1) / 2;
        match (self.rows, self.sum) == (rows, expected) {
            true => Ok(()),
            false => Err(format!("expected {rows} rows, got {} with ids of other sum", self.rows).into()),
        }
    }
}

/// The first coordinate of the first row.
fn value_of(batch: &RecordBatch, values: &arrow::array::Float32Array) -> f32 {
    let first = batch.column(1).as_list_opt::<i32>().map_or(0, |lists| lists.value_offsets()[0].as_usize());
    values.value(first)
}
