"""The common part of the index classes of the native module, and their answers."""

# ruff: noqa: A002 - `id` and `filter` are the words of the API, and a caller may name them

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Sequence
    from typing import TypeAlias

    import numpy as np
    import numpy.typing as npt

    from ruvector import _native

    Vector: TypeAlias = npt.NDArray[np.float32] | Sequence[float]
    Vectors: TypeAlias = npt.NDArray[np.float32]
    Ids: TypeAlias = npt.NDArray[np.integer] | Iterable[int]

__all__ = ["AnyIndex", "CpuFeatures", "Hit"]


class Hit(NamedTuple):
    """One answer of a search: whose vector it is, and its distance by the metric of the index.

    Examples:
        >>> from ruvector import Hit
        >>> hit = Hit(id=7, score=0.25)
        >>> number, score = hit
        >>> number, score == hit.score
        (7, True)
    """

    id: int
    score: float


class CpuFeatures(NamedTuple):
    """Which inner loops run in this process, and which could: names of kernels, slowest first."""

    kernel: str
    available: tuple[str, ...]


@runtime_checkable
class AnyIndex(Protocol):
    """What every index class does, for annotations and `isinstance`. It is not a base class of them.

    `ids` is left out: before Python 3.12 `isinstance` reads every attribute, and `ids` makes an array.

    Examples:
        >>> import numpy as np, ruvector
        >>> index = ruvector.FlatF32Index.build(np.eye(2, dtype=np.float32))
        >>> isinstance(index, ruvector.AnyIndex), isinstance([], ruvector.AnyIndex)
        (True, False)
    """

    @property
    def dim(self) -> int:
        """Components per vector."""
        ...

    @property
    def metric(self) -> str:
        """Metric of the scores."""
        ...

    @property
    def kind(self) -> str:
        """The name of this kind of index in SQL."""
        ...

    @property
    def memory_bytes(self) -> int:
        """Bytes of memory held by the index."""
        ...

    def search(
        self,
        query: Vector,
        k: int = 10,
        *,
        filter: _native.IdFilter | None = None,
        rerank_factor: int | None = None,
        epsilon: float | None = None,
    ) -> list[Hit]:
        """Return the `k` nearest vectors, nearest first."""
        ...

    def search_batch(
        self,
        queries: Vectors,
        k: int = 10,
        *,
        filter: _native.IdFilter | None = None,
        rerank_factor: int | None = None,
        epsilon: float | None = None,
    ) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.float32]]:
        """Return ids and scores of the `k` nearest vectors to each query."""
        ...

    def range_search(self, query: Vector, radius: float, *, filter: _native.IdFilter | None = None) -> list[Hit]:
        """Return every vector whose score is at most `radius`, nearest first."""
        ...

    def add(self, id: int, vector: Vector) -> None:
        """Append one vector under a new id."""
        ...

    def add_batch(self, ids: Ids, vectors: Vectors) -> None:
        """Append vectors under new ids."""
        ...

    def remove(self, ids: int | Ids) -> int:
        """Remove the vectors behind `ids` and return how many there were."""
        ...

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the index to a file."""
        ...

    def __len__(self) -> int: ...

    def __contains__(self, id: object, /) -> bool: ...
