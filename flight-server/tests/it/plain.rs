//! Plain Flight, without a Flight SQL driver: SQL as text.

use arrow::array::AsArray;
use arrow::datatypes::{Int64Type, Schema};
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::{Action, Criteria, Empty, FlightDescriptor, IpcMessage, Ticket};
use futures::{StreamExt, TryStreamExt};
use tonic::Code;

use crate::harness::{TestServer, number, with_server};

#[test]
fn a_ticket_may_be_sql() {
    with_server(|server| async move {
        assert_eq!(numbers(&server, "SELECT 6 * 7 AS answer").await, [42]);
        // Once per DoGet, as anything a client asks for.
        assert_eq!(numbers(&server, "CREATE TABLE t (id BIGINT)").await, [0]);
        assert_eq!(numbers(&server, "\nINSERT INTO t VALUES (1), (2)").await, [2]);
        let mut client = server.client().await;
        assert_eq!(number(&mut client, "SELECT count(*) FROM t").await, 2);
    });
}

#[test]
fn a_descriptor_may_be_sql_or_a_table() {
    with_server(|server| async move {
        server.client_with_docs().await;
        let mut plain = server.plain().await;
        for descriptor in [
            FlightDescriptor::new_cmd("SELECT id FROM docs"),
            FlightDescriptor::new_path(vec!["SELECT id FROM docs".into()]),
            FlightDescriptor::new_path(vec!["docs".into()]),
        ] {
            let schema = plain.get_schema(descriptor.clone()).await.unwrap().into_inner();
            let schema = Schema::try_from(IpcMessage(schema.schema)).unwrap();
            assert_eq!(schema.field(0).name(), "id");
            let info = plain.get_flight_info(descriptor.clone()).await.unwrap().into_inner();
            assert_eq!(info.flight_descriptor, Some(descriptor));
            let ticket = info.endpoint[0].ticket.clone().unwrap();
            let messages = plain.do_get(ticket).await.unwrap().into_inner().map_err(Into::into);
            let batches: Vec<_> = FlightRecordBatchStream::new_from_flight_data(messages).try_collect().await.unwrap();
            assert_eq!(batches.iter().map(|b| b.num_rows()).sum::<usize>(), 3);
        }
    });
}

#[test]
fn poll_flight_info_is_complete_at_once() {
    with_server(|server| async move {
        let mut plain = server.plain().await;
        let poll = plain.poll_flight_info(FlightDescriptor::new_cmd("SELECT 1")).await.unwrap().into_inner();
        assert!(poll.flight_descriptor.is_none());
        assert_eq!(poll.info.unwrap().endpoint.len(), 1);
    });
}

#[test]
fn tables_are_flights() {
    with_server(|server| async move {
        server.client_with_docs().await;
        let mut plain = server.plain().await;
        let flights = plain.list_flights(Criteria::default()).await.unwrap().into_inner();
        let flights: Vec<_> = flights.try_collect().await.unwrap();
        let names: Vec<_> = flights.iter().map(|f| f.flight_descriptor.clone().unwrap().path[2].clone()).collect();
        assert_eq!(names, ["docs"]);
        let ticket = flights[0].endpoint[0].ticket.clone().unwrap();
        assert!(plain.do_get(ticket).await.unwrap().into_inner().next().await.unwrap().is_ok());
    });
}

#[test]
fn actions_are_listed_and_others_refused() {
    with_server(|server| async move {
        let mut plain = server.plain().await;
        let actions: Vec<_> = plain.list_actions(Empty {}).await.unwrap().into_inner().try_collect().await.unwrap();
        assert!(actions.iter().any(|action| action.r#type == "CancelFlightInfo"));
        assert!(!actions.iter().any(|action| action.r#type == "BeginTransaction"));
        let error = plain.do_action(Action::new("Dance", "")).await.unwrap_err();
        assert_eq!((error.code(), error.message()), (Code::Unimplemented, "there is no action 'Dance'"));
    });
}

#[test]
fn bytes_that_are_neither_are_refused() {
    with_server(|server| async move {
        let mut plain = server.plain().await;
        for bytes in [&b""[..], &b"\xff\xff\xff"[..]] {
            let error = plain.do_get(Ticket::new(bytes.to_vec())).await.unwrap_err();
            assert_eq!(error.code(), Code::InvalidArgument);
            let error = plain.get_flight_info(FlightDescriptor::new_cmd(bytes.to_vec())).await.unwrap_err();
            assert_eq!(error.code(), Code::InvalidArgument);
        }
    });
}

async fn numbers(server: &TestServer, sql: &str) -> Vec<i64> {
    let messages = server.plain().await.do_get(Ticket::new(sql.to_owned())).await.unwrap().into_inner();
    let batches = FlightRecordBatchStream::new_from_flight_data(messages.map_err(Into::into));
    let batches: Vec<_> = batches.try_collect().await.unwrap();
    batches.iter().flat_map(|b| b.column(0).as_primitive::<Int64Type>().values().to_vec()).collect()
}
