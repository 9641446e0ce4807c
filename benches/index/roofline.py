"""How near the 1-bit scan is to the memory: bytes per second of a search against those of a plain read."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import ruvector_bench_peer
from benches.index import machine
from benches.index.data import SEED, K

DIM = 384
# About 16 MB of codes: beyond the L2 cache of any core.
NUM_VECTORS = 1 << 18
LARGE_BYTES = 256 << 20
# The kernels work on this many coordinates at a time.
PADDING = 64
FACTOR_BYTES = 12
SECONDS = 3.0


# Vectors in one block of codes.
BLOCK_LEN = 32


def code_bytes(dim: int) -> int:
    """Return the bytes of one vector in a 1-bit index, as the target counts them."""
    padded_dim = -(-dim // PADDING) * PADDING
    return padded_dim // 8 + FACTOR_BYTES


def bandwidth() -> dict[str, Any]:
    """Return what one core reads per second, of as much as the codes and of much more."""
    with machine.one_core():
        return {
            "read_bytes": NUM_VECTORS * code_bytes(DIM),
            "read_bytes_per_second": ruvector_bench_peer.read_bandwidth(NUM_VECTORS * code_bytes(DIM), 50),
            "large_read_bytes": LARGE_BYTES,
            "large_read_bytes_per_second": ruvector_bench_peer.read_bandwidth(LARGE_BYTES, 10),
        }


def scan() -> dict[str, Any]:
    """Return the bytes that a search of `RabitqIndex` reads per second: its fastest query of many."""
    import ruvector  # noqa: PLC0415 - peers are measured without it

    random = np.random.default_rng([SEED, 5])
    index = ruvector.RabitqIndex.build(random.standard_normal((NUM_VECTORS, DIM), np.float32), seed=SEED)
    queries = list(random.standard_normal((100, DIM), np.float32))
    fastest = float("inf")
    with machine.one_core():
        end = time.perf_counter() + SECONDS
        while time.perf_counter() < end:
            for query in queries:
                start = time.perf_counter()
                index.search(query, K)
                fastest = min(fastest, time.perf_counter() - start)
    num_bytes = NUM_VECTORS * code_bytes(DIM)
    return {
        "num_vectors": NUM_VECTORS,
        "dim": DIM,
        "scan_seconds": fastest,
        "scan_bytes_per_second": num_bytes / fastest,
        "index_bytes_per_vector": index.memory_bytes / NUM_VECTORS,
    }
