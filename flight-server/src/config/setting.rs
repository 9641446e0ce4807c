//! The list of settings. A new one is a field of a section of [`Config`] and a line here: its flag, its variable, its key,
//! its check and its documentation follow.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Config;

/// One setting.
pub(super) struct Setting {
    /// Section and name: its key in the file.
    pub(super) key: &'static str,
    /// The place of its value, and the values that are allowed.
    pub(super) field: Field,
    /// Its documentation, in sentences.
    pub(super) doc: &'static str,
}

/// The place of the value of a setting, by its type.
pub(super) enum Field {
    Text(fn(&mut Config) -> &mut String),
    OptionalText(fn(&mut Config) -> &mut Option<String>),
    /// A file or folder; one that is not absolute is looked for from the working directory, and if the file of settings
    /// names it, from the folder of that file.
    Path(fn(&mut Config) -> &mut Option<PathBuf>),
    Switch(fn(&mut Config) -> &mut bool),
    /// An integer with its smallest and largest value and its unit.
    Number(u64, u64, &'static str, fn(&mut Config) -> &mut usize),
    /// Whole seconds, at least so many.
    Seconds(u64, fn(&mut Config) -> &mut Duration),
}

/// Longest time that can be set, in seconds: a year.
const SECONDS_MAX: u64 = 366 * 24 * 60 * 60;

use Field::{Number, OptionalText, Seconds, Switch, Text};

/// All settings, by section, in the order in which they are documented.
pub(super) const SETTINGS: [Setting; 32] = [
    Setting {
        key: "server.listen",
        field: Text(|c| &mut c.server.listen),
        doc: "`HOST:PORT` to listen on; port 0 takes a free one. An address that other machines can reach needs TLS and users.",
    },
    Setting {
        key: "server.insecure_allow_remote",
        field: Switch(|c| &mut c.server.insecure_allow_remote),
        doc: "Listen on an address that other machines can reach although TLS, authentication or both are missing.",
    },
    Setting {
        key: "server.message_bytes_max",
        field: Number(64 << 10, 2 << 30, "bytes", |c| &mut c.server.message_bytes_max),
        doc: "Largest message that is read. ADBC sends a batch of an ingest as one message.",
    },
    Setting {
        key: "server.header_list_bytes_max",
        field: Number(1 << 10, 16 << 20, "bytes", |c| &mut c.server.header_list_bytes_max),
        doc: "Largest list of request headers. JDBC sends connection parameters and cookies as headers.",
    },
    Setting {
        key: "server.sessions_max",
        field: Number(1, 1_000_000, "sessions", |c| &mut c.server.sessions_max),
        doc: "Sessions that are kept; beyond it the one unused for longest is forgotten, of the user who has the most.",
    },
    Setting {
        key: "server.session_idle_seconds_max",
        field: Seconds(1, |c| &mut c.server.session_idle_max),
        doc: "A session unused for this long is forgotten with its settings.",
    },
    Setting {
        key: "server.drain_seconds_max",
        field: Seconds(0, |c| &mut c.server.drain_max),
        doc: "On SIGTERM, the time for running statements to finish before they are cut off.",
    },
    Setting {
        key: "server.ping_interval_seconds",
        field: Seconds(1, |c| &mut c.server.ping_interval),
        doc: "Time between pings on a silent connection. Load balancers drop idle connections after 4 to 6 minutes.",
    },
    Setting {
        key: "server.keep_alive_seconds",
        field: Seconds(1, |c| &mut c.server.keep_alive_interval),
        doc: "Time between batches without rows on the stream of a query that has none yet, for proxies that cut silent streams.",
    },
    Setting {
        key: "server.statements_max",
        field: Number(1, 100_000, "statements", |c| &mut c.server.statements_max),
        doc: "Statements that run at the same time; more wait, first come first served.",
    },
    Setting {
        key: "server.statements_per_user_max",
        field: Number(0, 100_000, "statements", |c| &mut c.server.statements_per_user_max),
        doc: "Statements of one user that run at the same time; 0 is three quarters of `server.statements_max`. Without authentication there is no such limit.",
    },
    Setting {
        key: "server.statements_waiting_max",
        field: Number(0, 1_000_000, "statements", |c| &mut c.server.statements_waiting_max),
        doc: "Statements that wait; more are answered `UNAVAILABLE`.",
    },
    Setting {
        key: "server.statement_wait_seconds_max",
        field: Seconds(0, |c| &mut c.server.statement_wait_max),
        doc: "How long a statement waits before it is answered `UNAVAILABLE`.",
    },
    Setting {
        key: "server.statement_seconds_max",
        field: Seconds(0, |c| &mut c.server.statement_time_max),
        doc: "How long a statement may take; 0 is no limit. A session's `ruvector.statement_timeout_ms` can only shorten it.",
    },
    Setting {
        key: "server.stall_seconds_max",
        field: Seconds(1, |c| &mut c.server.stall_max),
        doc: "How long a client may take none of the rows that wait for it before its query ends, or send none before its ingest ends.",
    },
    Setting {
        key: "server.connections_max",
        field: Number(1, 1_000_000, "connections", |c| &mut c.server.connections_max),
        doc: "Connections at the same time; more are closed at once.",
    },
    Setting {
        key: "server.connections_per_address_max",
        field: Number(0, 1_000_000, "connections", |c| &mut c.server.connections_per_address_max),
        doc: "Connections from one address (of IPv6, from one network of 64 bits); 0 is three quarters of `server.connections_max`.",
    },
    Setting {
        key: "server.connection_idle_seconds_max",
        field: Seconds(0, |c| &mut c.server.connection_idle_max),
        doc: "A connection without a call for this long is closed; 0 is no limit.",
    },
    Setting {
        key: "server.http_listen",
        field: OptionalText(|c| &mut c.server.http_listen),
        doc: "`HOST:PORT` of plain HTTP: `/metrics` for Prometheus and `/healthz`. Without it there is none. It has no TLS and no authentication.",
    },
    Setting {
        key: "engine.memory_bytes_max",
        field: Number(0, 1 << 50, "bytes", |c| &mut c.engine.memory_bytes_max),
        doc: "Memory that all statements share for the rows they sort, join and group; what does not fit goes to files. 0 is half of what the machine, or its control group, has. Vectors and indexes in memory are not in it.",
    },
    Setting {
        key: "engine.spill_dir",
        field: Field::Path(|c| &mut c.engine.spill_dir),
        doc: "Folder of those files. Without it, the system's folder for temporary files.",
    },
    Setting {
        key: "engine.data",
        field: Field::Path(|c| &mut c.engine.data),
        doc: "Folder of the tables. Without it they live in a temporary folder and end with the server.",
    },
    Setting {
        key: "engine.model_dir",
        field: Field::Path(|c| &mut c.engine.model_dir),
        doc: "Folder of the embedding model itself (`model.onnx`, `tokenizer.json`).",
    },
    Setting {
        key: "engine.models_dir",
        field: Field::Path(|c| &mut c.engine.models_dir),
        doc: "Folder of embedding models by name.",
    },
    Setting {
        key: "engine.models_download",
        field: Switch(|c| &mut c.engine.models_download),
        doc: "Fetch a model that is in no folder from the hub when a statement names it. Every reader may name any model.",
    },
    Setting {
        key: "engine.onnxruntime",
        field: Field::Path(|c| &mut c.engine.onnxruntime),
        doc: "The ONNX Runtime library. Without it, what `$ORT_DYLIB_PATH` names.",
    },
    Setting {
        key: "tls.cert",
        field: Field::Path(|c| &mut c.tls.cert),
        doc: "File of the server's certificate, and of those between it and its authority, as PEM. Turns TLS on, with `tls.key`.",
    },
    Setting {
        key: "tls.key",
        field: Field::Path(|c| &mut c.tls.key),
        doc: "File of the certificate's private key, as PEM.",
    },
    Setting {
        key: "tls.client_ca",
        field: Field::Path(|c| &mut c.tls.client_ca),
        doc: "File of the authority, as PEM, by which every client must have a certificate (mTLS).",
    },
    Setting {
        key: "auth.users",
        field: Field::Path(|c| &mut c.auth.users),
        doc: "File of users and tokens. Turns authentication on. It is read again when it changes.",
    },
    Setting {
        key: "auth.token_lifetime_seconds",
        field: Seconds(1, |c| &mut c.auth.token_lifetime),
        doc: "How long the token is good for that a client gets for its user and password.",
    },
    Setting {
        key: "auth.password_checks_max",
        field: Number(1, 1024, "checks", |c| &mut c.auth.password_checks_max),
        doc: "Passwords that are checked at the same time, each with 19 MiB of memory and a core; others wait.",
    },
];

/// A value that a setting cannot have.
#[derive(Debug, PartialEq)]
pub(super) struct Wrong {
    pub(super) expected: String,
    pub(super) got: String,
}

impl Setting {
    /// Section and name.
    pub(super) fn parts(&self) -> (&'static str, &'static str) {
        self.key.split_once('.').unwrap_or(("", self.key))
    }

    /// Its flag, without the dashes.
    pub(super) fn flag(&self) -> String {
        match self.parts() {
            ("server" | "engine", name) => name.replace('_', "-"),
            (section, name) => format!("{section}-{}", name.replace('_', "-")),
        }
    }

    /// Its variable of the environment.
    pub(super) fn variable(&self) -> String {
        format!("RUVECTOR_{}", self.flag().replace('-', "_").to_uppercase())
    }

    /// Sets it from text: a flag, or a variable.
    pub(super) fn set_text(&self, config: &mut Config, value: &OsStr) -> Result<(), Wrong> {
        let wrong = || self.wrong(format!("{:?}", value.to_string_lossy()));
        match &self.field {
            Field::Path(field) => *field(config) = Some(value.into()),
            Text(field) => *field(config) = value.to_str().ok_or_else(wrong)?.to_owned(),
            OptionalText(field) => *field(config) = Some(value.to_str().ok_or_else(wrong)?.to_owned()),
            Switch(field) => *field(config) = value.to_str().and_then(|text| text.parse().ok()).ok_or_else(wrong)?,
            Number(..) | Seconds(..) => {
                let number = value.to_str().and_then(|text| text.replace('_', "").parse().ok()).ok_or_else(wrong)?;
                self.set_number(config, number)?;
            }
        }
        Ok(())
    }

    /// Sets it from its value in a file in `folder`.
    pub(super) fn set_toml(&self, config: &mut Config, value: &toml::Value, folder: &Path) -> Result<(), Wrong> {
        match (&self.field, value) {
            (Field::Path(field), toml::Value::String(path)) => *field(config) = Some(folder.join(path)),
            (Text(field), toml::Value::String(text)) => text.clone_into(field(config)),
            (OptionalText(field), toml::Value::String(text)) => *field(config) = Some(text.clone()),
            (Switch(field), toml::Value::Boolean(on)) => *field(config) = *on,
            (Number(..) | Seconds(..), toml::Value::Integer(number)) => match u64::try_from(*number) {
                Ok(number) => self.set_number(config, number)?,
                Err(_) => return Err(self.wrong(number.to_string())),
            },
            (_, toml::Value::String(text)) => return Err(self.wrong(format!("the string {text:?}"))),
            (_, toml::Value::Integer(number)) => return Err(self.wrong(format!("the integer {number}"))),
            (_, other) => return Err(self.wrong(format!("a value of type {}", other.type_str()))),
        }
        Ok(())
    }

    /// Its value as a file would say it; `None` if there is none.
    pub(super) fn shown(&self, config: &Config) -> Option<String> {
        // Fields are found through `&mut`, so that one function does for both ways.
        let mut config = config.clone();
        Some(match &self.field {
            Field::Path(field) => quoted(field(&mut config).as_ref()?.as_os_str()),
            Text(field) => quoted(OsString::from(&*field(&mut config)).as_os_str()),
            OptionalText(field) => quoted(OsStr::new(field(&mut config).as_ref()?)),
            Switch(field) => field(&mut config).to_string(),
            Number(.., field) => field(&mut config).to_string(),
            Seconds(_, field) => field(&mut config).as_secs().to_string(),
        })
    }

    /// A description of the allowed values.
    pub(super) fn expected(&self) -> String {
        match &self.field {
            Field::Path(_) => "a path as a string".to_owned(),
            Text(_) | OptionalText(_) => "a string".to_owned(),
            Switch(_) => "true or false".to_owned(),
            Number(min, max, ..) => format!("an integer from {min} to {max}"),
            Seconds(min, _) => format!("an integer of seconds from {min} to {SECONDS_MAX}"),
        }
    }

    /// The unit of its value, or what kind of thing it is.
    pub(super) fn unit(&self) -> &'static str {
        match &self.field {
            Field::Path(_) => "path",
            Text(_) | OptionalText(_) => "text",
            Switch(_) => "true or false",
            Number(_, _, unit, _) => unit,
            Seconds(..) => "seconds",
        }
    }

    pub(super) fn is_switch(&self) -> bool {
        matches!(self.field, Switch(_))
    }

    fn set_number(&self, config: &mut Config, number: u64) -> Result<(), Wrong> {
        let wrong = || self.wrong(number.to_string());
        match &self.field {
            Number(min, max, _, field) if (*min..=*max).contains(&number) => {
                *field(config) = usize::try_from(number).map_err(|_| wrong())?;
            }
            Seconds(min, field) if (*min..=SECONDS_MAX).contains(&number) => {
                *field(config) = Duration::from_secs(number);
            }
            _ => return Err(wrong()),
        }
        Ok(())
    }

    fn wrong(&self, got: String) -> Wrong {
        Wrong { expected: self.expected(), got }
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {}, got {}", self.expected, self.got)
    }
}

fn quoted(text: &OsStr) -> String {
    toml::Value::String(text.to_string_lossy().into_owned()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_unique_and_follow_from_the_key() {
        let mut seen = HashSet::new();
        for setting in &SETTINGS {
            assert!(seen.insert(setting.flag()), "{}", setting.key);
        }
        let names = |key: &str| {
            let setting = SETTINGS.iter().find(|setting| setting.key == key).unwrap();
            (setting.flag(), setting.variable())
        };
        assert_eq!(names("server.listen"), ("listen".into(), "RUVECTOR_LISTEN".into()));
        assert_eq!(names("tls.client_ca"), ("tls-client-ca".into(), "RUVECTOR_TLS_CLIENT_CA".into()));
    }

    #[test]
    fn a_default_is_a_value_that_the_setting_may_have() {
        let default = Config::default();
        for setting in &SETTINGS {
            let Some(shown) = setting.shown(&default) else { continue };
            let table: toml::Table = format!("v = {shown}").parse().unwrap();
            let mut config = default.clone();
            setting.set_toml(&mut config, &table["v"], Path::new("")).unwrap();
            assert_eq!(config, default, "{}", setting.key);
        }
    }

    /// The table of settings in docs/server.md. `make docs` writes it.
    #[test]
    fn the_page_of_the_server_has_every_setting() {
        let default = Config::default();
        let mut table = "| Key | Flag | Variable | Unit | Default | |\n|---|---|---|---|---|---|\n".to_owned();
        for setting in &SETTINGS {
            let default = setting.shown(&default).map_or("none".to_owned(), |shown| format!("`{shown}`"));
            let (flag, variable, unit) = (setting.flag(), setting.variable(), setting.unit());
            table +=
                &format!("| `{}` | `--{flag}` | `{variable}` | {unit} | {default} | {} |\n", setting.key, setting.doc);
        }
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/server.md");
        let page = std::fs::read_to_string(&path).unwrap();
        let (begin, end) = ("<!-- settings: made from the code -->\n", "<!-- end of settings -->\n");
        let start = page.find(begin).unwrap() + begin.len();
        let stop = page.find(end).unwrap();
        if std::env::var_os("RUVECTOR_WRITE_DOCS").is_some() {
            std::fs::write(&path, format!("{}{table}{}", &page[..start], &page[stop..])).unwrap();
        } else {
            assert_eq!(&page[start..stop], table, "docs/server.md is not what the code says: make docs");
        }
    }
}
