"""Python values -> one Arrow row of statement parameters, the same for both kinds of connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from ruvector.exceptions import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Sequence


def to_batch(params: Sequence[object]) -> pa.RecordBatch | None:
    """Return the values of `$1, $2, ...` as a batch of one row with columns "1", "2", ...; `None` for no values.

    A list, tuple or one-dimensional array of numbers is a vector: `FixedSizeList<Float32>`. Everything else gets the
    type that pyarrow infers; a `pyarrow.Scalar` keeps its own.
    """
    if isinstance(params, (str, bytes)):
        msg = f"params: expected a sequence of values, got {type(params).__name__}"
        raise InvalidInput(msg)
    columns = [_column(number, value) for number, value in enumerate(params, start=1)]
    if not columns:
        return None
    return pa.RecordBatch.from_arrays(columns, names=[str(number) for number in range(1, len(columns) + 1)])


def _column(number: int, value: object) -> pa.Array:
    if isinstance(value, np.ndarray) or _is_numbers(value):
        return _vector(number, value)
    if isinstance(value, np.generic):
        value = value.item()
    try:
        if isinstance(value, pa.Scalar):
            return pa.array([value.as_py()], type=value.type)
        return pa.array([value])
    except (pa.ArrowException, OverflowError, TypeError) as error:
        msg = f"parameter ${number}: expected a value with an Arrow type, got {type(value).__name__}: {error}"
        raise InvalidInput(msg) from error


def _is_numbers(value: object) -> bool:
    return isinstance(value, (list, tuple)) and all(
        isinstance(x, (int, float, np.integer, np.floating)) and not isinstance(x, bool) for x in value
    )


def _vector(number: int, value: object) -> pa.Array:
    array = np.asarray(value)
    if array.ndim != 1 or array.size == 0:
        msg = f"parameter ${number}: expected a vector of one or more numbers, got shape {array.shape}"
        raise InvalidInput(msg)
    if array.dtype.kind not in "fiu":
        msg = f"parameter ${number}: expected a vector of numbers, got dtype {array.dtype}"
        raise InvalidInput(msg)
    with np.errstate(over="ignore"):  # too large for a float32 becomes infinite, which the engine refuses by name
        values = np.ascontiguousarray(array, dtype=np.float32)
    return pa.FixedSizeListArray.from_arrays(pa.array(values), len(values))
