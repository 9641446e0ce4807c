//! `UPDATE SET *` and `INSERT *` of MERGE in a form that the parser knows.
//!
//! Takes the tokens of a statement and returns edits of its text. The columns are put in when the statement is planned.

use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Word};

use crate::text::tokens::Edit;

/// The column that stands for every column.
pub(crate) const EVERY: &str = "@*";

/// Writes `UPDATE SET *` and `INSERT *` of a MERGE so that they can be parsed.
pub(crate) fn stars(tokens: &[TokenWithSpan]) -> Vec<Edit> {
    let tokens: Vec<&TokenWithSpan> =
        tokens.iter().filter(|token| !matches!(token.token, Token::Whitespace(_) | Token::EOF)).collect();
    let is = |at: usize, keyword: Keyword| {
        let token = tokens.get(at).map(|token| &token.token);
        matches!(token, Some(Token::Word(Word { keyword: found, quote_style: None, .. })) if *found == keyword)
    };
    let mut edits = Vec::new();
    // MERGE or EXPLAIN [ANALYZE] [VERBOSE] MERGE.
    if !(0..4).any(|at| is(at, Keyword::MERGE)) {
        return edits;
    }
    for (at, token) in tokens.iter().enumerate().filter(|(_, token)| token.token == Token::Mul) {
        // `CASE WHEN a THEN insert * 2 END` goes on with an operand.
        let ends = matches!(tokens.get(at + 1).map(|token| &token.token), None | Some(Token::SemiColon))
            || is(at + 1, Keyword::WHEN);
        let before = |words: &[Keyword]| {
            at.checked_sub(words.len())
                .is_some_and(|first| words.iter().enumerate().all(|(i, word)| is(first + i, *word)))
        };
        if ends && before(&[Keyword::THEN, Keyword::UPDATE, Keyword::SET]) {
            edits.push(Edit::new(token.span.start, 1, format!("\"{EVERY}\" = NULL ")));
        } else if ends && before(&[Keyword::THEN, Keyword::INSERT]) {
            edits.push(Edit::new(token.span.start, 1, format!("(\"{EVERY}\") VALUES (NULL) ")));
        }
    }
    edits
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::tokens::{edited, tokenize};
    use datafusion::sql::sqlparser::dialect::GenericDialect;

    fn written(sql: &str) -> String {
        edited(sql, &stars(&tokenize(&GenericDialect {}, sql).unwrap())).text
    }

    #[test]
    fn stars_become_assignments() {
        let sql = "merge INTO t USING s ON t.a = s.a WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *;";
        let expected = "merge INTO t USING s ON t.a = s.a WHEN MATCHED THEN UPDATE SET \"@*\" = NULL  WHEN NOT MATCHED THEN \
                        INSERT (\"@*\") VALUES (NULL) ;";
        assert_eq!(written(sql), expected);
        assert!(written("EXPLAIN VERBOSE MERGE INTO t USING s ON true WHEN MATCHED THEN UPDATE SET *").contains(EVERY));
    }

    #[test]
    fn other_stars_are_left_alone() {
        for sql in [
            "SELECT * FROM t",
            "SELECT CASE WHEN a THEN insert * 2 END FROM merge",
            "MERGE INTO t USING (SELECT * FROM s) s ON t.a = s.a WHEN MATCHED THEN UPDATE SET a = CASE WHEN true THEN insert * 2 END",
            "MERGE INTO t USING s ON t.a = s.a WHEN MATCHED THEN UPDATE SET *, a = 1",
        ] {
            assert_eq!(written(sql), sql);
        }
    }
}
