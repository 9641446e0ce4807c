"""A server that is killed in the middle of an ingest: what it acknowledged is there, the rest is not."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from typing import TYPE_CHECKING

import adbc_driver_flightsql.dbapi as adbc
import numpy as np
import pyarrow as pa
from conftest import RUVECTOR

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ROWS = 1000
DIM = 64


@contextlib.contextmanager
def server(data: Path) -> Iterator[tuple[int, str]]:
    """The process id and the address of a server that is killed in the end."""
    command = [str(RUVECTOR), "serve", "--listen", "127.0.0.1:0", "--data", str(data)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.pid, process.stdout.readline().split()[-1]
        finally:
            process.kill()


def batch(vectors: np.ndarray, first: int) -> pa.RecordBatch:
    vec = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), DIM)
    return pa.record_batch({"id": pa.array(np.arange(first, first + len(vectors))), "vec": vec})


def ingest_until_killed(address: str, rows: np.ndarray, began: threading.Event, failed: list[Exception]) -> None:
    def endless() -> Iterator[pa.RecordBatch]:
        for number in range(10_000):
            yield batch(rows, 1_000_000 + number * ROWS)
            if number == 5:
                began.set()
            time.sleep(0.005)

    reader = pa.RecordBatchReader.from_batches(batch(rows[:1], 0).schema, endless())
    try:
        with adbc.connect(address, autocommit=True) as connection, connection.cursor() as cursor:
            cursor.adbc_ingest("docs", reader, mode="append")
    except Exception as error:  # noqa: BLE001 - the server is killed under it
        failed.append(error)


def test_what_was_acknowledged_is_there_and_the_rest_is_not(tmp_path: Path, vectors: Callable[..., np.ndarray]) -> None:
    data = tmp_path / "data"
    rows = vectors(ROWS, DIM)
    acknowledged = 0
    for round_number in range(3):
        with server(data) as (pid, address):
            with adbc.connect(address, autocommit=True) as connection, connection.cursor() as cursor:
                assert cursor.adbc_ingest("docs", batch(rows, acknowledged), mode="create_append") == ROWS
                acknowledged += ROWS
            began = threading.Event()
            failed: list[Exception] = []
            thread = threading.Thread(target=ingest_until_killed, args=(address, rows, began, failed), daemon=True)
            thread.start()
            assert began.wait(60)
            time.sleep(0.1 * round_number)
            os.kill(pid, signal.SIGKILL)
            thread.join(60)
            assert failed, "the ingest was acknowledged by a server that was killed"
        with (
            server(data) as (_, address),
            adbc.connect(address, autocommit=True) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute("SELECT count(*), max(id) FROM docs")
            assert cursor.fetchone() == (acknowledged, acknowledged - 1)
