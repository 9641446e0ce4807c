"""The model and the engine under test: each makes changes, and shows and sets the content of its tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import duckdb
from random_sql.engines import LIMITS, Refused, Rows, part

import ruvector

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from random_changes.statements import Change
    from random_changes.tables import Table


class Changed(NamedTuple):
    """The number of rows that a statement changed."""

    rows: int | None


class Model:
    """DuckDB, with plain names."""

    def __init__(self, tables: Sequence[Table]) -> None:
        self.connection = duckdb.connect()
        self.connection.execute("SET default_null_order = 'nulls_last_on_asc_first_on_desc'")
        self.connection.execute("SET threads = 1")
        for table in tables:
            self.put(table, table.rows)

    def put(self, table: Table, rows: pa.Table) -> None:
        """Set the content of a table."""
        self.connection.register("rows_of_arrow", rows)
        self.connection.execute(f"CREATE OR REPLACE TABLE {table.name.duckdb} AS SELECT * FROM rows_of_arrow")
        self.connection.unregister("rows_of_arrow")

    def content(self, name: str) -> Rows:
        """Return the rows of a table."""
        return Rows(self.connection.execute(f"SELECT * FROM {name}").fetchall())

    def rows(self, table: Table) -> pa.Table:
        """Return the rows of a table as they can be `put` again."""
        rows = self.connection.sql(f"SELECT * FROM {table.name.duckdb}").to_arrow_table()
        return rows.cast(table.rows.schema)

    def run(self, change: Change) -> Changed | Refused:
        """Make a change."""
        if change.right == "refused":
            return Refused("wrong", "what no engine may accept", limit=False)
        statement, values = change.write("duckdb")
        try:
            counted = self.connection.execute(statement, values).fetchall()
        except duckdb.Error as error:
            return Refused(type(error).__name__, str(error), isinstance(error, LIMITS))
        return Changed(None if change.creates else counted[0][0])


class Engine:
    """ruvector, with hostile names."""

    def __init__(self, target: str | None) -> None:
        self.connection = ruvector.connect(target)

    def put(self, table: Table, rows: pa.Table) -> None:
        """Set the content of a table, in two files."""
        rows = table.renamed(rows)
        half = rows.num_rows // 2
        # A table that begins with lists of one length would have them for vectors.
        self.connection.ingest(table.name.ruvector, part(rows, 0, 0), mode="replace")
        for start, end in ((0, half), (half, rows.num_rows)):
            if start < end:
                self.connection.ingest(table.name.ruvector, part(rows, start, end), mode="append")

    def content(self, name: str) -> Rows | Refused:
        """Return the rows of a table."""
        try:
            return Rows(self.connection.sql(f"SELECT * FROM {name}").fetchall())
        except ruvector.RuVectorError as error:
            return Refused(type(error).__name__, str(error), limit=False)

    def run(self, change: Change) -> Changed | Refused:
        """Make a change."""
        statement, values = change.write("ruvector")
        try:
            counted = self.connection.sql(statement, values).rows_affected
        except ruvector.RuVectorError as error:
            return Refused(type(error).__name__, str(error), limit=False)
        return Changed(None if change.creates else counted)

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()
