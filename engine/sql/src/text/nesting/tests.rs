//! Tests of the bounds on nesting: statements that must be refused, and statements that must be accepted. An accepted statement
//! must not keep the parser busy.

use std::sync::mpsc;
use std::time::Duration;

use datafusion::sql::parser::DFParserBuilder;
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::Tokenizer;

use super::*;
use crate::ErrorKind;

fn checked(sql: &str) -> Result<()> {
    let tokens = Tokenizer::new(&GenericDialect {}, sql).tokenize_with_location().unwrap();
    check(&GenericDialect {}, &tokens)
}

#[test]
fn a_tree_that_is_too_deep_is_refused_whatever_makes_it() {
    let n = 20_000;
    for sql in [
        format!("SELECT 1{}", "=1".repeat(n)),
        format!("SELECT 1{}", "|1".repeat(n)),
        format!("SELECT 1{}", "<1".repeat(n)),
        format!("SELECT 1{}", "::INT".repeat(n)),
        format!("SELECT 1{}", " IS NULL".repeat(n)),
        format!("SELECT 'a'{}", " LIKE 'a'".repeat(n)),
        format!("SELECT now(){}", " AT TIME ZONE 'UTC'".repeat(n)),
        format!("SELECT 1{}", "+coalesce(1,1)".repeat(n)),
        format!("SELECT count(*) FROM docs WHERE id IN (1,2){}", " OR id IN (3,4)".repeat(n)),
        format!("SELECT 1{}", " MINUS SELECT 1".repeat(n)),
        format!("SELECT 1{}", " UNION SELECT 1".repeat(n)),
        format!("SELECT * FROM a{}", " JOIN a".repeat(n)),
        format!("SELECT * FROM a{}", ", a".repeat(n)),
        format!("SELECT CAST(NULL AS INT{})", "[]".repeat(n)),
        format!("SELECT CAST(NULL AS {}INT{})", "ARRAY<".repeat(n), ">".repeat(n)),
        format!("SELECT {}1{}", "(".repeat(n), ")".repeat(n)),
        format!("SELECT {}1", "- ".repeat(n)),
        format!("SELECT {}true", "NOT ".repeat(n)),
        format!("SELECT {}1{}", "CASE WHEN true THEN ".repeat(n), " END".repeat(n)),
        format!("SELECT a{}", "[1]".repeat(n)),
        format!("{}SELECT 1", "EXPLAIN ".repeat(n)),
        // Words that seem to end a chain, and are names.
        format!("SELECT 1{}", "=and".repeat(n)),
        format!("SELECT 1{}", "=1=1 LIKE and".repeat(n)),
        format!("SELECT 1{}", "=1 BETWEEN 1 AND 1=1".repeat(n)),
        format!("SELECT 1{}", "=array<1>1".repeat(n)),
        format!("SELECT 1{}", " OPERATOR(+) and=1".repeat(n)),
    ] {
        let error = checked(&sql).expect_err(&sql[..60]);
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    }
}

#[test]
fn what_people_write_is_accepted() {
    let list = |item: &str, n: usize| vec![item; n].join(", ");
    for sql in [
        format!("SELECT * FROM docs WHERE id IN ({})", list("7", 200_000)),
        format!("INSERT INTO docs VALUES {}", list("(1, 'a', [0.5, -1.0])", 20_000)),
        format!("SELECT {}", list("a + 1 AS b", 5000)),
        format!("SELECT l2_distance(vec, [{}]) FROM docs", list("-0.5", 16_384)),
        format!("SELECT 1 WHERE a = 1{}", " OR a = 1".repeat(4000)),
        format!("SELECT 1{}", " + 1".repeat(4000)),
        format!("SELECT 1{}", " UNION ALL SELECT 1".repeat(900)),
        format!("SELECT {}1{}", "(".repeat(40), ")".repeat(40)),
        format!("SELECT CASE {} ELSE 0 END", "WHEN a = 1 THEN 2 ".repeat(2000)),
        format!("SELECT 1 WHERE NOT (a = 1){}", " AND NOT (a = 1 OR b IS NOT NULL)".repeat(2000)),
        format!("SELECT {}", list("CASE WHEN a THEN year ELSE name END, x IS DISTINCT FROM value", 5000)),
        format!("SELECT {}1{}", "CAST(".repeat(12), " AS BIGINT)".repeat(12)),
        format!("SELECT {}1{}", "coalesce(".repeat(40), ", 2)".repeat(40)),
        format!("SELECT * FROM {}t{}", "(SELECT * FROM ".repeat(15), ") AS x".repeat(15)),
        format!("SELECT * FROM a{}", " LEFT OUTER JOIN b AS c ON b.id = c.id AND b.x IN (1, 2)".repeat(999)),
    ] {
        checked(&sql).unwrap_or_else(|e| panic!("{}: {e}", &sql[..60]));
    }
}

/// A text that is accepted is parsed at once: the parser reads some pieces again, and each level of those doubles the time.
#[test]
fn no_accepted_text_keeps_the_parser_busy() {
    let pieces = [
        ("CAST(", " AS BIGINT)"),
        ("f(", ")"),
        ("(", ")"),
        ("((", "))"),
        ("[", "]"),
        ("CASE WHEN ", " THEN 1 END"),
        ("(SELECT ", ")"),
        ("CAST((", ") AS INT[])"),
        ("x -> (", ")"),
        ("f(a => ", ")"),
        ("EXTRACT(YEAR FROM ", ")"),
        ("{'a': ", "}"),
        ("INTERVAL (", ") DAY"),
        ("NOT EXISTS (SELECT ", ")"),
        // Words that are prefixes or names, without brackets.
        ("CASE + ", ""),
        ("a LIKE CASE + ", ""),
        ("NOT - ", ""),
        ("a.NOT - ", ""),
        ("NOT (1) = ", ""),
        ("CASE (1) + ", ""),
        ("INTERVAL ", ""),
        ("a.CEIL(", ")"),
        ("a.b[", "]"),
        ("1 IN (SELECT (", "))"),
        ("1 IN (SELECT - ", ")"),
        ("(SELECT 1 FROM (SELECT (", ")) AS t)"),
        ("f(a := ", ")"),
        ("position(", ")"),
        ("ARRAY[", "]"),
    ];
    for (open, close) in pieces {
        for depth in 1..60 {
            for end in [close, ""] {
                let sql = format!("SELECT {}1{}", open.repeat(depth), end.repeat(depth));
                if checked(&sql).is_ok() {
                    assert!(is_parsed(&sql), "the parser does not end: {sql}");
                }
            }
        }
    }
}

/// Returns true if the parser ends within 60 seconds, with or without an error.
fn is_parsed(sql: &str) -> bool {
    let (send, done) = mpsc::channel();
    let sql = sql.to_owned();
    let parse = move || {
        let parser = DFParserBuilder::new(sql.as_str()).with_dialect(&GenericDialect {}).build();
        let _ = parser.and_then(|mut parser| parser.parse_statements());
        let _ = send.send(());
    };
    std::thread::Builder::new().stack_size(16 << 20).spawn(parse).unwrap();
    done.recv_timeout(Duration::from_secs(60)).is_ok()
}
