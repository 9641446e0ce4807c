//! One of many clients, and what became of what it asked.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use arrow_flight::error::FlightError;
use arrow_flight::sql::client::{FlightSqlServiceClient, PreparedStatement};
use arrow_flight::sql::{CommandStatementIngest, TableDefinitionOptions, TableExistsOption, TableNotExistOption};
use futures::{StreamExt, TryStreamExt, stream};
use ruvector_bench_service::{Failure, SEED, data};
use tonic::Code;
use tonic::transport::{Channel, Endpoint};

const ROWS: usize = 20_000;
const DIM: usize = 64;
/// Rows of one ingest.
const INGEST: usize = 200;
/// Longest that a client thinks before it asks again.
const PAUSE_MAX: Duration = Duration::from_millis(200);

/// Outcome of the statements of one kind.
#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) times: Vec<Duration>,
    /// Told to try again.
    pub(crate) limited: usize,
    pub(crate) unexpected: Vec<String>,
}

impl Outcome {
    pub(crate) fn add(&mut self, other: Self) {
        self.times.extend(other.times);
        self.limited += other.limited;
        self.unexpected.extend(other.unexpected);
    }

    /// The median and the 99th percentile, in milliseconds.
    pub(crate) fn percentiles(&self) -> (f64, f64) {
        let mut times = self.times.clone();
        times.sort_unstable();
        let at = |share: f64| {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a length")]
            let place = ((times.len() as f64 * share) as usize).min(times.len().saturating_sub(1));
            times.get(place).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
        };
        (at(0.5), at(0.99))
    }

    fn note(&mut self, started: Instant, result: Result<(), FlightError>) {
        match result {
            Ok(()) => self.times.push(started.elapsed()),
            Err(FlightError::Tonic(status)) if matches!(status.code(), Code::Unavailable | Code::ResourceExhausted) => {
                self.limited += 1;
            }
            Err(other) => self.unexpected.push(other.to_string()),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (median, p99) = self.percentiles();
        let (answered, limited, unexpected) = (self.times.len(), self.limited, self.unexpected.len());
        write!(
            f,
            "{answered:7} answered, p50 {median:8.1} ms, p99 {p99:8.1} ms, {limited} limited, {unexpected} unexpected"
        )
    }
}

/// Makes the table that all search.
pub(crate) async fn prepare(address: &str) -> Result<(), Failure> {
    let mut client = connect(address).await?;
    let rows = data::rows(SEED, 0, ROWS, DIM)?;
    write(&mut client, "docs", rows).await?;
    let info = client.execute("CREATE INDEX docs_vec ON docs USING rabitq_plus (vec)".to_owned(), None).await?;
    drain(&mut client, info.endpoint[0].ticket.clone()).await?;
    Ok(())
}

pub(crate) struct Client {
    client: FlightSqlServiceClient<Channel>,
    search: PreparedStatement<Channel>,
    number: u64,
    random: u64,
}

impl Client {
    pub(crate) async fn connect(address: &str, number: u64) -> Result<Self, Failure> {
        let mut client = connect(address).await?;
        let search = "SELECT id, _distance FROM knn('docs', $1, 10)".to_owned();
        let search = client.prepare(search, None).await?;
        Ok(Self { client, search, number, random: SEED ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15) })
    }

    /// Asks until `end`.
    pub(crate) async fn run(&mut self, end: Instant) -> Result<BTreeMap<&'static str, Outcome>, Failure> {
        let mut outcomes: BTreeMap<&'static str, Outcome> = BTreeMap::new();
        while Instant::now() < end {
            let choice = self.next() % 100;
            let started = Instant::now();
            let (name, result) = match choice {
                0..60 => ("search", self.search().await),
                60..80 => ("filter", self.filter().await),
                80..90 => ("scan", self.scan().await),
                90..95 => ("cancel", self.cancel().await),
                _ => ("ingest", self.ingest().await),
            };
            outcomes.entry(name).or_default().note(started, result);
            let pause = PAUSE_MAX.mul_f64((self.next() % 1000) as f64 / 1000.0);
            tokio::time::sleep(pause).await;
        }
        Ok(outcomes)
    }

    /// A vector of the table is nearest to itself.
    async fn search(&mut self) -> Result<(), FlightError> {
        let row = self.below(ROWS);
        let vector = data::rows(SEED, row, 1, DIM).map_err(external)?.project(&[1])?;
        self.search.set_parameters(vector)?;
        let info = self.search.execute().await?;
        let rows = drain(&mut self.client, info.endpoint[0].ticket.clone()).await?;
        let ids: Vec<i64> =
            rows.iter().flat_map(|b| b.column(0).as_primitive::<Int64Type>().values().to_vec()).collect();
        expect(ids.len() == 10 && ids[0] == row as i64, "a vector is not nearest to itself")
    }

    async fn filter(&mut self) -> Result<(), FlightError> {
        let low = self.below(ROWS - 1000);
        let vector: Vec<String> = data::vector(SEED, low as u64, DIM).iter().map(f32::to_string).collect();
        let sql =
            format!("SELECT id FROM knn('docs', [{}], 5) WHERE id BETWEEN {low} AND {}", vector.join(", "), low + 999);
        let rows = self.ask(&sql).await?;
        expect(rows.iter().map(RecordBatch::num_rows).sum::<usize>() == 5, "a filter leaves fewer than k rows")
    }

    async fn scan(&mut self) -> Result<(), FlightError> {
        let rows = self.ask("SELECT id % 10 AS g, count(*) AS n FROM docs GROUP BY id % 10 ORDER BY g").await?;
        expect(rows.iter().map(RecordBatch::num_rows).sum::<usize>() == 10, "a scan has other groups")
    }

    /// Takes some rows of many and goes away.
    async fn cancel(&mut self) -> Result<(), FlightError> {
        let sql = "SELECT a.id, b.id, a.vec FROM docs a CROSS JOIN docs b".to_owned();
        let info = self.client.execute(sql, None).await?;
        let mut rows = self.client.do_get(ticket(info.endpoint[0].ticket.clone())?).await?;
        rows.next().await.transpose()?;
        Ok(())
    }

    /// Replaces a table of its own.
    async fn ingest(&mut self) -> Result<(), FlightError> {
        let rows = data::rows(SEED, self.below(ROWS), INGEST, DIM).map_err(external)?;
        let table = format!("own_{}", self.number);
        write(&mut self.client, &table, rows).await
    }

    async fn ask(&mut self, sql: &str) -> Result<Vec<RecordBatch>, FlightError> {
        let info = self.client.execute(sql.to_owned(), None).await?;
        drain(&mut self.client, info.endpoint[0].ticket.clone()).await
    }

    #[expect(clippy::cast_possible_truncation, reason = "less than end, which is a usize")]
    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

async fn connect(address: &str) -> Result<FlightSqlServiceClient<Channel>, Failure> {
    let channel = Endpoint::from_shared(address.to_owned())?.connect().await?;
    let mut client = FlightSqlServiceClient::new(channel);
    client.handshake("soak", "").await?;
    Ok(client)
}

async fn write(
    client: &mut FlightSqlServiceClient<Channel>,
    table: &str,
    rows: RecordBatch,
) -> Result<(), FlightError> {
    let command = CommandStatementIngest {
        table_definition_options: Some(TableDefinitionOptions {
            if_not_exist: TableNotExistOption::Create.into(),
            if_exists: TableExistsOption::Replace.into(),
        }),
        table: table.to_owned(),
        ..Default::default()
    };
    let expected = rows.num_rows() as i64;
    let written = client.execute_ingest(command, stream::iter([Ok(rows)])).await?;
    expect(written == expected, "an ingest wrote another number of rows")
}

async fn drain(
    client: &mut FlightSqlServiceClient<Channel>,
    found: Option<arrow_flight::Ticket>,
) -> Result<Vec<RecordBatch>, FlightError> {
    client.do_get(ticket(found)?).await?.try_collect().await
}

fn ticket(found: Option<arrow_flight::Ticket>) -> Result<arrow_flight::Ticket, FlightError> {
    found.ok_or_else(|| FlightError::ProtocolError("an endpoint without a ticket".to_owned()))
}

fn expect(holds: bool, message: &str) -> Result<(), FlightError> {
    if holds { Ok(()) } else { Err(FlightError::ProtocolError(message.to_owned())) }
}

fn external(error: Failure) -> FlightError {
    FlightError::ExternalError(error)
}
