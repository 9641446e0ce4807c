//! Words that the parser (sqlparser 0.62) reads in a way of their own.

use datafusion::sql::sqlparser::keywords::{Keyword, RESERVED_FOR_COLUMN_ALIAS, RESERVED_FOR_TABLE_ALIAS};

/// Words that begin a clause, and cannot be an operator where an operand has ended.
pub(super) fn is_clause(word: Keyword) -> bool {
    matches!(
        word,
        Keyword::SELECT
            | Keyword::FROM
            | Keyword::WHERE
            | Keyword::GROUP
            | Keyword::HAVING
            | Keyword::ORDER
            | Keyword::LIMIT
            | Keyword::ON
            | Keyword::USING
            | Keyword::JOIN
            | Keyword::LEFT
            | Keyword::RIGHT
            | Keyword::FULL
            | Keyword::INNER
            | Keyword::CROSS
            | Keyword::NATURAL
            | Keyword::UNION
            | Keyword::INTERSECT
            | Keyword::EXCEPT
            | Keyword::MINUS
            | Keyword::VALUES
    )
}

/// Words after which commas do not join.
pub(super) fn ends_from(word: Keyword) -> bool {
    matches!(
        word,
        Keyword::SELECT
            | Keyword::WHERE
            | Keyword::GROUP
            | Keyword::HAVING
            | Keyword::ORDER
            | Keyword::SET
            | Keyword::VALUES
            | Keyword::WINDOW
            | Keyword::QUALIFY
    )
}

/// Words that may add a relation to a query: those that the parser reserves, for they go on after a table or a column, but those
/// that a relation has once.
pub(super) fn is_relation(word: Keyword) -> bool {
    let once = matches!(
        word,
        Keyword::FROM
            | Keyword::WHERE
            | Keyword::ON
            | Keyword::USING
            | Keyword::GROUP
            | Keyword::HAVING
            | Keyword::ORDER
            | Keyword::SORT
            | Keyword::LIMIT
            | Keyword::OFFSET
            | Keyword::FETCH
            | Keyword::WINDOW
            | Keyword::QUALIFY
            | Keyword::RETURNING
            | Keyword::SET
            | Keyword::INTO
            | Keyword::VALUES
            | Keyword::PARTITION
            | Keyword::FOR
            | Keyword::FORMAT
            // Before JOIN, which counts, or a function.
            | Keyword::LEFT
            | Keyword::RIGHT
            | Keyword::FULL
            | Keyword::INNER
            | Keyword::NATURAL
            // Of expressions.
            | Keyword::ARRAY
            | Keyword::END
            | Keyword::WITH
    );
    // Different windows are levels of a plan.
    let is_window = word == Keyword::OVER;
    is_window || (!once && (RESERVED_FOR_TABLE_ALIAS.contains(&word) || RESERVED_FOR_COLUMN_ALIAS.contains(&word)))
}

/// Words that begin an expression of their own, or a type with columns: parser 0.62 reads their brackets, and if that
/// fails, those of a function.
pub(super) fn is_prefix(word: Keyword) -> bool {
    matches!(
        word,
        Keyword::CONVERT
            | Keyword::TRY_CONVERT
            | Keyword::CAST
            | Keyword::TRY_CAST
            | Keyword::SAFE_CAST
            | Keyword::EXISTS
            | Keyword::EXTRACT
            | Keyword::CEIL
            | Keyword::FLOOR
            | Keyword::SUBSTR
            | Keyword::SUBSTRING
            | Keyword::OVERLAY
            | Keyword::TRIM
            | Keyword::INTERVAL
            | Keyword::ARRAY
            | Keyword::MATCH
            | Keyword::STRUCT
            | Keyword::MAP
            | Keyword::NESTED
            | Keyword::TABLE
            | Keyword::TUPLE
            | Keyword::UNION
            | Keyword::VALUES
            | Keyword::CURRENT_TIMESTAMP
            | Keyword::CURRENT_TIME
            | Keyword::CURRENT_DATE
            | Keyword::LOCALTIME
            | Keyword::LOCALTIMESTAMP
            | Keyword::XML
    )
}

/// Words that begin an expression without a bracket, and are names where that fails.
pub(super) fn is_open_prefix(word: Keyword) -> bool {
    matches!(
        word,
        Keyword::CASE
            | Keyword::NOT
            | Keyword::PRIOR
            | Keyword::CONNECT_BY_ROOT
            | Keyword::BINARY
            | Keyword::LAMBDA
            | Keyword::INTERVAL
    )
}

/// Units of an interval, which end it.
pub(super) fn is_unit(word: Keyword) -> bool {
    matches!(
        word,
        Keyword::YEAR
            | Keyword::YEARS
            | Keyword::QUARTER
            | Keyword::MONTH
            | Keyword::MONTHS
            | Keyword::WEEK
            | Keyword::WEEKS
            | Keyword::DAY
            | Keyword::DAYS
            | Keyword::HOUR
            | Keyword::HOURS
            | Keyword::MINUTE
            | Keyword::MINUTES
            | Keyword::SECOND
            | Keyword::SECONDS
    )
}
