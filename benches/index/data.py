"""Data sets: made from fixed seeds, with their exact answers, and kept as .npy files."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import faiss
import numpy as np
import numpy.typing as npt
from benches.index import corpus, embed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

K = 10
NUM_QUERIES = 1000
SEED = 42
SELECTIVITIES = (0.5, 0.1, 0.01, 0.001)

Matrix = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Spec:
    """Which data set to make, and how large."""

    name: str
    title: str
    dim: int
    num_vectors: int
    make: Callable[[Spec, Sources], tuple[Matrix, Matrix]]
    # Whether every vector has length 1, so that the inner product ranks as the distance does.
    unit: bool


@dataclass(frozen=True)
class Sources:
    """Where data comes from: the cache, the model, and another WordNet's folder if there is one."""

    cache: Path
    model: Path
    wordnet: Path | None = None


@dataclass
class Dataset:
    """Vectors, queries and exact answers by squared L2."""

    spec: Spec
    base: Matrix
    queries: Matrix
    folder: Path
    # Squared distance of the k-th nearest vector to each query, by the name of the filter.
    _limits: dict[str, npt.NDArray[np.float32]] = field(default_factory=dict)

    @property
    def dim(self) -> int:
        """Coordinates per vector."""
        return int(self.base.shape[1])

    @cached_property
    def rows(self) -> list[Matrix]:
        """Each query by itself, contiguous."""
        return list(self.queries)

    @cached_property
    def masks(self) -> dict[float, Mask]:
        """Return a random subset of the vectors for each selectivity."""
        random = np.random.default_rng([SEED, 3])
        shuffled = random.permutation(len(self.base))
        masks = {}
        for selectivity in SELECTIVITIES:
            mask = np.zeros(len(self.base), bool)
            mask[shuffled[: max(K, round(selectivity * len(self.base)))]] = True
            masks[selectivity] = mask
        return masks

    def limits(self, selectivity: float = 1.0) -> npt.NDArray[np.float32]:
        """Return the squared distance of the k-th nearest vector to each query, among those that the filter lets by."""
        key = f"limits-{selectivity:g}"
        if key not in self._limits:
            self._limits[key] = _cached(self.folder / f"{key}.npy", lambda: self._exact(selectivity))
        return self._limits[key]

    def _exact(self, selectivity: float) -> npt.NDArray[np.float32]:
        allowed = np.arange(len(self.base)) if selectivity == 1.0 else np.flatnonzero(self.masks[selectivity])
        subset = self.base if selectivity == 1.0 else self.base[allowed]
        # faiss takes differences of products; twice as many candidates make up for what that rounds.
        _, nearest = faiss.knn(self.queries, subset, min(2 * K, len(subset)))
        distances = np.sort(self.distances(allowed[nearest]), axis=1)
        return distances[:, K - 1]

    def distances(self, ids: Ids) -> Matrix:
        """Return the exact squared distance of each `[query, id]`, for the first `len(ids)` queries."""
        out = np.empty(ids.shape, np.float32)
        for row, (query, chosen) in enumerate(zip(self.queries, ids, strict=False)):
            out[row] = np.square(self.base[chosen] - query).sum(axis=1)
        return out


def load(spec: Spec, sources: Sources) -> Dataset:
    """Make the data set, or read it where it was kept."""
    folder = sources.cache / f"{spec.name}-{spec.num_vectors}-{SEED}"
    paths = folder / "base.npy", folder / "queries.npy"
    if not all(path.exists() for path in paths):
        for path, values in zip(paths, spec.make(spec, sources), strict=True):
            _keep(path, values)
    base, queries = (np.load(path) for path in paths)
    return Dataset(spec, base, queries, folder)


def clustered(spec: Spec, _: Sources) -> tuple[Matrix, Matrix]:
    """Return normal clusters: 100 centres uniform in [-2, 2]^dim, sigma 0.6. A query is a new sample of one of them."""
    random = np.random.default_rng([SEED, 1])
    centres = random.uniform(-2.0, 2.0, (100, spec.dim)).astype(np.float32)

    def sample(number: int) -> Matrix:
        noise = random.standard_normal((number, spec.dim), np.float32)
        return centres[random.integers(len(centres), size=number)] + np.float32(0.6) * noise

    return sample(spec.num_vectors), sample(NUM_QUERIES)


def spectrum(spec: Spec, _: Sources) -> tuple[Matrix, Matrix]:
    """Return unit vectors around 1,000 centres, both with variance 1 / i along the i-th of randomly turned axes."""
    random = np.random.default_rng([SEED, 2, spec.dim])
    turn = np.linalg.qr(random.standard_normal((spec.dim, spec.dim))).Q
    axes = (turn / np.sqrt(np.arange(1, spec.dim + 1))[:, None]).astype(np.float32)
    centres = random.standard_normal((1000, spec.dim), np.float32)

    def sample(number: int) -> Matrix:
        out = np.empty((number, spec.dim), np.float32)
        for first in range(0, number, 100_000):
            part = out[first : first + 100_000]
            noise = random.standard_normal(part.shape, np.float32)
            np.matmul(centres[random.integers(len(centres), size=len(part))] + noise, axes, out=part)
            part /= np.linalg.norm(part, axis=1, keepdims=True)
        return out

    return sample(spec.num_vectors), sample(NUM_QUERIES)


def text(spec: Spec, sources: Sources) -> tuple[Matrix, Matrix]:
    """Return MiniLM vectors of WordNet's definitions; the queries are definitions held out at random."""
    texts = corpus.definitions(sources.cache, sources.wordnet)
    order = np.random.default_rng([SEED, 4]).permutation(len(texts))
    chosen = [texts[i] for i in order[: NUM_QUERIES + spec.num_vectors]]
    vectors = embed.embed(chosen, sources.model, sources.cache)
    return vectors[NUM_QUERIES:], vectors[:NUM_QUERIES]


# Above what WordNet has: all of it.
ALL_TEXTS = 200_000


def specs(limit: int | None, *, full: bool) -> list[Spec]:
    """Return the data sets: of a million vectors if `full`, never of more than `limit`."""
    million = 1_000_000

    def size(number: int) -> int:
        return min(million if full else number, limit or million)

    return [
        Spec("clustered", "clustered Gaussian", 128, size(100_000), clustered, unit=False),
        Spec("text", "MiniLM vectors of WordNet", 384, min(ALL_TEXTS, limit or ALL_TEXTS), text, unit=True),
        Spec("spectrum-384", "power-law spectrum", 384, size(100_000), spectrum, unit=True),
        Spec("spectrum-768", "power-law spectrum", 768, size(50_000), spectrum, unit=True),
        Spec("spectrum-1536", "power-law spectrum", 1536, size(25_000), spectrum, unit=True),
    ]


def _cached(path: Path, make: Callable[[], npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
    if not path.exists():
        _keep(path, make())
    values: npt.NDArray[np.float32] = np.load(path)
    return values


def _keep(path: Path, values: npt.NDArray[np.float32]) -> None:
    """Write `values` so that the file appears complete or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    staging = path.with_suffix(".new")
    with staging.open("wb") as file:
        np.save(file, values)
    staging.replace(path)
