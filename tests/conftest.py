"""Servers and connections for the tests: the built binary on a free port, and the engine in this process."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

import ruvector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parent.parent
RUVECTOR = Path(os.environ.get("RUVECTOR", ROOT / "target" / "debug" / "ruvector")).resolve()
SECONDS_MAX = 60
SEED = 20240527

sys.path.insert(0, str(ROOT / "sql-examples"))


def pytest_report_header() -> str:
    return f"ruvector: {RUVECTOR}, seed of random vectors: {SEED}"


@contextlib.contextmanager
def serve(data: Path, *settings: object) -> Iterator[str]:
    """Run `ruvector serve` over a folder, yield its address, stop it with SIGTERM and expect exit code 0."""
    command = [str(RUVECTOR), "serve", "--listen", "127.0.0.1:0", "--data", str(data), *map(str, settings)]
    log = data.with_suffix(".log")
    with log.open("w") as errors, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as server:
        try:
            assert server.stdout is not None
            line = server.stdout.readline()
            assert line.startswith("ruvector listening on grpc"), (line, log.read_text())
            yield line.split()[-1]
            server.send_signal(signal.SIGTERM)
            assert server.wait(SECONDS_MAX) == 0, log.read_text()
        finally:
            server.kill()


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server that all tests share: each takes tables of its own."""
    with serve(tmp_path_factory.mktemp("server") / "data") as address:
        yield address


@pytest.fixture(params=["embedded", "remote"])
def con(request: pytest.FixtureRequest) -> Iterator[ruvector.Connection]:
    """A connection of each kind: what a test asks of one it asks of both."""
    target = request.getfixturevalue("address") if request.param == "remote" else None
    with ruvector.connect(target) as con:
        yield con


@pytest.fixture
def name() -> str:
    """The name of a table that no other test uses."""
    return f"t{next(_numbers)}"


@pytest.fixture
def vectors() -> Callable[..., np.ndarray]:
    """Seeded random vectors of float32, `[num_rows, dim]`."""
    rng = np.random.default_rng(SEED)
    return lambda num_rows, dim: rng.standard_normal((num_rows, dim), dtype=np.float32)


@pytest.fixture(scope="session")
def corpus_address() -> Iterator[str]:
    """The address of a server over the demo's corpus; what the demo has not built yet is built here."""
    import demo  # noqa: PLC0415 - on the path from here on only
    import pyarrow.parquet as pq  # noqa: PLC0415 - as above

    corpus = pq.read_table(demo.CORPUS)
    data = demo.data_folder(ROOT / ".cache" / "demo", corpus)
    data.parent.mkdir(parents=True, exist_ok=True)
    with serve(data) as address:
        with ruvector.connect(address) as con:
            demo.load(con, corpus)
        yield address


_numbers = itertools.count(1)


def nearest(vectors: np.ndarray, query: np.ndarray, k: int) -> tuple[list[int], np.ndarray]:
    """The exact answer: row numbers, nearest first, and Euclidean distances. The oracle of the tests."""
    distances = np.linalg.norm(vectors.astype(np.float64) - query.astype(np.float64), axis=1)
    order = np.argsort(distances, kind="stable")[:k]
    return order.tolist(), distances[order]
