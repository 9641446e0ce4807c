//! Flags, environment and file: from what an operator wrote to a [`Config`].

use std::ffi::OsString;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, value_parser};

use super::setting::{SETTINGS, Setting};
use super::{Config, ConfigError};

/// The flag that names the file of settings.
const CONFIG: &str = "config";
/// The variable that names it.
const CONFIG_VARIABLE: &str = "RUVECTOR_CONFIG";

/// The flags of settings that were given.
#[derive(Debug, Default)]
pub struct Flags {
    config: Option<PathBuf>,
    /// Keys with their values.
    values: Vec<(&'static str, OsString)>,
}

/// Looks up a variable of the environment.
pub type Environment<'a> = dyn Fn(&str) -> Option<OsString> + 'a;

/// The sources of values.
#[derive(Default)]
pub struct Sources<'a> {
    /// The flags of the command line.
    pub flags: Flags,
    /// The environment.
    pub variable: Option<&'a Environment<'a>>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Origin {
    Default,
    File,
    Variable,
    Flag,
}

/// A configuration that knows where each of its values comes from.
#[derive(Debug)]
pub struct Found {
    /// The configuration.
    pub config: Config,
    origins: Vec<Origin>,
}

impl Sources<'_> {
    /// The configuration that the sources say.
    ///
    /// # Errors
    /// If the file cannot be read, a key is unknown, or a value is not what its setting may be: names the setting, where the
    /// value stands, what is expected and what it is.
    pub fn find(self) -> Result<Found, ConfigError> {
        let mut found = Found { config: Config::default(), origins: vec![Origin::Default; SETTINGS.len()] };
        // An empty variable is as good as none: containers set them so.
        let variable = |name: &str| self.variable.and_then(|variable| variable(name)).filter(|value| !value.is_empty());
        let file = self.flags.config.or_else(|| variable(CONFIG_VARIABLE).map(PathBuf::from));
        if let Some(path) = file {
            found.read(&path)?;
        }
        for (setting, origin) in SETTINGS.iter().zip(&mut found.origins) {
            if let Some(value) = variable(&setting.variable()) {
                let set = setting.set_text(&mut found.config, &value);
                set.map_err(|wrong| ConfigError::new(format!("variable {}: {wrong}", setting.variable())))?;
                *origin = Origin::Variable;
            }
            if let Some((_, value)) = self.flags.values.iter().find(|(key, _)| *key == setting.key) {
                let set = setting.set_text(&mut found.config, value);
                set.map_err(|wrong| ConfigError::new(format!("--{}: {wrong}", setting.flag())))?;
                *origin = Origin::Flag;
            }
        }
        Ok(found)
    }
}

impl Found {
    fn read(&mut self, path: &Path) -> Result<(), ConfigError> {
        let refused = |reason: String| ConfigError::new(format!("configuration {}: {reason}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|e| refused(format!("cannot be read: {e}")))?;
        let sections: toml::Table = text.parse().map_err(|e: toml::de::Error| refused(syntax(&e, &text)))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        for (section, keys) in &sections {
            if !SETTINGS.iter().any(|setting| setting.parts().0 == section) {
                let known = distinct(SETTINGS.iter().map(|setting| setting.parts().0));
                return Err(refused(format!("no such section: expected one of {known}, got {section}")));
            }
            let toml::Value::Table(keys) = keys else {
                let got = keys.type_str();
                return Err(refused(format!("{section}: expected a section, [{section}], got a value of type {got}")));
            };
            for (name, value) in keys {
                let place = SETTINGS.iter().position(|setting| setting.parts() == (section, name));
                let Some(place) = place else {
                    let section_of = |setting: &&Setting| setting.parts().0 == section;
                    let known = distinct(SETTINGS.iter().filter(section_of).map(|setting| setting.parts().1));
                    return Err(refused(format!(
                        "no such setting: expected one of {known} in [{section}], got {section}.{name}"
                    )));
                };
                let (setting, origin) = (&SETTINGS[place], &mut self.origins[place]);
                let set = setting.set_toml(&mut self.config, value, folder);
                set.map_err(|wrong| refused(format!("{}: {wrong}", setting.key)))?;
                *origin = Origin::File;
            }
        }
        Ok(())
    }

    /// The configuration as a file of settings, with where each value comes from. There are no secrets in it: those are in
    /// the files that it names.
    pub fn to_toml(&self) -> String {
        let mut text = String::new();
        let mut section = "";
        for (setting, origin) in SETTINGS.iter().zip(&self.origins) {
            let (of, name) = setting.parts();
            if of != section {
                let gap = if section.is_empty() { "" } else { "\n" };
                section = of;
                let _ = writeln!(text, "{gap}[{section}]");
            }
            let origin = match origin {
                Origin::Default => "default".to_owned(),
                Origin::File => "file".to_owned(),
                Origin::Variable => format!("${}", setting.variable()),
                Origin::Flag => format!("--{}", setting.flag()),
            };
            let _ = match setting.shown(&self.config) {
                Some(value) => writeln!(text, "{name} = {value} # {origin}"),
                None => writeln!(text, "# {name} is not set"),
            };
        }
        text
    }
}

impl Args for Flags {
    fn augment_args(command: Command) -> Command {
        let config =
            Arg::new(CONFIG).long(CONFIG).value_name("FILE").value_parser(value_parser!(PathBuf)).help(format!(
                "File of settings, in TOML; flags and the environment win over it [env: {CONFIG_VARIABLE}]"
            ));
        SETTINGS.iter().fold(command.arg(config), |command, setting| command.arg(arg(setting)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let value = |setting: &Setting| match setting.is_switch() {
            true => matches.get_flag(setting.key).then(|| OsString::from("true")),
            false => matches.get_one::<OsString>(setting.key).cloned(),
        };
        let values = SETTINGS.iter().filter_map(|setting| Some((setting.key, value(setting)?))).collect();
        Ok(Self { config: matches.get_one::<PathBuf>(CONFIG).cloned(), values })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

fn arg(setting: &Setting) -> Arg {
    let default = match (setting.shown(&Config::default()), setting.is_switch()) {
        (Some(default), false) => format!(" [default: {default}]"),
        _ => String::new(),
    };
    let help = format!("{}{default} [env: {}]", setting.doc.replace('`', ""), setting.variable());
    let arg = Arg::new(setting.key).long(setting.flag()).help(help);
    match setting.is_switch() {
        true => arg.action(ArgAction::SetTrue),
        false => arg.value_name(setting.unit().to_uppercase()).value_parser(value_parser!(OsString)),
    }
}

/// The error of a file that is no TOML, in one line.
fn syntax(error: &toml::de::Error, text: &str) -> String {
    let line = error.span().map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
    let place = line.map_or(String::new(), |line| format!("line {line}: "));
    format!("{place}{}", error.message())
}

fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut distinct: Vec<&str> = Vec::new();
    for name in names {
        if !distinct.contains(&name) {
            distinct.push(name);
        }
    }
    distinct.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn flags(args: &[&str]) -> Flags {
        let command = Flags::augment_args(Command::new("serve").no_binary_name(true));
        Flags::from_arg_matches(&command.try_get_matches_from(args).unwrap()).unwrap()
    }

    fn find(file: &str, variables: &[(&str, &str)], args: &[&str]) -> Result<Found, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ruvector.toml");
        std::fs::write(&path, file).unwrap();
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value));
            found.or_else(|| (name == CONFIG_VARIABLE).then(|| path.clone().into()))
        };
        let found = Sources { flags: flags(args), variable: Some(&variable) }.find();
        found.map_err(|e| e.to_string().replace(&path.display().to_string(), "FILE"))
    }

    #[test]
    fn a_flag_wins_over_the_environment_over_the_file_over_the_default() {
        let file = "[server]\nsessions_max = 1\ndrain_seconds_max = 1\nping_interval_seconds = 1";
        let variables = [("RUVECTOR_SESSIONS_MAX", "2"), ("RUVECTOR_DRAIN_SECONDS_MAX", "2"), ("RUVECTOR_LISTEN", "")];
        let found = find(file, &variables, &["--sessions-max", "3"]).unwrap();
        let server = &found.config.server;
        assert_eq!(server.sessions_max, 3);
        assert_eq!(server.drain_max, Duration::from_secs(2));
        assert_eq!(server.ping_interval, Duration::from_secs(1));
        assert_eq!(server.listen, "127.0.0.1:50051");
        let shown = found.to_toml();
        for line in [
            "sessions_max = 3 # --sessions-max",
            "drain_seconds_max = 2 # $RUVECTOR_DRAIN_SECONDS_MAX",
            "ping_interval_seconds = 1 # file",
            "listen = \"127.0.0.1:50051\" # default",
            "# cert is not set",
        ] {
            assert!(shown.lines().any(|shown| shown == line), "{line} in\n{shown}");
        }
        let again = find(&shown, &[], &[]).unwrap();
        assert_eq!(again.config, found.config);
    }

    #[test]
    fn paths_of_the_file_are_in_its_folder() {
        let found =
            find("[tls]\ncert = 'a.pem'\nkey = '/k.pem'", &[("RUVECTOR_TLS_CLIENT_CA", "ca.pem")], &[]).unwrap();
        let tls = found.config.tls;
        let cert = tls.cert.unwrap();
        assert!(cert.is_absolute() && cert.ends_with("a.pem"), "{}", cert.display());
        assert_eq!(tls.key.unwrap(), Path::new("/k.pem"));
        assert_eq!(tls.client_ca.unwrap(), Path::new("ca.pem"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (file, message) in [
            (
                "[server]\nlisen = 'x'",
                "configuration FILE: no such setting: expected one of listen, insecure_allow_remote, message_bytes_max, header_list_bytes_max, sessions_max, session_idle_seconds_max, drain_seconds_max, ping_interval_seconds, keep_alive_seconds, statements_max, statements_per_user_max, statements_waiting_max, statement_wait_seconds_max, statement_seconds_max, stall_seconds_max, connections_max, connections_per_address_max, connection_idle_seconds_max, http_listen in [server], got server.lisen",
            ),
            (
                "[sever]\nlisten = 'x'",
                "configuration FILE: no such section: expected one of server, engine, tls, auth, got sever",
            ),
            ("server = 1", "configuration FILE: server: expected a section, [server], got a value of type integer"),
            (
                "[server]\nsessions_max = 'many'",
                "configuration FILE: server.sessions_max: expected an integer from 1 to 1000000, got the string \"many\"",
            ),
            (
                "[server]\nsessions_max = 0",
                "configuration FILE: server.sessions_max: expected an integer from 1 to 1000000, got 0",
            ),
            (
                "[server]\nsessions_max = -1",
                "configuration FILE: server.sessions_max: expected an integer from 1 to 1000000, got -1",
            ),
            (
                "[server]\ninsecure_allow_remote = 1",
                "configuration FILE: server.insecure_allow_remote: expected true or false, got the integer 1",
            ),
            ("[server]\nlisten = 50051", "configuration FILE: server.listen: expected a string, got the integer 50051"),
            (
                "[tls]\ncert = ['a']",
                "configuration FILE: tls.cert: expected a path as a string, got a value of type array",
            ),
            (
                "[auth]\ntoken_lifetime_seconds = 0",
                "configuration FILE: auth.token_lifetime_seconds: expected an integer of seconds from 1 to 31622400, got 0",
            ),
        ] {
            assert_eq!(find(file, &[], &[]).unwrap_err(), message);
        }
        let error = find("[server\n", &[], &[]).unwrap_err();
        assert!(error.starts_with("configuration FILE: line 1: "), "{error}");
        let error = find("", &[("RUVECTOR_SESSIONS_MAX", "x")], &[]).unwrap_err();
        assert_eq!(error, "variable RUVECTOR_SESSIONS_MAX: expected an integer from 1 to 1000000, got \"x\"");
        let error = find("", &[], &["--drain-seconds-max", "soon"]).unwrap_err();
        assert_eq!(error, "--drain-seconds-max: expected an integer of seconds from 0 to 31622400, got \"soon\"");
        let error = find("", &[(CONFIG_VARIABLE, "/no/such/file")], &[]).unwrap_err();
        assert!(error.starts_with("configuration /no/such/file: cannot be read: "), "{error}");
    }
}
