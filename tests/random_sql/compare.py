"""Judges two outcomes of one statement."""

from __future__ import annotations

import math
import re
from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from random_sql.engines import Refused, Rows

if TYPE_CHECKING:
    from collections.abc import Iterable

    Outcome = Rows | Refused

# Sums of floats may be made in any order.
TOLERANCE = 1e-9
SHOWN = 8

# An engine that says so has failed, whatever the statement is.
_BROKEN = ("internal error", "panicked", "bug in datafusion", "task failed", "does not satisfy")


class Difference(NamedTuple):
    """A difference: its kind (a reducer keeps it), and both outcomes in words."""

    kind: str
    duckdb: str
    ruvector: str

    def __str__(self) -> str:
        """Show both outcomes."""
        return f"  DuckDB:   {self.duckdb}\n  ruvector: {self.ruvector}"


def difference(duckdb: Outcome, ruvector: Outcome, *, ordered: bool) -> Difference | None:
    """Return the difference of two outcomes: rows as multisets, or in their order if the statement has a total one."""
    said = _words(duckdb), _words(ruvector)
    if isinstance(ruvector, Refused) and is_broken(ruvector):
        return Difference("broken: " + _start(ruvector), *said)
    if isinstance(duckdb, Refused):
        return None if isinstance(ruvector, Refused) or duckdb.limit else Difference("DuckDB refuses", *said)
    if isinstance(ruvector, Refused):
        return Difference("ruvector refuses: " + _start(ruvector), *said)
    if len(duckdb.rows) != len(ruvector.rows):
        return Difference("rows", *said)
    if ordered:
        return None if all(map(same, duckdb.rows, ruvector.rows)) else Difference("rows", *said)
    return None if _same_multiset(duckdb.rows, ruvector.rows) else Difference("rows", *said)


def is_broken(refused: Refused) -> bool:
    """Tell whether an engine has failed rather than refused."""
    message = refused.message.lower()
    return refused.kind == "InternalError" or any(word in message for word in _BROKEN)


def _start(refused: Refused) -> str:
    """Return the part of a message that all statements with one cause share: without names, numbers and quoted text."""
    message = re.sub(r'"[^"]*"|\b\w+\.\w+\b|\d+', "_", " ".join(refused.message.split()))
    return f"{refused.kind} {message[:70]}"


def _words(outcome: Outcome) -> str:
    if isinstance(outcome, Refused):
        return f"{outcome.kind}: {' '.join(outcome.message.split())[:300]}"
    shown = sorted(outcome.rows, key=repr)[:SHOWN]
    return f"{len(outcome.rows)} rows: {shown}{' ...' if len(outcome.rows) > SHOWN else ''}"


def _same_multiset(left: Iterable[tuple[object, ...]], right: Iterable[tuple[object, ...]]) -> bool:
    exact_left, exact_right = Counter(map(_exact, left)), Counter(map(_exact, right))
    rest = list((exact_right - exact_left).elements())
    for row in (exact_left - exact_right).elements():
        twin = next((other for other in rest if same(row, other)), None)
        if twin is None:
            return False
        rest.remove(twin)
    return not rest


def _exact(value: object) -> object:
    """Return a value that is hashed, and in which NaN equals NaN and `true` does not equal 1."""
    if isinstance(value, (list, tuple)):
        return tuple(map(_exact, value))
    if isinstance(value, dict):
        return tuple((name, _exact(field)) for name, field in value.items())
    if isinstance(value, float) and math.isnan(value):
        return "the float NaN"
    if isinstance(value, bool):
        return f"the boolean {value}"
    return value


def same(left: object, right: object) -> bool:
    """Compare values: numbers by value, floats by tolerance, NaN equals NaN, -0.0 equals 0.0."""
    if isinstance(left, (list, tuple)) and isinstance(right, (list, tuple)):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[name], right[name]) for name in left)
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, float) or isinstance(right, float):
        if not (isinstance(left, (int, float, Decimal)) and isinstance(right, (int, float, Decimal))):
            return left == right
        first, second = float(left), float(right)
        return (
            first == second
            or (math.isnan(first) and math.isnan(second))
            or math.isclose(first, second, rel_tol=TOLERANCE)
        )
    return left == right
