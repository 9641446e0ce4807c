//! Cancelling a query.

use arrow_flight::{Action, CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus, FlightInfo};
use futures::TryStreamExt;
use prost::Message;
use tonic::Code;

use crate::harness::{TestServer, status, with_server};

/// More rows than all buffers between server and client hold.
const LONG: &str = "SELECT value, repeat('x', 1000) FROM generate_series(1, 2000000)";

#[test]
fn a_running_query_can_be_cancelled() {
    with_server(|server| async move {
        let mut client = server.client().await;
        let info = client.execute(LONG.into(), None).await.unwrap();
        let mut rows = client.do_get(info.endpoint[0].ticket.clone().unwrap()).await.unwrap();
        rows.try_next().await.unwrap().unwrap();
        assert_eq!(cancel(&server, info.clone()).await, CancelStatus::Cancelled);
        let error = status(rows.try_collect::<Vec<_>>().await.unwrap_err());
        assert_eq!((error.code(), error.message()), (Code::Cancelled, "the query was cancelled"));
        // Again is no error.
        assert_eq!(cancel(&server, info).await, CancelStatus::Cancelled);
    });
}

#[test]
fn a_client_that_goes_away_does_not_keep_the_server() {
    with_server(|server| async move {
        let mut client = server.client().await;
        let info = client.execute(LONG.into(), None).await.unwrap();
        let mut rows = client.do_get(info.endpoint[0].ticket.clone().unwrap()).await.unwrap();
        rows.try_next().await.unwrap().unwrap();
        // The harness stops the server next, which waits for what still runs.
    });
}

async fn cancel(server: &TestServer, info: FlightInfo) -> CancelStatus {
    let action = Action::new("CancelFlightInfo", CancelFlightInfoRequest::new(info).encode_to_vec());
    let mut results = server.plain().await.do_action(action).await.unwrap().into_inner();
    let body = results.message().await.unwrap().unwrap().body;
    CancelFlightInfoResult::decode(body).unwrap().status()
}
