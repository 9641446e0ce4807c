"""Random changes of a client, each with what it makes of the client's model.

The model is flat: keys such as `("rows", table, group)` with their values. A change is an SQL statement or an ingest,
and the values that its keys have after it; `None` is a key that is not there. Rows come in groups of one `grp`, which
have one `val` and the numbers `n` from 0 on, so that half a change shows in the rows themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    import ruvector

DIM = 8
COLUMNS = f"grp BIGINT, n BIGINT, val BIGINT, vec FLOAT[{DIM}]"
# The table that all clients change at the same time. A client's groups are those from its number times this on.
SHARED = "shared"
GROUPS_PER_CLIENT = 1_000_000
# Rows of one group, and groups of one client in one table at most.
SIZES = (5, 5, 40, 1000)
GROUPS_MAX = 25
# The metric of the index that a client of this number makes over the shared table.
SHARED_METRICS = {0: "cosine", 1: "inner_product"}
KINDS = ("rabitq_plus", "rabitq_plus", "ivf_rabitq", "flat")

Key = tuple[str | int, ...]
Value = tuple[object, ...] | str


class Change(NamedTuple):
    """A change: its verb, the call that makes it, and the values of its keys after it."""

    verb: str
    text: str
    run: Callable[[ruvector.Connection], object]
    after: dict[Key, Value | None]


class Lake(NamedTuple):
    """Files that are no part of the data folder: a folder of Delta tables, a Parquet file and an index file."""

    folder: Path
    table: str
    parquet: Path
    index: Path


def _sql(verb: str, sql: str, after: dict[Key, Value | None]) -> Change:
    return Change(verb, sql, lambda con: con.sql(sql), after)


def _rows(first: int, count: int, size: int, val: int) -> str:
    """Return the query of `count` groups of `size` rows."""
    return (
        f"SELECT g AS grp, n, {val}::BIGINT AS val, {_vector('g', 'n', val)} AS vec "
        f"FROM generate_series({first}, {first + count - 1}) a(g), generate_series(0, {size - 1}) b(n)"
    )


def _vector(group: str, number: str, val: int) -> str:
    parts = (f"sin({1 + i % 3} * {group} + {7 + i} * {number} + {val + i})" for i in range(DIM))
    return f"CAST([{', '.join(parts)}] AS FLOAT[{DIM}])"


def _arrow(first: int, count: int, size: int, val: int) -> pa.Table:
    group = np.repeat(np.arange(first, first + count), size)
    number = np.tile(np.arange(size), count)
    vectors = np.sin(group[:, None] + number[:, None] * 7 + val + np.arange(DIM)).astype(np.float32)
    vec = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), DIM)
    return pa.table({"grp": group, "n": number, "val": np.full(len(group), val), "vec": vec})


def _in(groups: Iterable[int]) -> str:
    return f"grp IN ({', '.join(map(str, groups))})"


class Changes:
    """Makes the changes of one client and keeps its model."""

    def __init__(self, number: int, rng: random.Random, lake: Lake) -> None:
        self.name = f"c{number}"
        self.state: dict[Key, Value] = {}
        self._number = number
        self._rng = rng
        self._lake = lake
        self._next = number * GROUPS_PER_CLIENT + 1

    def apply(self, after: dict[Key, Value | None]) -> None:
        """Put the values of a change into the model."""
        for key, value in after.items():
            if value is None:
                self.state.pop(key, None)
            else:
                self.state[key] = value

    def one(self, wanted: str | None) -> Change:
        """Return a change that is possible now: of the verb that is wanted, if that one is."""
        if wanted is not None and (change := self._of(wanted)) is not None:
            return change
        while (change := self._of(self._rng.choice(list(VERBS)))) is None:
            pass
        return change

    def _of(self, verb: str) -> Change | None:
        return VERBS[verb](self, verb)

    def _names(self, kind: str) -> list[str]:
        return [str(key[1]) for key, value in self.state.items() if key[0] == "table" and value == kind]

    def _groups(self, table: str) -> dict[int, Value]:
        return {int(key[2]): value for key, value in self.state.items() if key[:2] == ("rows", table)}

    def _free(self) -> str | None:
        names = {f"{self.name}_{letter}" for letter in "abc"} - set(self._names("delta"))
        return self._rng.choice(sorted(names)) if names else None

    def _own(self) -> str | None:
        names = self._names("delta")
        return self._rng.choice(names) if names else None

    def _any(self) -> str:
        return self._rng.choice([*self._names("delta"), SHARED])

    def _filled(self) -> str | None:
        names = [name for name in [*self._names("delta"), SHARED] if self._groups(name)]
        return self._rng.choice(names) if names else None

    def _some(self, table: str) -> list[int]:
        groups = sorted(self._groups(table))
        return self._rng.sample(groups, self._rng.randint(1, len(groups)))

    def _new(self) -> tuple[int, int, int, int]:
        """Return the first of some new groups, their number, their size and their value."""
        rng = self._rng
        new = (self._next, rng.randint(1, 4), rng.choice(SIZES), rng.randrange(1, 1_000_000))
        self._next += new[1]
        return new

    def _with(self, table: str, new: tuple[int, int, int, int]) -> dict[Key, Value | None]:
        first, count, size, val = new
        return {("rows", table, group): (size, val) for group in range(first, first + count)}

    def _without(self, table: str) -> dict[Key, Value | None]:
        return dict.fromkeys((("rows", table, group) for group in self._groups(table)), None)

    def _indexes(self, backend: str, table: str) -> dict[Key, Value | None]:
        return {key: None for key, value in self.state.items() if key[:2] == ("index", backend) and value[0] == table}

    def create_table(self, verb: str) -> Change | None:
        """An empty table."""
        if (table := self._free()) is None:
            return None
        return _sql(verb, f"CREATE TABLE {table} ({COLUMNS})", {("table", table): "delta"})

    def create_table_as(self, verb: str) -> Change | None:
        """A table with rows."""
        if (table := self._free()) is None:
            return None
        new = self._new()
        after = {("table", table): "delta", **self._with(table, new)}
        return _sql(verb, f"CREATE TABLE {table} AS {_rows(*new)}", after)

    def replace_table(self, verb: str) -> Change | None:
        """Other rows in the place of a table's."""
        if (table := self._own()) is None:
            return None
        new = self._new()
        after = {**self._without(table), **self._with(table, new)}
        return _sql(verb, f"CREATE OR REPLACE TABLE {table} AS {_rows(*new)}", after)

    def insert(self, verb: str) -> Change | None:
        """Rows of several groups."""
        table = self._any()
        if len(self._groups(table)) >= GROUPS_MAX:
            return None
        new = self._new()
        return _sql(verb, f"INSERT INTO {table} {_rows(*new)}", self._with(table, new))

    def update(self, verb: str) -> Change | None:
        """Another value, and other vectors, for some groups."""
        if (table := self._filled()) is None:
            return None
        groups, val = self._some(table), self._rng.randrange(1, 1_000_000)
        known = self._groups(table)
        after: dict[Key, Value | None] = {("rows", table, group): (known[group][0], val) for group in groups}
        return _sql(
            verb, f"UPDATE {table} SET val = {val}, vec = {_vector('grp', 'n', val)} WHERE {_in(groups)}", after
        )

    def delete(self, verb: str) -> Change | None:
        """Some groups fewer."""
        if (table := self._filled()) is None:
            return None
        groups = self._some(table)
        after = dict.fromkeys((("rows", table, group) for group in groups), None)
        return _sql(verb, f"DELETE FROM {table} WHERE {_in(groups)}", after)

    def merge(self, verb: str) -> Change | None:
        """Some groups changed, some deleted and some new, in one statement."""
        if (table := self._filled()) is None or len(self._groups(table)) >= GROUPS_MAX:
            return None
        groups, known, new = self._some(table), self._groups(table), self._new()
        changed, gone = groups[: len(groups) // 2 + 1], groups[len(groups) // 2 + 1 :]
        val = new[3]
        source = f"SELECT grp, n, {val}::BIGINT AS val, {_vector('grp', 'n', val)} AS vec FROM {table}"
        parts = [f"{source} WHERE {_in(changed)}", _rows(*new)]
        after = self._with(table, new) | {("rows", table, group): (known[group][0], val) for group in changed}
        if gone:
            parts.append(f"SELECT grp, n, -1::BIGINT AS val, vec FROM {table} WHERE {_in(gone)}")
            after |= dict.fromkeys((("rows", table, group) for group in gone), None)
        sql = (
            f"MERGE INTO {table} t USING ({' UNION ALL '.join(parts)}) s ON t.grp = s.grp AND t.n = s.n "
            "WHEN MATCHED AND s.val = -1 THEN DELETE WHEN MATCHED THEN UPDATE SET val = s.val, vec = s.vec "
            "WHEN NOT MATCHED THEN INSERT (grp, n, val, vec) VALUES (s.grp, s.n, s.val, s.vec)"
        )
        return _sql(verb, sql, after)

    def truncate(self, verb: str) -> Change | None:
        """A table without its rows."""
        if (table := self._own()) is None:
            return None
        return _sql(verb, f"TRUNCATE TABLE {table}", self._without(table))

    def drop_table(self, verb: str) -> Change | None:
        """A table, its rows and its indexes fewer."""
        if (table := self._own()) is None:
            return None
        after = {("table", table): None, **self._without(table), **self._indexes("main", table)}
        return _sql(verb, f"DROP TABLE {table}", after)

    def _ingest(self, verb: str, table: str, mode: str, after: dict[Key, Value | None]) -> Change:
        new = self._new()
        text = f"ingest into {table}, mode {mode}: first group, groups, rows of each and val {new}"
        return Change(
            verb, text, lambda con: con.ingest(table, _arrow(*new), mode=mode), {**after, **self._with(table, new)}
        )

    def ingest_create(self, verb: str) -> Change | None:
        """A new table by an ingest."""
        if (table := self._free()) is None:
            return None
        return self._ingest(verb, table, "create", {("table", table): "delta"})

    def ingest_append(self, verb: str) -> Change | None:
        """Rows by an ingest."""
        table = self._any()
        return None if len(self._groups(table)) >= GROUPS_MAX else self._ingest(verb, table, "append", {})

    def ingest_replace(self, verb: str) -> Change | None:
        """Other rows in the place of a table's, or a new table, by an ingest."""
        table = self._rng.choice([f"{self.name}_{letter}" for letter in "abc"])
        return self._ingest(verb, table, "replace", {("table", table): "delta", **self._without(table)})

    def create_index(self, verb: str) -> Change | None:
        """An index over a table, of whatever kind."""
        places = [("main", table, metric) for table in self._names("delta") for metric in ("l2", "cosine")]
        places += [("main", table, "l2") for table in self._names("parquet")]
        places += [(str(key[1]), self._lake.table, "l2") for key in self.state if key[0] == "backend"]
        if self._number in SHARED_METRICS:
            places.append(("main", SHARED, SHARED_METRICS[self._number]))
        self._rng.shuffle(places)
        for backend, table, metric in places:
            name = f"{self.name}_{table.removeprefix(f'{self.name}_')}_{metric}"
            key = ("index", backend, name)
            if key in self.state or (table in self._names("delta") and not self._groups(table)):
                continue
            options = [f"metric = '{metric}'"]
            if (kind := self._rng.choice(KINDS)) == "ivf_rabitq":
                options.append("nlist = 4")
            if self._rng.random() < 0.2:
                options.append("background = true")
            sql = f"CREATE INDEX {name} ON {backend}.{table} USING {kind} (vec) WITH ({', '.join(options)})"
            return _sql(verb, sql, {key: (table, metric, kind)})
        return None

    def _index(self) -> Key | None:
        keys = [key for key in self.state if key[0] == "index"]
        return self._rng.choice(keys) if keys else None

    def reindex(self, verb: str) -> Change | None:
        """An index, built again: the model stays as it is."""
        if (key := self._index()) is None:
            return None
        options = " WITH (background = true)" if self._rng.random() < 0.3 else ""
        return _sql(verb, f"REINDEX {key[1]}.{key[2]}{options}", {key: self.state[key]})

    def drop_index(self, verb: str) -> Change | None:
        """An index fewer."""
        if (key := self._index()) is None:
            return None
        return _sql(verb, f"DROP INDEX {key[1]}.{key[2]}", {key: None})

    def create_backend(self, verb: str) -> Change | None:
        """A backend over the lake."""
        key: Key = ("backend", f"{self.name}_lake")
        if key in self.state:
            return None
        sql = f"CREATE BACKEND {key[1]} TYPE delta OPTIONS (path '{self._lake.folder}')"
        return _sql(verb, sql, {key: "delta"})

    def drop_backend(self, verb: str) -> Change | None:
        """A backend and its indexes fewer."""
        key: Key = ("backend", f"{self.name}_lake")
        if key not in self.state:
            return None
        after = {key: None, **self._indexes(str(key[1]), self._lake.table)}
        return _sql(verb, f"DROP BACKEND {key[1]}", after)

    def create_external(self, verb: str) -> Change | None:
        """A table of files that others write."""
        kinds: Sequence[tuple[str, Path]] = [("parquet", self._lake.parquet), ("rbpx", self._lake.index)]
        kinds = [(kind, path) for kind, path in kinds if ("table", f"{self.name}_{kind}") not in self.state]
        if not kinds:
            return None
        kind, path = self._rng.choice(kinds)
        sql = f"CREATE EXTERNAL TABLE {self.name}_{kind} STORED AS {kind.upper()} LOCATION '{path}'"
        return _sql(verb, sql, {("table", f"{self.name}_{kind}"): kind})

    def drop_external(self, verb: str) -> Change | None:
        """An external table and its indexes fewer."""
        names = self._names("parquet") + self._names("rbpx")
        if not names:
            return None
        table = self._rng.choice(names)
        return _sql(verb, f"DROP TABLE {table}", {("table", table): None, **self._indexes("main", table)})


VERBS: dict[str, Callable[[Changes, str], Change | None]] = {
    "CREATE TABLE": Changes.create_table,
    "CREATE TABLE AS": Changes.create_table_as,
    "CREATE OR REPLACE TABLE": Changes.replace_table,
    "INSERT": Changes.insert,
    "UPDATE": Changes.update,
    "DELETE": Changes.delete,
    "MERGE": Changes.merge,
    "TRUNCATE": Changes.truncate,
    "DROP TABLE": Changes.drop_table,
    "ingest, create": Changes.ingest_create,
    "ingest, append": Changes.ingest_append,
    "ingest, replace": Changes.ingest_replace,
    "CREATE INDEX": Changes.create_index,
    "REINDEX": Changes.reindex,
    "DROP INDEX": Changes.drop_index,
    "CREATE BACKEND": Changes.create_backend,
    "DROP BACKEND": Changes.drop_backend,
    "CREATE EXTERNAL TABLE": Changes.create_external,
    "DROP TABLE, external": Changes.drop_external,
}
