//! Sessions: from a call and its authenticated caller to the SQL session that the call belongs to.
//!
//! Without authentication a bearer token or the session cookie only *names* a session, and a name not seen before opens a
//! new one. Handshakes of every kind therefore succeed, so that drivers that insist on one work.
//!
//! With authentication a session belongs to one user and one role. No user gets into the session of another. Statements are
//! checked with the role of the caller. The token of a sign-in is a session by itself. Many clients may have the same token of
//! the users file, or the same password that comes with every call. The cookie then names the session, among those of the token
//! or password; without a cookie the connection does.
//!
//! A call with none of these is anonymous. All anonymous calls share one session, whose settings cannot be changed: `SET` without
//! a session of one's own is an error, and every other statement that changes something runs in a session that ends with it.
//!
//! A call without a cookie is offered one; a client that keeps cookies (JDBC, ODBC) has its own session from its second call on.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use ruvector_sql::{Engine, Role, Session, StatementClass, statement_class};
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Request, Status};
use uuid::Uuid;

use crate::auth::{Authentication, Credential, Identity};
use crate::config::{ServerConfig, TOKEN_BYTES_MAX};
use crate::wire::headers::{bearer_token, session_cookie, session_cookie_of};
use crate::wire::status::internal;

use super::session_option::OptionValue;

/// The caller of a request. Its `Debug` does not show the name of the session, which may be a token.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    /// The authenticated identity; `None` without authentication.
    identity: Option<Identity>,
    peer: Option<SocketAddr>,
    session: SessionName,
}

#[derive(Clone, PartialEq, Eq)]
enum SessionName {
    /// A client that named its session.
    Named(String),
    /// A client that named none. It has the session `connection`, or reads in that of all without authentication; `cookie` is
    /// offered to it, and `offered` is the session that it then has.
    Anonymous { connection: Option<String>, cookie: String, offered: String },
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (user, role) = (self.user(), self.role());
        f.debug_struct("Caller").field("user", &user).field("role", &role).field("peer", &self.peer).finish()
    }
}

impl Caller {
    /// The caller of a request, if `authentication` lets it in.
    ///
    /// # Errors
    /// `Unauthenticated`; `InvalidArgument` for a name of a session that is too long.
    pub(crate) async fn of<T>(authentication: &Authentication, request: &Request<T>) -> Result<Self, Status> {
        let peer = request.remote_addr();
        Ok(match authentication.caller(request.metadata()).await? {
            Some((identity, credential)) => {
                let session = match credential {
                    Credential::Issued(name) => SessionName::Named(name),
                    Credential::Shared(kind) => SessionName::of_cookie(kind, peer, request.metadata())?,
                };
                Self { identity: Some(identity), peer, session }
            }
            None => Self { identity: None, peer, session: SessionName::of(request.metadata())? },
        })
    }

    /// The caller that the authentication layer ([`crate::flight::auth_layer`]) noted on `request`.
    pub(crate) fn from_request<T>(request: &Request<T>) -> Result<Self, Status> {
        // A command that is reached without the authentication layer must not be open to any client.
        request
            .extensions()
            .get::<Self>()
            .cloned()
            .ok_or_else(|| internal("request reached a handler without passing authentication"))
    }

    /// The user; `None` without authentication.
    pub(crate) fn user(&self) -> Option<&str> {
        self.identity.as_ref().map(|identity| &*identity.user)
    }

    /// True if the caller's identity is `identity`.
    pub(crate) fn is_identity(&self, identity: Option<&Identity>) -> bool {
        self.identity.as_ref() == identity
    }

    /// The role of the caller.
    pub(crate) fn role(&self) -> Role {
        self.identity.as_ref().map_or(Role::Admin, |identity| identity.role)
    }

    /// The address of the caller.
    pub(crate) fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// Adds the cookie that an anonymous client may keep to the headers of its answer.
    pub(crate) fn offer_cookie(&self, headers: &mut MetadataMap) {
        if let SessionName::Anonymous { cookie, .. } = &self.session
            && let Ok(value) = MetadataValue::try_from(session_cookie_of(cookie))
        {
            headers.insert("set-cookie", value);
        }
    }

    /// The session that a call that must have one belongs to.
    fn key(&self) -> Key {
        match &self.session {
            SessionName::Named(name)
            | SessionName::Anonymous { connection: Some(name), .. }
            | SessionName::Anonymous { connection: None, offered: name, .. } => self.key_of(name),
        }
    }

    /// The caller's session of this name.
    fn key_of(&self, name: &str) -> Key {
        let user = self.identity.as_ref().map(|identity| (Arc::clone(&identity.user), identity.role));
        Key { user, name: name.to_owned() }
    }
}

impl SessionName {
    /// The session that the headers name.
    fn of(metadata: &MetadataMap) -> Result<Self, Status> {
        match bearer_token(metadata).or_else(|| session_cookie(metadata)) {
            Some(name) => checked_name(name).map(Self::Named),
            None => {
                let cookie = Uuid::new_v4().to_string();
                Ok(Self::Anonymous { connection: None, offered: cookie.clone(), cookie })
            }
        }
    }

    /// The session that the cookie names among those of one kind of credential, or without one the connection from `peer`.
    fn of_cookie(kind: &str, peer: Option<SocketAddr>, metadata: &MetadataMap) -> Result<Self, Status> {
        // No other name of a session has a space in it.
        let among = |cookie: &str| format!("{kind} {cookie}");
        match session_cookie(metadata) {
            Some(cookie) => Ok(Self::Named(among(&checked_name(cookie)?))),
            None => {
                let cookie = Uuid::new_v4().to_string();
                let peer = peer.map(|peer| peer.to_string()).unwrap_or_default();
                Ok(Self::Anonymous { connection: Some(format!("{kind}@{peer}")), offered: among(&cookie), cookie })
            }
        }
    }
}

fn checked_name(name: String) -> Result<String, Status> {
    match name.len() {
        0..=TOKEN_BYTES_MAX => Ok(name),
        bytes => Err(Status::invalid_argument(format!(
            "bearer token or session cookie is too long: at most {TOKEN_BYTES_MAX} bytes, got {bytes}"
        ))),
    }
}

/// The key of a session: its owner and its name.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    user: Option<(Arc<str>, Role)>,
    name: String,
}

/// The open sessions. Safe from many threads.
pub(crate) struct Sessions {
    engine: Arc<Engine>,
    shared: Arc<Session>,
    sessions_max: usize,
    idle_max: Duration,
    named: Mutex<HashMap<Key, Named>>,
}

struct Named {
    session: Arc<Session>,
    options: BTreeMap<String, OptionValue>,
    last_used: Instant,
}

impl Sessions {
    pub(crate) fn new(engine: Arc<Engine>, config: &ServerConfig) -> Self {
        let (sessions_max, idle_max) = (config.sessions_max, config.session_idle_max);
        Self { shared: engine.session(), engine, sessions_max, idle_max, named: Mutex::default() }
    }

    /// The session in which `caller` reads.
    pub(crate) fn for_query(&self, caller: &Caller) -> Arc<Session> {
        match &caller.session {
            SessionName::Named(_) | SessionName::Anonymous { connection: Some(_), .. } => {
                self.open(caller, caller.key())
            }
            SessionName::Anonymous { connection: None, .. } => Arc::clone(&self.shared),
        }
    }

    /// The session in which `caller` runs the statement `sql` that answers with a count.
    ///
    /// # Errors
    /// `InvalidArgument` for an anonymous `SET`, whose effect no statement would ever see.
    pub(crate) fn for_update(&self, caller: &Caller, sql: &str) -> Result<Arc<Session>, Status> {
        let changes_session = statement_class(sql) == StatementClass::Setting;
        match caller.session {
            SessionName::Named(_) => Ok(self.own(caller)),
            SessionName::Anonymous { connection: Some(_), .. } if changes_session => Ok(self.own(caller)),
            SessionName::Anonymous { connection: Some(_), .. } => Ok(self.open(caller, caller.key())),
            SessionName::Anonymous { connection: None, .. } if changes_session => Err(Status::invalid_argument(
                "SET needs a session of its own: connect with a user name (any will do), a bearer token or cookies",
            )),
            SessionName::Anonymous { connection: None, .. } => Ok(self.engine.session_of(caller.user(), caller.role())),
        }
    }

    /// Notes an option that was set in the caller's own session; `None` takes it away.
    pub(crate) fn note_option(&self, caller: &Caller, name: &str, value: Option<OptionValue>) {
        if let Some(named) = self.named.lock().get_mut(&caller.key()) {
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
        let session = named.get_mut(&caller.key())?;
        session.last_used = Instant::now();
        Some(session.options.clone())
    }

    /// The number of open sessions.
    pub(crate) fn len(&self) -> usize {
        self.named.lock().len()
    }

    /// Forgets the caller's own session. Says whether there was one.
    pub(crate) fn close(&self, caller: &Caller) -> bool {
        self.named.lock().remove(&caller.key()).is_some()
    }

    /// The caller's own session, opened under the offered name if it has none yet, and if it is the connection's, known by the
    /// offered name from now on: the next call of a client that keeps cookies comes with it.
    pub(crate) fn own(&self, caller: &Caller) -> Arc<Session> {
        let session = self.open(caller, caller.key());
        if let SessionName::Anonymous { connection: Some(_), offered, .. } = &caller.session {
            let known = Named { session: Arc::clone(&session), options: BTreeMap::new(), last_used: Instant::now() };
            self.named.lock().insert(caller.key_of(offered), known);
        }
        session
    }

    fn open(&self, caller: &Caller, key: Key) -> Arc<Session> {
        let mut named = self.named.lock();
        let now = Instant::now();
        if let Some(known) = named.get_mut(&key) {
            known.last_used = now;
            return Arc::clone(&known.session);
        }
        if named.len() >= self.sessions_max {
            named.retain(|_, session| now.duration_since(session.last_used) < self.idle_max);
        }
        if named.len() >= self.sessions_max
            && let Some(crowded_out) = crowded_out(named.iter().map(|(key, session)| (key, session.last_used)), &key)
        {
            named.remove(&crowded_out);
        }
        let session = self.engine.session_of(caller.user(), caller.role());
        let new = Named { session: Arc::clone(&session), options: BTreeMap::new(), last_used: now };
        named.insert(key, new);
        session
    }
}

/// The session that is forgotten to make room for `new`: of the user with the most sessions, `new` included, the one unused for
/// longest. A user with few sessions keeps them, however often others sign in.
fn crowded_out<'a>(sessions: impl Iterator<Item = (&'a Key, Instant)> + Clone, new: &Key) -> Option<Key> {
    let user = |key: &Key| key.user.as_ref().map(|(name, _)| Arc::clone(name));
    let mut counts = HashMap::new();
    for (key, _) in sessions.clone() {
        *counts.entry(user(key)).or_insert(0) += 1;
    }
    if let Some(count) = counts.get_mut(&user(new)) {
        *count += 1;
    }
    // Of users with as many, the one who signs in gives way.
    let (most, _) = counts.into_iter().max_by_key(|(name, count)| (*count, *name == user(new)))?;
    let theirs = sessions.filter(|(key, _)| user(key) == most);
    theirs.min_by_key(|(_, last_used)| *last_used).map(|(key, _)| key.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bearer_token_names_the_session_before_a_cookie() {
        for (headers, name) in [
            (&[("authorization", "Bearer abc")][..], "abc"),
            (&[("authorization", "bearer abc"), ("cookie", "a=b")], "abc"),
            (&[("cookie", "x=1; arrow_flight_session_id=s7")], "s7"),
            (&[("authorization", "Bearer t"), ("cookie", "arrow_flight_session_id=s7")], "t"),
        ] {
            let caller = caller(headers).unwrap();
            assert!(caller.session == SessionName::Named(name.into()));
            assert!(!format!("{caller:?}").contains(name));
        }
    }

    #[test]
    fn other_clients_are_anonymous_and_are_offered_a_cookie() {
        for headers in [&[][..], &[("authorization", "Basic dTpw")], &[("authorization", "Bearer ")]] {
            let caller = caller(headers).unwrap();
            let SessionName::Anonymous { offered, cookie, .. } = &caller.session else { panic!("{caller:?}") };
            let mut answer = MetadataMap::new();
            caller.offer_cookie(&mut answer);
            let set = answer.get("set-cookie").unwrap().to_str().unwrap();
            assert_eq!(set, format!("arrow_flight_session_id={cookie}"));
            assert_eq!(offered, cookie);
        }
    }

    #[test]
    fn a_named_caller_is_offered_nothing() {
        let mut answer = MetadataMap::new();
        caller(&[("authorization", "Bearer abc")]).unwrap().offer_cookie(&mut answer);
        assert!(answer.is_empty());
    }

    #[test]
    fn a_cookie_names_a_session_among_those_of_its_credential() {
        let of = |cookie: Option<&str>| {
            let mut metadata = MetadataMap::new();
            if let Some(cookie) = cookie {
                metadata.insert("cookie", session_cookie_of(cookie).parse().unwrap());
            }
            SessionName::of_cookie("token", Some(([127, 0, 0, 1], 7).into()), &metadata)
        };
        let Ok(SessionName::Anonymous { connection, cookie, offered }) = of(None) else { panic!("it is named") };
        assert_eq!(connection.as_deref(), Some("token@127.0.0.1:7"));
        assert!(of(Some(&cookie)).unwrap() == SessionName::Named(offered));
        // No cookie names the session of a connection.
        assert!(of(Some("@127.0.0.1:7")).unwrap() != SessionName::Named("token@127.0.0.1:7".into()));
        assert!(of(Some(&"x".repeat(TOKEN_BYTES_MAX + 1))).is_err());
    }

    #[test]
    fn a_user_who_signs_in_again_and_again_ends_no_session_of_another() {
        let key = |user: &str, name: u64| Key { user: Some((user.into(), Role::Reader)), name: name.to_string() };
        let start = Instant::now();
        // Ann's is the oldest of all.
        let mut open = vec![(key("ann", 0), start)];
        open.extend((0..3).map(|name| (key("bob", name), start + Duration::from_secs(1 + name))));
        let crowded_out = |open: &[(Key, Instant)], new: Key| {
            let Key { user, name } = crowded_out(open.iter().map(|(key, last_used)| (key, *last_used)), &new).unwrap();
            (user.unwrap().0.to_string(), name)
        };
        let first_of = |user: &str| (user.to_owned(), "0".to_owned());
        assert_eq!(crowded_out(&open, key("bob", 3)), first_of("bob"));
        assert_eq!(crowded_out(&open, key("eve", 0)), first_of("bob"));
        // With one session each, a user who signs in again loses the own one; a new user ends the oldest of all.
        open.truncate(2);
        assert_eq!(crowded_out(&open, key("bob", 1)), first_of("bob"));
        open.truncate(1);
        assert_eq!(crowded_out(&open, key("eve", 0)), first_of("ann"));
    }

    #[test]
    fn an_endless_token_is_refused() {
        let token = format!("Bearer {}", "x".repeat(TOKEN_BYTES_MAX + 1));
        assert_eq!(caller(&[("authorization", &token)]).unwrap_err().code(), tonic::Code::InvalidArgument);
    }

    #[test]
    fn a_command_that_nobody_guards_is_refused() {
        assert_eq!(Caller::from_request(&Request::new(())).unwrap_err().code(), tonic::Code::Internal);
    }

    fn caller(headers: &[(&'static str, &str)]) -> Result<Caller, Status> {
        let mut request = Request::new(());
        for (name, value) in headers {
            request.metadata_mut().insert(*name, value.parse().unwrap());
        }
        futures::executor::block_on(Caller::of(&Authentication::Open, &request))
    }
}
