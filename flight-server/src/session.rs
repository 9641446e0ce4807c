//! Which session a call belongs to.
//!
//! There is no authentication: a bearer token or the session cookie only *names* a session, and a name not seen before
//! opens a new one. Handshakes of every kind therefore succeed, so that drivers that insist on one work.
//!
//! A call with neither is anonymous. Anonymous calls share one session, whose settings nobody can change: `SET` without
//! a session of one's own is an error, and every other statement that changes something runs in a session that ends with
//! it. Each anonymous answer offers a cookie; a client that keeps cookies (JDBC, ODBC) has its own session from its
//! second call on.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use ruvector_udfs::{Engine, Session};
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Request, Status};
use uuid::Uuid;

use crate::command::session_options::OptionValue;
use crate::config::{SESSION_IDLE_MAX, SESSIONS_MAX, TOKEN_BYTES_MAX};

const COOKIE: &str = "arrow_flight_session_id";

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    /// A client that named its session.
    Named(String),
    /// A client that named none; the name is offered to it as a cookie.
    Anonymous { offered: String },
}

impl Caller {
    /// The caller of a request with these headers.
    pub(crate) fn of(metadata: &MetadataMap) -> Result<Self, Status> {
        let Some(name) = bearer_token(metadata).or_else(|| session_cookie(metadata)) else {
            return Ok(Self::Anonymous { offered: Uuid::new_v4().to_string() });
        };
        if name.len() > TOKEN_BYTES_MAX {
            return Err(Status::invalid_argument(format!(
                "bearer token is too long: at most {TOKEN_BYTES_MAX} bytes, got {}",
                name.len()
            )));
        }
        Ok(Self::Named(name))
    }

    /// The caller that the front noted on `request`.
    pub(crate) fn from_request<T>(request: &Request<T>) -> Result<Self, Status> {
        match request.extensions().get::<Self>() {
            Some(caller) => Ok(caller.clone()),
            None => Self::of(request.metadata()),
        }
    }

    /// Adds the cookie that an anonymous client may keep to the headers of its answer.
    pub(crate) fn offer_cookie(&self, headers: &mut MetadataMap) {
        if let Self::Anonymous { offered } = self
            && let Ok(value) = MetadataValue::try_from(format!("{COOKIE}={offered}"))
        {
            headers.insert("set-cookie", value);
        }
    }

    /// The name of the session that a call that must have one belongs to.
    fn name(&self) -> &str {
        match self {
            Self::Named(name) => name,
            Self::Anonymous { offered } => offered,
        }
    }
}

/// The open sessions. Safe from many threads.
pub(crate) struct Sessions {
    engine: Arc<Engine>,
    shared: Arc<Session>,
    named: Mutex<HashMap<String, Named>>,
}

struct Named {
    session: Arc<Session>,
    options: BTreeMap<String, OptionValue>,
    last_used: Instant,
}

impl Sessions {
    pub(crate) fn new(engine: Arc<Engine>) -> Self {
        Self { shared: engine.session(), engine, named: Mutex::default() }
    }

    /// The session in which `caller` reads.
    pub(crate) fn for_query(&self, caller: &Caller) -> Arc<Session> {
        match caller {
            Caller::Named(name) => self.named(name),
            Caller::Anonymous { .. } => Arc::clone(&self.shared),
        }
    }

    /// The session in which `caller` runs the statement `sql` that answers with a count.
    ///
    /// # Errors
    /// `InvalidArgument` for an anonymous `SET`, which nobody would ever see.
    pub(crate) fn for_update(&self, caller: &Caller, sql: &str) -> Result<Arc<Session>, Status> {
        match caller {
            Caller::Named(name) => Ok(self.named(name)),
            Caller::Anonymous { .. } if changes_session(sql) => Err(Status::invalid_argument(
                "SET needs a session of its own: connect with a user name (any will do), a bearer token or cookies",
            )),
            Caller::Anonymous { .. } => Ok(self.engine.session()),
        }
    }

    /// The caller's own session, opened under the offered name if it has none yet.
    pub(crate) fn own(&self, caller: &Caller) -> Arc<Session> {
        self.named(caller.name())
    }

    /// Notes an option that was set in the caller's own session; `None` takes it away.
    pub(crate) fn note_option(&self, caller: &Caller, name: &str, value: Option<OptionValue>) {
        if let Some(named) = self.named.lock().get_mut(caller.name()) {
            match value {
                Some(value) => named.options.insert(name.to_owned(), value),
                None => named.options.remove(name),
            };
        }
    }

    /// The options of the caller's own session, or `None` if it has none. Opens nothing: clients ask this to find out
    /// whether their session is alive.
    pub(crate) fn options(&self, caller: &Caller) -> Option<BTreeMap<String, OptionValue>> {
        let mut named = self.named.lock();
        let session = named.get_mut(caller.name())?;
        session.last_used = Instant::now();
        Some(session.options.clone())
    }

    /// Forgets the caller's own session. Says whether there was one.
    pub(crate) fn close(&self, caller: &Caller) -> bool {
        self.named.lock().remove(caller.name()).is_some()
    }

    fn named(&self, name: &str) -> Arc<Session> {
        let mut named = self.named.lock();
        let now = Instant::now();
        if let Some(known) = named.get_mut(name) {
            known.last_used = now;
            return Arc::clone(&known.session);
        }
        if named.len() >= SESSIONS_MAX {
            named.retain(|_, session| now.duration_since(session.last_used) < SESSION_IDLE_MAX);
        }
        if named.len() >= SESSIONS_MAX
            && let Some(oldest) = named.iter().min_by_key(|(_, s)| s.last_used).map(|(name, _)| name.clone())
        {
            named.remove(&oldest);
        }
        let session = self.engine.session();
        let new = Named { session: Arc::clone(&session), options: BTreeMap::new(), last_used: now };
        named.insert(name.to_owned(), new);
        session
    }
}

/// The token of an `authorization: Bearer ...` header. Other schemes, as `Basic`, name no session.
pub(crate) fn bearer_token(metadata: &MetadataMap) -> Option<String> {
    let value = metadata.get("authorization")?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then(|| token.to_owned())
}

fn session_cookie(metadata: &MetadataMap) -> Option<String> {
    let cookies = metadata.get_all("cookie").iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let (_, value) = pairs.find(|(name, value)| *name == COOKIE && !value.is_empty())?;
    Some(value.trim_matches('"').to_owned())
}

fn changes_session(sql: &str) -> bool {
    let word = crate::script::first_word(sql);
    word.eq_ignore_ascii_case("set") || word.eq_ignore_ascii_case("reset")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bearer_token_names_the_session_before_a_cookie() {
        assert_eq!(caller(&[("authorization", "Bearer abc")]), Caller::Named("abc".into()));
        assert_eq!(caller(&[("authorization", "bearer abc"), ("cookie", "a=b")]), Caller::Named("abc".into()));
        assert_eq!(caller(&[("cookie", "x=1; arrow_flight_session_id=s7")]), Caller::Named("s7".into()));
        assert_eq!(
            caller(&[("authorization", "Bearer t"), ("cookie", "arrow_flight_session_id=s7")]),
            Caller::Named("t".into())
        );
    }

    #[test]
    fn other_clients_are_anonymous_and_are_offered_a_cookie() {
        for headers in [&[][..], &[("authorization", "Basic dTpw")], &[("authorization", "Bearer ")]] {
            let caller = caller(headers);
            let Caller::Anonymous { offered } = &caller else { panic!("{caller:?}") };
            let mut answer = MetadataMap::new();
            caller.offer_cookie(&mut answer);
            let cookie = answer.get("set-cookie").unwrap().to_str().unwrap();
            assert_eq!(cookie, format!("arrow_flight_session_id={offered}"));
        }
    }

    #[test]
    fn a_named_caller_is_offered_nothing() {
        let mut answer = MetadataMap::new();
        Caller::Named("abc".into()).offer_cookie(&mut answer);
        assert!(answer.is_empty());
    }

    #[test]
    fn an_endless_token_is_refused() {
        let mut headers = MetadataMap::new();
        let token = format!("Bearer {}", "x".repeat(TOKEN_BYTES_MAX + 1));
        headers.insert("authorization", token.parse().unwrap());
        assert_eq!(Caller::of(&headers).unwrap_err().code(), tonic::Code::InvalidArgument);
    }

    fn caller(headers: &[(&'static str, &str)]) -> Caller {
        let mut metadata = MetadataMap::new();
        for (name, value) in headers {
            metadata.insert(*name, value.parse().unwrap());
        }
        Caller::of(&metadata).unwrap()
    }
}
