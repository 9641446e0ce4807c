"""Reduces a statement as long as its difference stays."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from random_sql.tree import Node

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from random_sql.tree import Part

# The simplest expression of each sort: stands for whatever has no influence.
SIMPLEST = {
    "int": ("1", "CAST(NULL AS BIGINT)"),
    "float": ("CAST(1 AS DOUBLE)",),
    "text": ("'a'",),
    "bool": ("true", "false", "CAST(NULL AS BOOLEAN)"),
    "decimal": ("CAST(1 AS DECIMAL(10, 2))",),
    "date": ("DATE '2024-01-01'",),
    "list": ("[1]",),
}


def shrink(statement: Node, differs: Callable[[Node], bool], *, seconds: float = 20, tries: int = 800) -> Node:
    """Return the shortest statement found that still `differs`: every kept step is shorter than the one before."""
    deadline = time.monotonic() + seconds
    seen = {statement.write("ruvector")}
    shorter = True
    while shorter:
        shorter = False
        for candidate in sorted(_simpler(statement), key=_length):
            text = candidate.write("ruvector")
            if text in seen or len(text) >= len(statement.write("ruvector")):
                continue
            seen.add(text)
            if len(seen) > tries or time.monotonic() > deadline:
                return statement
            if differs(candidate):
                statement, shorter = candidate, True
                break
    return statement


def _length(statement: Node) -> int:
    return len(statement.write("ruvector"))


def _simpler(statement: Node) -> Iterator[Node]:
    """Yield the statements that are one step simpler."""
    yield from _instead(statement)
    for place, part in enumerate(statement.parts):
        if not isinstance(part, Node):
            continue
        if part.optional:
            yield _with(statement, place)
        for simpler in _simpler(part):
            yield _with(statement, place, simpler)


def _instead(part: Node) -> Iterator[Node]:
    """Yield what may stand in the place of a node."""
    if part.separator is not None and len(part.parts) > part.least:
        half = len(part.parts) // 2
        if half >= max(part.least, 1):
            yield replace(part, parts=part.parts[:half])
            yield replace(part, parts=part.parts[half:])
        for place in range(len(part.parts)):
            yield _with(part, place)
    for lower in part.below():
        if lower.sort == part.sort and lower.separator == part.separator and lower.sort != "clause":
            yield replace(lower, optional=part.optional)
    if any(isinstance(lower, Node) for lower in part.parts):
        for text in SIMPLEST.get(part.sort, ()):
            yield Node(part.sort, (text,))


def _with(parent: Node, place: int, *parts: Part) -> Node:
    return replace(parent, parts=(*parent.parts[:place], *parts, *parent.parts[place + 1 :]))
