"""usearch: a graph index. Its Python module has no filter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import usearch.index
from benches.index.data import K
from benches.index.index import Index, Search, SearchBatch, Setting, ladder

if TYPE_CHECKING:
    from collections.abc import Sequence


class Hnsw(Index):
    library = "usearch"
    kind = "usearch"
    graph = True
    connectivity, expansion_add = 16, 200

    @property
    def variant(self) -> str:
        return f"connectivity={self.connectivity}, expansion_add={self.expansion_add}, f32"

    def build(self) -> None:
        self.index = usearch.index.Index(
            ndim=self.data.dim,
            metric="l2sq",
            dtype="f32",
            connectivity=self.connectivity,
            expansion_add=self.expansion_add,
        )
        self.index.add(np.arange(len(self.data.base), dtype=np.uint64), self.data.base)

    def num_bytes(self) -> int:
        return int(self.index.serialized_length)

    def chains(self) -> Sequence[Sequence[Setting]]:
        return [[{"expansion_search": expansion} for expansion in ladder(K, 1600)]]

    def search(self, setting: Setting, allowed: Any = None) -> Search:
        self.index.expansion_search = setting["expansion_search"]
        search = self.index.search
        return lambda query: search(query, K, threads=1)

    def search_batch(self, setting: Setting) -> SearchBatch:
        self.index.expansion_search = setting["expansion_search"]
        return lambda queries: self.index.search(queries, K).keys

    def ids(self, answer: Any) -> npt.NDArray[Any]:
        return answer.keys
