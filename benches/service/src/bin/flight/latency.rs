//! One search at a time over loopback: prepared over Flight SQL, and over DoExchange, beside what they are made of.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::client::{FlightSqlServiceClient, PreparedStatement};
use arrow_flight::{FlightData, FlightDescriptor};
use datafusion::scalar::ScalarValue;
use futures::channel::mpsc::{self, Sender};
use futures::{SinkExt, StreamExt, TryStreamExt, stream};
use ruvector_bench_service::{Failure, Report, SEED, data, median};
use ruvector_rulake::LocalBackend;
use ruvector_sql::EngineConfig;
use tonic::Streaming;
use tonic::transport::Channel;

use crate::bare::Bare;
use crate::served::Served;

const ROWS: usize = 100_000;
const DIM: usize = 128;
const QUERIES: usize = 2_000;
const K: usize = 10;

const SEARCH: &str = "SELECT id, _distance FROM knn('hot.docs', $1, 10)";
/// A statement with as much to bind, and nothing to do.
const EMPTY: &str = "SELECT 1 AS id WHERE $1 IS NULL";

pub(crate) fn run(report: &mut Report) -> Result<(), Failure> {
    eprintln!("one search at a time: {ROWS} vectors of {DIM} in memory, {QUERIES} searches of each kind");
    let (engine, served) = Served::engine(EngineConfig::default())?;
    let hot = LocalBackend::new("hot");
    hot.put("docs", data::schema(DIM)?, &[data::rows(SEED, 0, ROWS, DIM)?])?;
    engine.add_backend(Arc::new(hot))?;
    let bare = Served::bare(Bare { rows: Vec::new() })?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let asked = data::rows(SEED, ROWS, QUERIES, DIM)?;
    let asked: Vec<RecordBatch> = (0..QUERIES).map(|row| question(&asked.slice(row, 1))).collect::<Result<_, _>>()?;
    runtime.block_on(async {
        let session = engine.session();
        engine.execute(&session, "CREATE INDEX docs_vec ON hot.docs USING rabitq_plus (vec)", &[]).await?;
        let mut client = served.client().await?;
        let (mut search, mut empty) =
            (client.prepare(SEARCH.to_owned(), None).await?, client.prepare(EMPTY.to_owned(), None).await?);
        let command = format!(r#"{{"knn": {{"table": "hot.docs", "k": {K}, "select": ["id"]}}}}"#);
        let mut knn = Exchange::open(&served, &command, &asked[0]).await?;
        let mut echo = Exchange::open(&bare, &command, &asked[0]).await?;

        let mut times = Times::default();
        for (number, asked) in asked.iter().enumerate() {
            let value = ScalarValue::try_from_array(asked.column(0), 0)?;
            let started = Instant::now();
            let expected = engine.execute(&session, SEARCH, &[value]).await?.collect().await?;
            let in_engine = started.elapsed();
            let started = Instant::now();
            let rows = prepared(&mut client, &mut search, asked.clone()).await?;
            let by_statement = started.elapsed();
            check(&expected, &rows, 0)?;
            let started = Instant::now();
            let none = prepared(&mut client, &mut empty, asked.clone()).await?;
            let for_nothing = started.elapsed();
            if none.iter().any(|batch| batch.num_rows() > 0) {
                return Err("the empty statement has rows".into());
            }
            let started = Instant::now();
            let hits = knn.ask(asked).await?;
            let by_exchange = started.elapsed();
            check(&expected, &[hits], 1)?;
            let started = Instant::now();
            echo.ask(asked).await?;
            let echoed = started.elapsed();
            // The first ones warm everything up.
            if number >= QUERIES / 10 {
                times.engine.push(in_engine);
                times.statement.push(by_statement);
                times.nothing.push(for_nothing);
                times.exchange.push(by_exchange);
                times.echo.push(echoed);
            }
        }
        times.report(report);
        Ok(())
    })
}

#[derive(Default)]
struct Times {
    engine: Vec<Duration>,
    statement: Vec<Duration>,
    nothing: Vec<Duration>,
    exchange: Vec<Duration>,
    echo: Vec<Duration>,
}

impl Times {
    fn report(self, report: &mut Report) {
        let micros = |times| median(times).as_secs_f64() * 1e6;
        let [engine, statement, nothing, exchange, echo] =
            [self.engine, self.statement, self.nothing, self.exchange, self.echo].map(micros);
        let ratio = statement / (nothing + engine);
        report.target(
            "p50 of a prepared knn() over Flight SQL, beside an empty prepared statement and the embedded query",
            "at most 1.3x",
            format!("{ratio:.2}x ({statement:.0} us; empty {nothing:.0} us, embedded {engine:.0} us)"),
            ratio <= 1.3,
        );
        let ratio = exchange / (echo + engine);
        report.target(
            "p50 of a search over DoExchange, beside a bare gRPC echo and the embedded query",
            "at most 1.2x",
            format!("{ratio:.2}x ({exchange:.0} us; echo {echo:.0} us, embedded {engine:.0} us)"),
            ratio <= 1.2,
        );
    }
}

/// The one query of `row`, under the name of a parameter.
fn question(row: &RecordBatch) -> Result<RecordBatch, Failure> {
    let data_type: DataType = row.column(1).data_type().clone();
    let schema = Schema::new(vec![Field::new("$1", data_type, true)]);
    Ok(RecordBatch::try_new(Arc::new(schema), vec![Arc::clone(row.column(1))])?)
}

async fn prepared(
    client: &mut FlightSqlServiceClient<Channel>,
    statement: &mut PreparedStatement<Channel>,
    value: RecordBatch,
) -> Result<Vec<RecordBatch>, Failure> {
    statement.set_parameters(value)?;
    let info = statement.execute().await?;
    let ticket = info.endpoint.first().and_then(|endpoint| endpoint.ticket.clone()).ok_or("no ticket")?;
    Ok(client.do_get(ticket).await?.try_collect().await?)
}

/// A stream on which one batch is answered by one.
struct Exchange {
    questions: Sender<FlightData>,
    answers: FlightRecordBatchStream,
}

impl Exchange {
    async fn open(served: &Served, command: &str, like: &RecordBatch) -> Result<Self, Failure> {
        let mut client = FlightServiceClient::new(served.channel().await?);
        let (mut questions, messages) = mpsc::channel(4);
        let descriptor = FlightDescriptor::new_cmd(command.to_owned());
        let first = FlightDataEncoderBuilder::new().with_schema(like.schema()).with_flight_descriptor(Some(descriptor));
        let first: Vec<FlightData> = first.build(stream::empty()).try_collect().await?;
        for message in first {
            questions.send(message).await?;
        }
        let answers: Streaming<FlightData> = client.do_exchange(messages).await?.into_inner();
        Ok(Self { questions, answers: FlightRecordBatchStream::new_from_flight_data(answers.map_err(Into::into)) })
    }

    async fn ask(&mut self, question: &RecordBatch) -> Result<RecordBatch, Failure> {
        let message = arrow_flight::utils::batches_to_flight_data(&question.schema(), vec![question.clone()])?.pop();
        self.questions.send(message.ok_or("no message")?).await?;
        Ok(self.answers.next().await.ok_or("the stream ended")??)
    }
}

fn check(expected: &[RecordBatch], got: &[RecordBatch], column: usize) -> Result<(), Failure> {
    let ids = |batches: &[RecordBatch], column: usize| -> Vec<i64> {
        batches.iter().flat_map(|b| b.column(column).as_primitive::<Int64Type>().values().to_vec()).collect()
    };
    match ids(expected, 0) == ids(got, column) && ids(got, column).len() == K {
        true => Ok(()),
        false => Err("the server answers other than the engine".into()),
    }
}
