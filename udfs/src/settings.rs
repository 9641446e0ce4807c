//! Settings of a session for its searches: `SET ruvector.use_index = false`. All settings are listed in
//! `information_schema.df_settings`, and `SHOW ruvector.use_index` shows one.

use std::any::Any;
use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use datafusion::common::config::{ConfigEntry, ConfigExtension, ConfigOptions, ExtensionOptions};
use datafusion::common::{Result, config_err};
use datafusion::prelude::SessionContext;
use ruvector_rulake::Consistency;

/// The value that takes a setting back.
const DEFAULT: &str = "default";

/// The settings of a session.
#[derive(Clone, Debug)]
pub struct Settings {
    /// True if searches use indexes, which is the default. Without indexes every vector is read and compared, and `ORDER BY
    /// distance LIMIT k` is what DataFusion makes of it.
    pub use_index: bool,
    /// Lists that a search of an `ivf_rabitq` index looks into, unless `knn()` says `nprobe =>`; as the index says if not
    /// set.
    pub nprobe: Option<usize>,
    /// Floor of candidates reranked exactly, as a multiple of `k`, unless `knn()` says `rerank_factor =>`; as the index says if not
    /// set.
    pub rerank_factor: Option<usize>,
    /// The consistency of answers, unless `knn()` says `consistency =>`: `fresh`, `eventual` or `stale`; if not set, that of the
    /// collection, the backend or the lake.
    pub consistency: Option<Consistency>,
    /// The age that an answer with `eventual` consistency may have, in milliseconds.
    pub ttl_ms: Option<u64>,
    /// The time that a statement may take, in milliseconds; as long as the engine lets it if not set.
    pub statement_timeout_ms: Option<u64>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            use_index: true,
            nprobe: None,
            rerank_factor: None,
            consistency: None,
            ttl_ms: None,
            statement_timeout_ms: None,
        }
    }
}

impl Settings {
    /// Those of a session.
    pub fn of(options: &ConfigOptions) -> Self {
        options.extensions.get::<Self>().cloned().unwrap_or_default()
    }

    /// The consistency of answers, if the session sets it.
    pub fn consistency(&self) -> Option<Consistency> {
        match (self.consistency, self.ttl_ms) {
            (Some(Consistency::Eventual(_)), Some(ttl)) => Some(Consistency::Eventual(Duration::from_millis(ttl))),
            (consistency, _) => consistency,
        }
    }
}

impl ConfigExtension for Settings {
    const PREFIX: &'static str = "ruvector";
}

impl ExtensionOptions for Settings {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }

    fn cloned(&self) -> Box<dyn ExtensionOptions> {
        Box::new(self.clone())
    }

    fn set(&mut self, key: &str, value: &str) -> Result<()> {
        match key {
            "use_index" => self.use_index = parsed(key, value, "true or false")?,
            "nprobe" => self.nprobe = at_least_one(key, value)?,
            "rerank_factor" => self.rerank_factor = at_least_one(key, value)?,
            "consistency" => self.consistency = optional(key, value, "fresh, eventual, stale or default")?,
            "ttl_ms" => self.ttl_ms = optional(key, value, "a number of milliseconds or default")?,
            "statement_timeout_ms" => {
                self.statement_timeout_ms = optional(key, value, "a number of milliseconds or default")?;
            }
            _ => {
                let known: Vec<String> = self.entries().into_iter().map(|entry| entry.key).collect();
                return config_err!("no such setting: ruvector.{key}; there are {}", known.join(", "));
            }
        }
        Ok(())
    }

    fn entries(&self) -> Vec<ConfigEntry> {
        let entry = |name: &str, value: Option<String>, description| {
            // DataFusion lists them as they are given here.
            ConfigEntry { key: format!("{}.{name}", Self::PREFIX), value, description }
        };
        fn shown(value: Option<impl Display>) -> Option<String> {
            value.map(|value| value.to_string())
        }
        vec![
            entry(
                "use_index",
                Some(self.use_index.to_string()),
                "Whether searches use indexes; without, every vector is read and compared",
            ),
            entry(
                "nprobe",
                shown(self.nprobe),
                "Lists that a search of an ivf_rabitq index looks into, unless knn() says nprobe =>; as the index says if not set",
            ),
            entry(
                "rerank_factor",
                shown(self.rerank_factor),
                "Floor of candidates reranked exactly, as a multiple of k, unless knn() says rerank_factor =>; as the index says if not set",
            ),
            entry(
                "consistency",
                shown(self.consistency),
                "How old answers may be (fresh, eventual, stale), unless knn() says consistency =>; as each backend says if not set",
            ),
            entry(
                "statement_timeout_ms",
                shown(self.statement_timeout_ms),
                "How long a statement may take, in milliseconds; as long as the engine lets it if not set",
            ),
            entry(
                "ttl_ms",
                shown(self.ttl_ms),
                "How old an answer that is eventual may be, in milliseconds; 5000 if not set",
            ),
        ]
    }
}

/// Gives a setting of a session the value back that it began with, and returns whether there was one. DataFusion would not
/// know our settings, and has other defaults for some of its own.
///
/// # Errors
/// `InvalidInput` if there is no such setting of ours.
pub fn reset(context: &SessionContext, variable: &str, defaults: &ConfigOptions) -> Result<bool> {
    let default = defaults.entries().into_iter().find(|entry| entry.key == variable);
    let is_ours = variable.strip_prefix(Settings::PREFIX).is_some_and(|rest| rest.starts_with('.'));
    let value = match default.and_then(|entry| entry.value) {
        Some(value) => value,
        // An unknown one is refused as SET refuses it.
        None if is_ours => DEFAULT.to_owned(),
        None => return Ok(false),
    };
    context.state_ref().write().config_mut().options_mut().set(variable, &value)?;
    Ok(true)
}

fn parsed<T: FromStr>(key: &str, value: &str, expected: &str) -> Result<T> {
    match value.trim().to_ascii_lowercase().parse() {
        Ok(value) => Ok(value),
        Err(_) => config_err!("ruvector.{key}: expected {expected}, got {value:?}"),
    }
}

/// `default` takes a setting back.
fn optional<T: FromStr>(key: &str, value: &str, expected: &str) -> Result<Option<T>> {
    match value.trim().eq_ignore_ascii_case(DEFAULT) {
        true => Ok(None),
        false => parsed(key, value, expected).map(Some),
    }
}

fn at_least_one(key: &str, value: &str) -> Result<Option<usize>> {
    const EXPECTED: &str = "an integer of at least 1 or default";
    match optional(key, value, EXPECTED)? {
        Some(0) => config_err!("ruvector.{key}: expected {EXPECTED}, got 0"),
        number => Ok(number),
    }
}
