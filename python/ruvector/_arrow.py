"""Anything that holds rows -> an Arrow stream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, Union

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ruvector.exceptions import InvalidInput

if TYPE_CHECKING:
    import pandas as pd


class ArrowStream(Protocol):
    """An object with the Arrow PyCapsule interface: tables and frames of pyarrow, polars, DuckDB, ..."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Return an Arrow C stream."""
        ...


class ArrowArray(Protocol):
    """An object with the Arrow PyCapsule interface for one batch: `pyarrow.RecordBatch`, ..."""

    def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]:
        """Return an Arrow C schema and array."""
        ...


Rows = Union[ArrowStream, ArrowArray, "pd.DataFrame", Mapping[str, Any]]


def to_reader(data: Rows) -> pa.RecordBatchReader:
    """Return the rows of `data` as a reader, without a copy where the source has Arrow memory.

    The index of a pandas frame is left out, and its columns of equally long arrays of floats are vectors. In a mapping
    of columns a two-dimensional array `[num_rows, dim]`, or a list of equally long lists of numbers, is a column of
    vectors. Both become vectors of float32.
    """
    if type(data).__module__.partition(".")[0] == "pandas":
        data = _from_pandas(data)
    elif isinstance(data, Mapping):
        data = _from_mapping(data)
    try:
        if hasattr(data, "__arrow_c_stream__"):
            return pa.RecordBatchReader.from_stream(data)
        if hasattr(data, "__arrow_c_array__"):
            batch = pa.record_batch(data)
            return pa.RecordBatchReader.from_batches(batch.schema, [batch])
    except (pa.ArrowException, TypeError) as error:
        msg = f"data: expected rows with named columns, got {type(data).__name__}: {error}"
        raise InvalidInput(msg) from error
    msg = (
        "data: expected an Arrow table, reader or batch, a pandas or polars frame or a mapping of columns, "
        f"got {type(data).__name__}"
    )
    raise InvalidInput(msg)


def _from_pandas(frame: Any) -> pa.Table:  # noqa: ANN401 - pandas is an extra: its types cannot be named here
    try:
        table = pa.Table.from_pandas(frame, preserve_index=False)
        for at, field in enumerate(table.schema):
            table = table.set_column(at, field.name, _vectors(table.column(at)))
    except (pa.ArrowException, AttributeError) as error:
        msg = f"data: expected a DataFrame with Arrow types, got {type(frame).__name__}: {error}"
        raise InvalidInput(msg) from error
    return table


def _vectors(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column of equally long lists of floats as vectors, and every other as it is."""
    if not pa.types.is_list(column.type) or not pa.types.is_floating(column.type.value_type):
        return column
    lengths = pc.unique(pc.list_value_length(column).drop_null()).to_pylist()
    return column.cast(pa.list_(pa.float32(), lengths[0])) if len(lengths) == 1 and lengths[0] else column


def _from_mapping(columns: Mapping[str, Any]) -> pa.Table:
    try:
        return pa.table({name: _column(values) for name, values in columns.items()})
    except (pa.ArrowException, TypeError) as error:
        msg = f"data: expected columns of one length with Arrow types, got: {error}"
        raise InvalidInput(msg) from error


def _column(values: object) -> object:
    """Return vectors as `FixedSizeList<float>`: a matrix, or a list of equally long lists of numbers."""
    if isinstance(values, (list, tuple)) and values and isinstance(values[0], (list, tuple, np.ndarray)):
        try:
            matrix = np.asarray(values)
        except ValueError:
            return values  # of different lengths: not vectors
    elif isinstance(values, np.ndarray):
        matrix = values
    else:
        return values
    if matrix.ndim != 2 or matrix.shape[1] == 0 or matrix.dtype.kind not in "fiu":  # noqa: PLR2004 - rows, coordinates
        return values
    flat = np.ascontiguousarray(matrix, dtype=np.float32).reshape(-1)
    return pa.FixedSizeListArray.from_arrays(pa.array(flat), matrix.shape[1])
