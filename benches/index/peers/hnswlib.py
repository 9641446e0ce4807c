"""hnswlib: the reference graph index."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import hnswlib
import numpy as np
import numpy.typing as npt
from benches.index.data import SEED, K, Mask
from benches.index.index import Index, Search, SearchBatch, Setting, ladder

if TYPE_CHECKING:
    from collections.abc import Sequence


class Hnsw(Index):
    library = "hnswlib"
    kind = "hnswlib"
    graph = True
    wants_matrix = True
    connectivity, ef_construction = 16, 200
    index: Any = None
    num_threads = -1

    @property
    def variant(self) -> str:
        return f"M={self.connectivity}, ef_construction={self.ef_construction}"

    def build(self) -> None:
        index = hnswlib.Index("l2", self.data.dim)
        index.init_index(
            len(self.data.base), M=self.connectivity, ef_construction=self.ef_construction, random_seed=SEED
        )
        index.add_items(self.data.base, num_threads=self.num_threads)
        index.set_num_threads(self.num_threads)
        self.index = index

    def num_bytes(self) -> int:
        return int(self.index.index_file_size())

    def chains(self) -> Sequence[Sequence[Setting]]:
        return [[{"ef": ef} for ef in ladder(K, 1600)]]

    def search(self, setting: Setting, allowed: Any = None) -> Search:
        self.index.set_ef(setting["ef"])
        search = self.index.knn_query
        if allowed is None:
            return lambda query: search(query, K, num_threads=1)
        return lambda query: search(query, K, num_threads=1, filter=allowed)

    def search_batch(self, setting: Setting) -> SearchBatch:
        self.index.set_ef(setting["ef"])
        return lambda queries: self.index.knn_query(queries, K)[0]

    def ids(self, answer: Any) -> npt.NDArray[Any]:
        return answer[0][0]

    def prepare_filter(self, mask: Mask) -> Any:
        # A Python function is the only filter it takes; a set's own method is the fastest of those.
        return frozenset(np.flatnonzero(mask).tolist()).__contains__

    def set_threads(self, number: int) -> None:
        self.num_threads = number
        if self.index is not None:
            self.index.set_num_threads(number)
