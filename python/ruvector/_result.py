"""What a statement answers: rows as Arrow, pandas, polars, NumPy or tuples, or the number of rows changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa

from ruvector.exceptions import InvalidInput, NotFound, RuVectorError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd
    import polars as pl

_REPR_ROWS = 10
_REPR_CELL_CHARS = 40


class Rows(Protocol):
    """The rows of a running statement, pulled once."""

    schema: pa.Schema

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """Yield the batches in order; errors are of `ruvector.exceptions`."""
        ...

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Hand all rows on as an Arrow C stream, without a copy."""
        ...


class Result:
    """The answer to one statement.

    Rows are pulled when they are first needed. `to_arrow`, `to_pandas`, `to_polars`, `to_numpy`, `fetchall` and `repr`
    keep them, so they can be called in any order and number. `__arrow_c_stream__`, which polars, DuckDB and pyarrow
    use, streams them without keeping any: once, unless another method has kept them before.

    A statement that changes something (DDL, DML, SET) has run to its end when its `Result` exists. Its `rows_affected`
    is a number, and its rows are one row with that number in the column `count`.

    Examples:
        >>> import ruvector
        >>> con = ruvector.connect()
        >>> con.sql("SELECT 1 AS one, 'a' AS letter")
        one  letter
        ---  ------
        1    a
        (1 row)
    """

    def __init__(self, rows: Rows | None, rows_affected: int | None = None) -> None:
        """Wrap the rows of a running statement, or the count of one that has run."""
        self._rows_affected = rows_affected
        self._seen: list[pa.RecordBatch] = []
        self._spent: str | None = None
        if rows is None:
            self._seen = [pa.record_batch({"count": pa.array([rows_affected], pa.uint64())})]
            self._schema = self._seen[0].schema
            self._rows = None
            self._batches: Iterator[pa.RecordBatch] | None = None
        else:
            self._schema = rows.schema
            self._rows = rows
            self._batches = iter(rows)

    @property
    def schema(self) -> pa.Schema:
        """The names and types of the columns. Pulls nothing."""
        return self._schema

    @property
    def rows_affected(self) -> int | None:
        """The number of rows that the statement changed, 0 for DDL and SET; `None` if it answers with rows."""
        return self._rows_affected

    def to_arrow(self) -> pa.Table:
        """Return all rows as a `pyarrow.Table`, without a copy. Vectors are `FixedSizeList<float>[dim]`.

        Raises what the statement raises while it runs, and `KeyboardInterrupt`; the statement ends then.
        """
        self._pull()
        return pa.Table.from_batches(self._seen, schema=self._schema)

    def to_pandas(self) -> pd.DataFrame:
        """Return all rows as a pandas DataFrame. A vector is a NumPy array in a column of objects."""
        return self.to_arrow().to_pandas()

    def to_polars(self) -> pl.DataFrame:
        """Return all rows as a polars DataFrame. Vectors are `pl.Array(pl.Float32, dim)`."""
        import polars as pl  # noqa: PLC0415 - an extra: only who asks for polars needs it

        frame = pl.from_arrow(self.to_arrow())
        if not isinstance(frame, pl.DataFrame):
            msg = f"polars: expected a DataFrame, got {type(frame).__name__}"
            raise TypeError(msg)
        return frame

    def to_numpy(self, column: str) -> np.ndarray[Any, Any]:
        """Return one column as an array: `[num_rows, dim]` for vectors, `[num_rows]` for everything else.

        Raises `NotFound` if there is no such column, and `InvalidInput` if a vector is NULL.
        """
        if self._schema.get_field_index(column) < 0:
            msg = f"column: expected one of {', '.join(self._schema.names)}, got {column!r}"
            raise NotFound(msg)
        values = self.to_arrow().column(column).combine_chunks()
        if isinstance(values, pa.ChunkedArray):  # pyarrow keeps a chunked array without chunks as it is
            values = pa.concat_arrays(values.chunks) if values.num_chunks else pa.array([], values.type)
        if not pa.types.is_fixed_size_list(values.type):
            return np.asarray(values.to_numpy(zero_copy_only=False))
        if values.null_count:
            msg = f"column {column!r}: expected a vector in every row, got {values.null_count} NULLs"
            raise InvalidInput(msg)
        return np.asarray(values.flatten().to_numpy(zero_copy_only=False)).reshape(len(values), values.type.list_size)

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Return all rows as tuples of Python values, in the order of the statement."""
        columns = [column.to_pylist() for column in self.to_arrow().columns]
        return list(zip(*columns, strict=True))

    def __arrow_c_schema__(self) -> object:
        """Return the schema as an Arrow C schema."""
        return self._schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Return the rows as an Arrow C stream. Rows that no other method kept are streamed once, without a copy."""
        self._check_not_spent()
        if self._rows is None or self._batches is None or self._seen:
            return self.to_arrow().__arrow_c_stream__(requested_schema)
        rows, self._rows, self._batches = self._rows, None, None
        self._spent = "its rows were handed on as a stream"
        return rows.__arrow_c_stream__(requested_schema)

    def __repr__(self) -> str:
        """Return the first rows as a table. Pulls only as many batches as it shows."""
        if self._spent:
            return f"<ruvector.Result: {self._spent}>"
        if self._rows_affected is not None:
            return f"({_plural(self._rows_affected, 'row')} affected)"
        self._pull(_REPR_ROWS + 1)
        head = pa.Table.from_batches(self._seen, schema=self._schema).slice(0, _REPR_ROWS)
        cells = [
            [name, *map(_cell, column.to_pylist())]
            for name, column in zip(head.column_names, head.columns, strict=True)
        ]
        widths = [max(map(len, column)) for column in cells]
        lines = [_line(row, widths) for row in zip(*cells, strict=True)]
        lines.insert(1, _line(["-" * width for width in widths], widths))
        total = sum(batch.num_rows for batch in self._seen)
        more = total > head.num_rows or self._batches is not None
        lines.append(f"(first {_plural(head.num_rows, 'row')})" if more else f"({_plural(total, 'row')})")
        return "\n".join(lines)

    def _pull(self, num_rows: int | None = None) -> None:
        """Keep at least `num_rows` rows, or all."""
        self._check_not_spent()
        have = sum(batch.num_rows for batch in self._seen)
        while self._batches is not None and (num_rows is None or have < num_rows):
            try:
                batch = next(self._batches, None)
            except BaseException as error:
                # What was seen is not the whole answer: a later call must not take it for that.
                self._seen, self._rows, self._batches = [], None, None
                self._spent = f"the statement failed: {error!r}"
                raise
            if batch is None:
                self._rows, self._batches = None, None
            else:
                self._seen.append(batch)
                have += batch.num_rows

    def _check_not_spent(self) -> None:
        if self._spent:
            msg = f"this result is spent: {self._spent}; run the statement again"
            raise RuVectorError(msg)


def _cell(value: object) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, float):
        text = f"{value:.6g}"
    elif isinstance(value, list):
        text = f"[{', '.join(map(_cell, value[:4]))}{', ...' if len(value) > 4 else ''}]"  # noqa: PLR2004 - as shown
    else:
        text = str(value).replace("\n", " ")
    return text if len(text) <= _REPR_CELL_CHARS else text[: _REPR_CELL_CHARS - 3] + "..."


def _line(cells: tuple[str, ...] | list[str], widths: list[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
