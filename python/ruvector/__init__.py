"""Nearest-neighbour questions in SQL over vectors that stay where they are.

`connect()` gives a connection: to tables in a folder or in memory, in this process, or to a server. Its `sql()` answers
with a `Result` that turns into Arrow, pandas, polars or NumPy; its `ingest()` writes anything with Arrow rows. Every
error is a `RuVectorError`.

Examples:
    >>> import ruvector
    >>> con = ruvector.connect()
    >>> con.ingest("docs", {"id": [1, 2, 3], "vec": [[0.0, 1.0], [3.0, 4.0], [6.0, 8.0]]})
    3
    >>> con.sql("SELECT id, _distance FROM knn('docs', $1, 2)", [[0.0, 0.0]])
    id  _distance
    --  ---------
    1   1
    2   5
    (2 rows)
"""

from __future__ import annotations

from ruvector._connection import Connection, connect
from ruvector._native_module import native
from ruvector._result import Result
from ruvector.exceptions import (
    A2aError,
    AlreadyExists,
    BackendError,
    BudgetExceeded,
    CacheMissError,
    Cancelled,
    CardSignatureInvalid,
    Corrupt,
    DimensionMismatch,
    EmbedError,
    EmptyIndex,
    IndexError,  # noqa: A004 - the public name; the builtin is an attribute of `builtins`
    InternalError,
    InvalidInput,
    LakeError,
    NotFound,
    NotSupported,
    PersistError,
    PolicyViolation,
    ResourceExhausted,
    RuVectorError,
    TransportError,
    Unauthenticated,
    Unavailable,
    WitnessMismatch,
)

__version__: str = native.__version__

__all__ = [
    "A2aError",
    "AlreadyExists",
    "BackendError",
    "BudgetExceeded",
    "CacheMissError",
    "Cancelled",
    "CardSignatureInvalid",
    "Connection",
    "Corrupt",
    "DimensionMismatch",
    "EmbedError",
    "EmptyIndex",
    "IndexError",
    "InternalError",
    "InvalidInput",
    "LakeError",
    "NotFound",
    "NotSupported",
    "PersistError",
    "PolicyViolation",
    "ResourceExhausted",
    "Result",
    "RuVectorError",
    "TransportError",
    "Unauthenticated",
    "Unavailable",
    "WitnessMismatch",
    "__version__",
    "connect",
]
