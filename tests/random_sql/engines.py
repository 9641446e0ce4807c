"""The two engines over the same tables: a statement goes in, an outcome comes out."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import duckdb
import pyarrow as pa

import ruvector
from random_sql.tables import create

if TYPE_CHECKING:
    from collections.abc import Sequence

    from random_sql.tables import Table

# What DuckDB refuses of standard SQL by a limitation of its own: it is no judge of these statements.
LIMITS = (
    duckdb.NotImplementedException,
    duckdb.BinderException,
    duckdb.ParserException,
    duckdb.CatalogException,
    duckdb.SerializationException,
)


class Rows(NamedTuple):
    """The answer of an engine."""

    rows: list[tuple[object, ...]]


class Refused(NamedTuple):
    """An error: of the statement's data, or (`limit`) of the engine, which does not know this form."""

    kind: str
    message: str
    limit: bool


class DuckDb:
    """The oracle."""

    def __init__(self, tables: Sequence[Table]) -> None:
        self.tables = tables
        self._open()

    def _open(self) -> None:
        self.connection = duckdb.connect()
        # NULLs stand where PostgreSQL and DataFusion have them.
        self.connection.execute("SET default_null_order = 'nulls_last_on_asc_first_on_desc'")
        self.connection.execute("SET threads = 1")
        for table in self.tables:
            self.connection.register("rows_of_arrow", table.rows)
            self.connection.execute(f"CREATE TABLE {table.name} AS SELECT * FROM rows_of_arrow")
            self.connection.unregister("rows_of_arrow")

    def run(self, statement: str) -> Rows | Refused:
        """Run a statement."""
        try:
            return Rows(self.connection.execute(statement).fetchall())
        except (duckdb.FatalException, duckdb.InternalException) as error:
            # A fault of its own, after which it answers nothing.
            self._open()
            return Refused(type(error).__name__, str(error), limit=True)
        except duckdb.Error as error:
            return Refused(type(error).__name__, str(error), isinstance(error, LIMITS))


class Ruvector:
    """The engine under test, in process. Each table is two files, so that rows may be pruned by file."""

    def __init__(self, tables: Sequence[Table]) -> None:
        self.connection = ruvector.connect()
        self.connection.sql("SET ruvector.statement_timeout_ms = 30000")
        for table in tables:
            half = table.rows.num_rows // 2
            self.connection.sql(create(table))
            self.connection.ingest(table.name, part(table.rows, 0, half), mode="append")
            self.connection.ingest(table.name, part(table.rows, half, table.rows.num_rows), mode="append")

    def run(self, statement: str) -> Rows | Refused:
        """Run a statement."""
        try:
            return Rows(self.connection.sql(statement).fetchall())
        except ruvector.RuVectorError as error:
            return Refused(type(error).__name__, str(error), limit=False)

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()


def part(rows: pa.Table, start: int, end: int) -> pa.Table:
    """Copy some rows: the handling of slices is tested elsewhere."""
    return rows.take(pa.array(range(start, end), pa.int64()))
