"""One-dimensional and two-dimensional data of other libraries -> NumPy or Arrow arrays."""

from __future__ import annotations

from typing import Any, Union

import numpy as np
import pyarrow as pa

from ruvector.exceptions import InvalidInput

Array = Union["np.ndarray[Any, Any]", pa.Array, pa.ChunkedArray]

# Types that are values or sequences of Python, whatever protocols they also have.
_PYTHON = (str, bytes, list, tuple, dict, int, float, np.generic, pa.Scalar)


def as_array(value: object) -> Array | None:
    """Return an array, Series or tensor as a NumPy or Arrow array; `None` for any other value.

    Taken are arrays of NumPy and pyarrow, Series of pandas and polars, and any object with `__arrow_c_stream__`,
    `__arrow_c_array__`, `__array__` or `__dlpack__` (tensors of PyTorch, JAX, TensorFlow in the memory of the CPU).
    A missing value of pandas is NULL.
    """
    array: Array | None = None
    if isinstance(value, _PYTHON):
        pass
    elif isinstance(value, (np.ndarray, pa.Array, pa.ChunkedArray)):
        array = value
    elif _is_pandas(value) and hasattr(value, "__array__"):
        array = pa.array(value, from_pandas=True)
    elif hasattr(value, "__arrow_c_stream__"):
        array = pa.chunked_array(value)
    elif hasattr(value, "__arrow_c_array__"):
        array = pa.array(value)
    elif hasattr(value, "__array__"):
        array = np.asarray(value)
    elif hasattr(value, "__dlpack__"):
        array = np.from_dlpack(value)
    if isinstance(array, np.ndarray) and not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    return array


def with_arrays(items: list[Any] | tuple[Any, ...]) -> list[Any] | tuple[Any, ...]:
    """Return a sequence whose Series and tensors pyarrow can read. The first item that is not `None` tells the kind."""
    first = next((item for item in items if item is not None), None)
    if first is None or isinstance(first, (*_PYTHON, np.ndarray)) or as_array(first) is None:
        return items
    arrays = [None if item is None else as_array(item) for item in items]
    return [array.to_pylist() if isinstance(array, (pa.Array, pa.ChunkedArray)) else array for array in arrays]


def to_items(array: Array) -> pa.Array:
    """Return the items of an array in one piece: vectors for the rows of a matrix of float32, lists for other rows.

    float16 becomes float32, unsigned integers the next wider signed type.

    Raises `InvalidInput` for more than two dimensions and for a `uint64` above the largest `BIGINT`.
    """
    if isinstance(array, np.ndarray) and array.ndim > 1:
        return _rows(array)
    items = pa.array(array) if isinstance(array, np.ndarray) else array
    if isinstance(items, pa.ChunkedArray):
        items = pa.concat_arrays(items.chunks) if items.num_chunks else pa.array([], items.type)
    wider = _WIDER.get(items.type)
    return items if wider is None else items.cast(wider)


_WIDER = {
    pa.float16(): pa.float32(),
    pa.uint8(): pa.int16(),
    pa.uint16(): pa.int32(),
    pa.uint32(): pa.int64(),
    pa.uint64(): pa.int64(),
}


def _rows(matrix: np.ndarray[Any, Any]) -> pa.Array:
    if matrix.ndim != 2:  # noqa: PLR2004 - rows and coordinates
        msg = f"expected an array of one or two dimensions, got shape {matrix.shape}"
        raise InvalidInput(msg)
    num_rows, dim = matrix.shape
    items = to_items(np.ma.ravel(matrix) if np.ma.isMaskedArray(matrix) else matrix.reshape(-1))
    if pa.types.is_float32(items.type) and dim and not items.null_count:
        return pa.FixedSizeListArray.from_arrays(items, dim)
    offsets = pa.array(np.arange(num_rows + 1, dtype=np.int64) * dim)
    return pa.LargeListArray.from_arrays(offsets, items)


def _is_pandas(value: object) -> bool:
    return type(value).__module__.partition(".")[0] == "pandas"
