"""The five indexes of ruvector."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from benches.index.data import SEED, K, Mask
from benches.index.index import Index, Search, SearchBatch, Setting, ladder, product
from benches.index.roofline import BLOCK_LEN, code_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

try:
    import ruvector
except ImportError:
    ruvector = None

NAMES = ("FlatF32Index", "RabitqIndex", "RabitqAsymIndex", "RabitqPlusIndex", "IvfRabitqIndex", "IdFilter")


def check_module() -> None:
    """Raise an error that says what to do, unless the module is there with all that is needed of it."""
    if ruvector is None:
        raise RuntimeError(
            "the module ruvector is not installed: `make bench-index` builds and installs its wheel; "
            "`--only PEER` runs without it"
        )
    missing = [name for name in NAMES if not hasattr(ruvector, name)]
    if missing:
        raise RuntimeError(f"this ruvector has no {', '.join(missing)}: build the wheel again from this tree")


class _Ours(Index):
    library = "ruvector"
    ours = True
    type_name: str

    def build(self) -> None:
        self.index = getattr(ruvector, self.type_name).build(self.data.base, seed=SEED)

    def num_bytes(self) -> int:
        return int(self.index.memory_bytes)

    def chains(self) -> Sequence[Sequence[Setting]]:
        return [[{}]]

    def search(self, setting: Setting, allowed: Any = None) -> Search:
        search = self.index.search
        if allowed is None:
            return lambda query: search(query, K, **setting)
        return lambda query: search(query, K, filter=allowed, **setting)

    def search_batch(self, setting: Setting) -> SearchBatch:
        return lambda queries: self.index.search_batch(queries, K, **setting)[0]

    def ids(self, answer: Any) -> npt.NDArray[Any]:
        return np.array([hit.id for hit in answer], np.int64)

    def prepare_filter(self, mask: Mask) -> Any:
        return ruvector.IdFilter(np.flatnonzero(mask).astype(np.uint64))


class Flat(_Ours):
    kind, type_name = "ruvector flat", "FlatF32Index"
    exact = True


class Rabitq(_Ours):
    kind, type_name = "ruvector rabitq", "RabitqIndex"

    def fixed_bytes(self) -> int:
        block = ruvector.RabitqIndex.build(self.data.base[:BLOCK_LEN], seed=SEED)
        return int(block.memory_bytes) - BLOCK_LEN * code_bytes(self.data.base.shape[1])


class _Reranked(_Ours):
    def chains(self) -> Sequence[Sequence[Setting]]:
        return [[{"rerank_factor": factor} for factor in ladder(1, 200)]]


class RabitqAsym(_Reranked):
    kind, type_name = "ruvector rabitq_asym", "RabitqAsymIndex"


class RabitqPlus(_Reranked):
    kind, type_name = "ruvector rabitq_plus", "RabitqPlusIndex"


class IvfRabitq(_Ours):
    kind, type_name = "ruvector ivf_rabitq", "IvfRabitqIndex"

    def chains(self) -> Sequence[Sequence[Setting]]:
        lists = round(4 * len(self.data.base) ** 0.5)
        return product("rerank_factor", (1, 4, 16), "nprobe", ladder(1, lists))


KINDS: tuple[type[_Ours], ...] = (IvfRabitq, RabitqPlus, RabitqAsym, Rabitq, Flat)
