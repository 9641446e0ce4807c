"""Python values -> one Arrow row of statement parameters, the same for both kinds of connection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from ruvector._arrays import Array, as_array, to_items, with_arrays
from ruvector.exceptions import InvalidInput


def to_batch(params: Sequence[object]) -> pa.RecordBatch | None:
    """Return the values of `$1, $2, ...` as a batch of one row with columns "1", "2", ...; `None` for no values.

    A list is an SQL array of the type that its items have: integers are `BIGINT`, floats `DOUBLE`. The place where it
    stands makes it a vector: `knn()`, a distance to a vector, a vector column. An array, Series or tensor keeps its
    type; one of float32 is a vector. A `pyarrow.Scalar` keeps its type too.
    """
    if isinstance(params, (str, bytes, Mapping)) or not isinstance(params, Sequence):
        raise InvalidInput(_not_a_list(params))
    columns = [_column(number, value) for number, value in enumerate(params, start=1)]
    if not columns:
        return None
    return pa.RecordBatch.from_arrays(columns, names=[str(number) for number in range(1, len(columns) + 1)])


def _not_a_list(params: object) -> str:
    got = type(params).__name__
    if isinstance(params, Mapping):
        return f"params: expected a list of values in the order of $1, $2, ..., got {got}"
    # A name is long enough to be told from a value, and says what to put into brackets.
    kind = "vector" if _is_array(params) else "value"
    return f"params: expected a list of values, got {got}: con.sql(query, [{kind}])"


def _is_array(value: object) -> bool:
    return any(hasattr(value, name) for name in ("__array__", "__dlpack__", "__arrow_c_stream__", "__arrow_c_array__"))


def _column(number: int, value: object) -> pa.Array:
    try:
        return _row(value)
    # Tensors raise RuntimeError and BufferError: one of a GPU, one that needs its gradient.
    except (pa.ArrowException, OverflowError, TypeError, ValueError, RuntimeError, BufferError) as error:
        msg = f"parameter ${number}: expected a value with an Arrow type, got {type(value).__name__}: {error}"
        raise InvalidInput(msg) from error


def _row(value: Any) -> pa.Array:  # noqa: ANN401 - whatever a caller passes
    """Return an array of one row: the value."""
    if isinstance(value, pa.Scalar):
        return pa.array([value.as_py()], type=value.type)
    if isinstance(value, (list, tuple)):
        return pa.array([with_arrays(value)])
    if isinstance(value, np.generic) and value.dtype.kind not in "mM":  # an item of time would lose its unit
        return pa.array([value.item()])
    array = as_array(value)
    if array is None:
        # Beside its own, pyarrow knows the missing values of pandas in this mode only. It would also take NaN for one.
        return pa.array([value], from_pandas=not isinstance(value, float))
    if isinstance(array, np.ndarray) and array.ndim == 0:
        return _row(array[()])
    return _list(array)


def _list(array: Array) -> pa.Array:
    items = to_items(array)
    if pa.types.is_float32(items.type) and len(items) and not items.null_count:
        return pa.FixedSizeListArray.from_arrays(items, len(items))
    return pa.ListArray.from_arrays(pa.array([0, len(items)], pa.int32()), items)
