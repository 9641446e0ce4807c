"""The columns that an expression may use: those of FROM, those of the queries around it, the keys of a GROUP BY."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from random_sql.tree import Said

if TYPE_CHECKING:
    from random_sql.tree import Name, Node, Part


class Column(NamedTuple):
    """A column: its name, and the sort of its expressions."""

    name: Name
    sort: str


class Source(NamedTuple):
    """A table: its name, its columns, and the one that is different in every row, if there is one."""

    name: Name
    columns: tuple[Column, ...]
    key: Name | None = None


class Relation(NamedTuple):
    """A relation of FROM: a source by its alias."""

    alias: Name
    columns: tuple[Column, ...]
    key: Name | None = None


def qualified(alias: Name, column: Name) -> Name:
    """Write a column with its qualifier; a column of JOIN ... USING has none."""
    if alias == "":
        return column
    if isinstance(alias, str) and isinstance(column, str):
        return f"{alias}.{column}"
    first, second = (name if isinstance(name, Said) else Said(name, name) for name in (alias, column))
    return Said(f"{first.duckdb}.{second.duckdb}", f"{first.ruvector}.{second.ruvector}")


@dataclass
class Scope:
    """The relations of a query. `keys` are those of its GROUP BY: then a column may stand in an aggregate only."""

    relations: list[Relation] = field(default_factory=list)
    outer: Scope | None = None
    keys: list[Node] | None = None

    def columns(self, sort: str) -> list[Name]:
        """Return the columns of a sort, with their qualifiers."""
        return [
            qualified(relation.alias, column.name)
            for relation in self.relations
            for column in relation.columns
            if column.sort == sort
        ]

    def outside(self, sort: str) -> list[Part]:
        """Return what a subquery of this query may use of a sort: columns, or keys that are columns."""
        if self.keys is None:
            # Without a qualifier it would be a column of the subquery.
            here: list[Part] = [*Scope([relation for relation in self.relations if relation.alias]).columns(sort)]
        else:
            here = [key.parts[0] for key in self.keys if key.sort == sort and len(key.parts) == 1]
        return here + (self.outer.outside(sort) if self.outer is not None else [])
