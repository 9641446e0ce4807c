"""Two tables whose names, and the names of whose columns, are as difficult as names can be.

The model has plain names: whatever a name does to a statement shows as a difference.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa
from random_sql.scopes import Column, Source
from random_sql.tree import Said

if TYPE_CHECKING:
    import random

# Names that mean another column if a dot, a quote or a letter's case is misread; `a` is also the field of a struct.
COLUMN_NAMES = (
    "a",
    "b",
    "a.b",
    "s.a",
    "s",
    "meta.title",
    'say "hi"',
    "it's",
    "two words",
    " space",
    "select",
    "from",
    "ORDER",
    "Größe",
    "名前",
    "🐘",
    "_distance",
    "target",
    "source",
    "excluded",
    "count",
    "value",
    "x,y",
    "a-b",
    "100%",
    "$1",
    "?",
    "semi;colon",
    "-- comment",
    "(a)",
    "a=b",
    "back\\slash",
    "`tick`",
    "[0]",
)
# A table's name is that of a folder: other characters are refused.
TABLE_NAMES = (
    "docs",
    "Docs",
    "my.docs",
    "two words",
    "select",
    "Größe",
    "名前",
    "a-b",
    "main",
)

STRUCT = pa.struct([("a", pa.int64()), ("b c", pa.string())])
TYPES = {
    "big": pa.int64(),
    "int": pa.int64(),
    "text": pa.string(),
    "float": pa.float64(),
    "bool": pa.bool_(),
    "date": pa.date32(),
    "decimal": pa.decimal128(10, 2),
    "vector": pa.list_(pa.float32(), 2),
    "struct": STRUCT,
    "list": pa.list_(pa.int64()),
}
# Keys that a float32, or a double, does not hold.
KEYS = [1, 2, 3, 2**24, 2**24 + 1, 2**53, 2**53 + 1, 2**63 - 1, -(2**63)]
VALUES: dict[str, list[object]] = {
    "big": KEYS,
    "int": [-1, 0, 1, 2, 3, 5],
    "text": ["", "a", "ab", "B", "ä", "日本", "it's", 'say "hi"', "a.b"],
    "float": [0.0, 0.5, -1.5, 2.0, 1e15],
    "bool": [True, False],
    "date": [dt.date(2000, 1, 1), dt.date(2024, 2, 29)],
    "decimal": [Decimal("0.00"), Decimal("1.50"), Decimal("-2.25")],
    "vector": [[1.0, 2.0], [0.0, 0.0], [-0.5, 3.25]],
    "struct": [{"a": 1, "b c": "x"}, {"a": None, "b c": "y"}, {"a": 5, "b c": None}],
    "list": [[], [1], [1, None], [2, 2]],
}
NULLS = 0.25


class Table(NamedTuple):
    """A table: its names in both dialects, its columns (the first is the key), its first rows in the model's names."""

    name: Said
    names: tuple[Said, ...]
    sorts: tuple[str, ...]
    rows: pa.Table

    def source(self) -> Source:
        """Return the table as the statements see it."""
        return Source(self.name, tuple(map(Column, self.names, self.sorts)), self.names[0])

    def renamed(self, rows: pa.Table) -> pa.Table:
        """Return rows of the model in the names of the engine under test."""
        return rows.rename_columns([_unquoted(name.ruvector) for name in self.names])


def make(rng: random.Random) -> tuple[Table, Table]:
    """Make the table that is changed, and the one that changes read: its keys are different."""
    names = rng.sample(TABLE_NAMES, 2)
    # Half of the columns of the second have names of the first.
    first = rng.sample(COLUMN_NAMES, rng.randint(3, 7))
    second = [*rng.sample(first, min(2, len(first))), *rng.sample([n for n in COLUMN_NAMES if n not in first], 3)]
    rng.shuffle(second)
    return _table(rng, "t", names[0], first, unique=False), _table(rng, "u", names[1], second, unique=True)


def _table(rng: random.Random, plain: str, name: str, columns: list[str], *, unique: bool) -> Table:
    sorts = ["big", "int", *(rng.choice(list(TYPES)[1:]) for _ in columns[2:])]
    count = rng.randint(0, 7)
    keys = rng.sample(KEYS, count) if unique else [rng.choice([*KEYS, None]) for _ in range(count)]
    values = [keys, *([_value(rng, sort) for _ in range(count)] for sort in sorts[1:])]
    names = tuple(Said(f"{plain}_{number}", quoted(column)) for number, column in enumerate(columns))
    arrays = [pa.array(column, TYPES[sort]) for column, sort in zip(values, sorts, strict=True)]
    return Table(
        Said(plain, quoted(name)), names, tuple(sorts), pa.Table.from_arrays(arrays, [name.duckdb for name in names])
    )


def _value(rng: random.Random, sort: str) -> object:
    return None if rng.random() < NULLS else rng.choice(VALUES[sort])


def quoted(name: str) -> str:
    """Write a name as SQL has it."""
    return '"' + name.replace('"', '""') + '"'


def _unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"')
