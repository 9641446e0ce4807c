"""Anything that holds rows -> an Arrow stream, with the rule that makes vectors of lists."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, Union

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ruvector._arrays import as_array, to_items, with_arrays
from ruvector.exceptions import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Callable

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

# A float32 holds every integer up to this one.
_EXACT_INTEGER_MAX = 2**24
# Coordinates of a vector, at most: the bound of every index.
_DIM_MAX = 16384


def to_reader(data: Rows, is_new_table: Callable[[], bool]) -> pa.RecordBatchReader:
    """Return the rows of `data` as a reader, without a copy where the source has Arrow memory.

    The rows of a new table follow one rule, whatever they come from: a column of lists of numbers that are all equally
    long is a column of vectors, `FLOAT[dim]`. See `_vectors` for what it leaves alone. Rows for a table that exists
    keep their types: its columns say what they become. `is_new_table` is called only where the rule could matter; a
    reader is then read to its end.

    The index of a pandas frame is left out.
    """
    if type(data).__module__.partition(".")[0] == "pandas":
        data = _from_pandas(data)
    elif isinstance(data, Mapping):
        data = _from_mapping(data)
    reader = _reader(data)
    if any(_is_numbers(field.type) for field in reader.schema) and is_new_table():
        return _with_vectors(_read_all(reader)).to_reader()
    return reader


def _reader(data: object) -> pa.RecordBatchReader:
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


def _read_all(reader: pa.RecordBatchReader) -> pa.Table:
    try:
        return reader.read_all()
    except Exception as error:
        msg = f"data: expected rows up to the end, got: {error}"
        raise InvalidInput(msg) from error


def _from_pandas(frame: Any) -> pa.Table:  # noqa: ANN401 - pandas is an extra: its types cannot be named here
    try:
        return pa.Table.from_pandas(frame, preserve_index=False)
    except (pa.ArrowException, AttributeError) as error:
        msg = f"data: expected a DataFrame with Arrow types, got {type(frame).__name__}: {error}"
        raise InvalidInput(msg) from error


def _from_mapping(columns: Mapping[str, Any]) -> pa.Table:
    try:
        return pa.table({name: _named_column(name, values) for name, values in columns.items()})
    except (pa.ArrowException, TypeError) as error:
        msg = f"data: expected columns of one length with Arrow types, got: {error}"
        raise InvalidInput(msg) from error


def _named_column(name: str, values: object) -> object:
    try:
        return _column(values)
    except (pa.ArrowException, TypeError, ValueError, OverflowError, RuntimeError, BufferError) as error:
        msg = f"data: column {name!r}: expected values with an Arrow type, got {type(values).__name__}: {error}"
        raise InvalidInput(msg) from error


def _column(values: object) -> object:
    """Return the values of a column of a mapping as an Arrow array."""
    if isinstance(values, (list, tuple)):
        return pa.array(with_arrays(values))
    array = as_array(values)
    if array is None:
        return pa.array(values)
    if isinstance(array, np.ndarray) and array.ndim == 2 and len(array) == 0 and array.shape[1]:  # noqa: PLR2004
        # No row tells how long the vectors are; the shape does.
        return to_items(array.astype(np.float32))
    return to_items(array) if isinstance(array, np.ndarray) and array.ndim > 1 else array


def _is_numbers(column_type: pa.DataType) -> bool:
    """Whether a column of this type holds lists of numbers, of any length."""
    if not (pa.types.is_list(column_type) or pa.types.is_large_list(column_type)):
        return False
    return bool(pa.types.is_floating(column_type.value_type) or pa.types.is_integer(column_type.value_type))


def _with_vectors(table: pa.Table) -> pa.Table:
    for at, field in enumerate(table.schema):
        if _is_numbers(field.type) and (vectors := _vectors(table.column(at))) is not None:
            table = table.set_column(at, pa.field(field.name, vectors.type, field.nullable), vectors)
    return table


def _vectors(column: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """Return lists of numbers as vectors of float32, or `None` if they are not vectors.

    Vectors are all equally long, of a length that an index can hold, have no coordinate that is NULL, and no integer
    that a float32 would round. A row that is NULL is a vector that is NULL.
    """
    lengths = pc.unique(pc.list_value_length(column).drop_null()).to_pylist()
    if len(lengths) != 1 or not 1 <= lengths[0] <= _DIM_MAX:
        return None
    values = pc.list_flatten(column)
    if values.null_count:
        return None
    if pa.types.is_integer(values.type):
        bounds = pc.min_max(values).as_py()
        if max(abs(bounds["min"]), abs(bounds["max"])) > _EXACT_INTEGER_MAX:
            return None
    chunks = [_vectors_of(chunk, lengths[0]) for chunk in column.chunks]
    return pa.chunked_array(chunks, pa.list_(pa.float32(), lengths[0]))


def _vectors_of(lists: pa.ListArray | pa.LargeListArray, dim: int) -> pa.FixedSizeListArray:
    # A double that is too large becomes infinite, which the engine refuses by name.
    vectors = pa.FixedSizeListArray.from_arrays(lists.flatten().cast(pa.float32(), safe=False), dim)
    if not lists.null_count:
        return vectors
    is_null = lists.is_null().to_numpy(zero_copy_only=False)
    # `flatten` leaves rows that are NULL out.
    return vectors.take(pa.array(np.cumsum(~is_null) - 1, mask=is_null))
