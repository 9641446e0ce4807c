"""The differences from DuckDB that are known: each has its reason, and an example that has to differ.

`NORMALISED` lists those that the generator avoids, and how.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from random_sql.compare import Difference


class Known(NamedTuple):
    """A known difference: its reason, patterns of the statement and of the difference, a statement that differs."""

    reason: str
    statement: str
    difference: str
    example: str


BY_DESIGN = (
    Known(
        "sum(BIGINT) is a BIGINT, and an error where it does not fit; DuckDB's has 128 bits",
        r"sum\((DISTINCT )?\w+\.(big|wide)\)",
        r"ruvector refuses: \w+ .*(?i:overflow)",
        "SELECT sum(t.big) FROM (VALUES (9223372036854775807), (1)) AS t(big)",
    ),
    Known(
        "a constant that has no value is an error also where no row needs it, as in PostgreSQL",
        r"CAST\((CAST\('-?\d+' AS BIGINT\)|-?\d+) AS INTEGER\)",
        r"ruvector refuses: InvalidInput Cast error",
        "SELECT CAST(9223372036854775807 AS INTEGER) FROM (VALUES (1)) AS t(n) WHERE t.n > 1",
    ),
)

# Faults that are not mended: the example of one that is has to be taken out, for it differs no more.
FAULTS = (
    Known(
        "correlated subqueries that DataFusion 55 does not make joins of are refused",
        "",
        r"ruvector refuses: (NotSupported (?!Conflicting)|InvalidInput Accessing outer reference columns is not)",
        "SELECT (SELECT min(b.n) FROM (SELECT 1 AS n) AS b WHERE b.n <> a.n) FROM (SELECT 1 AS n) AS a",
    ),
    Known(
        "(a, b) IN (SELECT ...) of aggregates is refused",
        r" IN \(",
        r"ruvector refuses: InvalidInput Too many columns",
        "SELECT (max(a.n), 2) IN (SELECT 1, 2) FROM (VALUES (1)) AS a(n)",
    ),
    Known(
        "correlation over two levels is refused: DataFusion looks one level up",
        "SELECT",
        r"ruvector refuses: NotFound No field named",
        "SELECT 1 FROM (VALUES (1)) AS a(n) WHERE NOT EXISTS (SELECT 1 FROM (VALUES (1)) AS b(n) WHERE NOT EXISTS "
        "(SELECT 1 FROM (VALUES (1)) AS c(n) WHERE c.n = a.n))",
    ),
    Known(
        "names and places in grouped and joined queries that DataFusion's planner checks too strictly are refused",
        "SELECT",
        r"ruvector refuses: InvalidInput (Column in|Projections require|Schema|Aggregate schema|Correlated scalar|SQL)",
        "SELECT a.n, count(*) FROM (VALUES (1)) AS a(n) GROUP BY ROLLUP (a.n, a.n)",
    ),
    Known(
        "plans that fail DataFusion's own checks of types, nullability and order are refused",
        "SELECT",
        r"broken: .*(Physical input schema|Assertion failed: (compatible|DFSchema)|does not satisfy|Plan:)",
        "(SELECT (min(a.f) NOT IN (SELECT b.f FROM (VALUES (1), (NULL)) AS b(f))) IS UNKNOWN FROM (VALUES (1, 2)) "
        "AS a(f, g) GROUP BY a.g) INTERSECT (SELECT true FROM (VALUES (1)) AS c(x))",
    ),
    Known(
        "aggregates with orders that exclude each other are refused in one SELECT",
        r" ORDER BY ",
        r"ruvector refuses: NotSupported Conflicting ordering",
        "SELECT string_agg(t.s, ',' ORDER BY t.s), string_agg(t.r, ',' ORDER BY t.r) "
        "FROM (VALUES ('a', 'b')) AS t(s, r)",
    ),
)

NORMALISED = {
    "7 / 2 of integers is 3, as in PostgreSQL; DuckDB writes that 7 // 2": "`Said`",
    "array_length() is DuckDB's len(); its type is unsigned, which is cast away": "`Said` and a cast",
    "x = ANY(NULL) of a list is NULL, as in PostgreSQL; DuckDB says false": "a CASE around it in DuckDB",
    "LEFT SEMI JOIN and LEFT ANTI JOIN are DuckDB's SEMI JOIN and ANTI JOIN": "`Said`",
    "NULLs are greatest in ORDER BY, as in PostgreSQL": "a setting of DuckDB",
    "an integer literal is a BIGINT, in DuckDB an INTEGER: INTEGER arithmetic overflows there only": (
        "INTEGER meets INTEGER only, where it may overflow"
    ),
    "0.5 is a DOUBLE, in DuckDB a DECIMAL": "a cast of every literal of floats and decimals",
    "CAST(1.9 AS INT) is 1, in DuckDB and PostgreSQL 2": "no such cast",
    "avg(DECIMAL) is a DECIMAL, in DuckDB a DOUBLE; DECIMAL * and / have other scales": "not generated",
    "a date and an interval make a DATE, in DuckDB a TIMESTAMP": "a cast to DATE",
    "the order of lists that hold NULLs is not SQL's": "no ORDER BY, min() or < of lists",
    "x / 0 of integers is an error, in DuckDB NULL": "nullif(x, 0)",
    "an error in a row that a condition leaves out may be raised or not": "arithmetic that may fail stands alone",
    "upper('ß') depends on the locale": "no ß in the data",
}


def known_difference(statement: str, found: Difference) -> Known | None:
    """Return the known difference that a found one is, if any."""
    for known in BY_DESIGN + FAULTS:
        if re.search(known.statement, statement) and re.search(known.difference, found.kind + " " + found.ruvector):
            return known
    return None
