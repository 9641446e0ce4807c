"""The peers: one file per library, one class per kind of index."""

from __future__ import annotations

from collections.abc import Callable

from benches.index.data import Dataset
from benches.index.index import Index
from benches.index.peers import faiss, hnswlib, lancedb, rabitq_v2, turbovec, usearch

Make = Callable[[Dataset], Index]

GRAPH_VECTORS_MAX, GRAPH_DIM = 500_000, 384
SHORT_RUN = "usearch and faiss HNSWFlat are built over clustered and text only: FULL=1 builds them everywhere"


def builds(data: Dataset, *, full: bool) -> list[Make]:
    """Return what to build over `data`, the most telling first: whatever the time is short for comes last.

    Of three graph libraries hnswlib is the fastest; in a short run the other two are built on two data sets only.
    """
    few, many = (round(factor * len(data.base) ** 0.5) for factor in (1, 4))
    # A million vectors of more dimensions are hours of graph building.
    graphs = len(data.base) < GRAPH_VECTORS_MAX or data.dim == GRAPH_DIM
    makes: list[Make] = [lambda data: faiss.IvfRabitqFastScan(data, many), faiss.RabitqFastScan, faiss.Flat]
    makes += [hnswlib.Hnsw] if graphs else []
    makes += rabitq_v2.builds(data)
    # It knows the inner product only.
    makes += [turbovec.TurboQuant] if data.spec.unit else []
    makes += [lambda data: faiss.IvfRabitq(data, many), lambda data: faiss.IvfRabitqFastScan(data, few), lancedb.IvfRq]
    makes += [usearch.Hnsw, faiss.Hnsw] if graphs and (full or not data.spec.name.startswith("spectrum")) else []
    return makes
