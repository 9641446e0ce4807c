"""turbovec: a linear scan of 4-bit codes by inner product.

It keeps no originals. Its answers alone stop short of recall 0.95, so the harness computes exact distances of its
candidates, as its users do; the originals count as its memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import turbovec
from benches.index.data import SEED, K, Mask, Matrix
from benches.index.index import Index, Search, SearchBatch, Setting, k_times, ladder

if TYPE_CHECKING:
    from collections.abc import Sequence

BIT_WIDTH = 4


class TurboQuant(Index):
    library = "turbovec"
    kind = "turbovec + rerank"
    wants_matrix = True

    @property
    def variant(self) -> str:
        return f"{BIT_WIDTH} bits"

    def build(self) -> None:
        sample = np.random.default_rng(SEED).choice(len(self.data.base), min(1024, len(self.data.base)), replace=False)
        self.index = turbovec.TurboQuantIndex(dim=self.data.dim, bit_width=BIT_WIDTH)
        self.index.calibrate(self.data.base[sample])
        self.index.add(self.data.base, chunk_size=0)
        self.index.prepare()

    def num_bytes(self) -> int:
        return len(self.index.to_bytes()) + self.data.base.nbytes

    def chains(self) -> Sequence[Sequence[Setting]]:
        return [[{"rerank_factor": factor} for factor in ladder(1, 50)]]

    def search(self, setting: Setting, allowed: Any = None) -> Search:
        search, base = self.index.search, self.data.base
        candidates = k_times(setting["rerank_factor"], self.data)

        def one(query: Matrix) -> npt.NDArray[Any]:
            ids = search(query, candidates, mask=allowed)[1][0]
            if len(ids) <= K:
                return ids
            products = _products(base[ids], query[0])
            return ids[np.argpartition(products, -K)[-K:]]

        return one

    def search_batch(self, setting: Setting) -> SearchBatch:
        candidates = k_times(setting["rerank_factor"], self.data)

        def many(queries: Matrix) -> npt.NDArray[Any]:
            ids = self.index.search(queries, candidates)[1]
            if ids.shape[1] <= K:
                return ids
            out = np.empty((len(queries), K), ids.dtype)
            for row, (chosen, query) in enumerate(zip(ids, queries, strict=True)):
                out[row] = chosen[np.argpartition(_products(self.data.base[chosen], query), -K)[-K:]]
            return out

        return many

    def ids(self, answer: Any) -> npt.NDArray[Any]:
        return answer

    def prepare_filter(self, mask: Mask) -> Any:
        return mask


def _products(vectors: Matrix, query: Matrix) -> Matrix:
    """Return the inner products; not by `@`, whose threads would all spin on the one core of a single query."""
    products: Matrix = np.einsum("ij,j->i", vectors, query)
    return products
