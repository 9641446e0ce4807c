"""Nearest-neighbour questions over vectors: in SQL where they are stored, or to an index in memory.

`connect()` gives a connection: to tables in a folder or in memory, in this process, or to a server. Its `sql()` answers
with a `Result` that turns into Arrow, pandas, polars or NumPy; its `ingest()` writes anything with Arrow rows. Every
error is a `RuVectorError`.

An index class (`RabitqPlusIndex` is the one to begin with) is built from a NumPy array and answers with ids and scores.

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
    >>> import numpy as np
    >>> index = ruvector.RabitqPlusIndex.build(np.array([[0, 1], [3, 4], [6, 8]], dtype=np.float32), ids=[1, 2, 3])
    >>> index.search([0, 0], k=2)
    [Hit(id=1, score=1.0), Hit(id=2, score=25.0)]
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ruvector._connection import Connection, connect
from ruvector._index import AnyIndex, CpuFeatures, Hit
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
    IndexFileCorrupt,
    IndexFileNotFound,
    InternalError,
    InvalidInput,
    LakeError,
    NotFound,
    NotSupported,
    PermissionDenied,
    PersistError,
    PolicyViolation,
    ResourceExhausted,
    RuVectorError,
    TransportError,
    Unauthenticated,
    Unavailable,
    WitnessMismatch,
)
from ruvector.exceptions import (
    # Public, but not in `__all__`: `from ruvector import *` replaces no builtin.
    IndexError as IndexError,  # noqa: A004
)

# The classes of the one native module that is loaded; for a type checker they are those of the stub.
if TYPE_CHECKING:
    from ruvector._native import (
        FlatF32Index,
        IdFilter,
        IvfRabitqIndex,
        RabitqAsymIndex,
        RabitqIndex,
        RabitqPlusIndex,
        cpu_features,
    )
else:
    FlatF32Index = native.FlatF32Index
    IdFilter = native.IdFilter
    IvfRabitqIndex = native.IvfRabitqIndex
    RabitqAsymIndex = native.RabitqAsymIndex
    RabitqIndex = native.RabitqIndex
    RabitqPlusIndex = native.RabitqPlusIndex
    cpu_features = native.cpu_features

__version__: str = native.__version__

__all__ = [
    "A2aError",
    "AlreadyExists",
    "AnyIndex",
    "BackendError",
    "BudgetExceeded",
    "CacheMissError",
    "Cancelled",
    "CardSignatureInvalid",
    "Connection",
    "Corrupt",
    "CpuFeatures",
    "DimensionMismatch",
    "EmbedError",
    "EmptyIndex",
    "FlatF32Index",
    "Hit",
    "IdFilter",
    "IndexFileCorrupt",
    "IndexFileNotFound",
    "InternalError",
    "InvalidInput",
    "IvfRabitqIndex",
    "LakeError",
    "NotFound",
    "NotSupported",
    "PermissionDenied",
    "PersistError",
    "PolicyViolation",
    "RabitqAsymIndex",
    "RabitqIndex",
    "RabitqPlusIndex",
    "ResourceExhausted",
    "Result",
    "RuVectorError",
    "TransportError",
    "Unauthenticated",
    "Unavailable",
    "WitnessMismatch",
    "__version__",
    "connect",
    "cpu_features",
]
