//! Statements as tokens, and pieces of them written in another way.

use std::ops::ControlFlow;

use datafusion::common::config::Dialect;
use datafusion::sql::sqlparser::ast::{Expr, ObjectNamePart, VisitorMut};
use datafusion::sql::sqlparser::dialect::Dialect as Grammar;
use datafusion::sql::sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan, Tokenizer};

use crate::text::dialect::{check_operators, grammar_of};
use crate::text::nesting;
use crate::text::stars::stars;
use crate::text::text_size;
use ruvector_udfs::error::{Error, Result};
use ruvector_udfs::scalar::operators::{L2_DISTANCE, NEGATIVE_INNER_PRODUCT};

/// A piece of a statement, within one line, and what stands in its place.
#[derive(Clone, Debug)]
pub(crate) struct Edit {
    at: Location,
    /// In characters.
    len: usize,
    text: String,
}

impl Edit {
    pub(crate) fn new(at: Location, len: usize, text: String) -> Self {
        Self { at, len, text }
    }
}

/// The tokens of a statement.
///
/// # Errors
/// `InvalidInput` if it has something that is no token; `ResourceExhausted` if it is too long.
pub(crate) fn tokenize(grammar: &dyn Grammar, sql: &str) -> Result<Vec<TokenWithSpan>> {
    text_size::check(grammar, sql)?;
    let tokens = Tokenizer::new(grammar, sql).tokenize_with_location();
    tokens.map_err(|e| Error::invalid_input(format!("SQL cannot be parsed: {e}")))
}

/// A statement with its edits.
#[derive(Debug)]
pub(crate) struct Edited {
    pub(crate) text: String,
    made: Vec<Made>,
}

/// A piece of the text that is another one than before.
#[derive(Debug)]
struct Made {
    /// Position of the piece in the text before the edits, and its length there.
    at: Location,
    len: u64,
    /// Its length now.
    now: u64,
}

impl Edited {
    /// Returns the position in the text before the edits. A position within an edited piece becomes the beginning of the piece.
    pub(crate) fn before(&self, place: Location) -> Location {
        let mut column = place.column;
        for made in self.made.iter().filter(|made| made.at.line == place.line) {
            match column.checked_sub(made.at.column) {
                None => break,
                Some(within) if within < made.now => return made.at,
                Some(_) => column = column + made.len - made.now,
            }
        }
        Location::new(place.line, column)
    }
}

/// Spans of an expression's names and values are those of the text before the edits.
impl VisitorMut for Edited {
    type Break = std::convert::Infallible;

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Self::Break> {
        let moved = |span: &mut Span| *span = Span::new(self.before(span.start), self.before(span.end));
        match expr {
            Expr::Value(value) => moved(&mut value.span),
            Expr::Identifier(ident) => moved(&mut ident.span),
            Expr::CompoundIdentifier(idents) => idents.iter_mut().for_each(|ident| moved(&mut ident.span)),
            Expr::Function(function) => {
                function.name.0.iter_mut().for_each(|part| {
                    if let ObjectNamePart::Identifier(ident) = part {
                        moved(&mut ident.span);
                    }
                });
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// The statement with its `edits`, which are in the order of the text.
pub(crate) fn edited(sql: &str, edits: &[Edit]) -> Edited {
    let is_word = |c: &char| c.is_alphanumeric() || *c == '_';
    let mut out = String::with_capacity(sql.len() + 16 * edits.len());
    let mut made: Vec<Made> = Vec::with_capacity(edits.len());
    let (mut line, mut column, mut left_out) = (1, 1, 0);
    let mut edits = edits.iter().peekable();
    let mut chars = sql.chars().peekable();
    while let Some(c) = chars.next() {
        if let Some(edit) = edits.next_if(|edit| (edit.at.line, edit.at.column) == (line, column)) {
            out.push_str(&edit.text);
            left_out = edit.len;
            made.push(Made { at: edit.at, len: edit.len as u64, now: edit.text.chars().count() as u64 });
        }
        match left_out {
            0 => out.push(c),
            // `?AND` is two tokens, `$1AND` would be one.
            1 if chars.peek().is_some_and(is_word) => {
                out.push(' ');
                made.last_mut().into_iter().for_each(|made| made.now += 1);
            }
            _ => {}
        }
        left_out = left_out.saturating_sub(1);
        (line, column) = if c == '\n' { (line + 1, 1) } else { (line, column + 1) };
    }
    Edited { text: out, made }
}

/// Writes the statement as the parser knows it: parameters are numbered, operators have names, and so has the star of a MERGE.
///
/// # Errors
/// `InvalidInput` if it has something that is no token, or parameters of both kinds; `NotSupported` for operators that the
/// dialect cannot have.
pub(crate) fn written_for_parser(dialect: Dialect, sql: &str) -> Result<Edited> {
    let grammar = grammar_of(dialect)?;
    let tokens = tokenize(grammar.as_ref(), sql)?;
    nesting::check(grammar.as_ref(), &tokens)?;
    let mut edits = placeholders(&tokens)?;
    let operators = distance_operators(&tokens);
    if !operators.is_empty() {
        check_operators(dialect)?;
    }
    edits.extend(operators);
    edits.extend(stars(&tokens));
    edits.sort_by_key(|edit| edit.at);
    Ok(edited(sql, &edits))
}

/// Replaces each `?` by `$1`, `$2`, ... in the order of the text.
///
/// # Errors
/// `InvalidInput` if there are numbered parameters too.
fn placeholders(tokens: &[TokenWithSpan]) -> Result<Vec<Edit>> {
    let marks = tokens.iter().filter_map(mark_in).enumerate();
    let edits: Vec<Edit> = marks.map(|(i, at)| Edit { at, len: 1, text: format!("${}", i + 1) }).collect();
    let numbered = |token: &TokenWithSpan| matches!(&token.token, Token::Placeholder(name) if name.starts_with('$'));
    if !edits.is_empty() && tokens.iter().any(numbered) {
        return Err(Error::invalid_input("parameters are written either ? or $1, $2, ...; this statement has both"));
    }
    Ok(edits)
}

/// Position of the `?` in a token that is a parameter, if the token has one. PostgreSQL has operators with a `?`, which this
/// engine lacks. Its dialect takes the `>=?` of `x>=?` for an operator, and the `?-` of `?-1` for another.
fn mark_in(token: &TokenWithSpan) -> Option<Location> {
    let Location { line, column } = token.span.start;
    match &token.token {
        Token::Placeholder(name) => (name == "?").then_some(token.span.start),
        Token::Question
        | Token::QuestionAnd
        | Token::QuestionPipe
        | Token::QuestionMarkDash
        | Token::QuestionMarkDashVerticalBar
        | Token::QuestionMarkDoubleVerticalBar
        | Token::QuestionMarkSharp => Some(token.span.start),
        Token::CustomBinaryOperator(operator) => {
            let before = operator.strip_suffix('?')?.chars().count();
            Some(Location::new(line, column + before as u64))
        }
        _ => None,
    }
}

/// Writes pgvector's `<->` and `<#>`, which the parser does not know, as operators with a name. It knows `<=>`.
fn distance_operators(tokens: &[TokenWithSpan]) -> Vec<Edit> {
    let mut edits = Vec::new();
    for (i, token) in tokens.iter().enumerate() {
        // Right behind it, without a space.
        let next = || {
            let next = tokens.get(i + 1)?;
            let place = (token.span.start.line, token.span.start.column + 1);
            ((next.span.start.line, next.span.start.column) == place).then_some(&next.token)
        };
        // PostgreSQL's dialect has them as one token, others as two.
        let name = match (&token.token, next()) {
            (Token::Lt, Some(Token::Arrow)) | (Token::TwoWayArrow, _) => L2_DISTANCE,
            (Token::Lt, Some(Token::HashArrow)) => NEGATIVE_INNER_PRODUCT,
            (Token::CustomBinaryOperator(operator), _) => match operator.trim_end_matches('?') {
                "<->" => L2_DISTANCE,
                "<#>" => NEGATIVE_INNER_PRODUCT,
                _ => continue,
            },
            _ => continue,
        };
        edits.push(Edit { at: token.span.start, len: 3, text: format!(" OPERATOR({name}) ") });
    }
    edits
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::dialect::{GenericDialect, PostgreSqlDialect};

    use super::*;
    use crate::ErrorKind;

    fn numbered(sql: &str) -> Result<String> {
        Ok(edited(sql, &placeholders(&tokenize(&GenericDialect {}, sql)?)?).text)
    }

    #[test]
    fn question_marks_are_numbered_in_the_order_of_the_text() {
        let sql = "SELECT 'a?', \"b?\" -- ?\nFROM t WHERE x = ? AND y = ?";
        assert_eq!(numbered(sql).unwrap(), "SELECT 'a?', \"b?\" -- ?\nFROM t WHERE x = $1 AND y = $2");
        assert_eq!(numbered("SELECT ?\n, ?").unwrap(), "SELECT $1\n, $2");
        assert_eq!(numbered("SELECT 'ä', ?").unwrap(), "SELECT 'ä', $1");
        assert_eq!(numbered("a=?AND b=?").unwrap(), "a=$1 AND b=$2");
        assert_eq!(numbered("SELECT ?, $1").unwrap_err().kind(), ErrorKind::InvalidInput);
    }

    #[test]
    fn every_dialect_has_question_marks() {
        let sql = "SELECT ?-1, ?||'x' FROM t WHERE a>=? AND b<? AND c=? AND d BETWEEN ?AND ?";
        let expected = "SELECT $1-1, $2||'x' FROM t WHERE a>=$3 AND b<$4 AND c=$5 AND d BETWEEN $6 AND $7";
        for dialect in Dialect::metadata().iter().map(|info| info.dialect).filter(|dialect| *dialect != Dialect::MsSQL)
        {
            assert_eq!(written_for_parser(dialect, sql).unwrap().text, expected, "{dialect}");
        }
        let both = written_for_parser(Dialect::PostgreSQL, "SELECT a<->?").unwrap().text;
        assert_eq!(both, "SELECT a OPERATOR(l2_distance) $1");
    }

    #[test]
    fn places_are_those_of_the_text() {
        let sql = "SELECT ä <-> ?AND ?\n, ? + 'x'";
        let edited = written_for_parser(Dialect::Generic, sql).unwrap();
        assert_eq!(edited.text, "SELECT ä  OPERATOR(l2_distance)  $1 AND $2\n, $3 + 'x'");
        let place = |text: &str, what: &str| {
            let before = &text[..text.find(what).unwrap()];
            let line = before.matches('\n').count() as u64 + 1;
            let column = before.rsplit('\n').next().unwrap().chars().count() as u64 + 1;
            Location::new(line, column)
        };
        for (now, then) in [
            ("SELECT", "SELECT"),
            ("OPERATOR", "<->"),
            ("$1", "?AND"),
            ("AND", "AND"),
            ("$2", "?\n"),
            ("$3", "? +"),
            ("'x'", "'x'"),
        ] {
            assert_eq!(edited.before(place(&edited.text, now)), place(sql, then), "{now}");
        }
    }

    #[test]
    fn operators_are_named() {
        for grammar in [&GenericDialect {} as &dyn Grammar, &PostgreSqlDialect {}] {
            let named = |sql: &str| edited(sql, &distance_operators(&tokenize(grammar, sql).unwrap())).text;
            assert_eq!(named("a <-> b"), "a  OPERATOR(l2_distance)  b");
            assert_eq!(named("a<->b, ä<#>b"), "a OPERATOR(l2_distance)  b, ä OPERATOR(negative_inner_product)  b");
            for other in ["a < -b", "a <- b > c", "'a <-> b' -- <#>", "a <=> b", "a <> b", "a < - > b"] {
                assert_eq!(named(other), other);
            }
        }
    }
}
