//! Bounds on the text of a statement, checked before it is taken apart.
//!
//! A token takes some 100 bytes, and a text has up to one for each of its bytes. Tokens are counted without making them: never too
//! few, and exactly enough for long strings and long lists. Where a text could be read in two ways, as quotes behind a backslash, the
//! rest is counted as if there were no strings.

use datafusion::sql::sqlparser::dialect::Dialect as Grammar;

use ruvector_udfs::error::{Error, ErrorKind, Result};

/// Bytes of a statement, at most. A bound.
const BYTES_MAX: usize = 64 << 20;
/// Tokens of a statement, at most, spaces included. A bound: a list of a million values has 3,000,000, and so have 1,000 vectors
/// of 1,000 coordinates.
const TOKENS_MAX: u64 = 8_000_000;

/// Checks the text of a statement.
///
/// # Errors
/// `ResourceExhausted` that names the limit.
pub(crate) fn check(grammar: &dyn Grammar, sql: &str) -> Result<()> {
    let refused = |max: u64, unit: &str, got: u64| {
        let message = format!("statement: expected at most {max} {unit}, got {got}");
        Err(Error::new(ErrorKind::ResourceExhausted, message))
    };
    if sql.len() > BYTES_MAX {
        return refused(BYTES_MAX as u64, "bytes", sql.len() as u64);
    }
    // Shorter texts need no look.
    if sql.len() as u64 <= TOKENS_MAX {
        return Ok(());
    }
    match tokens(grammar, sql) {
        tokens if tokens > TOKENS_MAX => refused(TOKENS_MAX, "words, signs and spaces", tokens),
        _ => Ok(()),
    }
}

/// The part of a text that a byte belongs to.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Part {
    Code,
    /// Until this quote.
    Quoted(u8),
    /// Until the end of the line, if it is a comment in the dialect.
    Line,
    /// Until as many ends, if it is a comment.
    Block(u32),
    /// Until the end: strings may be others than they look.
    Unknown,
}

/// The number of tokens, at least as many as there are.
fn tokens(grammar: &dyn Grammar, sql: &str) -> u64 {
    let plain = !grammar.supports_triple_quoted_string()
        && !grammar.is_delimited_identifier_start('[')
        && !grammar.is_nested_delimited_identifier_start('[');
    let mut part = if plain { Part::Code } else { Part::Unknown };
    let (mut tokens, mut in_word, mut before) = (0_u64, false, b' ');
    let (mut in_number, mut had_point) = (false, false);
    let mut bytes = sql.bytes().peekable();
    while let Some(byte) = bytes.next() {
        let next = bytes.peek().copied().unwrap_or(b' ');
        if let Part::Quoted(quote) = part {
            if byte == b'\\' {
                part = Part::Unknown;
            } else if byte == quote {
                part = Part::Code;
            }
            before = byte;
            continue;
        }
        let is_word = byte.is_ascii_alphanumeric() || byte == b'_';
        // A character of several bytes may be a token by itself; its first byte counts.
        let begins_word = !in_word || (before.is_ascii_digit() && !byte.is_ascii_digit());
        // The point of a number and the digits behind it are of the number. Behind a second point they are not: `1.2.3`.
        let is_point = byte == b'.' && in_number && !had_point && next.is_ascii_digit();
        let is_fraction = before == b'.' && had_point && byte.is_ascii_digit();
        let counts = match is_word {
            true => begins_word && !is_fraction,
            false => !is_point && (byte.is_ascii() || byte >= 0xC0),
        };
        in_number = is_point || (byte.is_ascii_digit() && (in_number || !in_word));
        had_point = in_number && (had_point || is_point);
        tokens += u64::from(counts);
        in_word = is_word;
        part = match (part, byte, next) {
            // `q'[...]'` has quotes within it.
            (Part::Code, b'\'', _) if matches!(before, b'q' | b'Q') => Part::Unknown,
            (Part::Code, b'\'' | b'"', _) => Part::Quoted(byte),
            (Part::Code, b'`', _) => Part::Unknown,
            // `$name$...$name$` is a string.
            (Part::Code, b'$', _) if !next.is_ascii_digit() => Part::Unknown,
            (Part::Code, b'#', _) | (Part::Code, b'-', b'-') | (Part::Code, b'/', b'/') => Part::Line,
            (Part::Code, b'/', b'*') => Part::Block(0),
            (Part::Line, b'\n', _) => Part::Code,
            (Part::Block(depth), b'/', b'*') => Part::Block(depth.saturating_add(1)),
            (Part::Block(0), b'/', _) if before == b'*' => Part::Code,
            (Part::Block(depth), b'/', _) if before == b'*' => Part::Block(depth - 1),
            (part, _, _) => part,
        };
        // The star of `/*` does not end the comment, as in `/*/`.
        before = if byte == b'*' && before == b'/' { b' ' } else { byte };
    }
    tokens
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::dialect::{
        BigQueryDialect, GenericDialect, MsSqlDialect, MySqlDialect, PostgreSqlDialect, SQLiteDialect,
    };
    use datafusion::sql::sqlparser::tokenizer::Tokenizer;

    use super::*;

    #[test]
    fn tokens_are_never_too_few() {
        let grammars: [&dyn Grammar; 6] = [
            &GenericDialect {},
            &PostgreSqlDialect {},
            &MySqlDialect {},
            &BigQueryDialect {},
            &MsSqlDialect {},
            &SQLiteDialect {},
        ];
        for start in [
            "SELECT 'it''s', \"a b\" ",
            "SELECT 1 -- it's\n",
            "SELECT 1 # it's\n",
            "SELECT 1 // it's\n",
            "SELECT 1 /* it's /* nested ' */ */ ",
            "SELECT 1 /* it's /* */ ' */ ",
            "SELECT 1 /*/ ' */ ",
            "SELECT $$ it's $$ ",
            "SELECT $a$ it's $a$ ",
            "SELECT 'it\\' ' ",
            "SELECT E'it\\'s' ",
            "SELECT '''it's''' ",
            "SELECT q'[it's]' ",
            "SELECT `it's` ",
            "SELECT [it's] ",
            "SELECT \"it's\" ",
            "SELECT $1, '?' ",
            "SELECT -0.5, 1.2.3, .5.5, a.1, t1.5, 1..2, 1.5e-3, 1e5.5, 1.a, 0x1.5, 1_0.5 ",
        ] {
            let sql = format!("{start}{}", "a 'b c' , €€ d ".repeat(50));
            for grammar in grammars {
                let Ok(found) = Tokenizer::new(grammar, &sql).tokenize() else { continue };
                assert!(tokens(grammar, &sql) >= found.len() as u64, "{start}: {} in {grammar:?}", found.len());
            }
        }
    }

    #[test]
    fn long_lists_and_long_strings_are_taken() {
        let numbers: Vec<String> = (1_000_000..2_000_000).map(|i| i.to_string()).collect();
        check(&GenericDialect {}, &format!("SELECT * FROM t WHERE id IN ({})", numbers.join(", "))).unwrap();
        let vector = vec!["-0.1234567"; 1536].join(", ");
        let rows = vec![format!("(1, [{vector}])"); 1000].join(", ");
        check(&GenericDialect {}, &format!("INSERT INTO t VALUES {rows}")).unwrap();
        let words = "a word, and more; ".repeat(1 << 20);
        check(&GenericDialect {}, &format!("INSERT INTO t VALUES ('{words}')")).unwrap();
    }

    #[test]
    fn many_tokens_and_bytes_are_refused() {
        for sql in ["a ".repeat(25 << 20), format!("SELECT 1 --'\n{}", "a ".repeat(5 << 20)), "x".repeat(BYTES_MAX + 1)]
        {
            let error = check(&GenericDialect {}, &sql).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ResourceExhausted);
            assert!(error.to_string().contains("expected at most"), "{error}");
        }
    }
}
