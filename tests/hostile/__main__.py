"""`python -m hostile`: figures of a server under hostile statements and kills; the exit code is 1 if one misses."""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
from pyarrow import flight

from hostile.common import RUVECTOR, say
from hostile.kills import kills
from hostile.statements import BUSY, LARGE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TOKENS = {"ann": "reader", "bob": "reader", "root": "admin"}
PASSWORD = "hostile"  # noqa: S105 - of a user that is made here
ROWS, DIM = 20_000, 64
# A hostile statement may take this long, and this much longer until it is gone.
LIMIT_SECONDS, GRACE_SECONDS = 10.0, 1.0
MEMORY_BYTES = 1 << 30
RSS_BYTES_MAX = MEMORY_BYTES * 3 // 2


class Server(NamedTuple):
    """A server that runs."""

    address: str
    pid: int

    def client(self, token: str) -> Client:
        """A client that has the token."""
        return Client(self.address, token)

    def rss(self) -> int:
        """The memory of the process, in bytes."""
        fields = Path(f"/proc/{self.pid}/statm").read_text().split()
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


class Client:
    """A client with a token, that runs SQL."""

    def __init__(self, address: str, token: str) -> None:
        self._client = flight.FlightClient(address)
        self._options = flight.FlightCallOptions(headers=[(b"authorization", f"Bearer {token}".encode())])

    def sql(self, sql: str) -> pa.Table:
        """The rows of a statement."""
        reader = self._client.do_get(flight.Ticket(sql.encode()), self._options)
        # Not `read_all`, which takes a statement that was cancelled for Ctrl-C.
        batches = [chunk.data for chunk in iter(lambda: _next_chunk(reader), None)]
        return pa.Table.from_batches(batches, reader.schema)

    def update(self, sql: str) -> None:
        """Run a statement that has none."""
        descriptor = flight.FlightDescriptor.for_command(_statement(sql))
        self._client.get_flight_info(descriptor, self._options)


def _next_chunk(reader: flight.FlightStreamReader) -> flight.FlightStreamChunk | None:
    try:
        return reader.read_chunk()
    except StopIteration:
        return None


def _statement(sql: str) -> bytes:
    """A `CommandStatementQuery`, in an `Any`, as protobuf writes it."""
    query = _field(1, sql.encode())
    return _field(1, b"type.googleapis.com/arrow.flight.protocol.sql.CommandStatementQuery") + _field(2, query)


def _field(number: int, value: bytes) -> bytes:
    length, written = len(value), bytearray([number << 3 | 2])
    while length >= 0x80:
        written.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes(written) + bytes([length]) + value


@contextlib.contextmanager
def serve(*settings: str) -> Iterator[Server]:
    """Run a server with users over a table of vectors with an index."""
    with tempfile.TemporaryDirectory() as folder:
        users = Path(folder) / "users.toml"
        sections = [
            f"[tokens.{name}]\nrole = '{role}'\nsha256 = '{hashlib.sha256(name.encode()).hexdigest()}'\n"
            for name, role in TOKENS.items()
        ]
        hashing = [str(RUVECTOR), "user", "hash-password", "eve", "--role", "reader"]
        sections.append(subprocess.run(hashing, input=PASSWORD, capture_output=True, text=True, check=True).stdout)
        users.write_text("\n".join(sections))
        command = [str(RUVECTOR), "serve", "--listen", "127.0.0.1:0", "--auth-users", str(users), *settings]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
            try:
                assert process.stdout is not None
                server = Server(process.stdout.readline().split()[-1], process.pid)
                _fill(server)
                yield server
                assert process.poll() is None, f"the server ended with {process.returncode}"
                process.send_signal(signal.SIGTERM)
                assert process.wait(60) == 0
            finally:
                process.kill()


def _fill(server: Server) -> None:
    root = server.client("root")
    root.update(f"CREATE TABLE docs (id BIGINT, vec FLOAT[{DIM}])")
    root.update(
        f"INSERT INTO docs SELECT x, array_repeat(CAST(sin(x) AS FLOAT), {DIM}) FROM generate_series(1, {ROWS}) t(x)"
    )
    root.update("CREATE INDEX docs_vec ON docs USING rabitq_plus (vec)")


def _others(server: Server) -> dict[str, Callable[[], object]]:
    """Short statements that others run at that time."""
    root = server.client("root")
    query = "[" + ", ".join(["0.5"] * DIM) + "]"
    signing = flight.FlightClient(server.address)
    return {
        "SELECT 1": lambda: root.sql("SELECT 1"),
        "sign-in": lambda: signing.authenticate_basic_token("eve", PASSWORD),
        "KILL": lambda: root.update("KILL 1"),
        "system.queries": lambda: root.sql("SELECT id FROM system.queries WHERE state = 'running'"),
        "knn by index": lambda: root.sql(f"SELECT id FROM knn('docs', {query}, 10)"),
    }


def _p99(calls: dict[str, Callable[[], object]], until: Callable[[float], bool]) -> dict[str, float]:
    """The time within which 99 of 100 calls of each are answered, in seconds."""
    began, times = time.monotonic(), {name: [] for name in calls}
    while not until(time.monotonic() - began):
        for name, call in calls.items():
            started = time.monotonic()
            call()
            times[name].append(time.monotonic() - started)
    return {name: float(np.quantile(seconds, 0.99)) for name, seconds in times.items()}


def busy() -> bool:
    """Whether others are answered while each kind of statement runs four times per core, and each ends in time."""
    met = True
    copies = 4 * (os.cpu_count() or 1)
    with serve("--statement-seconds-max", str(int(LIMIT_SECONDS))) as server:
        others = _others(server)
        _p99(others, lambda elapsed: elapsed > 1)
        alone = _p99(others, lambda elapsed: elapsed > 5)
        limits = {name: max(5 * seconds, 0.05) for name, seconds in alone.items()}
        limits["knn by index"] = max(10 * alone["knn by index"], 0.05)
        say(f"{copies} of each at once; others' p99 in ms, and the seconds until the last was gone")
        say(f"{'':34}" + "".join(f"{name:>16}" for name in others) + f"{'gone after':>12}")
        say(f"{'alone':34}" + "".join(f"{alone[name] * 1e3:16.1f}" for name in others))
        say(f"{'target':34}" + "".join(f"{limits[name] * 1e3:16.1f}" for name in others))
        for kind, sql in BUSY.items():
            ended: list[float] = []
            started = time.monotonic()

            def attack(sql: str = sql, ended: list[float] = ended, started: float = started) -> None:
                with contextlib.suppress(flight.FlightError, pa.ArrowException):
                    server.client("ann").sql(sql)
                ended.append(time.monotonic() - started)

            threads = [threading.Thread(target=attack) for _ in range(copies)]
            for thread in threads:
                thread.start()
            during = _p99(others, lambda elapsed: elapsed > LIMIT_SECONDS / 2 or len(ended) == copies)  # noqa: B023
            for thread in threads:
                thread.join()
            gone = max(ended)
            missed = [name for name in others if during[name] > limits[name]]
            if gone > LIMIT_SECONDS + GRACE_SECONDS:
                missed.append("gone")
            met &= not missed
            figures = "".join(f"{during[name] * 1e3:16.1f}" for name in others)
            say(f"{kind:34}{figures}{gone:12.1f}{'  missed: ' + ', '.join(missed) if missed else ''}")
    return met


def large() -> bool:
    """Whether the process keeps its memory under statements that would take more, and gives it back."""
    met = True
    say(f"\npeak memory under a limit of {MEMORY_BYTES >> 20} MiB, in MiB; at most {RSS_BYTES_MAX >> 20}")
    kinds = list(LARGE.items())
    while kinds:
        # A server that ended is started again for the rest.
        met &= _large(kinds)
    return met


def _large(kinds: list[tuple[str, str]]) -> bool:
    """Take kinds from the list, until there is none or the server has ended."""
    try:
        return _of_one_server(kinds)
    except AssertionError as ended:
        say(f"  {ended}")
        return False


def _of_one_server(kinds: list[tuple[str, str]]) -> bool:
    met = True
    settings = ("--memory-bytes-max", str(MEMORY_BYTES), "--statement-seconds-max", str(int(LIMIT_SECONDS)))
    with serve(*settings) as server:
        base = server.rss()
        while kinds:
            kind, sql = kinds.pop(0)
            peak, seconds, answer = _watched(server, sql)
            missed = peak > RSS_BYTES_MAX or seconds > LIMIT_SECONDS + GRACE_SECONDS
            met &= not missed
            say(f"{kind:34}{peak >> 20:8}{seconds:8.1f} s  {answer}{'  missed' if missed else ''}")
            if server.rss() == 0:
                return False
        deadline = time.monotonic() + 60
        while (rest := server.rss()) > base * 1.2 and time.monotonic() < deadline:
            time.sleep(1)
        met &= rest <= base * 1.2
        say(f"before {base >> 20} MiB, after {rest >> 20} MiB{'' if rest <= base * 1.2 else '  missed'}")
    return met


def _watched(server: Server, sql: str) -> tuple[int, float, str]:
    """The peak memory of the server in bytes, the seconds until the answer, and the answer."""
    peak, done = 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.02):
            peak = max(peak, server.rss())
            if peak > 2 * RSS_BYTES_MAX:
                os.kill(server.pid, signal.SIGKILL)

    watcher = threading.Thread(target=watch)
    watcher.start()
    answer, started = "answered", time.monotonic()
    try:
        server.client("ann").sql(sql)
    except (flight.FlightError, pa.ArrowException) as error:
        answer = str(error).split(". gRPC client debug")[0].split("with message: ")[-1].replace("\n", " ")[:80]
    seconds = time.monotonic() - started
    done.set()
    watcher.join()
    return peak, seconds, answer


def main() -> int:
    """Run what the arguments name, or all of it."""
    parts = {"busy": busy, "large": large, "kills": kills}
    parser = argparse.ArgumentParser(prog="hostile", description=__doc__)
    parser.add_argument("parts", nargs="*", help="busy, large, kills; all without any")
    chosen = parser.parse_args().parts or list(parts)
    return 1 if [part for part in chosen if not parts[part]()] else 0


sys.exit(main())
