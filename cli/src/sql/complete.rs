//! Completion of the word at the cursor.
//!
//! It looks at the statement as tokens, asks where the cursor stands in it (after FROM, in an argument of `knn()`, in a
//! text that names a table), and offers the names that fit there.

use std::collections::BTreeSet;

use super::command::{COMMANDS, RELATIONS};
use super::keywords::{KEYWORDS, OPENING};
use super::tokens::{Token, tokens};
use super::words::Words;
use ruvector_sql::script;

/// Named arguments of `knn()`, `knn_batch()` and `recall()`.
const ARGUMENTS: [&str; 11] = [
    "backends",
    "column",
    "consistency",
    "exact",
    "filter",
    "metric",
    "nprobe",
    "partial",
    "rerank_factor",
    "timeout_ms",
    "ttl_ms",
];
const METRICS: [&str; 3] = ["cosine", "inner_product", "l2"];
const CONSISTENCY: [&str; 3] = ["eventual", "fresh", "stale"];
const INDEX_KINDS: [&str; 5] = ["flat", "ivf_rabitq", "rabitq", "rabitq_asym", "rabitq_plus"];
const INDEX_OPTIONS: [&str; 6] = ["background", "metric", "nlist", "nprobe", "rerank_factor", "seed"];
const BACKEND_KINDS: [&str; 4] = ["delta", "memory", "object_store", "parquet"];
const FILE_KINDS: [&str; 5] = ["CSV", "DELTA", "JSON", "PARQUET", "RBPX"];

/// The place where the text to replace starts, which ends at the cursor, and its replacements.
pub(super) type Completions = (usize, Vec<String>);

/// Completes the word of `text` that ends at `cursor`.
pub(super) fn complete(text: &str, cursor: usize, words: &Words) -> Completions {
    let (_, before) = script::complete_statements(&text[..cursor]);
    let start = cursor - before.len();
    let after = &text[cursor..];
    let after = &after[..after.find(';').unwrap_or(after.len())];
    Place::new(before, after, words).complete(start)
}

/// Completes a command and its argument, but for the names of files.
pub(super) fn complete_command(text: &str, words: &Words) -> Completions {
    let Some((name, argument)) = text.split_once(char::is_whitespace) else {
        let names = COMMANDS.iter().map(|(name, ..)| format!("\\{name}"));
        return (0, names.filter(|name| name.starts_with(text)).collect());
    };
    let argument = argument.trim_start();
    let start = text.len() - argument.len();
    let among = |names: &[&str]| fitting(argument, names.iter().copied());
    let found = match name {
        "\\d" | "\\dt" => fitting_tables(argument, words),
        "\\di" => fitting(argument, words.indexes.iter().map(String::as_str)),
        "\\df" => fitting(argument, words.functions.iter().map(String::as_str).chain(RELATIONS.map(|(name, _)| name))),
        "\\timing" | "\\x" => among(&["on", "off"]),
        "\\format" => among(&["table", "csv", "json"]),
        "\\rows" => among(&["all"]),
        _ => Vec::new(),
    };
    (start, found)
}

/// The position of the cursor in a statement.
struct Place<'a> {
    words: &'a Words,
    /// The statement up to the cursor.
    text: &'a str,
    /// Tokens before the word at the cursor.
    before: Vec<Token<'a>>,
    after: Vec<Token<'a>>,
    /// The part of the word before the cursor, and the number of bytes before it.
    prefix: &'a str,
    prefix_start: usize,
    /// The opening character of a text, a quoted name or a comment that the word is in; `None` outside of them.
    quote: Option<char>,
}

impl<'a> Place<'a> {
    fn new(text: &'a str, after: &'a str, words: &'a Words) -> Self {
        let (mut before, open) = tokens(text);
        let (prefix_start, quote) = match (open, before.last()) {
            (Some((start, quote)), _) => (start, Some(quote)),
            (None, Some(Token::Word(word))) if text.ends_with(word) => {
                let start = text.len() - word.len();
                before.pop();
                (start, None)
            }
            _ => (text.len(), None),
        };
        let prefix = text[prefix_start..].trim_start_matches(['\'', '"']);
        Self { words, text, before, after: tokens(after).0, prefix, prefix_start, quote }
    }

    fn complete(&self, offset: usize) -> Completions {
        let start = offset + self.prefix_start;
        let found = match self.quote {
            Some('\'') => self.in_text(),
            Some(_) if self.is_comment() => Vec::new(),
            Some(_) => self.names().iter().filter(|name| !name.contains('.')).map(|name| in_quotes(name)).collect(),
            None => match self.setting() {
                Some(name) => return (start + self.prefix.len() - name.len(), self.settings(name)),
                None => self.names(),
            },
        };
        (start, found)
    }

    fn is_comment(&self) -> bool {
        matches!(self.quote, Some('-' | '/'))
    }

    /// In `'...`: the name of a table, or what a named argument may be.
    fn in_text(&self) -> Vec<String> {
        let found = match self.call() {
            Some((relation, 0)) if is_relation(relation) => fitting_tables(self.prefix, self.words),
            call => match self.named(call.is_some()) {
                Some("metric") => fitting(self.prefix, METRICS),
                Some("consistency") => fitting(self.prefix, CONSISTENCY),
                Some("backends") => fitting(self.prefix, schemas(self.words)),
                Some("column") => fitting(self.prefix, self.mentioned_columns()),
                _ => Vec::new(),
            },
        };
        found.into_iter().map(|name| format!("'{name}'")).collect()
    }

    /// The name of the argument or option that the cursor gives a value to.
    fn named(&self, in_call: bool) -> Option<&'a str> {
        let is = |token: Option<&Token<'a>>, marks: &[&str]| matches!(token, Some(Token::Mark(mark)) if marks.contains(mark));
        let mut rest = self.before.as_slice();
        // The array of `backends => ['main', '`.
        if in_call && let Some(open) = rest.iter().rposition(|token| matches!(token, Token::Mark("["))) {
            let within = &rest[open + 1..];
            if within.iter().all(|token| matches!(token, Token::Text(_) | Token::Mark(","))) {
                rest = &rest[..open];
            }
        }
        let (last, before) = rest.split_last()?;
        if !is(Some(last), &["=>", "="]) {
            return None;
        }
        before.last()?.word()
    }

    fn names(&self) -> Vec<String> {
        let last = self.before.last();
        let (prefix, words) = (self.prefix, self.words);
        if let Some(Token::Mark(".")) = last {
            return self.qualified();
        }
        let opening = self.before.first().and_then(Token::word).unwrap_or_default().to_ascii_uppercase();
        let upper: Vec<_> = self.before.iter().rev().take(2).map(|token| token.word().unwrap_or_default()).collect();
        let upper: Vec<_> = upper.iter().map(|word| word.to_ascii_uppercase()).collect();
        let [last_word, word_before] = [0, 1].map(|i| upper.get(i).map_or("", String::as_str));
        let of_index = opening == "CREATE" && self.before.iter().any(|token| token.is("INDEX"));
        match (word_before, last_word) {
            _ if self.before.is_empty() => self.keywords(&OPENING),
            (_, "FROM" | "JOIN" | "LATERAL") => {
                let mut found = fitting_tables(prefix, words);
                found.extend(fitting(prefix, RELATIONS.map(|(name, _)| name)).iter().map(|name| format!("{name}('")));
                if last_word != "LATERAL" && !prefix.is_empty() {
                    found.extend(self.keywords(&["LATERAL"]));
                }
                found
            }
            ("DROP", "INDEX") | (_, "REINDEX") | ("REINDEX", "INDEX") => {
                let mut found = fitting(prefix, words.indexes.iter().map(String::as_str));
                found.extend(self.keywords(&["TABLE", "INDEX", "IF"]));
                found
            }
            ("DROP", "BACKEND") => fitting(prefix, schemas(words)),
            (_, "INTO" | "UPDATE" | "TABLE" | "DESCRIBE" | "HISTORY") if word_before != "CREATE" => {
                let mut found = fitting_tables(prefix, words);
                found.extend(self.keywords(&["IF", "HISTORY", "SELECT"]));
                found
            }
            (_, "ON") if of_index => fitting_tables(prefix, words),
            (_, "USING") if of_index => fitting(prefix, INDEX_KINDS),
            (_, "TYPE") if opening == "CREATE" => fitting(prefix, BACKEND_KINDS),
            ("STORED", "AS") => fitting(prefix, FILE_KINDS),
            _ => self.expression(of_index),
        }
    }

    /// Anything that stands in an expression, and the words that may follow one.
    fn expression(&self, of_index: bool) -> Vec<String> {
        let prefix = self.prefix;
        let mut found = Vec::new();
        match self.call() {
            Some((relation, 0)) if is_relation(relation) => {
                return fitting_tables(prefix, self.words).iter().map(|name| format!("'{name}'")).collect();
            }
            Some((relation, number)) if number >= 3 && is_search(relation) && self.is_after(&["(", ","]) => {
                return fitting(prefix, ARGUMENTS).iter().map(|name| format!("{name} => ")).collect();
            }
            Some(("WITH", _)) if of_index && self.is_after(&["(", ","]) => {
                return fitting(prefix, INDEX_OPTIONS).iter().map(|name| format!("{name} = ")).collect();
            }
            _ => {}
        }
        found.extend(fitting(prefix, self.mentioned_columns()).iter().map(|name| quoted_if_needed(name)));
        if of_index {
            found.extend(self.keywords(&["ON", "USING", "WITH", "IF", "NOT", "EXISTS"]));
            return found;
        }
        found.extend(fitting(prefix, self.mentions().iter().filter_map(|(_, alias)| *alias)));
        if !prefix.is_empty() {
            found.extend(
                fitting(prefix, self.words.functions.iter().map(String::as_str)).iter().map(|name| format!("{name}(")),
            );
            found.extend(self.keywords(&KEYWORDS));
        } else if found.is_empty() {
            found.extend(self.keywords(&KEYWORDS));
        }
        found
    }

    /// After `name.`: the tables of a schema, or the columns of a table.
    fn qualified(&self) -> Vec<String> {
        let mut path = self.before.iter().rev().skip(1);
        let Some(qualifier) = path.next().and_then(Token::name) else { return Vec::new() };
        let of_schema = self.words.tables.keys().filter(|(schema, _)| schema.eq_ignore_ascii_case(qualifier));
        let mut found: Vec<_> = fitting(self.prefix, of_schema.map(|(_, table)| table.as_str()));
        let owner = match path.next() {
            Some(Token::Mark(".")) => path.next().and_then(Token::name),
            _ => None,
        };
        let of_alias = self.mentions().into_iter().find(|(_, alias)| alias.is_some_and(|alias| alias == qualifier));
        let columns = match of_alias {
            Some((columns, _)) => columns,
            None => self.columns_of(owner, qualifier).unwrap_or_default(),
        };
        found.extend(fitting(self.prefix, columns.iter().map(String::as_str)));
        found.into_iter().map(|name| quoted_if_needed(&name)).collect()
    }

    fn columns_of(&self, schema: Option<&str>, table: &str) -> Option<&'a [String]> {
        let fits = |(known, name): &(String, String)| {
            name.eq_ignore_ascii_case(table) && known.eq_ignore_ascii_case(schema.unwrap_or("main"))
        };
        self.words.tables.iter().find(|(key, _)| fits(key)).map(|(_, columns)| columns.as_slice())
    }

    /// The tables that the statement is about, before and after the cursor, as their columns and what they are called.
    fn mentions(&self) -> Vec<(&'a [String], Option<&'a str>)> {
        let all: Vec<Token<'a>> = self.before.iter().chain(&self.after).copied().collect();
        let mut mentions = Vec::new();
        for (i, token) in all.iter().enumerate() {
            let Some(name) = token.name() else { continue };
            let (schema, table) = match token {
                Token::Text(text) => {
                    text.split_once('.').map_or((None, *text), |(schema, table)| (Some(schema), table))
                }
                _ => match (i.checked_sub(2).map(|at| &all[at]), i.checked_sub(1).map(|at| &all[at])) {
                    (Some(schema), Some(Token::Mark("."))) => (schema.name(), name),
                    _ => (None, name),
                },
            };
            let Some(columns) = self.columns_of(schema, table) else { continue };
            let mut rest = all[i + 1..].iter();
            if matches!(token, Token::Text(_)) {
                // To the end of `knn('docs', ...)`.
                let mut depth = 1;
                rest.by_ref().find(|token| {
                    depth += i32::from(matches!(token, Token::Mark("(")));
                    depth -= i32::from(matches!(token, Token::Mark(")")));
                    depth == 0
                });
            }
            let mut next = rest.next();
            if next.is_some_and(|token| token.is("AS")) {
                next = rest.next();
            }
            let alias = next.and_then(Token::word).filter(|word| !is_keyword(word));
            mentions.push((columns, alias));
        }
        mentions
    }

    /// Columns of the tables that the statement is about; of all of `main`, if it names none yet.
    fn mentioned_columns(&self) -> BTreeSet<&'a str> {
        let mentions = self.mentions();
        let mut columns: BTreeSet<&str> = match mentions.is_empty() {
            false => mentions.iter().flat_map(|(columns, _)| columns.iter().map(String::as_str)).collect(),
            true => {
                let of_main = self.words.tables.iter().filter(|((schema, _), _)| schema == "main");
                of_main.flat_map(|(_, columns)| columns.iter().map(String::as_str)).collect()
            }
        };
        if self.before.iter().chain(&self.after).filter_map(Token::word).any(is_search) {
            columns.insert("_distance");
        }
        columns
    }

    /// The function or the like whose parentheses the cursor is in, and the number of its argument.
    fn call(&self) -> Option<(&'a str, usize)> {
        let (mut depth, mut commas) = (0, 0);
        for (i, token) in self.before.iter().enumerate().rev() {
            match token {
                Token::Mark(")" | "]") => depth += 1,
                Token::Mark("(" | "[") if depth > 0 => depth -= 1,
                Token::Mark("(") => {
                    let name = self.before[..i].last().and_then(Token::word)?;
                    let name = if name.eq_ignore_ascii_case("WITH") { "WITH" } else { name };
                    return Some((name, commas));
                }
                // Of `backends => ['main', '`: the array is an argument.
                Token::Mark("[") => commas = 0,
                Token::Mark(",") if depth == 0 => commas += 1,
                _ => {}
            }
        }
        None
    }

    fn is_after(&self, marks: &[&str]) -> bool {
        matches!(self.before.last(), Some(Token::Mark(mark)) if marks.contains(mark))
    }

    /// After SET, SHOW or RESET: what stands of the name of the setting, which has dots in it.
    fn setting(&self) -> Option<&'a str> {
        let verb = self.text.trim_end_matches(|c: char| c.is_alphanumeric() || c == '_' || c == '.');
        let is_verb = ["SET", "SHOW", "RESET"].iter().any(|word| verb.trim().eq_ignore_ascii_case(word));
        is_verb.then(|| &self.text[verb.len()..])
    }

    fn settings(&self, name: &str) -> Vec<String> {
        let mut found = fitting(name, self.words.settings.iter().map(String::as_str));
        if self.before.first().is_some_and(|first| first.is("SHOW")) && !name.contains('.') {
            found.extend(self.keywords(&["ALL", "COLUMNS", "FUNCTIONS", "TABLES"]));
        }
        found
    }

    /// Keywords in the letters, small or capital, that the person writes.
    fn keywords(&self, among: &[&str]) -> Vec<String> {
        let small = self.prefix.chars().next().is_some_and(char::is_lowercase);
        let found = fitting(self.prefix, among.iter().copied());
        found.into_iter().map(|word| if small { word.to_lowercase() } else { word }).collect()
    }
}

fn is_relation(name: &str) -> bool {
    RELATIONS.iter().any(|(relation, _)| relation.eq_ignore_ascii_case(name))
}

fn is_search(name: &str) -> bool {
    ["knn", "knn_batch", "recall"].iter().any(|search| search.eq_ignore_ascii_case(name))
}

fn is_keyword(word: &str) -> bool {
    KEYWORDS.iter().chain(&OPENING).any(|keyword| keyword.eq_ignore_ascii_case(word))
}

/// Those of `names` that begin with `prefix`, in small letters or capital ones.
fn fitting<'n>(prefix: &str, names: impl IntoIterator<Item = &'n str>) -> Vec<String> {
    let fits = |name: &&str| name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    let found: BTreeSet<_> = names.into_iter().filter(fits).collect();
    found.into_iter().map(str::to_owned).collect()
}

/// Tables that begin with `prefix`, as a statement names them: those of `main` without their schema.
fn fitting_tables(prefix: &str, words: &Words) -> Vec<String> {
    let begins = |name: &str| name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    let tables = words.tables.keys().filter_map(|(schema, table)| {
        let name = quoted_if_needed(table);
        match schema.as_str() {
            "main" => (begins(&name) || begins(table)).then_some(name),
            _ => Some(format!("{}.{name}", quoted_if_needed(schema))).filter(|name| begins(name)),
        }
    });
    tables.collect()
}

fn schemas(words: &Words) -> BTreeSet<&str> {
    let schemas = words.tables.keys().map(|(schema, _)| schema.as_str());
    schemas.filter(|schema| !["information_schema", "system"].contains(schema)).collect()
}

/// A name as SQL needs it: in quotes, if it would else be read in small letters or not at all.
fn quoted_if_needed(name: &str) -> String {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let is_plain = name.chars().all(plain) && !name.starts_with(|c: char| c.is_ascii_digit());
    if is_plain { name.to_owned() } else { in_quotes(name) }
}

fn in_quotes(name: &str) -> String {
    if name.starts_with('"') { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words() -> Words {
        let table = |schema: &str, name: &str, columns: &[&str]| {
            ((schema.to_owned(), name.to_owned()), columns.iter().map(|&name| name.to_owned()).collect())
        };
        let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        Words {
            tables: [
                table("main", "docs", &["id", "body", "vec"]),
                table("main", "queries", &["name", "vec"]),
                table("main", "My Docs", &["Title"]),
                table("lake", "docs", &["id", "lang", "vec"]),
                table("system", "indexes", &["name", "kind", "state"]),
            ]
            .into(),
            functions: texts(&["l2_distance", "l2_squared", "length", "sum"]),
            indexes: texts(&["docs_vec", "lake_vec"]),
            settings: texts(&["ruvector.nprobe", "ruvector.use_index", "datafusion.execution.batch_size"]),
        }
    }

    /// Checks the completions of `|`, each with the text before it that stays.
    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let cursor = text.find('|').unwrap();
        let text = text.replacen('|', "", 1);
        let (start, found) = complete(&text, cursor, &words());
        let found: Vec<_> = found.iter().map(|name| format!("{}{name}", &text[..start])).collect();
        let kept = |full: &&str| full.to_string();
        assert_eq!(found, expected.iter().map(kept).collect::<Vec<_>>(), "{text}");
    }

    #[test]
    fn a_statement_begins_with_a_keyword() {
        check("SEL|", &["SELECT"]);
        check("sel|", &["select"]);
        check("SELECT 1; re|", &["SELECT 1; reindex", "SELECT 1; reset"]);
    }

    #[test]
    fn tables_stand_after_from() {
        check("SELECT * FROM d|", &["SELECT * FROM docs"]);
        check("SELECT * FROM system.i|", &["SELECT * FROM system.indexes"]);
        check("SELECT * FROM lake.|", &["SELECT * FROM lake.docs"]);
        check("INSERT INTO q|", &["INSERT INTO queries"]);
        check("SELECT * FROM kn|", &["SELECT * FROM knn('", "SELECT * FROM knn_batch('"]);
        check("SELECT * FROM docs JOIN q|", &["SELECT * FROM docs JOIN queries"]);
        check("DROP TABLE \"My|", &["DROP TABLE \"My Docs\""]);
        check("DESCRIBE m|", &["DESCRIBE \"My Docs\""]);
        check("DESCRIBE x|", &[]);
    }

    #[test]
    fn columns_are_those_of_the_statement() {
        check("SELECT bod| FROM docs", &["SELECT body FROM docs"].map(|text| &text[..text.find(" FROM").unwrap()]));
        check("SELECT id FROM docs WHERE bod|", &["SELECT id FROM docs WHERE body"]);
        check(
            "SELECT ti| FROM \"My Docs\"",
            &["SELECT \"Title\"", "SELECT time", "SELECT timestamp", "SELECT tinyint"],
        );
        check("SELECT d.| FROM docs d", &["SELECT d.body", "SELECT d.id", "SELECT d.vec"]);
        check("SELECT docs.i| FROM docs", &["SELECT docs.id"]);
        check("SELECT * FROM lake.docs WHERE lan|", &["SELECT * FROM lake.docs WHERE lang"]);
        check("SELECT _d| FROM knn('docs', [1.0], 3)", &["SELECT _distance"]);
        check("SELECT n.bo| FROM knn('docs', [1.0], 3) AS n", &["SELECT n.body"]);
        check("SELECT l2_| FROM docs", &["SELECT l2_distance(", "SELECT l2_squared("]);
        check("SELECT id FROM docs ord|", &["SELECT id FROM docs order"]);
    }

    #[test]
    fn a_search_has_named_arguments() {
        check("SELECT * FROM knn('do|", &["SELECT * FROM knn('docs'"]);
        check("SELECT * FROM knn('lake|", &["SELECT * FROM knn('lake.docs'"]);
        check("SELECT * FROM knn('docs', [1.0, 2.0], 3, me|", &["SELECT * FROM knn('docs', [1.0, 2.0], 3, metric => "]);
        let found = |name: &str| format!("SELECT * FROM knn('docs', [1.0], 3, {name} => ");
        let all: Vec<_> = ARGUMENTS.into_iter().map(found).collect();
        check("SELECT * FROM knn('docs', [1.0], 3, |", &all.iter().map(String::as_str).collect::<Vec<_>>());
        check("FROM knn('docs', $1, 3, metric => 'c|", &["FROM knn('docs', $1, 3, metric => 'cosine'"]);
        check("FROM knn('docs', $1, 3, re|", &["FROM knn('docs', $1, 3, rerank_factor => "]);
        let consistency = |name: &str| format!("FROM knn('docs', $1, 3, consistency => '{name}'");
        let all = ["eventual", "fresh", "stale"].map(consistency);
        check("FROM knn('docs', $1, 3, consistency => '|", &all.each_ref().map(String::as_str));
        check("FROM knn('docs', $1, 3, consistency => 'f|", &[&consistency("fresh")]);
        check(
            "FROM knn('docs', $1, 3, backends => ['main', 'l|",
            &["FROM knn('docs', $1, 3, backends => ['main', 'lake'"],
        );
        check("FROM knn('docs', $1, 3, filter => bod|", &["FROM knn('docs', $1, 3, filter => body"]);
        check("FROM recall('docs', 100, 3, np|", &["FROM recall('docs', 100, 3, nprobe => "]);
        check("SELECT * FROM publish_bundle('do|", &["SELECT * FROM publish_bundle('docs'"]);
    }

    #[test]
    fn indexes_have_kinds_and_options() {
        check("CREATE INDEX i ON do|", &["CREATE INDEX i ON docs"]);
        check(
            "CREATE INDEX i ON docs USING ra|",
            &[
                "CREATE INDEX i ON docs USING rabitq",
                "CREATE INDEX i ON docs USING rabitq_asym",
                "CREATE INDEX i ON docs USING rabitq_plus",
            ],
        );
        check("CREATE INDEX i ON docs (v|", &["CREATE INDEX i ON docs (vec"]);
        check("CREATE INDEX i ON docs (vec) WITH (se|", &["CREATE INDEX i ON docs (vec) WITH (seed = "]);
        check(
            "CREATE INDEX i ON docs (vec) WITH (metric = 'co|",
            &["CREATE INDEX i ON docs (vec) WITH (metric = 'cosine'"],
        );
        check("DROP INDEX do|", &["DROP INDEX docs_vec"]);
        check("reindex la|", &["reindex lake_vec"]);
        check("CREATE BACKEND b TYPE pa|", &["CREATE BACKEND b TYPE parquet"]);
        check("DROP BACKEND la|", &["DROP BACKEND lake"]);
    }

    #[test]
    fn settings_have_dots() {
        check("SET ru|", &["SET ruvector.nprobe", "SET ruvector.use_index"]);
        check("SET ruvector.np|", &["SET ruvector.nprobe"]);
        check("SHOW datafusion.execution.b|", &["SHOW datafusion.execution.batch_size"]);
        check("SHOW ta|", &["SHOW tables"]);
        check("SET ruvector.nprobe = ru|", &[]);
    }

    #[test]
    fn texts_and_comments_are_left_alone() {
        for text in ["SELECT 'd|", "SELECT 1 -- sel|", "SELECT /* sel|", "SELECT 1 AS a WHERE a = 'do|"] {
            check(text, &[]);
        }
    }

    #[test]
    fn any_place_is_a_place() {
        let text =
            "SELECT \"ä\", 'é' FROM knn('docs', [1.0], 3, metric => 'l2') n WHERE n.id = $1 -- ö\n AND /* x */ a[1];";
        for (at, _) in text.char_indices() {
            complete(text, at, &words());
            complete(&text[..at], at, &words());
        }
    }

    #[test]
    fn commands_are_completed() {
        let check = |text: &str, expected: &[&str]| {
            let (start, found) = complete_command(text, &words());
            assert_eq!(found.iter().map(|name| format!("{}{name}", &text[..start])).collect::<Vec<_>>(), expected);
        };
        check("\\ti", &["\\timing"]);
        check("\\timing o", &["\\timing off", "\\timing on"]);
        check("\\d sys", &["\\d system.indexes"]);
        check("\\df knn", &["\\df knn", "\\df knn_batch"]);
        check("\\format c", &["\\format csv"]);
    }
}
