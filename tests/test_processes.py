"""Forked children, interrupts and the end of the interpreter: an error or a clean end, each."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    import ruvector

SECONDS_MAX = 60

FORK = """
import os, sys, time
import numpy as np, ruvector
vectors = np.random.default_rng(0).standard_normal((20_000, 32), dtype=np.float32)
con = ruvector.connect()
con.ingest("docs", {"id": [1, 2, 3]})
rows = con.sql("SELECT value FROM generate_series(1, 100000)")
index = ruvector.RabitqPlusIndex.build(vectors)
index.search_batch(vectors[:500], k=5)
child = os.fork()
if child == 0:
    try:
        CALL
    except ruvector.Unavailable as error:
        # The interpreter ends as it always does, and drops everything that it got from its parent.
        sys.exit(0 if "forked" in str(error) and "spawn" in str(error) else str(error))
    sys.exit("the call answered")
deadline = time.monotonic() + 30
while not (ended := os.waitpid(child, os.WNOHANG))[0]:
    if time.monotonic() > deadline:
        os.kill(child, 9)
        sys.exit("the child hangs")
    time.sleep(0.05)
assert os.waitstatus_to_exitcode(ended[1]) == 0, ended
assert con.sql("SELECT count(*) FROM docs").fetchall() == [(3,)], "the tables are the parent's"
assert len(rows.fetchall()) == 100_000
assert len(index.search(vectors[0], k=5)) == 5
"""


def python(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(script), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS_MAX, check=False)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="processes are not forked here")
@pytest.mark.parametrize(
    "call",
    [
        'con.sql("SELECT 1").fetchall()',
        "rows.fetchall()",
        'con.ingest("docs", {"id": [4]}, mode="append")',
        "ruvector.connect()",
        "index.search_batch(vectors[:500], k=5)",
        "index.add(50_000, vectors[0])",
        "ruvector.RabitqPlusIndex.build(vectors)",
        'ruvector.RabitqPlusIndex.load("nowhere.rbpx")',
    ],
)
def test_a_forked_child_is_refused(call: str) -> None:
    done = python(FORK.replace("CALL", call))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="processes are not forked here")
def test_a_forked_child_searches_the_index_of_its_parent() -> None:
    done = python(FORK.replace("CALL", "sys.exit(0 if len(index.search(vectors[0], k=5)) == 5 else 'no answer')"))
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_child_that_was_forked_before_the_first_use_answers() -> None:
    done = python("""
        import os, ruvector
        child = os.fork()
        if child == 0:
            answer = ruvector.connect().sql("SELECT 1").fetchall()
            os._exit(0 if answer == [(1,)] else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert ruvector.connect().sql("SELECT 2").fetchall() == [(2,)]
    """)
    assert done.returncode == 0, done.stdout + done.stderr


def test_ctrl_c_during_an_ingest_leaves_the_interpreter_alive() -> None:
    done = python("""
        import _thread, signal, sys, threading, time
        import pyarrow as pa, ruvector
        signal.signal(signal.SIGINT, signal.default_int_handler)
        schema = pa.schema([("id", pa.int64())])

        def batches():
            while True:
                # Python code that runs whenever the interpreter may end.
                deadline = time.monotonic() + 0.2
                while time.monotonic() < deadline:
                    sum(range(100))
                yield pa.record_batch([pa.array([1])], schema=schema)

        con = ruvector.connect()
        threading.Timer(0.7, _thread.interrupt_main).start()
        try:
            con.ingest("docs", pa.RecordBatchReader.from_batches(schema, batches()))
        except KeyboardInterrupt:
            tables = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'main'"
            assert con.sql(tables).fetchall() == []
            sys.exit(7)
    """)
    assert done.returncode == 7, (done.returncode, done.stdout + done.stderr)


def test_the_interpreter_ends_while_a_statement_runs() -> None:
    done = python("""
        import sys, threading, time
        import ruvector
        con = ruvector.connect()
        import pyarrow as pa
        rows = pa.RecordBatchReader.from_stream(con.sql("SELECT value FROM generate_series(1, 100000000)"))
        rows.read_next_batch()
        slow = "SELECT sum(value % 7) FROM generate_series(1, 1000000000000)"
        threading.Thread(target=lambda: con.sql(slow).fetchall(), daemon=True).start()
        time.sleep(0.3)
        con.close()
        rows.read_next_batch()
        sys.exit(7)
    """)
    assert done.returncode == 7, (done.returncode, done.stdout + done.stderr)


def test_ctrl_c_ends_a_change_and_nothing_is_committed(
    con: ruvector.Connection, name: str, interrupt: Callable[[], None]
) -> None:
    interrupt()
    with pytest.raises(KeyboardInterrupt):
        con.sql(
            f"CREATE TABLE {name} AS SELECT a.value FROM generate_series(1, 1000000) a "
            "CROSS JOIN generate_series(1, 1000000) b WHERE a.value + b.value = 3"
        )
    tables = "SELECT count(*) FROM information_schema.tables WHERE table_name = $1"
    assert con.sql(tables, [name]).fetchall() == [(0,)]
    running = "SELECT count(*) FROM system.queries WHERE state = 'running' AND starts_with(statement, $1)"
    deadline = time.monotonic() + 20
    while con.sql(running, [f"CREATE TABLE {name}"]).fetchall() != [(0,)]:
        assert time.monotonic() < deadline, "it still runs"
        time.sleep(0.05)
