//! Settings belong to the client that made them.

use std::collections::BTreeMap;

use arrow::array::AsArray;
use arrow_flight::Action;
use arrow_flight::flight_service_client::FlightServiceClient;
use prost::Message;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use crate::harness::{Client, query, run, status, with_server};

const SET_BATCH_SIZE: &str = "SET datafusion.execution.batch_size = 77";

#[test]
fn a_setting_lasts_in_its_session_and_is_not_seen_in_others() {
    with_server(|server| async move {
        let (mut one, mut other) = (server.client().await, server.client().await);
        let before = batch_size(&mut other).await;
        run(&mut one, SET_BATCH_SIZE).await;
        assert_eq!(batch_size(&mut one).await, "77");
        assert_eq!(batch_size(&mut other).await, before);
        assert_eq!(batch_size(&mut server.anonymous().await).await, before);
    });
}

#[test]
fn a_token_names_its_session_on_every_connection() {
    with_server(|server| async move {
        let mut one = server.client().await;
        run(&mut one, SET_BATCH_SIZE).await;
        let mut again = server.anonymous().await;
        again.set_token(one.token().unwrap().clone());
        assert_eq!(batch_size(&mut again).await, "77");
    });
}

#[test]
fn a_cookie_names_a_session_too() {
    with_server(|server| async move {
        // What JDBC does: take the cookie of the first answer along.
        let mut plain = server.plain().await;
        let answer = plain.get_flight_info(arrow_flight::FlightDescriptor::new_cmd("SELECT 1")).await.unwrap();
        let cookie = answer.metadata().get("set-cookie").unwrap().to_str().unwrap().to_owned();
        let mut client = server.anonymous().await;
        client.set_header("cookie", cookie);
        run(&mut client, SET_BATCH_SIZE).await;
        assert_eq!(batch_size(&mut client).await, "77");
    });
}

#[test]
fn nobody_sets_anything_for_the_anonymous() {
    with_server(|server| async move {
        let mut anonymous = server.anonymous().await;
        let error = status(anonymous.execute(SET_BATCH_SIZE.into(), None).await.unwrap_err());
        assert_eq!(error.code(), Code::InvalidArgument);
        assert!(error.message().contains("session"), "{error}");
        // All other statements are theirs.
        run(&mut anonymous, "CREATE TABLE t (id BIGINT)").await;
        assert_eq!(run(&mut anonymous, "INSERT INTO t VALUES (1)").await, 1);
    });
}

#[test]
fn session_options_are_settings() {
    with_server(|server| async move {
        let mut client = server.client().await;
        let mut plain = server.plain().await;
        let token = client.token().unwrap().clone();
        let missing = action(&mut plain, "no-such-token", "GetSessionOptions", vec![]).await.unwrap_err();
        assert_eq!(missing.code(), Code::NotFound);

        let set = options("datafusion.execution.batch_size", "77");
        let errors = action(&mut plain, &token, "SetSessionOptions", set.clone()).await.unwrap();
        assert!(errors.is_empty());
        assert_eq!(batch_size(&mut client).await, "77");
        assert_eq!(action(&mut plain, &token, "GetSessionOptions", vec![]).await.unwrap(), set);

        let errors = action(&mut plain, &token, "SetSessionOptions", options("no.such_option", "1")).await.unwrap();
        assert!(!errors.is_empty());

        for _ in 0..2 {
            assert_eq!(action(&mut plain, &token, "CloseSession", vec![]).await.unwrap(), [8, 1]);
        }
        let closed = action(&mut plain, &token, "GetSessionOptions", vec![]).await.unwrap_err();
        assert_eq!(closed.code(), Code::NotFound);
    });
}

async fn batch_size(client: &mut Client) -> String {
    let sql = "SELECT value FROM information_schema.df_settings WHERE name = 'datafusion.execution.batch_size'";
    let rows = query(client, sql).await;
    rows.column(0).as_string::<i32>().value(0).to_owned()
}

/// The body of the one result of an action, as the client with `token`.
async fn action(
    plain: &mut FlightServiceClient<Channel>,
    token: &str,
    name: &str,
    body: Vec<u8>,
) -> Result<Vec<u8>, Status> {
    let mut request = Request::new(Action::new(name, body));
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    let mut results = plain.do_action(request).await?.into_inner();
    Ok(results.message().await?.unwrap().body.to_vec())
}

fn options(name: &str, value: &str) -> Vec<u8> {
    #[derive(Clone, PartialEq, Message)]
    struct Value {
        #[prost(string, optional, tag = "1")]
        string: Option<String>,
    }
    #[derive(Clone, PartialEq, Message)]
    struct Options {
        #[prost(btree_map = "string, message", tag = "1")]
        options: BTreeMap<String, Value>,
    }
    let options = BTreeMap::from([(name.to_owned(), Value { string: Some(value.to_owned()) })]);
    Options { options }.encode_to_vec()
}
