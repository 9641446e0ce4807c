"""The tables of the random statements: few rows, and every value that is known to be difficult."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa

from random_sql.scopes import Column, Source

if TYPE_CHECKING:
    import random

LEAST, GREATEST = -(2**63), 2**63 - 1
LEAST_INT, GREATEST_INT = -(2**31), 2**31 - 1

# `n`, `k` and `d` stay small, so that arithmetic with them never overflows; `big` and `wide` are the extremes.
COLUMNS = {
    "n": "int",
    "k": "int",
    "big": "big",
    "wide": "wide",
    "f": "float",
    "s": "text",
    "d": "decimal",
    "day": "date",
    "yes": "bool",
    "l": "list",
}
TYPES = {
    "n": pa.int64(),
    "k": pa.int32(),
    "big": pa.int64(),
    "wide": pa.int32(),
    "f": pa.float64(),
    "s": pa.string(),
    "d": pa.decimal128(10, 2),
    "day": pa.date32(),
    "yes": pa.bool_(),
    "l": pa.list_(pa.int64()),
}
VALUES: dict[str, list[object]] = {
    "n": [-3, -1, 0, 1, 2, 2, 3, 5, 7, 12],
    "k": [-2, 0, 1, 1, 2, 3, 4, 9],
    "big": [LEAST, LEAST + 1, -1, 0, 1, 2, 2**24 + 1, 2**53, 2**53 + 1, GREATEST - 1, GREATEST],
    "wide": [LEAST_INT, LEAST_INT + 1, -1, 0, 1, 2, 2**24 + 1, GREATEST_INT - 1, GREATEST_INT],
    "f": [float("nan"), float("inf"), float("-inf"), -0.0, 0.0, 0.5, 1.0, -1.5, 2.0, 3.25, 1e15, 1e-9],
    "s": ["", "a", "A", "ab", "b", "ä", "日本", "🐘", "a%b", "a_b", " a ", "Zebra", "10", "9", "it's"],
    "d": [Decimal("0.00"), Decimal("-1.50"), Decimal("1.00"), Decimal("2.00"), Decimal("2.25"), Decimal("99.99")],
    "day": [
        dt.date(1969, 12, 31),
        dt.date(2000, 1, 1),
        dt.date(2024, 2, 29),
        dt.date(2024, 3, 1),
        dt.date(9999, 12, 31),
    ],
    "yes": [True, False],
    "l": [[], [1], [1, 2], [2, 1], [1, None], [None], [3, 2, 2]],
}


class Table(NamedTuple):
    """A table: its name, its rows, and whether `id` is there and different in every row."""

    name: str
    rows: pa.Table
    has_id: bool

    def source(self) -> Source:
        """Return the table as the statements see it."""
        columns = tuple(Column(name, sort) for name, sort in COLUMNS.items())
        return Source(
            self.name, (Column("id", "int"), *columns) if self.has_id else columns, "id" if self.has_id else None
        )


def make(rng: random.Random) -> list[Table]:
    """Make the tables: two with a key, one of them without NULLs in it, one with rows that are equal, one empty."""
    return [
        _table("birds", rng, 11, nulls=0.2),
        _table("trees", rng, 7, nulls=0.3),
        _table("nests", rng, 5, nulls=0.0),
        _table("songs", rng, 8, nulls=0.3, has_id=False),
        _table("moons", rng, 0, nulls=0.0),
        _table("ghosts", rng, 2, nulls=1.0),
    ]


def _table(name: str, rng: random.Random, count: int, *, nulls: float, has_id: bool = True) -> Table:
    columns = {
        column: [None if rng.random() < nulls else rng.choice(values) for _ in range(count)]
        for column, values in VALUES.items()
    }
    arrays = {column: pa.array(values, TYPES[column]) for column, values in columns.items()}
    if has_id:
        arrays = {"id": pa.array(list(range(1, count + 1)), pa.int64()), **arrays}
    rows = pa.table(arrays)
    # Without a key, half of the rows are there twice.
    return Table(name, rows if has_id else pa.concat_tables([rows, rows.slice(0, count // 2)]), has_id)


_SQL_TYPES = {"n": "BIGINT", "k": "INTEGER", "big": "BIGINT", "wide": "INTEGER", "f": "DOUBLE", "s": "VARCHAR"}
_SQL_TYPES |= {"d": "DECIMAL(10, 2)", "day": "DATE", "yes": "BOOLEAN", "l": "BIGINT[]", "id": "BIGINT"}


def create(table: Table) -> str:
    """Write the statement that makes a table: ingest would take lists of one length for vectors."""
    columns = ", ".join(f"{name} {_SQL_TYPES[name]}" for name in table.rows.column_names)
    return f"CREATE TABLE {table.name} ({columns})"


def as_sql(table: Table) -> str:
    """Write a table as statements, for a report."""
    names = table.rows.column_names
    rows = ", ".join("(" + ", ".join(_literal(row[name]) for name in names) + ")" for row in table.rows.to_pylist())
    insert = f"  INSERT INTO {table.name} VALUES {rows};\n" if rows else ""
    return f"  {create(table)};\n{insert}"


def _literal(value: object) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, list):
        return "[" + ", ".join(map(_literal, value)) + "]"
    if isinstance(value, (bool, int)):
        return str(value).lower()
    return "'" + str(value).replace("'", "''") + "'"
