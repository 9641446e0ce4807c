//! Random statements that try to keep the parser busy, or to overflow its stack.
//!
//! Each statement repeats pieces of SQL as often as the checks of the engine accept. A thread with the stack of the engine's
//! threads then parses it, and visits, clones, compares and drops its tree. Its seed makes it again.

use std::convert::Infallible;
use std::ops::ControlFlow;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use datafusion::common::config::Dialect;
use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::sqlparser::ast::{Expr, VisitMut, VisitorMut};
use datafusion::sql::sqlparser::keywords::ALL_KEYWORDS;

use crate::text::dialect::grammar_of;
use crate::text::tokens::written_for_parser;

/// Stack of the threads that parse in the server, in bytes.
const STACK_BYTES: usize = 16 << 20;
/// Time for one statement, at most. A bound: the slowest accepted one took about a second.
const PARSED_WITHIN: Duration = Duration::from_secs(20);
/// Characters of a statement that a failure shows.
const SHOWN_CHARS: usize = 300;

const BEGINNINGS: [&str; 11] = [
    "SELECT ",
    "SELECT ",
    "SELECT 1 FROM ",
    "SELECT 1 FROM t WHERE ",
    "INSERT INTO t VALUES (",
    "SET x = ",
    "CREATE TABLE t AS SELECT ",
    "UPDATE t SET a = ",
    "EXPLAIN SELECT ",
    "MERGE INTO t USING s ON ",
    "DELETE FROM t WHERE ",
];

/// Pieces that nest: an operand, and with it the next piece, follows.
#[rustfmt::skip]
const PREFIXES: &[&str] = &[
    // Brackets of operands and calls.
    "(", "((", "(((", "[", "{'a': ", "a[", "f(", "f(a => ", "f(a := ", "f(a = ", "f(f(1) => ", "a.f(", "a.a[",
    "a.b.c[", "{fn f(", "max(", "count(DISTINCT ", "year(", "date (", "MATCH(", "COLUMNS(", "JSON_OBJECT(",
    "JSON_OBJECT('a' : ", "LISTAGG(", "XMLTABLE(", "CURRENT_DATE(", "GROUPING SETS((", "ROLLUP(",
    // Words that have brackets of their own, and are names too.
    "CAST(", "TRY_CAST(", "CONVERT(", "CEIL(", "FLOOR(", "EXTRACT(YEAR FROM ", "POSITION(", "SUBSTRING(", "SUBSTR(",
    "OVERLAY(", "TRIM(", "TRIM(BOTH ", "STRUCT(", "STRUCT<a INT>(", "ARRAY[", "map {'a': ", "TUPLE(", "NULLABLE(",
    "NESTED(a INT DEFAULT ", "TABLE(a INT DEFAULT ", "a.CEIL(", "a.CAST(", "a.position(", "a.b.CASE (",
    // Words without brackets that are prefixes or names.
    "CASE ", "CASE (", "CASE - ", "CASE (1) + ", "a.case + ", "CASE WHEN ", "CASE x WHEN 1 THEN ", "NOT ", "NOT (",
    "NOT - ", "NOT (1) = ", "a.not - ", "INTERVAL ", "INTERVAL (", "INTERVAL 1 + ", "INTERVAL - ", "BINARY ",
    "BINARY - ", "PRIOR ", "DATE ", "TIMESTAMP ", "- ", "@",
    // Lambdas.
    "x -> ", "(x) -> ", "(x, y) -> ", "x INT -> ", "(x INT) -> ", "lambda x : ", "lambda (x) : ", "lambda (x) : a + ",
    // Queries and tables.
    "(SELECT ", "EXISTS(SELECT ", "ARRAY(SELECT ", "1 IN (", "1 IN ((", "1 IN (SELECT ", "1 IN ((SELECT ",
    "1 IN (SELECT (", "1 IN (SELECT - ", "1 IN (SELECT x -> ", "1 = ANY(", "(SELECT 1 FROM (",
    "(SELECT 1 FROM ((SELECT 1 FROM ", "(SELECT 1 FROM (SELECT (", "(SELECT 1 FROM (FROM (",
    "(SELECT 1 FROM (a JOIN ", "(SELECT 1 FROM f(", "(SELECT 1 FROM LATERAL f(", "(SELECT 1 FROM (VALUES(",
    "(SELECT 1 FROM UNNEST(", "(SELECT 1 FROM t TABLESAMPLE (", "(WITH a AS (SELECT ", "(WITH a (SELECT ",
    "sum(1) OVER (ORDER BY ",
    // Operators and types.
    "1 + ", "1 = ", "a.", "a.b.", "1 : ", "a:b[", "1 BETWEEN 1 AND ", "1 IS JSON ", "1 OPERATOR(x) ",
    "1 AT TIME ZONE ", "1 LIKE ANY (", "1::NULLABLE(", "1::ARRAY<", "1::STRUCT<a ", "1::MAP(INT, ", "1::TUPLE(a ",
];

/// Pieces that go on behind an operand, or only seem to.
#[rustfmt::skip]
const CHAINS: &[&str] = &[
    "=1", "|1", "<1", ">1", ">>1", "!", "::INT", "[1]", "[]", ".a", ".a[1]", ":a", "(1)", ", 1", " -> 1", " || 'a'",
    " OPERATOR(+) and", "+coalesce(1,1)", " IS NULL", " IS NOT NULL", " NOTNULL", " ISNULL", " NULL", " null",
    " LIKE 'a'", " SIMILAR TO 'a'", " ESCAPE 'a'", " COLLATE x", " COLLATE and", " AT TIME ZONE 'UTC'",
    " IS DISTINCT FROM 1", " XOR 1", " DIV 1", " OVERLAPS 1", " MEMBER OF (1)", " NOT IN (1)", " IN (SELECT 1)",
    " OR id IN (3,4)", " AND 1=1", " BETWEEN 1 AND 1", " between", " between=1", "=and", "=or", " and=1", " LIKE and",
    " LIKE case", " LIKE end", "=case", "+case", "=end", " end", " when", "+when", " when 1", " then 1", " else 1",
    " =array<1", " from", " from=1", " on", " select", "=select", " left", " values", " where", " as x",
    " order by 1", " UNION SELECT 1, 2", " MINUS SELECT 1", " FROM t", " JOIN t", " JOIN t ON 1=1", ", t",
    " PIVOT (sum(a) FOR b IN (1))",
];

/// Single tokens.
#[rustfmt::skip]
const SIGNS: &[&str] = &[
    "(", ")", "[", "]", "{", "}", ".", ",", "+", "-", "*", "=", "<", ">", ":", "::", "->", "=>", ":=", "!", "~", "@",
    "#", "?", "|", "||", "&&", ";", "1", "a", "'x'", "1", "a", "(", ")",
];
/// Words that the parser reads in several ways.
#[rustfmt::skip]
const WORDS: &[&str] = &[
    "CASE", "NOT", "INTERVAL", "BINARY", "LAMBDA", "PRIOR", "CAST", "IN", "SELECT", "FROM", "WITH", "ARRAY", "STRUCT",
    "MAP", "POSITION", "EXISTS", "AS", "END", "WHEN", "THEN", "LIKE", "IS", "NULL", "AND", "BETWEEN", "JOIN",
    "VALUES", "TABLE", "LATERAL", "DATE", "TIMESTAMP", "AT", "TIME", "ZONE", "ANY", "ALL", "DISTINCT", "ORDER", "BY",
    "OVER", "FILTER", "GROUP", "UNION",
];

/// Ends, most of which are wrong: the parser then reads what came before in its other ways.
const ENDS: &[&str] = &["1 1 1", ")", "", ",", "1", "(", "* *", "]", "'a'", "a b c", "1 = ", "::"];

/// `RUVECTOR_NESTED_STATEMENTS` is the number of statements, for longer runs; `RUVECTOR_SEED` is the seed of the first one, and
/// each of the others has the next.
#[test]
fn random_nested_statements_are_parsed_or_refused() {
    let number = |name, default| std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default);
    let (first, statements): (u64, u64) = (number("RUVECTOR_SEED", 1), number("RUVECTOR_NESTED_STATEMENTS", 200));
    let dialects = dialects();
    let mut accepted = 0;
    for seed in (0..statements).map(|n| first.wrapping_add(n)) {
        let mut choices = Choices(seed);
        let dialect = choices.pick(&dialects);
        let made = Generator { choices, dialect }.statement();
        if let Some(statement) = made {
            accepted += 1;
            parse_in_time(seed, dialect, statement);
        }
    }
    // A generator whose statements are refused tests nothing. Some begin a comment, or a name that does not end.
    assert!(statements < 100 || accepted > statements / 2, "seed {first}: {accepted} of {statements} were accepted");
}

#[test]
fn a_seed_makes_the_same_statement_again() {
    let make = |seed| Generator { choices: Choices(seed), dialect: Dialect::Generic }.statement();
    let made: Vec<_> = (0..8).map(make).collect();
    assert_eq!(made, (0..8).map(make).collect::<Vec<_>>());
    assert!(made.iter().skip(1).any(|statement| *statement != made[0]));
}

/// The dialects that a session can have.
fn dialects() -> Vec<Dialect> {
    Dialect::metadata().iter().map(|info| info.dialect).filter(|dialect| grammar_of(*dialect).is_ok()).collect()
}

/// Numbers of a sequence (SplitMix64).
struct Choices(u64);

impl Choices {
    #[expect(clippy::cast_possible_truncation, reason = "less than end, which is a usize")]
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) % end as u64) as usize
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// One to four of `from`.
    fn some<T: Copy>(&mut self, from: &[T]) -> Vec<T> {
        (0..=self.below(4)).map(|_| self.pick(from)).collect()
    }
}

struct Generator {
    choices: Choices,
    dialect: Dialect,
}

impl Generator {
    /// A statement as it is handed to the parser. `None` if it is refused however few repetitions it has.
    fn statement(mut self) -> Option<String> {
        let beginning = self.choices.pick(&BEGINNINGS);
        match self.choices.below(4) {
            0 => self.mix(beginning),
            1 => self.chain(beginning),
            _ => self.nest(beginning),
        }
    }

    /// Pieces within each other, perhaps with a long list in the innermost, and perhaps with the brackets that they need.
    fn nest(mut self, beginning: &str) -> Option<String> {
        let set = self.choices.some(PREFIXES);
        let pieces: Vec<_> = (0..=self.choices.below(60)).map(|_| self.choices.pick(&set)).collect();
        let list =
            if self.choices.below(3) == 0 { "1,".repeat(10 + self.choices.below(40_000)) } else { String::new() };
        let (end, last) = (self.choices.pick(ENDS), self.choices.pick(ENDS));
        let is_closed = self.choices.below(2) == 0;
        self.longest(pieces.len(), |n| {
            let open = pieces[..n].concat();
            let close = if is_closed { closing(&pieces[..n]) + last } else { String::new() };
            format!("{beginning}{open}{list}{end}{close}")
        })
    }

    /// Pieces behind each other, in turns or in runs of one.
    fn chain(mut self, beginning: &str) -> Option<String> {
        let run = self.choices.pick(&[1, 1, 1, 50, 1000]);
        let set = self.choices.some(CHAINS);
        let body: String = set.into_iter().map(|piece| piece.repeat(1 + self.choices.below(run))).collect();
        let repetitions = (self.choices.pick(&[2000_usize, 20_000, 300_000]) / body.len()).max(1);
        self.longest(repetitions, |n| format!("{beginning}1{}", body.repeat(n)))
    }

    /// Tokens in any order, repeated.
    fn mix(mut self, beginning: &str) -> Option<String> {
        let mut body = String::new();
        for _ in 0..=self.choices.below(7) {
            let token = match self.choices.below(6) {
                0..=2 => self.choices.pick(SIGNS),
                3 | 4 => self.choices.pick(WORDS),
                _ => self.choices.pick(ALL_KEYWORDS),
            };
            body.push_str(token);
            body.push(' ');
        }
        let operand = self.choices.pick(&["", "1 "]);
        let end = self.choices.pick(ENDS);
        let repetitions = self.choices.pick(&[30, 60, 500, 6000]);
        self.longest(repetitions, |n| format!("{beginning}{operand}{}{end}", body.repeat(n)))
    }

    /// The statement of `most` repetitions, or of about the most of which the checks accept it.
    fn longest(&self, most: usize, make: impl Fn(usize) -> String) -> Option<String> {
        let written = |n| written_for_parser(self.dialect, &make(n)).ok().map(|written| written.text);
        if let Some(statement) = written(most) {
            return Some(statement);
        }
        let (mut longest, mut accepted, mut refused) = (None, 0, most);
        while refused - accepted > 1 {
            let middle = usize::midpoint(accepted, refused);
            match written(middle) {
                Some(statement) => (longest, accepted) = (Some(statement), middle),
                None => refused = middle,
            }
        }
        longest
    }
}

/// The text that closes the brackets and CASEs that `pieces` open.
fn closing(pieces: &[&str]) -> String {
    let mut ends = Vec::new();
    for piece in pieces {
        if piece.starts_with("CASE") {
            ends.push(" END");
        }
        for (at, sign) in piece.char_indices() {
            match sign {
                '(' => ends.push(")"),
                '[' => ends.push("]"),
                '{' => ends.push("}"),
                '<' => ends.push(">"),
                ')' | ']' | '}' | '>' if ends.last() == Some(&&piece[at..=at]) => {
                    ends.pop();
                }
                _ => {}
            }
        }
    }
    ends.into_iter().rev().collect()
}

/// Parses `statement` in a thread of its own, and waits for it.
fn parse_in_time(seed: u64, dialect: Dialect, statement: String) {
    let beginning: String = statement.chars().take(SHOWN_CHARS).collect();
    let shown = format!("RUVECTOR_SEED={seed}, {dialect}, {} bytes: {beginning}", statement.len());
    let (send, done) = mpsc::channel();
    let work = move || {
        parse(dialect, &statement);
        let _ = send.send(());
    };
    // If the stack overflows, the process ends with a message that has the name of the thread, and nothing else.
    let thread = std::thread::Builder::new().name(shown.clone()).stack_size(STACK_BYTES).spawn(work).unwrap();
    match done.recv_timeout(PARSED_WITHIN) {
        Ok(()) => thread.join().unwrap(),
        Err(RecvTimeoutError::Timeout) => panic!("not parsed within {PARSED_WITHIN:?}: {shown}"),
        Err(RecvTimeoutError::Disconnected) => panic!("a panic while it was parsed or visited: {shown}"),
    }
}

/// Does with a statement what the engine does with its tree.
fn parse(dialect: Dialect, statement: &str) {
    let grammar = grammar_of(dialect).unwrap();
    let parsed = DFParserBuilder::new(statement)
        .with_dialect(grammar.as_ref())
        .build()
        .and_then(|mut parser| parser.parse_statements());
    // An error is as good: most of these texts are no SQL.
    let Ok(mut statements) = parsed else { return };
    let copy = statements.clone();
    assert!(copy == statements, "a copy is another statement");
    statements.iter_mut().for_each(visit);
}

fn visit(statement: &mut Statement) {
    match statement {
        Statement::Statement(inner) => {
            let ControlFlow::Continue(()) = inner.visit(&mut Everything);
        }
        Statement::Explain(explain) => visit(&mut explain.statement),
        _ => {}
    }
}

/// A visitor of every expression that changes none.
struct Everything;

impl VisitorMut for Everything {
    type Break = Infallible;

    fn pre_visit_expr(&mut self, _: &mut Expr) -> ControlFlow<Infallible> {
        ControlFlow::Continue(())
    }
}
