# ruff: noqa: A002 - `id` and `filter` are the words of the API, and a caller may name them

import os
from collections.abc import Callable, Iterator
from typing import final

import numpy as np
import numpy.typing as npt
from typing_extensions import Self, disjoint_base

from ruvector._arrow import ArrowArray, ArrowStream
from ruvector._index import CpuFeatures, Hit, Ids, Vector, Vectors

__version__: str
has_sql: bool
__all__ = [
    "Engine",
    "FlatF32Index",
    "IdFilter",
    "IvfRabitqIndex",
    "RabitqAsymIndex",
    "RabitqIndex",
    "RabitqPlusIndex",
    "Rows",
    "_Index",
    "__version__",
    "cpu_features",
    "has_sql",
    "main",
    "wait_for_readers",
]

def cpu_features() -> CpuFeatures: ...
def main(argv: list[str]) -> int: ...
def wait_for_readers() -> None: ...

@disjoint_base
class _Index:
    def search(
        self,
        query: Vector,
        k: int = 10,
        *,
        filter: IdFilter | None = None,
        rerank_factor: int | None = None,
        epsilon: float | None = None,
    ) -> list[Hit]: ...
    def search_batch(
        self,
        queries: Vectors,
        k: int = 10,
        *,
        filter: IdFilter | None = None,
        rerank_factor: int | None = None,
        epsilon: float | None = None,
    ) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.float32]]: ...
    def range_search(self, query: Vector, radius: float, *, filter: IdFilter | None = None) -> list[Hit]: ...
    def add(self, id: int, vector: Vector) -> None: ...
    def add_batch(self, ids: Ids, vectors: Vectors) -> None: ...
    def remove(self, ids: int | Ids) -> int: ...
    def save(self, path: str | os.PathLike[str]) -> None: ...
    @property
    def dim(self) -> int: ...
    @property
    def metric(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def memory_bytes(self) -> int: ...
    @property
    def ids(self) -> npt.NDArray[np.uint64]: ...
    def __len__(self) -> int: ...
    def __contains__(self, id: object, /) -> bool: ...
    def __getitem__(self, id: int, /) -> npt.NDArray[np.float32]: ...
    def __iter__(self) -> Iterator[tuple[int, npt.NDArray[np.float32]]]: ...
    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[np.float32]: ...
    def __eq__(self, other: object, /) -> bool: ...

@final
class FlatF32Index(_Index):
    @classmethod
    def build(
        cls,
        vectors: Vectors,
        *,
        ids: Ids | None = None,
        seed: int = 42,
        rerank_factor: int = 20,
        metric: str = "l2",
        epsilon: float = 3.0,
        progress: Callable[[int, int], object] | None = None,
    ) -> Self: ...
    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self: ...

@final
class RabitqIndex(_Index):
    @classmethod
    def build(
        cls,
        vectors: Vectors,
        *,
        ids: Ids | None = None,
        seed: int = 42,
        rerank_factor: int = 20,
        metric: str = "l2",
        epsilon: float = 3.0,
        progress: Callable[[int, int], object] | None = None,
    ) -> Self: ...
    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self: ...

@final
class RabitqAsymIndex(_Index):
    @classmethod
    def build(
        cls,
        vectors: Vectors,
        *,
        ids: Ids | None = None,
        seed: int = 42,
        rerank_factor: int = 20,
        metric: str = "l2",
        epsilon: float = 3.0,
        keep_originals: bool = True,
        progress: Callable[[int, int], object] | None = None,
    ) -> Self: ...
    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self: ...

@final
class RabitqPlusIndex(_Index):
    @classmethod
    def build(
        cls,
        vectors: Vectors,
        *,
        ids: Ids | None = None,
        seed: int = 42,
        rerank_factor: int = 20,
        metric: str = "l2",
        epsilon: float = 3.0,
        progress: Callable[[int, int], object] | None = None,
    ) -> Self: ...
    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self: ...

@final
class IvfRabitqIndex(_Index):
    @classmethod
    def build(
        cls,
        vectors: Vectors,
        *,
        ids: Ids | None = None,
        seed: int = 42,
        rerank_factor: int = 20,
        metric: str = "l2",
        epsilon: float = 3.0,
        keep_originals: bool = True,
        nlist: int | None = None,
        nprobe: int | None = None,
        progress: Callable[[int, int], object] | None = None,
    ) -> Self: ...
    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self: ...
    def search(
        self,
        query: Vector,
        k: int = 10,
        *,
        filter: IdFilter | None = None,
        rerank_factor: int | None = None,
        nprobe: int | None = None,
        epsilon: float | None = None,
    ) -> list[Hit]: ...
    def search_batch(
        self,
        queries: Vectors,
        k: int = 10,
        *,
        filter: IdFilter | None = None,
        rerank_factor: int | None = None,
        nprobe: int | None = None,
        epsilon: float | None = None,
    ) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.float32]]: ...
    @property
    def nlist(self) -> int: ...

@final
class IdFilter:
    def __new__(cls, ids: Ids) -> Self: ...
    def __len__(self) -> int: ...
    def __contains__(self, id: object, /) -> bool: ...

@final
class Engine:
    def __new__(
        cls, data_dir: str | os.PathLike[str] | None = None, onnxruntime: str | os.PathLike[str] | None = None
    ) -> Engine: ...
    def execute(self, query: str, params: ArrowArray | None = None) -> Rows | int: ...
    def ingest(self, table: str, mode: str, data: ArrowStream | ArrowArray) -> int: ...
    def close(self) -> None: ...

@final
class Rows:
    def next_batch(self) -> ArrowArray | None: ...
    def close(self) -> None: ...
    def __arrow_c_schema__(self) -> object: ...
    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...
