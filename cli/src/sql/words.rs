//! The names that the connection knows, for completion: asked for when they are first needed, and again after a change.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tokio::runtime::Handle;

use crate::target::Target;

/// The longest wait of Tab for names that are being asked for, a bound. After it, Tab makes do with the names that are known.
const WAIT_MAX: Duration = Duration::from_millis(400);

/// Names older than this are asked for again, without waiting: others change tables too.
const AGE_MAX: Duration = Duration::from_secs(30);

/// The names that completion offers.
#[derive(Clone, Debug, Default)]
pub(super) struct Words {
    /// Columns in their order, by schema and table.
    pub(super) tables: BTreeMap<(String, String), Vec<String>>,
    /// Functions of DataFusion and ours, that do not stand in FROM.
    pub(super) functions: Vec<String>,
    pub(super) indexes: Vec<String>,
    pub(super) settings: Vec<String>,
}

/// The names of a connection.
pub(super) struct Names {
    target: Target,
    runtime: Handle,
    state: Mutex<State>,
    fetched: Condvar,
}

#[derive(Default)]
struct State {
    words: Arc<Words>,
    /// The number of changes that were noted in this shell.
    changes: u64,
    /// The number of changes that `words` are of, and when they were asked for.
    fetched: Option<(u64, Instant)>,
    fetching: bool,
}

impl State {
    fn is_current(&self) -> bool {
        self.fetched.is_some_and(|(changes, _)| changes == self.changes)
    }

    fn is_old(&self) -> bool {
        self.fetched.is_none_or(|(changes, at)| changes != self.changes || at.elapsed() > AGE_MAX)
    }
}

impl Names {
    /// Nothing is asked yet.
    pub(super) fn new(target: Target, runtime: Handle) -> Arc<Self> {
        Arc::new(Self { target, runtime, state: Mutex::default(), fetched: Condvar::new() })
    }

    /// The names that are known by now, after a short wait if some may be missing.
    pub(super) fn words(self: &Arc<Self>) -> Arc<Words> {
        let mut state = self.state.lock();
        if state.is_old() && !state.fetching {
            state.fetching = true;
            self.runtime.spawn(Arc::clone(self).fetch(state.changes));
        }
        let deadline = Instant::now() + WAIT_MAX;
        while !state.is_current() && !self.fetched.wait_until(&mut state, deadline).timed_out() {}
        Arc::clone(&state.words)
    }

    /// Notes that tables, indexes or the like have changed.
    pub(super) fn changed(&self) {
        self.state.lock().changes += 1;
    }

    async fn fetch(self: Arc<Self>, changes: u64) {
        let asked = Instant::now();
        let words = Arc::new(fetch(&self.target).await);
        let mut state = self.state.lock();
        state.words = words;
        state.fetched = Some((changes, asked));
        state.fetching = false;
        self.fetched.notify_all();
    }
}

/// A query that fails is one without an answer: a server of another kind has no `system.indexes`.
async fn fetch(target: &Target) -> Words {
    let ask = async |sql: &str| match target.ask(sql).await {
        Ok(rows) => rows,
        Err(error) => {
            tracing::debug!(%error, sql, "names for completion cannot be asked for");
            Vec::new()
        }
    };
    let first = |rows: Vec<Vec<String>>| rows.into_iter().filter_map(|row| row.into_iter().next()).collect();
    let mut tables = BTreeMap::<_, Vec<String>>::new();
    let columns = "SELECT table_schema, table_name, column_name FROM information_schema.columns \
                   ORDER BY table_schema, table_name, ordinal_position";
    for row in ask(columns).await {
        if let Ok([schema, table, column]) = <[String; 3]>::try_from(row) {
            tables.entry((schema, table)).or_default().push(column);
        }
    }
    Words {
        tables,
        functions: first(ask("SELECT DISTINCT routine_name FROM information_schema.routines").await),
        indexes: first(ask("SELECT name FROM system.indexes").await),
        settings: first(ask("SELECT name FROM information_schema.df_settings").await),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ruvector_sql::{Engine, EngineConfig};

    #[test]
    fn names_follow_what_changes() {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .thread_stack_size(ruvector_flight_server::config::STACK_BYTES)
            .enable_all()
            .build()
            .unwrap();
        let engine = runtime.block_on(Engine::open(EngineConfig::default())).unwrap();
        let target = Target::embedded(engine);
        let names = Names::new(target.clone(), runtime.handle().clone());
        let until = |done: &dyn Fn(&Words) -> bool| {
            let start = Instant::now();
            while !done(&names.words()) {
                assert!(start.elapsed() < Duration::from_secs(20), "{:?}", names.words().tables);
            }
        };
        until(&|words| words.functions.iter().any(|name| name == "l2_distance"));
        let words = names.words();
        assert!(words.settings.iter().any(|name| name == "ruvector.nprobe"));
        assert_eq!(words.tables[&("system".to_owned(), "indexes".to_owned())][0], "name");

        let run = |sql: &'static str| {
            let target = target.clone();
            runtime.block_on(runtime.spawn(async move { target.execute(sql).await.map(drop) })).unwrap().unwrap();
        };
        run("CREATE TABLE docs (id BIGINT, vec FLOAT[2])");
        run("INSERT INTO docs VALUES (1, [1.0, 0.0])");
        run("CREATE INDEX docs_vec ON docs (vec)");
        let docs = ("main".to_owned(), "docs".to_owned());
        assert!(!names.words().tables.contains_key(&docs), "the server was not asked again");
        names.changed();
        until(&|words| words.tables.get(&docs).is_some_and(|columns| columns == &["id", "vec"]));
        assert_eq!(names.words().indexes, ["docs_vec"]);
    }
}
