//! Commands that begin with `\`.
//!
//! What they tell of tables, indexes and functions they ask in SQL, so it is the same here and on a server.

use clap::ValueEnum;

use super::output::Format;

/// The commands: the name, other names, arguments, and the description.
pub(super) const COMMANDS: [(&str, &[&str], &str, &str); 13] = [
    ("d", &[], "[TABLE]", "list tables, or show the columns and indexes of one"),
    ("dt", &[], "[PATTERN]", "list tables but those that tell of the system"),
    ("di", &[], "[PATTERN]", "list indexes"),
    ("df", &[], "[PATTERN]", "list functions and how they are called"),
    ("l", &[], "", "list backends"),
    ("format", &[], "[table|csv|json]", "how rows are printed"),
    ("x", &[], "[on|off]", "print each row of a table as lines of column and value"),
    ("rows", &[], "[NUMBER|all]", "how many rows of an answer a table shows"),
    ("timing", &[], "[on|off]", "say how long statements take"),
    ("i", &["include"], "FILE", "run the statements and commands of a file"),
    ("o", &["out"], "[FILE]", "write rows to a file; without one, to the terminal again"),
    ("?", &["h", "help"], "", "show this; help does, too"),
    ("q", &["quit", "exit"], "", "leave (or Ctrl-D); quit and exit do, too"),
];

/// A command that begins with `\`.
#[derive(Debug, PartialEq)]
pub(super) enum MetaCommand {
    Quit,
    Help,
    /// `None` is the other one of what it is now; so for the next two.
    Timing(Option<bool>),
    Expanded(Option<bool>),
    /// `None` asks what it is.
    Format(Option<Format>),
    /// `None` asks what it is; `Some(None)` is all.
    RowsMax(Option<Option<usize>>),
    Include(String),
    Output(Option<String>),
    /// Queries in SQL, and the part of each answer to show.
    Queries(Vec<(String, Part)>),
}

/// The part of an answer that is shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Part {
    /// Its rows, and how many they are.
    List,
    /// Its rows.
    Always,
    /// Its rows, if there are any.
    IfAny,
}

impl MetaCommand {
    /// Reads a command, without its `\`.
    ///
    /// # Errors
    /// What it expects instead.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (name, argument) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let argument = argument.trim().trim_end_matches(';').trim_end();
        let known = COMMANDS.iter().find(|(known, others, ..)| *known == name || others.contains(&name));
        let Some((name, _, usage, _)) = known else {
            let names: Vec<_> = COMMANDS.iter().map(|(name, ..)| format!("\\{name}")).collect();
            return Err(format!("there is no command \\{name}, but {}", names.join(" ")));
        };
        let given = (!argument.is_empty()).then_some(argument);
        let expected =
            || format!("\\{name} expects {}, got {argument}", if usage.is_empty() { "nothing" } else { usage });
        let switch = || match given {
            None => Ok(None),
            Some("on") => Ok(Some(true)),
            Some("off") => Ok(Some(false)),
            Some(_) => Err(expected()),
        };
        let shown = |sql| Self::Queries(vec![(sql, Part::List)]);
        Ok(match (*name, given) {
            ("d", Some(table)) => Self::Queries(describe(table)),
            ("d", None) => shown(tables("'information_schema'", None)),
            ("dt", pattern) => shown(tables("'information_schema', 'system'", pattern)),
            ("di", pattern) => shown(indexes(pattern)),
            ("df", pattern) => shown(functions(pattern)),
            ("timing", _) => Self::Timing(switch()?),
            ("x", _) => Self::Expanded(switch()?),
            ("format", None) => Self::Format(None),
            ("format", Some(name)) => Self::Format(Some(Format::from_str(name, true).map_err(|_| expected())?)),
            ("rows", None) => Self::RowsMax(None),
            ("rows", Some("all")) => Self::RowsMax(Some(None)),
            ("rows", Some(number)) => match number.parse() {
                Ok(number) if number > 0 => Self::RowsMax(Some(Some(number))),
                _ => return Err(expected()),
            },
            ("i", Some(path)) => Self::Include(unquoted(path)),
            ("i", None) => return Err("\\i expects FILE".to_owned()),
            ("o", path) => Self::Output(path.map(unquoted)),
            (_, Some(_)) => return Err(expected()),
            ("l", None) => shown(BACKENDS.to_owned()),
            ("q", None) => Self::Quit,
            (_, None) => Self::Help,
        })
    }
}

/// The text of `\?`.
pub(super) fn help() -> String {
    let width = COMMANDS.iter().map(|(name, _, usage, _)| name.len() + usage.len()).max().unwrap_or(0) + 2;
    let lines =
        COMMANDS.iter().map(|(name, _, usage, does)| format!("  \\{:width$} {does}\n", format!("{name} {usage}")));
    format!(
        "Statements end with ; and may span lines; ...> waits for the rest of one. Tab completes. In a PATTERN * is any text and ? any character.\n{}\
         Ctrl-C stops a running statement, or drops what was typed.",
        lines.collect::<String>()
    )
}

const BACKENDS: &str = "SELECT name, kind, location, collections, status FROM system.backends ORDER BY name";

/// Relations that stand in FROM, with their usage: they have no entry in `information_schema.routines`.
pub(super) const RELATIONS: [(&str, &str); 9] = [
    ("invalidate_cache", "invalidate_cache('table')"),
    ("knn", "knn('table', query, k [, name => value ...])"),
    ("knn_batch", "knn_batch('table', queries, k [, name => value ...])"),
    ("publish_bundle", "publish_bundle('table', 'folder')"),
    ("recall", "recall('table', sample, k [, name => value ...])"),
    ("refresh_from_bundle", "refresh_from_bundle('table', 'folder')"),
    ("save_cache", "save_cache('table', 'folder')"),
    ("table_history", "table_history('table')"),
    ("warm_cache", "warm_cache('table', 'folder')"),
];

fn tables(schemas_left_out: &str, pattern: Option<&str>) -> String {
    let condition = pattern.map(|pattern| match pattern.split_once('.') {
        Some((schema, table)) => format!("{}{}", like("table_schema", schema), like("table_name", table)),
        None => like("table_name", pattern),
    });
    format!(
        "SELECT table_schema AS schema, table_name AS name, table_type AS type FROM information_schema.tables \
         WHERE table_schema NOT IN ({schemas_left_out}){} ORDER BY 1, 2",
        condition.unwrap_or_default()
    )
}

fn indexes(pattern: Option<&str>) -> String {
    let condition = pattern.map(|pattern| like("name", pattern)).unwrap_or_default();
    format!("SELECT {INDEX_COLUMNS} FROM system.indexes WHERE true{condition} ORDER BY name")
}

const INDEX_COLUMNS: &str = "name, CASE WHEN backend = 'main' THEN collection ELSE concat(backend, '.', collection) END \
     AS collection, vector_column, kind, metric, state, vectors_done AS vectors, error";

fn functions(pattern: Option<&str>) -> String {
    let relations = RELATIONS.map(|(name, syntax)| format!("('{name}', 'RELATION', {})", literal(syntax))).join(", ");
    let condition = pattern.map(|pattern| like("name", pattern)).unwrap_or_default();
    format!(
        "SELECT name, kind, syntax FROM (\
         SELECT DISTINCT routine_name AS name, function_type AS kind, syntax_example AS syntax \
         FROM information_schema.routines \
         UNION ALL SELECT * FROM (VALUES {relations}) AS relations (name, kind, syntax)) AS functions \
         WHERE true{condition} ORDER BY name"
    )
}

/// The columns of a table, then its indexes. The first says if there is no such table.
fn describe(table: &str) -> Vec<(String, Part)> {
    let (schema, name) = schema_and_name(table);
    let indexes = format!(
        "SELECT name AS index, vector_column, kind, metric, state, vectors_done AS vectors FROM system.indexes \
         WHERE backend = {} AND collection = {} ORDER BY name",
        literal(&schema),
        literal(&name)
    );
    vec![(format!("DESCRIBE {table}"), Part::Always), (indexes, Part::IfAny)]
}

/// Schema and name of a table as SQL reads them: `main` if there is no schema, and what stands in no quotes is in small
/// letters.
pub(crate) fn schema_and_name(table: &str) -> (String, String) {
    let mut parts = vec![String::new()];
    let mut quoted = false;
    for c in table.chars() {
        match c {
            '"' => quoted = !quoted,
            '.' if !quoted => parts.push(String::new()),
            c => {
                if let Some(part) = parts.last_mut() {
                    part.extend(if quoted { vec![c] } else { c.to_lowercase().collect() });
                }
            }
        }
    }
    let name = parts.pop().unwrap_or_default();
    (parts.pop().unwrap_or_else(|| "main".to_owned()), name)
}

/// ` AND column LIKE ...`, from a pattern in which `*` is any text and `?` any character.
fn like(column: &str, pattern: &str) -> String {
    let mut sql = String::new();
    for c in pattern.chars() {
        match c {
            '*' => sql.push('%'),
            '?' => sql.push('_'),
            '%' | '_' | '\\' => sql.extend(['\\', c]),
            c => sql.push(c),
        }
    }
    format!(" AND {column} LIKE {}", literal(&sql))
}

/// `text` as a literal of SQL.
pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn unquoted(path: &str) -> String {
    let inner = path.strip_prefix('\'').and_then(|path| path.strip_suffix('\''));
    inner.unwrap_or(path).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_take_what_they_say() {
        for (text, command) in [
            ("q", MetaCommand::Quit),
            ("quit", MetaCommand::Quit),
            ("?", MetaCommand::Help),
            ("h", MetaCommand::Help),
            ("timing", MetaCommand::Timing(None)),
            ("timing off", MetaCommand::Timing(Some(false))),
            ("x on;", MetaCommand::Expanded(Some(true))),
            ("format", MetaCommand::Format(None)),
            ("format CSV", MetaCommand::Format(Some(Format::Csv))),
            ("rows 7", MetaCommand::RowsMax(Some(Some(7)))),
            ("rows all", MetaCommand::RowsMax(Some(None))),
            ("i a b.sql", MetaCommand::Include("a b.sql".to_owned())),
            ("o 'rows.csv'", MetaCommand::Output(Some("rows.csv".to_owned()))),
            ("o", MetaCommand::Output(None)),
        ] {
            assert_eq!(MetaCommand::parse(text), Ok(command), "{text}");
        }
    }

    #[test]
    fn what_a_command_cannot_take_is_named() {
        for (text, message) in [
            ("timing maybe", "\\timing expects [on|off], got maybe"),
            ("format xml", "\\format expects [table|csv|json], got xml"),
            ("rows 0", "\\rows expects [NUMBER|all], got 0"),
            ("q now", "\\q expects nothing, got now"),
            ("i", "\\i expects FILE"),
            ("dx", "there is no command \\dx, but \\d \\dt \\di \\df \\l \\format \\x \\rows \\timing \\i \\o \\? \\q"),
        ] {
            assert_eq!(MetaCommand::parse(text), Err(message.to_owned()));
        }
    }

    #[test]
    fn a_pattern_is_no_sql() {
        assert_eq!(like("name", "a_*?'"), " AND name LIKE 'a\\_%_'''");
        assert!(tables("'x'", Some("lake.d*")).contains("AND table_schema LIKE 'lake' AND table_name LIKE 'd%'"));
    }

    #[test]
    fn names_are_read_as_sql_does() {
        for (text, schema, name) in
            [("Docs", "main", "docs"), ("lake.Docs", "lake", "docs"), ("\"My.Docs\"", "main", "My.Docs")]
        {
            assert_eq!(schema_and_name(text), (schema.to_owned(), name.to_owned()));
        }
    }

    #[test]
    fn the_help_has_every_command() {
        let help = help();
        assert_eq!(help.lines().count(), COMMANDS.len() + 2);
        assert!(help.contains("  \\df [PATTERN]"), "{help}");
    }
}
