"""What every competitor can do, whatever its library calls it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from benches.index.data import Dataset, K, Mask, Matrix

# The knobs of one search, by the library's own names.
Setting = dict[str, int]
# One query to whatever the library answers with: only this is timed.
Search = Callable[[Matrix], Any]
# Many queries to the ids of their answers, `[num_queries, k]`; a negative id stands for none.
SearchBatch = Callable[[Matrix], npt.NDArray[Any]]


class FilterNotSupported(Exception):
    """The library cannot search among a subset."""


class Index(ABC):
    """One index over one data set. Searches are closures, so that the loop that is timed holds nothing of ours."""

    # As on PyPI or crates.io.
    library: ClassVar[str]
    # The name of the kind in tables and plots; builds that differ in a parameter share it.
    kind: ClassVar[str]
    ours: ClassVar[bool] = False
    exact: ClassVar[bool] = False
    graph: ClassVar[bool] = False
    # Whether a single query is passed as a matrix of one row.
    wants_matrix: ClassVar[bool] = False

    def __init__(self, data: Dataset) -> None:
        """Remember the data; nothing is built yet."""
        self.data = data

    @property
    def variant(self) -> str:
        """What this build differs in from others of its kind."""
        return ""

    @abstractmethod
    def build(self) -> None:
        """Build the index over all vectors, on all threads."""

    def fixed_bytes(self) -> int:
        """Return those of the bytes that do not grow with the number of vectors, where a target leaves them out."""
        return 0

    @abstractmethod
    def num_bytes(self) -> int:
        """Return the bytes of all that a search reads, originals included where it reads them."""

    @abstractmethod
    def chains(self) -> Sequence[Sequence[Setting]]:
        """Return settings to try: chains as long as each other, each from fast to thorough."""

    @abstractmethod
    def search(self, setting: Setting, allowed: Any = None) -> Search:
        """Return the search of one query. `allowed` is of `prepare_filter`."""

    @abstractmethod
    def search_batch(self, setting: Setting) -> SearchBatch:
        """Return the search of many queries on all threads."""

    @abstractmethod
    def ids(self, answer: Any) -> npt.NDArray[Any]:
        """Return the ids in what `search` answered with."""

    def prepare_filter(self, mask: Mask) -> Any:
        """Return the subset as this library wants it."""
        raise FilterNotSupported

    def set_threads(self, number: int) -> None:  # noqa: B027 - not every library has such a switch
        """Use this many threads from now on, where the library has a switch; the process is pinned in any case."""

    def close(self) -> None:  # noqa: B027 - most leave nothing behind
        """Leave nothing behind."""


def ladder(first: int, last: int, ratio: float = 1.4) -> list[int]:
    """Return whole numbers from `first` to `last`, each about `ratio` times the one before."""
    steps = int(np.ceil(np.log(last / first) / np.log(ratio))) if last > first else 0
    return sorted({min(last, round(first * ratio**i)) for i in range(steps + 1)})


def product(name: str, values: Sequence[int], inner: str, inner_values: Sequence[int]) -> list[list[Setting]]:
    """Return one chain over `inner_values` for each of `values`."""
    return [[{name: value, inner: other} for other in inner_values] for value in values]


def k_times(factor: int, data: Dataset) -> int:
    """Return `factor` times k, at most all vectors."""
    return min(K * factor, len(data.base))
