"""faiss: exact, graph and RaBitQ indexes. Every RaBitQ index has a random rotation before and exact distances after."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import faiss
import numpy as np
import numpy.typing as npt
from benches.index.data import Dataset, K, Mask
from benches.index.index import FilterNotSupported, Index, Search, SearchBatch, Setting, ladder, product

if TYPE_CHECKING:
    from collections.abc import Sequence


class _Faiss(Index):
    library = "faiss-cpu"
    wants_matrix = True

    index: Any

    def factory(self) -> str:
        """Return the description for faiss's factory."""
        raise NotImplementedError

    def build(self) -> None:
        self.index = faiss.index_factory(self.data.dim, self.factory(), faiss.METRIC_L2)
        self.index.train(self.data.base)
        self.index.add(self.data.base)

    def num_bytes(self) -> int:
        return len(faiss.serialize_index(self.index))

    def apply(self, setting: Setting) -> None:
        """Turn the knobs that are attributes."""

    def params(self, setting: Setting, allowed: Any) -> Any:
        """Return the parameters of a filtered search."""
        raise FilterNotSupported

    def search(self, setting: Setting, allowed: Any = None) -> Search:
        self.apply(setting)
        search = self.index.search
        if allowed is None:
            return lambda query: search(query, K)
        params = self.params(setting, allowed)
        return lambda query: search(query, K, params=params)

    def search_batch(self, setting: Setting) -> SearchBatch:
        self.apply(setting)
        return lambda queries: self.index.search(queries, K)[1]

    def ids(self, answer: Any) -> npt.NDArray[Any]:
        return answer[1][0]

    def prepare_filter(self, mask: Mask) -> Any:
        return faiss.IDSelectorBitmap(np.packbits(mask, bitorder="little"))

    def set_threads(self, number: int) -> None:
        faiss.omp_set_num_threads(number)


class Flat(_Faiss):
    kind = "faiss Flat"
    exact = True

    def factory(self) -> str:
        return "Flat"

    def chains(self) -> Sequence[Sequence[Setting]]:
        return [[{}]]

    def prepare_filter(self, mask: Mask) -> Any:
        # Only a list of ids makes the exact scan skip what it leaves out.
        return faiss.IDSelectorArray(np.flatnonzero(mask).astype(np.int64))

    def params(self, setting: Setting, allowed: Any) -> Any:
        return faiss.SearchParameters(sel=allowed)


class Hnsw(_Faiss):
    kind = "faiss HNSWFlat"
    graph = True
    connectivity, ef_construction = 16, 200

    @property
    def variant(self) -> str:
        return f"M={self.connectivity}, efConstruction={self.ef_construction}"

    def build(self) -> None:
        self.index = faiss.IndexHNSWFlat(self.data.dim, self.connectivity)
        self.index.hnsw.efConstruction = self.ef_construction
        self.index.add(self.data.base)

    def chains(self) -> Sequence[Sequence[Setting]]:
        return [[{"efSearch": ef} for ef in ladder(K, 1600)]]

    def apply(self, setting: Setting) -> None:
        self.index.hnsw.efSearch = setting["efSearch"]

    def params(self, setting: Setting, allowed: Any) -> Any:
        return faiss.SearchParametersHNSW(sel=allowed, efSearch=setting["efSearch"])


class RabitqFastScan(_Faiss):
    kind = "faiss RaBitQFastScan + refine"

    def factory(self) -> str:
        return f"RR{self.data.dim},RaBitQfs,RFlat"

    def chains(self) -> Sequence[Sequence[Setting]]:
        return [[{"k_factor": factor} for factor in ladder(1, 200)]]

    def apply(self, setting: Setting) -> None:
        # This index takes no search parameters, and so no filter.
        self.index.k_factor = setting["k_factor"]

    def prepare_filter(self, mask: Mask) -> Any:
        raise FilterNotSupported


class IvfRabitq(_Faiss):
    kind = "faiss IVFRaBitQ + refine"
    coder = "RaBitQ"

    def __init__(self, data: Dataset, nlist: int) -> None:
        super().__init__(data)
        self.nlist = nlist

    @property
    def variant(self) -> str:
        return f"nlist={self.nlist}"

    def factory(self) -> str:
        return f"RR{self.data.dim},IVF{self.nlist},{self.coder},RFlat"

    def build(self) -> None:
        super().build()
        self.ivf = faiss.downcast_index(faiss.extract_index_ivf(self.index.base_index))

    def chains(self) -> Sequence[Sequence[Setting]]:
        return product("k_factor", (2, 5, 12, 30), "nprobe", ladder(1, self.nlist))

    def apply(self, setting: Setting) -> None:
        self.index.k_factor = setting["k_factor"]
        self.ivf.nprobe = setting["nprobe"]

    def params(self, setting: Setting, allowed: Any) -> Any:
        lists = faiss.IVFRaBitQSearchParameters(nprobe=setting["nprobe"], sel=allowed, qb=self.ivf.qb)
        base = faiss.SearchParametersPreTransform(index_params=lists)
        return faiss.IndexRefineSearchParameters(k_factor=setting["k_factor"], base_index_params=base)


class IvfRabitqFastScan(IvfRabitq):
    kind = "faiss IVFRaBitQFastScan + refine"
    coder = "RaBitQfs"
