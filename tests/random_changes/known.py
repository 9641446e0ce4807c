"""The refusals of the engine that are known: each leaves the table as it was, and has its reason."""

from __future__ import annotations

import re
from typing import NamedTuple


class Known(NamedTuple):
    """A known refusal: its reason, and a pattern of the kind of difference."""

    reason: str
    kind: str


REFUSALS = (
    Known("correlated subqueries that DataFusion 55 does not make joins of", r"NotSupported Physical plan does not"),
    Known("correlated subqueries that would be joined wrongly", r"NotSupported (NOT )?(EXISTS|IN|ANY)\b"),
    Known(
        "window functions and outer joins in correlated subqueries",
        r"NotSupported a (window function in a subquery|condition that refers to the outer query)",
    ),
    Known("subqueries in ON that refer to both sides", r"NotSupported a subquery in ON"),
    Known(
        "MERGE with an alias and a subquery that refers to it: DataFusion refuses it",
        r"NotSupported MERGE subqueries correlated",
    ),
    Known(
        "a column of the name of its table, below a subquery, is taken for a field",
        r"InvalidInput (Cannot access field|Field .* not found in struct)",
    ),
    Known("(a, b) IN (SELECT ...) of aggregates", r"InvalidInput Too many columns"),
    Known("aggregates with orders that exclude each other in one SELECT", r"NotSupported Conflicting ordering"),
    Known(
        "correlation over two levels: DataFusion looks one level up",
        r"(NotFound No field named|NotSupported Nested identifiers are not yet supported for OuterReferenceColumn)",
    ),
    Known(
        "names of columns that DataFusion's planner takes for equal",
        r"InvalidInput (Projections require unique|Schema contains)",
    ),
    Known("places of correlated scalar subqueries that DataFusion checks", r"InvalidInput Correlated scalar subquery"),
)


def known_refusal(kind: str) -> Known | None:
    """Return the known refusal that a kind of difference is, if any."""
    return next((known for known in REFUSALS if re.search("ruvector refuses: " + known.kind, kind)), None)
