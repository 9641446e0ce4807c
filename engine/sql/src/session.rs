//! A client's session: its DataFusion session, its user and role, and the plans that it keeps.

use std::fmt;
use std::time::Duration;

use datafusion::common::config::Dialect;
use datafusion::prelude::{SessionConfig, SessionContext};

use crate::plan::cache::PlanCache;
use crate::running::statement::Principal;
use ruvector_udfs::names::{CATALOG, MAIN};
use ruvector_udfs::role::Role;
use ruvector_udfs::settings::Settings;

/// One client's settings (`SET ...`) and its role. Statements of one session may run at the same time.
pub struct Session {
    context: SessionContext,
    principal: Principal,
    plans: PlanCache,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("id", &self.context.session_id())
            .field("user", &self.principal.user)
            .field("role", &self.principal.role)
            .finish_non_exhaustive()
    }
}

impl Session {
    pub(crate) fn new(context: SessionContext, principal: Principal) -> Self {
        Self { context, principal, plans: PlanCache::new() }
    }

    /// Role of the session, by which its statements are allowed.
    pub fn role(&self) -> Role {
        self.principal.role
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

    /// The user and the role of the session.
    pub(crate) fn principal(&self) -> &Principal {
        &self.principal
    }

    /// The plans of statements that it ran before.
    pub(crate) fn plans(&self) -> &PlanCache {
        &self.plans
    }
}

/// The settings that a session begins with.
pub(crate) fn default_settings() -> SessionConfig {
    let mut config = SessionConfig::new()
        .with_default_catalog_and_schema(CATALOG, MAIN)
        .with_create_default_catalog_and_schema(false)
        .with_information_schema(true)
        .with_option_extension(Settings::default());
    // Errors then say where in the text they are.
    config.options_mut().sql_parser.collect_spans = true;
    // Plain strings: some drivers do not know string views.
    config.options_mut().sql_parser.map_string_types_to_utf8view = false;
    config.options_mut().execution.parquet.schema_force_view_types = false;
    config
}
