//! A client's session.

use std::fmt;
use std::time::Duration;

use datafusion::common::config::Dialect;
use datafusion::prelude::SessionContext;

use crate::plan::cache::PlanCache;
use crate::running::Who;
use ruvector_udfs::role::Role;
use ruvector_udfs::settings::Settings;

/// One client's settings (`SET ...`) and its role. Statements of one session may run at the same time.
pub struct Session {
    context: SessionContext,
    who: Who,
    plans: PlanCache,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("id", &self.context.session_id())
            .field("user", &self.who.user)
            .field("role", &self.who.role)
            .finish_non_exhaustive()
    }
}

impl Session {
    pub(crate) fn new(context: SessionContext, who: Who) -> Self {
        Self { context, who, plans: PlanCache::new() }
    }

    /// Role of the session, by which its statements are allowed.
    pub fn role(&self) -> Role {
        self.who.role
    }

    /// The DataFusion session under this one, for programs that add functions, tables or rules of their own.
    pub fn context(&self) -> &SessionContext {
        &self.context
    }

    /// Time that the session's statements may take, if the session sets one.
    pub(crate) fn statement_timeout(&self) -> Option<Duration> {
        let state = self.context.state_ref();
        let state = state.read();
        let settings = state.config_options().extensions.get::<Settings>()?;
        settings.statement_timeout_ms.map(Duration::from_millis)
    }

    /// The dialect that its statements are written in.
    pub(crate) fn dialect(&self) -> Dialect {
        self.context.state_ref().read().config_options().sql_parser.dialect
    }

    pub(crate) fn who(&self) -> &Who {
        &self.who
    }

    /// The plans of statements that it ran before.
    pub(crate) fn plans(&self) -> &PlanCache {
        &self.plans
    }
}
