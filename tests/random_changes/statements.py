"""Random changes: INSERT, UPDATE, DELETE, MERGE, TRUNCATE and CREATE TABLE AS over the two tables."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, NamedTuple

from random_sql.scopes import Relation, Scope, qualified
from random_sql.statements import LITERALS, Generator
from random_sql.tree import Node, Said, listed, maybe, node

from random_changes.tables import KEYS

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from random_sql.scopes import Column
    from random_sql.tree import Dialect, Name

    from random_changes.tables import Table

_PARAMETER = re.compile(r"\$<(\d+)>")
INT_PARAMETERS = (0, 1, 2, -1, 5)
# The name of the table that CREATE TABLE AS makes.
MADE = Said("made", '"Made. by query"')


class Change(NamedTuple):
    """A statement and the values of its parameters.

    `creates` is true of CREATE TABLE AS, whose answer is the table that it makes. `right` is the right answer: that of
    the model, a refusal, or either.
    """

    tree: Node
    values: list[object]
    creates: bool = False
    right: Literal["model", "refused", "either"] = "model"

    def write(self, dialect: Dialect) -> tuple[str, list[object]]:
        """Write the statement and the parameters that are left in it, numbered from 1."""
        used: list[object] = []

        def number(match: re.Match[str]) -> str:
            used.append(self.values[int(match[1])])
            return f"${len(used)}"

        return _PARAMETER.sub(number, self.tree.write(dialect)), used


class Changes:
    """Makes changes of one table, which read the other too; the same `rng` makes the same."""

    def __init__(self, rng: random.Random, target: Table, other: Table) -> None:
        self.rng = rng
        self.target = target.source()
        self.other = other.source()
        self.generator = Generator(rng, [self.target, self.other])
        self.values: list[object] = []

    def change(self) -> Change:
        """Make a change."""
        self.values, self.generator.aliases = [], 0
        fields = [column.name for column in self.target.columns if column.sort == "struct"]
        if self.rng.random() < 0.1:
            return Change(self._wrong(), [], right="refused")
        if fields and self.rng.random() < 0.15:
            return Change(self._field(self.rng.choice(fields)), [], right="either")
        kinds = {
            self._update: 6,
            self._delete: 3,
            self._merge: 5,
            self._insert: 4,
            self._truncate: 1,
            self._create: 1,
        }
        make = self.rng.choices(list(kinds), list(kinds.values()))[0]
        return Change(make(), self.values, creates=make == self._create)

    # Statements

    def _update(self) -> Node:
        alias, names = self._alias()
        scope = self._scope(alias)
        sets = [self._set(column, scope) for column in self._columns()]
        return node("change", "UPDATE ", self.target.name, names, " SET ", listed("sets", sets), self._where(scope))

    def _delete(self) -> Node:
        alias, names = self._alias()
        return node("change", "DELETE FROM ", self.target.name, names, self._where(self._scope(alias)))

    def _truncate(self) -> Node:
        return node("change", "TRUNCATE TABLE ", self.target.name)

    def _create(self) -> Node:
        """Make a table of a query, with the names of the columns that it reads."""
        scope = self._scope("r")
        columns = [node("item", qualified("r", column.name)) for column in self.target.columns]
        where = maybe(" WHERE ", self.generator.boolean(scope, 2))
        return node(
            "change",
            "CREATE OR REPLACE TABLE ",
            MADE,
            " AS SELECT ",
            listed("items", columns),
            " FROM ",
            self.target.name,
            " AS r",
            where,
        )

    def _insert(self) -> Node:
        columns = list(self.target.columns)
        if self.rng.random() < 0.6:
            columns = self._columns()
            names = [column.name for column in columns]
        else:
            names = []
        into = [node("names", " (", *_joined(names), ")")] if names else []
        if self.rng.random() < 0.5:
            rows = [
                node("row", "(", *_joined([self._literal(column) for column in columns]), ")")
                for _ in range(self.rng.randint(1, 3))
            ]
            return node("change", "INSERT INTO ", self.target.name, *into, " VALUES ", listed("rows", rows))
        source = self.rng.choice((self.target, self.other))
        scope = Scope([Relation("r", source.columns, source.key)])
        items = [self._value(column, scope) for column in columns]
        query = (
            "SELECT ",
            *_joined(items),
            " FROM ",
            source.name,
            " AS r",
            maybe(" WHERE ", self.generator.boolean(scope, 2)),
        )
        return node("change", "INSERT INTO ", self.target.name, *into, " ", *query)

    def _merge(self) -> Node:
        """Make a MERGE whose source has each key once: no row of the target has two matches."""
        alias, names = self._alias(always=self.rng.random() < 0.7)
        source: Name = self.other.name
        named: list[Name] = []
        if self.rng.random() < 0.7:
            source, named = "s", [" AS s"]
        both = Scope([Relation(alias, self.target.columns), Relation(source, self.other.columns)])
        only_source, only_target = Scope(both.relations[1:]), Scope(both.relations[:1])
        keys = node(
            "bool", qualified(alias, self.target.columns[0].name), " = ", qualified(source, self.other.columns[0].name)
        )
        on = node("bool", keys, maybe(" AND ", self.generator.boolean(both, 1))) if self.rng.random() < 0.3 else keys
        clauses = []
        if self.rng.random() < 0.8:
            clauses.append(self._when("MATCHED", both))
        if self.rng.random() < 0.7:
            columns = self._columns()
            clauses.append(
                node(
                    "when",
                    " WHEN NOT MATCHED",
                    self._and(only_source),
                    " THEN INSERT (",
                    *_joined([column.name for column in columns]),
                    ") VALUES (",
                    *_joined([self._value(column, only_source) for column in columns]),
                    ")",
                )
            )
        if self.rng.random() < 0.3 or not clauses:
            clauses.append(self._when("NOT MATCHED BY SOURCE", only_target))
        using = (" USING ", self.other.name, *named, " ON ", on)
        return node("change", "MERGE INTO ", self.target.name, names, *using, listed("clauses", clauses, ""))

    def _when(self, kind: str, scope: Scope) -> Node:
        if self.rng.random() < 0.3:
            return node("when", f" WHEN {kind}", self._and(scope), " THEN DELETE")
        sets = listed("sets", [self._set(column, scope) for column in self._columns()])
        return node("when", f" WHEN {kind}", self._and(scope), " THEN UPDATE SET ", sets)

    def _and(self, scope: Scope) -> Node:
        if self.rng.random() < 0.6:
            return node("clause", "")
        return maybe(" AND ", self.generator.boolean(scope, 1))

    def _field(self, column: Name) -> Node:
        """Make an UPDATE of one field of a struct, which the model writes as one of the struct."""
        assert isinstance(column, Said)
        plain = f"{column.duckdb} = {{'a': 99, 'b c': {column.duckdb}['b c']}}"
        return node("change", "UPDATE ", self.target.name, " SET ", Said(plain, f"{column.ruvector}.a = 99"))

    def _wrong(self) -> Node:
        """Make a statement that names no column, or a column twice."""
        key, column = (column.name for column in self.target.columns[:2])
        name = self.target.name
        return self.rng.choice(
            (
                node("change", "UPDATE ", name, " SET ", column, " = 1, ", column, " = 2"),
                node("change", "UPDATE ", name, " AS x SET nothing.", column, " = 1"),
                node("change", "UPDATE ", name, " SET ", column, " = nothing.", column),
                node("change", "INSERT INTO ", name, " (", key, ", ", key, ") VALUES (1, 2)"),
                node("change", "INSERT INTO ", name, " (", key, ") VALUES (1, 2)"),
                node("change", "DELETE FROM ", name, " AS x WHERE ", qualified(name, key), " = 1"),
                node("change", "DELETE FROM ", name, " WHERE nothing.", key, " = 1"),
                node(
                    "change",
                    "MERGE INTO ",
                    name,
                    " AS x USING ",
                    self.other.name,
                    " AS s ON ",
                    qualified(name, key),
                    " = 1 WHEN MATCHED THEN DELETE",
                ),
                node("change", "UPDATE ", name, " SET ", column, " = (SELECT v FROM (VALUES (1), (2)) AS q(v))"),
            )
        )

    # Parts

    def _alias(self, *, always: bool = False) -> tuple[Name, Node]:
        """Return the name that the target has in its statement, and how it gets it."""
        if always or self.rng.random() < 0.4:
            return "x", node("alias", self.rng.choice((" AS x", " x")))
        return self.target.name, node("alias", "")

    def _scope(self, alias: Name) -> Scope:
        return Scope([Relation(alias, self.target.columns)])

    def _columns(self) -> list[Column]:
        """Return some columns in any order."""
        return self.rng.sample(self.target.columns, self.rng.randint(1, len(self.target.columns)))

    def _where(self, scope: Scope) -> Node:
        chance = self.rng.random()
        if chance < 0.1:
            return node("clause", "")
        if chance < 0.35:
            keys = self.rng.sample(KEYS, self.rng.randint(0, 3))
            column = qualified(scope.relations[0].alias, self.target.columns[0].name)
            return maybe(" WHERE ", node("bool", "(", column, " = ANY(", self._parameter(keys), "))"))
        if chance < 0.5:
            column = qualified(scope.relations[0].alias, self.target.columns[0].name)
            return maybe(" WHERE ", node("bool", "(", column, " = ", self._parameter(self.rng.choice(KEYS)), ")"))
        return maybe(" WHERE ", self.generator.boolean(scope, 2))

    def _set(self, column: Column, scope: Scope) -> Node:
        return node("set", column.name, " = ", self._value(column, scope))

    def _value(self, column: Column, scope: Scope) -> Node:
        """Make a value for a column: of another column, so that values are swapped, a parameter, or any expression."""
        chance = self.rng.random()
        columns = scope.columns(column.sort)
        if chance < 0.3 and columns:
            return node(column.sort, self.rng.choice(columns))
        if chance < 0.4 and column.sort in {"big", "int"}:
            return node(column.sort, self._parameter(self.rng.choice(KEYS if column.sort == "big" else INT_PARAMETERS)))
        structs = scope.columns("struct")
        if structs and column.sort in {"int", "text"} and chance < 0.7:
            return node(column.sort, self.rng.choice(structs), "['a']" if column.sort == "int" else "['b c']")
        return self.generator.expression(column.sort, scope, 2)

    def _literal(self, column: Column) -> Node:
        if column.sort == "big" and self.rng.random() < 0.6:
            return node("big", self._parameter(self.rng.choice(KEYS)))
        return node(column.sort, self.rng.choice(LITERALS[column.sort]))

    def _parameter(self, value: object) -> str:
        self.values.append(value)
        return f"$<{len(self.values) - 1}>"


def _joined(parts: Sequence[Name | Node]) -> list[Name | Node]:
    """Put commas between parts that all have to stay."""
    return [between for part in parts for between in (", ", part)][1:]
