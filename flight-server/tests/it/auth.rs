//! Authentication of calls.

use std::time::Duration;

use arrow_flight::error::FlightError;
use arrow_flight::{Action, Criteria, Empty, FlightDescriptor, HandshakeRequest, Ticket};
use futures::stream;
use ruvector_flight_server::Setup;
use tonic::{Code, Request};

use crate::guarded::{Guarded, ROLES, TOKEN, password, request_as};
use crate::harness::{Client, number, query, run, table, try_query, with_setup};

fn code(error: &FlightError) -> Code {
    match error {
        FlightError::Tonic(status) => status.code(),
        // arrow-flight leaves nothing but the text of a handshake's status.
        other if other.to_string().contains("valid authentication credentials") => Code::Unauthenticated,
        other => panic!("expected a status, got {other}"),
    }
}

async fn refused(mut client: Client) {
    let error = client.execute("SELECT 1".into(), None).await.unwrap_err();
    assert_eq!(code(&error), Code::Unauthenticated);
    let FlightError::Tonic(status) = error else { panic!("{error}") };
    let expected = "the bearer token is missing, wrong or no longer good: sign in with user and password";
    assert_eq!(status.message(), expected);
}

#[test]
fn users_and_tokens_come_in() {
    with_setup(Guarded::new().setup(), |server| async move {
        for role in ROLES {
            assert_eq!(number(&mut server.sign_in(role).await, "SELECT 1").await, 1);
        }
        assert_eq!(number(&mut server.with_token(TOKEN).await, "SELECT 1").await, 1);
        // A driver that has a token may shake hands with it: JDBC does.
        let mut client = server.with_token(TOKEN).await;
        assert_eq!(client.handshake("", "").await.unwrap(), TOKEN);
        let mut plain = server.plain().await;
        let request = request_as(&client, stream::iter([HandshakeRequest::default()]));
        let answer = plain.handshake(request).await.unwrap();
        assert_eq!(answer.metadata().get("authorization").unwrap(), &format!("Bearer {TOKEN}"));
    });
}

#[test]
fn a_wrong_password_and_an_unknown_user_look_the_same() {
    with_setup(Guarded::new().setup(), |server| async move {
        let mut texts = Vec::new();
        for (user, password) in [
            ("reader", "wrong".to_owned()),
            ("nobody", password("reader")),
            ("nobody", String::new()),
            ("", String::new()),
            ("dashboard", TOKEN.to_owned()),
            ("reader", "x".repeat(5000)),
        ] {
            let error = server.try_sign_in(user, &password).await.unwrap_err();
            assert_eq!(code(&error), Code::Unauthenticated, "{error}");
            texts.push(error.to_string());
        }
        assert!(texts[0].contains("sign-in failed: wrong user or password"), "{}", texts[0]);
        assert!(texts.iter().all(|text| *text == texts[0]), "{texts:?}");
    });
}

#[test]
fn forged_tokens_are_refused() {
    with_setup(Guarded::new().setup(), |server| async move {
        let good = server.sign_in("admin").await.token().unwrap().clone();
        let other = server.sign_in("reader").await.token().unwrap().clone();
        let (name, _) = good.split_once('.').unwrap();
        let (_, secret) = other.split_once('.').unwrap();
        for forged in [
            "x".to_owned(),
            format!("{name}.{secret}"),
            format!("{name}."),
            good[..good.len() - 1].to_owned(),
            format!("{good}x"),
            TOKEN.to_uppercase(),
            "x".repeat(20_000),
        ] {
            refused(server.with_token(&forged).await).await;
        }
        refused(server.anonymous().await).await;
        // A session's cookie is no credential.
        let mut cookie = server.anonymous().await;
        cookie.set_header("cookie", "arrow_flight_session_id=x");
        refused(cookie).await;
        let mut basic = server.anonymous().await;
        basic.set_header("authorization", "Basic cmVhZGVyOng=");
        assert_eq!(code(&basic.execute("SELECT 1".into(), None).await.unwrap_err()), Code::Unauthenticated);
    });
}

#[test]
fn every_call_asks_who_it_is() {
    with_setup(Guarded::new().setup(), |server| async move {
        let mut plain = server.plain().await;
        let sql = || FlightDescriptor::new_cmd("SELECT 1");
        let path = || FlightDescriptor::new_path(vec!["docs".into()]);
        let codes = [
            plain.get_flight_info(sql()).await.err(),
            plain.poll_flight_info(sql()).await.err(),
            plain.get_schema(sql()).await.err(),
            plain.get_schema(path()).await.err(),
            plain.list_flights(Criteria::default()).await.err(),
            plain.do_get(Ticket::new("SELECT 1")).await.err(),
            plain.do_put(stream::empty()).await.err(),
            plain.do_exchange(stream::empty()).await.err(),
            plain.list_actions(Empty {}).await.err(),
            plain.handshake(stream::empty()).await.err(),
            plain.do_action(Action::new("CreatePreparedStatement", "")).await.err(),
            plain.do_action(Action::new("GetSessionOptions", "")).await.err(),
            plain.do_action(Action::new("CancelFlightInfo", "")).await.err(),
            plain.do_action(Action::new("x", "")).await.err(),
        ]
        .map(|error| error.map(|status| status.code()));
        assert_eq!(codes, [Some(Code::Unauthenticated); 14]);
        let mut anonymous = server.anonymous().await;
        assert_eq!(code(&anonymous.get_table_types().await.unwrap_err()), Code::Unauthenticated);
        assert_eq!(code(&anonymous.get_catalogs().await.unwrap_err()), Code::Unauthenticated);
    });
}

#[test]
fn a_token_expires() {
    let guarded = Guarded::new();
    let mut config = guarded.config();
    config.auth.token_lifetime = Duration::from_millis(1500);
    with_setup(Setup::load(config).unwrap(), |server| async move {
        let mut client = server.sign_in("reader").await;
        assert_eq!(number(&mut client, "SELECT 1").await, 1);
        tokio::time::sleep(Duration::from_millis(1600)).await;
        refused(client).await;
        assert_eq!(number(&mut server.sign_in("reader").await, "SELECT 1").await, 1);
    });
}

#[test]
fn who_is_taken_out_of_the_file_is_out() {
    let guarded = Guarded::new();
    with_setup(guarded.setup(), |server| async move {
        let (gone, demoted) = (server.sign_in("writer").await, server.sign_in("admin").await);
        let mut stays = server.sign_in("reader").await;
        guarded.write_users(&[("reader", "reader"), ("admin", "reader")]);
        refused(gone).await;
        // Another role is another identity: its user signs in again.
        refused(demoted).await;
        assert_eq!(number(&mut stays, "SELECT 1").await, 1);
        assert!(server.try_sign_in("writer", &password("writer")).await.is_err());
        let mut reader = server.sign_in("admin").await;
        let error = reader.execute("CREATE TABLE t (id BIGINT)".into(), None).await.unwrap_err();
        assert_eq!(code(&error), Code::PermissionDenied);
        // A file that cannot be read changes nothing.
        std::fs::write(guarded.path("users.toml"), "[users").unwrap();
        assert_eq!(number(&mut stays, "SELECT 1").await, 1);
    });
}

#[test]
fn sessions_are_their_users() {
    with_setup(Guarded::new().setup(), |server| async move {
        let mut one = server.sign_in("writer").await;
        run(&mut one, "SET datafusion.execution.batch_size = 77").await;
        let shown = "SHOW datafusion.execution.batch_size";
        assert!(table(&query(&mut one, shown).await).contains("77"));
        let mut again = server.with_token(one.token().unwrap()).await;
        assert!(table(&query(&mut again, shown).await).contains("77"));
        for mut other in [server.sign_in("writer").await, server.sign_in("admin").await, server.with_token(TOKEN).await]
        {
            assert!(!table(&query(&mut other, shown).await).contains("77"));
        }
    });
}

#[test]
fn clients_with_the_same_token_have_sessions_of_their_own() {
    with_setup(Guarded::new().setup(), |server| async move {
        let (set, shown) = ("SET datafusion.execution.batch_size = 77", "SHOW datafusion.execution.batch_size");
        // Without a cookie it is the connection's, and a cookie is offered.
        let mut connected = server.with_token(TOKEN).await;
        run(&mut connected, set).await;
        assert!(table(&query(&mut connected, shown).await).contains("77"));
        let mut without = server.with_token(TOKEN).await;
        assert!(!table(&query(&mut without, shown).await).contains("77"));
        let request = request_as(&without, FlightDescriptor::new_cmd("SELECT 1"));
        let answer = server.plain().await.get_flight_info(request).await.unwrap();
        let offered = answer.metadata().get("set-cookie").unwrap().to_str().unwrap().to_owned();
        let mut one = server.with_token(TOKEN).await;
        one.set_header("cookie", offered.clone());
        run(&mut one, set).await;
        assert!(table(&query(&mut one, shown).await).contains("77"));
        // It is its own: neither another cookie has it, nor none, nor the same cookie of another user.
        let mut two = server.with_token(TOKEN).await;
        two.set_header("cookie", "arrow_flight_session_id=two");
        let mut other = server.sign_in("reader").await;
        other.set_header("cookie", offered);
        for client in [&mut without, &mut two, &mut other] {
            assert!(!table(&query(client, shown).await).contains("77"));
        }
        // The role is the token's, in the session of a connection and in one of a cookie.
        for client in [&mut without, &mut one] {
            let error = client.execute("CREATE TABLE t (id BIGINT)".into(), None).await.unwrap_err();
            assert_eq!(code(&error), Code::PermissionDenied);
        }
    });
}

#[test]
fn an_error_of_a_call_without_a_token_does_not_say_what_there_is() {
    with_setup(Guarded::new().setup(), |server| async move {
        let mut admin = server.sign_in("admin").await;
        run(&mut admin, "CREATE TABLE docs (id BIGINT)").await;
        let mut anonymous = server.anonymous().await;
        let mut texts = Vec::new();
        for sql in ["SELECT * FROM docs", "SELECT * FROM missing", "not sql"] {
            texts.push(try_query(&mut anonymous, sql).await.unwrap_err().to_string());
        }
        assert!(texts.iter().all(|text| *text == texts[0]), "{texts:?}");
        let mut plain = server.plain().await;
        let ticket = Request::new(Ticket::new("\u{0}\u{1}garbage"));
        assert_eq!(plain.do_get(ticket).await.err().unwrap().code(), Code::Unauthenticated);
    });
}

#[test]
fn a_message_of_a_stranger_is_not_read() {
    let guarded = Guarded::new();
    let mut config = guarded.config();
    config.server.message_bytes_max = 64 << 10;
    with_setup(Setup::load(config).unwrap(), |server| async move {
        let large = || FlightDescriptor::new_cmd(vec![b' '; 128 << 10]);
        let refused = server.plain().await.get_flight_info(large()).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated);
        // An authenticated caller is told the reason.
        let client = server.sign_in("reader").await;
        let too_large = server.plain().await.get_flight_info(request_as(&client, large())).await.unwrap_err();
        assert_eq!(too_large.code(), Code::OutOfRange);
    });
}

#[test]
fn a_client_without_a_handshake_may_send_its_password_with_every_call() {
    let guarded = Guarded::new();
    with_setup(guarded.setup(), |server| async move {
        let ask = async |user: &str, password: &str| {
            let encoded =
                base64::Engine::encode(&base64::engine::general_purpose::STANDARD, format!("{user}:{password}"));
            let mut request = Request::new(Ticket::new("SELECT 1"));
            request.metadata_mut().insert("authorization", format!("Basic {encoded}").parse().unwrap());
            server.plain().await.do_get(request).await.map(drop).map_err(|status| status.code())
        };
        for _ in 0..2 {
            assert_eq!(ask("reader", &password("reader")).await, Ok(()));
            assert_eq!(ask("reader", &password("admin")).await, Err(Code::Unauthenticated));
            assert_eq!(ask("nobody", "").await, Err(Code::Unauthenticated));
        }
        // Who is taken out of the file is out, however right the password was.
        guarded.write_users(&[("admin", "admin")]);
        tokio::time::timeout(Duration::from_secs(20), async {
            while ask("reader", &password("reader")).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
        .await
        .unwrap();
    });
}
