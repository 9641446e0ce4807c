//! The clauses, from the text to the name of a table.
//!
//! `t VERSION AS OF 3` is written `t("@v" => 3)` for the parser, which knows arguments at that place, with blanks up to its
//! length: positions in messages stay those of the text. [`AsOfClauses`] makes `"t@v3" AS t` of it.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr as SqlExpr, FunctionArg, FunctionArgExpr, Ident, ObjectName, ObjectNamePart, TableAlias, TableFactor,
    VisitorMut,
};
use datafusion::sql::sqlparser::dialect::{Dialect, GenericDialect};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer, Word};

use crate::text::dialect::folded;
use crate::text::time_travel::{MARK, USAGE, milliseconds};
use ruvector_udfs::error::{Error, Result};

/// The name of the function.
pub(crate) const HISTORY: &str = "table_history";

/// The names of the arguments that stand for the clauses: statements have no arguments of such names.
const VERSION: &str = "@v";
const TIMESTAMP: &str = "@t";

/// The text without these clauses, as [`AsOfClauses`] expects it; `None` if it has none.
///
/// # Errors
/// `InvalidInput` if a clause does not say a state.
pub(crate) fn take_clauses(dialect: &dyn Dialect, sql: &str) -> Result<Option<String>> {
    // Most statements have none: they are not taken apart for nothing.
    let sounds_so =
        |word: &str| sql.as_bytes().windows(word.len()).any(|part| part.eq_ignore_ascii_case(word.as_bytes()));
    if !["version", "timestamp", "system_time"].into_iter().any(sounds_so) {
        return Ok(None);
    }
    // What is no SQL at all is for the parser to refuse.
    let Ok(tokens) = Tokenizer::new(dialect, sql).tokenize_with_location() else { return Ok(None) };
    let tokens: Vec<TokenWithSpan> =
        tokens.into_iter().filter(|token| !matches!(token.token, Token::Whitespace(_) | Token::EOF)).collect();
    let (mut clauses, mut at) = (Vec::new(), 0);
    while at < tokens.len() {
        match clause_at(&tokens, at)? {
            Some(clause) => {
                at += clause.num_tokens;
                clauses.push(clause);
            }
            None => at += 1,
        }
    }
    Ok((!clauses.is_empty()).then(|| replaced(sql, &clauses)))
}

/// A clause in the text.
struct Clause {
    num_tokens: usize,
    start: Location,
    end: Location,
    /// The text that the parser gets in the place of the clause.
    arguments: String,
}

fn clause_at(tokens: &[TokenWithSpan], at: usize) -> Result<Option<Clause>> {
    let is = |offset: usize, keyword: Keyword| {
        let token = tokens.get(at + offset).map(|token| &token.token);
        matches!(token, Some(Token::Word(Word { keyword: found, quote_style: None, .. })) if *found == keyword)
    };
    let as_of = |offset: usize| is(offset, Keyword::AS) && is(offset + 1, Keyword::OF);
    let (argument, words) = if is(0, Keyword::VERSION) && as_of(1) {
        (VERSION, 3)
    } else if is(0, Keyword::TIMESTAMP) && as_of(1) {
        (TIMESTAMP, 3)
    } else if is(0, Keyword::FOR) && is(1, Keyword::SYSTEM_TIME) && as_of(2) {
        (TIMESTAMP, 4)
    } else {
        return Ok(None);
    };
    let first_value = at + words;
    let typed = argument == TIMESTAMP && is(words, Keyword::TIMESTAMP);
    let value_at = first_value + usize::from(typed);
    let value = tokens.get(value_at).map(|token| &token.token);
    let position = || {
        let start = tokens[at].span.start;
        format!("at line {}, column {}", start.line, start.column)
    };
    let value = match (argument, value) {
        (VERSION, Some(Token::Number(digits, _))) if digits.parse::<u64>().is_ok() => digits.clone(),
        (TIMESTAMP, Some(Token::SingleQuotedString(time))) => {
            milliseconds(time).map_err(|_| wrong_value(argument, &format!("'{time}'"), &position()))?;
            format!("'{}'", time.replace('\'', "''"))
        }
        // A column `version` that is called `of`: what follows belongs to the statement.
        (_, None | Some(Token::Comma | Token::RParen | Token::SemiColon)) if words == 3 => return Ok(None),
        (_, Some(Token::Word(Word { keyword: Keyword::FROM, quote_style: None, .. }))) if words == 3 => {
            return Ok(None);
        }
        (_, Some(Token::Placeholder(parameter))) => return Err(parameter_as_state(argument, parameter, &position())),
        (_, Some(other)) => return Err(wrong_value(argument, &other.to_string(), &position())),
        (_, None) => return Err(wrong_value(argument, "nothing", &position())),
    };
    if !at.checked_sub(1).is_some_and(|before| matches!(tokens[before].token, Token::Word(_))) {
        return Err(Error::invalid_input(format!("expected {USAGE} ({})", position())));
    }
    let arguments = format!("(\"{argument}\"=>{value})");
    let (start, end) = (tokens[at].span.start, tokens[value_at].span.end);
    Ok(Some(Clause { num_tokens: value_at + 1 - at, start, end, arguments }))
}

fn wrong_value(argument: &str, got: &str, position: &str) -> Error {
    Error::invalid_input(format!("{}, got {got} ({position})", expected_value(argument)))
}

fn expected_value(argument: &str) -> &'static str {
    match argument {
        VERSION => "VERSION AS OF: expected the number of a version",
        _ => "TIMESTAMP AS OF: expected a time like '2026-11-21 20:00:00' (UTC)",
    }
}

/// A statement is prepared, and its columns are told, before its parameters have values; the columns of a table are those of
/// its state.
fn parameter_as_state(argument: &str, parameter: &str, position: &str) -> Error {
    Error::not_supported(format!(
        "{}, written in the statement, got the parameter {parameter}: a table's state, and with it its columns, is known before \
         parameters are bound ({position})",
        expected_value(argument)
    ))
}

/// The text with each clause replaced; what follows stands where it stood.
fn replaced(sql: &str, clauses: &[Clause]) -> String {
    let mut out = String::with_capacity(sql.len());
    let mut next = clauses.iter().peekable();
    let (mut line, mut column) = (1, 1);
    let mut inside: Option<(&Clause, usize)> = None;
    for c in sql.chars() {
        let here = Location::of(line, column);
        if inside.is_none()
            && let Some(clause) = next.next_if(|clause| clause.start == here)
        {
            out.push_str(&clause.arguments);
            inside = Some((clause, clause.arguments.chars().count()));
        }
        inside = inside.filter(|(clause, _)| clause.end != here);
        match &mut inside {
            None => out.push(c),
            Some((_, taken)) if c == '\n' => {
                *taken = 0;
                out.push(c);
            }
            // The arguments took this place already.
            Some((_, taken)) if *taken > 0 => *taken -= 1,
            Some(_) => out.push(' '),
        }
        (line, column) = if c == '\n' { (line + 1, 1) } else { (line, column + 1) };
    }
    out
}

/// Makes tables of older states of what [`take_clauses`] left.
pub(crate) struct AsOfClauses;

impl VisitorMut for AsOfClauses {
    type Break = Error;

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Error> {
        let TableFactor::Table { name, alias, args, .. } = factor else { return ControlFlow::Continue(()) };
        let Some(state) = args.as_ref().and_then(|args| state_of(&args.args)) else { return ControlFlow::Continue(()) };
        let Some(ObjectNamePart::Identifier(table)) = name.0.last_mut() else {
            return ControlFlow::Break(Error::invalid_input(format!("expected {USAGE}, got it after {name}")));
        };
        alias.get_or_insert_with(|| TableAlias { explicit: true, name: table.clone(), columns: Vec::new(), at: None });
        *table = Ident::with_quote('"', format!("{}{MARK}{state}", folded(table)));
        *args = None;
        ControlFlow::Continue(())
    }
}

/// The state that arguments say, if they are those of a clause.
fn state_of(args: &[FunctionArg]) -> Option<String> {
    let [argument] = args else { return None };
    let (name, value) = match argument {
        FunctionArg::Named { name, arg: FunctionArgExpr::Expr(SqlExpr::Value(value)), .. } => (name, value),
        FunctionArg::ExprNamed {
            name: SqlExpr::Identifier(name),
            arg: FunctionArgExpr::Expr(SqlExpr::Value(value)),
            ..
        } => (name, value),
        _ => return None,
    };
    match name.value.as_str() {
        VERSION => Some(format!("v{value}")),
        TIMESTAMP => value.clone().into_string(),
        _ => None,
    }
}

/// The query that `DESCRIBE HISTORY table` is; `None` for any other statement.
///
/// # Errors
/// `InvalidInput` if no name follows, or more than a name.
pub(crate) fn history_of(sql: &str) -> Result<Option<String>> {
    let start = sql.trim_start();
    if !start.get(..4).is_some_and(|word| word.eq_ignore_ascii_case("desc")) {
        return Ok(None);
    }
    let Ok(mut parser) = datafusion::sql::sqlparser::parser::Parser::new(&GenericDialect {}).try_with_sql(sql) else {
        return Ok(None);
    };
    let describe = parser.parse_one_of_keywords(&[Keyword::DESCRIBE, Keyword::DESC]).is_some();
    let asks = matches!(parser.peek_token().token, Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case("history"));
    if !describe || !asks {
        return Ok(None);
    }
    parser.advance_token();
    // DESCRIBE of a table that is called history.
    if matches!(parser.peek_token().token, Token::EOF | Token::SemiColon | Token::Period) {
        return Ok(None);
    }
    let wrong =
        |got: String| Error::invalid_input(format!("DESCRIBE HISTORY: expected the name of a table, got {got}"));
    let name: ObjectName = parser.parse_object_name(false).map_err(|e| wrong(e.to_string()))?;
    while parser.consume_token(&Token::SemiColon) {}
    match parser.peek_token().token {
        Token::EOF => Ok(Some(format!("SELECT * FROM {}('{}')", HISTORY, name.to_string().replace('\'', "''")))),
        other => Err(wrong(format!("{other} after it"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(sql: &str) -> String {
        take_clauses(&GenericDialect {}, sql).unwrap().unwrap_or_else(|| sql.to_owned())
    }

    #[test]
    fn clauses_are_replaced_and_the_rest_stays_where_it_was() {
        for (sql, expected) in [
            ("SELECT * FROM t VERSION AS OF 3 AS x", "SELECT * FROM t (\"@v\"=>3) AS x"),
            ("FROM t\nversion as\nof 12, u", "FROM t (\"@v\"=>12) , u"),
            ("FROM t TIMESTAMP AS OF '2026-11-21' x", "FROM t (\"@t\"=>'2026-11-21') x"),
            ("FROM t FOR SYSTEM_TIME AS OF TIMESTAMP '2026-11-21'", "FROM t (\"@t\"=>'2026-11-21')"),
            ("SELECT version AS of FROM t", "SELECT version AS of FROM t"),
            ("SELECT 'VERSION AS OF 3'", "SELECT 'VERSION AS OF 3'"),
        ] {
            let got = taken(sql);
            assert_eq!(got.split_whitespace().collect::<Vec<_>>().join(" "), expected, "{sql}");
            let lengths = |sql: &str| sql.lines().map(str::len).collect::<Vec<_>>();
            assert_eq!(lengths(&got), lengths(sql), "{sql}");
        }
    }

    #[test]
    fn what_is_no_state_is_refused() {
        for (sql, part) in [
            ("SELECT * FROM t VERSION AS OF 'x'", "expected the number of a version, got 'x' (at line 1, column 17)"),
            ("SELECT * FROM t VERSION AS OF -1", "expected the number of a version, got -"),
            ("SELECT * FROM t VERSION AS OF 1.5", "expected the number of a version, got 1.5"),
            (
                "SELECT * FROM t VERSION AS OF $1",
                "expected the number of a version, written in the statement, got the parameter $1",
            ),
            ("SELECT * FROM t TIMESTAMP AS OF $2", "(UTC), written in the statement, got the parameter $2"),
            ("SELECT * FROM t TIMESTAMP AS OF 'soon'", "expected a time like"),
            ("SELECT * FROM t TIMESTAMP AS OF 7", "expected a time like"),
            ("SELECT * FROM f() VERSION AS OF 7", "right after the name of a table"),
        ] {
            let message = take_clauses(&GenericDialect {}, sql).unwrap_err().to_string();
            assert!(message.contains(part), "{sql}: {message}");
        }
    }

    #[test]
    fn describe_history_is_a_query() {
        let asked = |sql| history_of(sql).unwrap();
        assert_eq!(asked("describe history Docs;").unwrap(), "SELECT * FROM table_history('Docs')");
        assert_eq!(asked("DESC HISTORY main.\"a b\"").unwrap(), "SELECT * FROM table_history('main.\"a b\"')");
        for other in ["DESCRIBE history", "DESCRIBE docs", "DESCRIBE history.docs", "SELECT 1"] {
            assert_eq!(asked(other), None, "{other}");
        }
        assert!(history_of("DESCRIBE HISTORY docs LIMIT 1").is_err());
    }
}
