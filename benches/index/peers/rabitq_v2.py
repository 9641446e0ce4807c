"""ruvector-rabitq 2.3.0: the crate that ruvector replaces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ruvector_bench_peer
from benches.index.data import SEED, Dataset, K
from benches.index.index import Index, Search, SearchBatch, Setting, ladder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

# From here on its dense rotation of the query costs as much as the scan.
DENSE_DIM_MAX = 256


def builds(data: Dataset) -> list[Callable[[Dataset], Index]]:
    """Return the rotations worth trying."""
    rotations = ["haar"] if data.dim <= DENSE_DIM_MAX else ["haar", "hadamard"]
    return [lambda data, rotation=rotation: RabitqPlus(data, rotation) for rotation in rotations]


class RabitqPlus(Index):
    library = "ruvector-rabitq"
    kind = "ruvector-rabitq 2.3.0"

    def __init__(self, data: Dataset, rotation: str) -> None:
        super().__init__(data)
        self.rotation = rotation

    @property
    def variant(self) -> str:
        return f"{self.rotation} rotation"

    def build(self) -> None:
        self.index = ruvector_bench_peer.RabitqV2(self.data.base, seed=SEED, rotation=self.rotation)

    def num_bytes(self) -> int:
        return int(self.index.memory_bytes)

    def chains(self) -> Sequence[Sequence[Setting]]:
        return [[{"rerank_factor": factor} for factor in ladder(1, 2000, 1.6)]]

    def search(self, setting: Setting, allowed: Any = None) -> Search:
        search, factor = self.index.search, setting["rerank_factor"]
        return lambda query: search(query, K, factor)

    def search_batch(self, setting: Setting) -> SearchBatch:
        return lambda queries: self.index.search_batch(queries, K, setting["rerank_factor"])

    def ids(self, answer: Any) -> npt.NDArray[Any]:
        return answer
