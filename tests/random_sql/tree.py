"""Statements as trees: they are written in two dialects, and a reducer can take parts of them away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

Dialect = Literal["duckdb", "ruvector"]


@dataclass(frozen=True)
class Said:
    """One meaning that the two dialects write differently."""

    duckdb: str
    ruvector: str


@dataclass(frozen=True)
class Node:
    """A part of a statement.

    Nodes of the same `sort` may stand in each other's place. An optional node may be left out. If `separator` is not
    `None`, the parts are the members of a list, of which `least` have to stay; `prefix` is written before the first.
    """

    sort: str
    parts: tuple[Part, ...]
    optional: bool = False
    separator: str | None = None
    least: int = 1
    prefix: str = ""

    def write(self, dialect: Dialect) -> str:
        """Write the statement in a dialect."""
        written = [
            part if isinstance(part, str) else getattr(part, dialect) if isinstance(part, Said) else part.write(dialect)
            for part in self.parts
        ]
        if self.separator is None:
            return "".join(written)
        return self.prefix + self.separator.join(written) if written else ""

    def below(self) -> Iterator[Node]:
        """Yield the nodes below this one, nearest first."""
        level = [part for part in self.parts if isinstance(part, Node)]
        while level:
            yield from level
            level = [part for node in level for part in node.parts if isinstance(part, Node)]


Name = str | Said
Part = str | Said | Node


def node(sort: str, *parts: Part) -> Node:
    """Make a node that has to stay."""
    return Node(sort, parts)


def maybe(*parts: Part) -> Node:
    """Make a clause that may be left out."""
    return Node("clause", parts, optional=True)


def listed(sort: str, parts: list[Node], separator: str = ", ", *, least: int = 1, prefix: str = "") -> Node:
    """Make a list."""
    return Node(sort, tuple(parts), separator=separator, least=least, prefix=prefix)
