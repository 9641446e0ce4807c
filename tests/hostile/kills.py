"""A server that is killed again and again while clients change its tables.

Half of the kills are SIGKILL, at a random time in a statement of each verb in turn; half are the failpoints of the
sources, each in turn. After each kill the server starts again, and what it has is held against the clients' models:
an acknowledged change is there, a change that was in flight is there wholly or not at all, and no files are left over.
"""

from __future__ import annotations

import contextlib
import math
import os
import random
import re
import resource
import shutil
import statistics
import subprocess
import tempfile
import threading
import time
from collections import Counter, defaultdict, deque
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

import ruvector
from hostile.changes import COLUMNS, DIM, GROUPS_PER_CLIENT, SHARED, VERBS, Change, Changes, Lake
from hostile.common import RUVECTOR, say

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hostile.changes import Key, Value

SOURCES = Path(__file__).resolve().parents[2]
CLIENTS = 4
# Bounds on the time until a step is reached, a server has started, everything is checked, a background build has ended.
STEP_SECONDS, START_SECONDS, CHECK_SECONDS, BUILD_SECONDS = 60.0, 60.0, 120.0, 30.0
# A bound on the time until a kill meets a statement of the verb that it is for.
VERB_SECONDS = 10.0
# The shared table is made of one file again after so many kills.
KILLS_PER_FILE = 10
NEIGHBOURS, LAKE_ROWS = 10, 500
DISTANCES = {
    "l2": "l2_distance(vec, {})",
    "cosine": "cosine_distance(vec, {})",
    "inner_product": "-inner_product(vec, {})",
}
# Steps that the start of a server reaches when it completes what was cut short. The last is reached in the background.
STEPS_OF_START = ("write_file.temporary", "write_file.renamed", "drop_table.buried", "drop_index.discarded")
# A bound on the time until a server that listens reaches a step of its start.
BACKGROUND_SECONDS = 0.5
# A bound on the time in which a server that has started writes and removes index files.
SETTLE_SECONDS = 5.0
# Left over: tables that are being created or dropped, temporary files of catalogs and indexes. Uploads to a table that
# were cut short (`#1`) stay, as `docs/server.md` says: another process may be writing them.
LEFT_OVER = re.compile(r"^\.(creating|dropping|dropped)-|\.tmp$|\.unsaved$")


def steps() -> list[str]:
    """Return the failpoints of the Rust sources."""
    files = [
        file
        for crates in ("engine", "udfs", "flight-server", "cli")
        for file in (SOURCES / crates).rglob("src/**/*.rs")
    ]
    found = {step for file in files for step in re.findall(r'\breach\("([a-z_.]+)"\)', file.read_text())}
    assert found, "no failpoints in the sources"
    return sorted(found)


class Server:
    """A server over a data folder."""

    def __init__(self, data: Path, step: str | None = None) -> None:
        """Start it, to end itself at the step; `address` is empty if it has ended before it listens."""
        environment = {key: value for key, value in os.environ.items() if key != "RUVECTOR_FAILPOINT"}
        environment["RUVECTOR_LOG"] = "warn"
        if step is not None:
            environment["RUVECTOR_FAILPOINT"] = step
        command = [str(RUVECTOR), "serve", "--listen", "127.0.0.1:0", "--data", str(data)]
        with (data.parent / "server.log").open("a") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment)
        slow = threading.Timer(START_SECONDS, self.process.kill)
        slow.start()
        assert self.process.stdout is not None
        self.address = (self.process.stdout.readline().split() or [""])[-1]
        slow.cancel()

    def connect(self) -> ruvector.Connection:
        """Return a new session."""
        assert self.address, f"the server did not start: its exit code is {self.process.wait(5)}"
        return ruvector.connect(self.address)

    def kill(self) -> None:
        """Send SIGKILL and wait for the end."""
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def ended(self, seconds: float) -> bool:
        """Whether the process ends within so many seconds."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
        return self.process.poll() is not None


class Figures:
    """What is counted of each verb, and the faults in words."""

    COLUMNS = ("acknowledged", "kills", "lost", "half", "left over", "refused")

    def __init__(self) -> None:
        self.counts: dict[str, Counter[str]] = defaultdict(Counter)
        self.faults: list[str] = []
        self.seconds: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=50))

    def fault(self, verb: str, column: str, text: str) -> None:
        """Count a fault and print it."""
        self.counts[verb][column] += 1
        self.faults.append(text)
        say(f"  {column}: {verb}: {text}")

    def typical(self, verb: str) -> float:
        """The seconds that a statement of the verb usually takes."""
        return statistics.median(self.seconds[verb]) if self.seconds[verb] else 0.03

    def show(self) -> None:
        """Print the table."""
        say(f"{'':26}" + "".join(f"{column:>14}" for column in self.COLUMNS))
        rows = [*VERBS, *sorted(set(self.counts) - set(VERBS))]
        for verb in rows:
            say(f"{verb:26}" + "".join(f"{self.counts[verb][column]:14}" for column in self.COLUMNS))
        total = sum((self.counts[verb] for verb in rows), Counter())
        say(f"{'all':26}" + "".join(f"{total[column]:14}" for column in self.COLUMNS))


class Round:
    """The clients of one server until its end."""

    def __init__(self, server: Server, wanted: str | None) -> None:
        self.server = server
        self.wanted = wanted
        self.begun = threading.Event()
        self.ending = threading.Event()


class Client:
    """A client that makes one change after another."""

    def __init__(self, number: int, seed: int, lake: Lake, figures: Figures) -> None:
        rng = random.Random(f"{seed} {number}")  # noqa: S311 - it is repeated by its seed
        self.changes = Changes(number, rng, lake)
        # The verb that gave a key its value.
        self.verbs: dict[Key, str] = {}
        self.in_flight: Change | None = None
        self._figures = figures

    def run(self, of: Round) -> None:
        """Make changes until the server has ended."""
        try:
            with of.server.connect() as con:
                while self._one(of, con):
                    pass
        except Exception as error:  # noqa: BLE001 - a thread that ends without a word would pass
            if not of.server.ended(5):
                self._figures.fault("clients", "refused", f"client {self.changes.name}: {error!r}")

    def _one(self, of: Round, con: ruvector.Connection) -> bool:
        """Make a change; false once the server has ended."""
        change = self.changes.one(of.wanted)
        self.in_flight = change
        if change.verb == of.wanted:
            of.begun.set()
        began = time.monotonic()
        try:
            change.run(con)
        except ruvector.RuVectorError as error:
            if of.ending.is_set() or of.server.ended(2):
                return False
            # Refused by a server that goes on: nothing has changed.
            self.in_flight = None
            self._figures.fault(change.verb, "refused", f"{change.text[:200]}: {error!r}")
            return True
        self._figures.seconds[change.verb].append(time.monotonic() - began)
        self._figures.counts[change.verb]["acknowledged"] += 1
        self.changes.apply(change.after)
        self.verbs.update(dict.fromkeys(change.after, change.verb))
        self.in_flight = None
        return True

    def check(self, found: dict[Key, Value], kill: str) -> None:
        """Hold what a server has of this client against the model, and go on from it."""
        state, change, figures = self.changes.state, self.in_flight, self._figures
        after = {} if change is None else change.after
        if change is not None:
            figures.counts[change.verb]["kills"] += 1
            before = {key: state.get(key) for key in after}
            now = {key: found.get(key) for key in after}
            if now not in (before, after):
                differ = [(key, before[key], after[key], now[key]) for key in after if before[key] != after[key]]
                text = f"{kill}: {change.text[:200]}: key, before, after, found: {differ[:6]}"
                figures.fault(change.verb, "half", text)
        for key in sorted((state.keys() | found.keys()) - after.keys(), key=str):
            if state.get(key) != found.get(key):
                text = f"{kill}: {key} expected {state.get(key)}, got {found.get(key)}"
                figures.fault(self.verbs.get(key, "unknown"), "lost", text)
        self.changes.state = found
        self.in_flight = None


def observed(con: ruvector.Connection) -> dict[Key, Value]:
    """Return what a server has, as keys and values of the models."""
    found: dict[Key, Value] = {}
    tables = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'main' ORDER BY 1"
    for (table,) in con.sql(tables).fetchall():
        kind = next((kind for kind in ("parquet", "rbpx") if table.endswith(kind)), "delta")
        try:
            if kind != "delta":
                (count,) = con.sql(f"SELECT count(*) FROM {table}").fetchall()
                found["table", table] = kind if count == (LAKE_ROWS,) else f"{count} rows"
                continue
            groups = con.sql(
                f"SELECT grp, count(*), count(DISTINCT n), min(val), max(val) FROM {table} GROUP BY grp"
            ).fetchall()
        except ruvector.RuVectorError as error:
            found["table", table] = f"listed, but not readable: {error!r}"
            continue
        found["table", table] = kind
        for group, count, numbers, least, most in groups:
            whole = count == numbers and least == most
            found["rows", table, group] = (count, least) if whole else (count, numbers, least, most)
    # An external table of an index file is an index of its own name.
    indexes = "SELECT backend, name, collection, metric, kind FROM system.indexes WHERE name <> collection"
    found |= {("index", backend, name): tuple(of) for backend, name, *of in con.sql(indexes).fetchall()}
    backends = con.sql("SELECT name, kind FROM system.backends WHERE name <> 'main'").fetchall()
    return found | {("backend", name): kind for name, kind in backends}


def owner(key: Key) -> int | None:
    """Return the number of the client whose key it is, or none for what all share."""
    if key[:2] == ("rows", SHARED):
        return int(key[2]) // GROUPS_PER_CLIENT
    named = re.match(r"c([0-9]+)_", str(key[-1] if key[0] == "index" else key[1]))
    return int(named[1]) if named else None


def wrong_answers(server: Server, found: dict[Key, Value], rng: random.Random) -> Iterator[tuple[Key, str]]:
    """Yield each index that does not answer as a scan of its table does, with what it does instead."""
    query = "[" + ", ".join(f"{rng.uniform(-1, 1):.3f}" for _ in range(DIM)) + "]"
    with server.connect() as con, server.connect() as exact:
        exact.sql("SET ruvector.use_index = false")
        for key, value in found.items():
            if key[0] != "index":
                continue
            _, backend, name = key
            table, metric, _ = value
            distance = DISTANCES[str(metric)].format(query)
            # All candidates get exact distances, and all lists are looked into: the index has no reason to miss a row.
            search = (
                f"knn('{backend}.{table}', {query}, {NEIGHBOURS}, metric => '{metric}', rerank => 1000000, nprobe => 4)"
            )
            scan = f"SELECT {distance} AS d FROM {backend}.{table} ORDER BY d LIMIT {NEIGHBOURS}"
            try:
                answers = [row[0] for row in con.sql(f"SELECT _distance FROM {search}").fetchall()]
                right = [row[0] for row in exact.sql(scan).fetchall()]
                state = _state(con, str(backend), str(name))
            except ruvector.RuVectorError as error:
                yield key, f"{error!r}"
                continue
            near = (math.isclose(a, b, rel_tol=1e-5, abs_tol=1e-5) for a, b in zip(answers, right, strict=False))
            if len(answers) != len(right) or not all(near):
                yield key, f"answered {answers}, a scan {right}"
            elif state != ("ready", None):
                yield key, f"its state after a search is {state}"


def _state(con: ruvector.Connection, backend: str, name: str) -> tuple[object, ...]:
    """Return state and error of an index, when it is not being built any more."""
    deadline = time.monotonic() + BUILD_SECONDS
    sql = f"SELECT state, error FROM system.indexes WHERE backend = '{backend}' AND name = '{name}'"
    while True:
        (state,) = con.sql(sql).fetchall()
        if state[0] != "building" or time.monotonic() > deadline:
            return state
        time.sleep(0.05)


def left_over(data: Path, found: dict[Key, Value]) -> list[Path]:
    """Return files that a change has left behind when it was cut short, folders of no table, files of no index."""
    left = [path for path in data.rglob("*") if LEFT_OVER.search(path.name)]
    tables = [path for path in data.iterdir() if path.is_dir() and not path.name.startswith((".", "_"))]
    left += [path for path in tables if not any((path / "_delta_log").glob("*.json"))]
    # The second and third part of the name of an index file are its kind and its metric.
    declared = {value for key, value in found.items() if key[:2] == ("index", "main")}
    for table in tables:
        files = (table / "_ruvector").glob("[!.]*.rbpx")
        left += [file for file in files if (table.name, *file.name.split(".")[2:0:-1]) not in declared]
    external = (data / "_ruvector" / "external").glob("*")
    return left + [folder for folder in external if ("table", folder.name) not in found]


class Run:
    """Kills of one seed."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.figures = Figures()
        self._rng = random.Random(seed)  # noqa: S311 - it is repeated by its seed
        self._folder = folder
        self._data = folder / "data"
        self._data.mkdir()
        self._seen: set[Path] = set()
        lake = self._lake()
        self._clients = [Client(number, seed, lake, self.figures) for number in range(CLIENTS)]
        self._server = Server(self._data)
        with self._server.connect() as con:
            con.sql(f"CREATE TABLE {SHARED} ({COLUMNS})")
            con.sql(f"CREATE INDEX {SHARED}_l2 ON {SHARED} (vec)")
            self._shared = observed(con)

    def _lake(self) -> Lake:
        """Make the files that are no part of the data folder."""
        lake, saved = self._folder / "lake", self._folder / "saved"
        lake.mkdir()
        server = Server(lake)
        with server.connect() as con:
            parts = ", ".join(f"sin({i + 1} * x)" for i in range(DIM))
            rows = f"SELECT x AS id, CAST([{parts}] AS FLOAT[{DIM}]) AS vec FROM generate_series(1, {LAKE_ROWS}) t(x)"
            con.sql(f"CREATE TABLE there AS {rows}")
            con.sql("CREATE INDEX there_vec ON there (vec)")
            con.sql(f"SELECT * FROM save_cache('there', '{saved}')").fetchall()
        server.kill()
        (index,) = saved.glob("*.rbpx")
        ids = list(range(1, LAKE_ROWS + 1))
        vectors = [[math.sin((i + 1) * x) for i in range(DIM)] for x in ids]
        vec = pa.array(vectors, pa.list_(pa.float32(), DIM))
        pq.write_table(pa.table({"id": ids, "vec": vec}), self._folder / "e.parquet")
        return Lake(lake, "there", self._folder / "e.parquet", index)

    def kills(self, count: int) -> None:
        """Kill the server so many times and check what it has after each."""
        all_steps, verbs = steps(), list(VERBS)
        self._rng.shuffle(all_steps)
        self._rng.shuffle(verbs)
        for number in range(count):
            kill = f"kill {number + 1}"
            if number % 2:
                kill += f" at the step {self._at_step(all_steps[number // 2 % len(all_steps)])}"
            else:
                kill += f" in {self._in_verb(verbs[number // 2 % len(verbs)])}"
            if self._rng.random() < 0.5:
                kill += self._at_start(self._rng.choice(STEPS_OF_START))
            self._server = Server(self._data)
            self._check(kill)
            if number % KILLS_PER_FILE == KILLS_PER_FILE - 1:
                with self._server.connect() as con:
                    con.sql(f"CREATE OR REPLACE TABLE {SHARED} AS SELECT * FROM {SHARED}")
        self._server.kill()

    @contextlib.contextmanager
    def _busy(self, wanted: str | None) -> Iterator[Round]:
        """Let the clients change tables until the server has ended."""
        of = Round(self._server, wanted=None)
        # A server that has ended at a step of its start has no clients.
        clients = self._clients if self._server.address else []
        threads = [threading.Thread(target=client.run, args=(of,)) for client in clients]
        for thread in threads:
            thread.start()
        try:
            if wanted is not None:
                time.sleep(self._rng.uniform(0.1, 0.8))
                of.wanted = wanted
            yield of
        finally:
            of.ending.set()
            self._server.kill()
            for thread in threads:
                thread.join()

    def _in_verb(self, verb: str) -> str:
        """Kill the server at a random time after a client has sent a statement of the verb."""
        with self._busy(verb) as of:
            deadline = time.monotonic() + VERB_SECONDS
            # A statement may be faster than the pause: then the next one.
            while time.monotonic() < deadline:
                of.begun.clear()
                of.begun.wait(VERB_SECONDS)
                time.sleep(self._rng.uniform(0, 1.2 * self.figures.typical(verb)))
                in_flight = [client.in_flight for client in self._clients]
                if any(change is not None and change.verb == verb for change in in_flight):
                    break
        return verb

    def _at_step(self, step: str) -> str:
        """Let the server end itself at a failpoint."""
        self._server.kill()
        self._server = Server(self._data, step)
        with self._busy(None):
            if not self._server.ended(STEP_SECONDS):
                self.figures.fault("steps", "lost", f"no change reached the step {step} in {STEP_SECONDS:.0f} s")
        return step

    def _at_start(self, step: str) -> str:
        """Start the server so that it ends while it completes what was cut short, if it has to write for that."""
        server = Server(self._data, step)
        reached = not server.address or server.ended(BACKGROUND_SECONDS)
        server.kill()
        self.figures.counts["start"]["kills"] += reached
        return f", and at {step} of the start" if reached else ""

    def _check(self, kill: str) -> None:
        """Hold what the server has against the models."""
        slow = threading.Timer(CHECK_SECONDS, self._server.process.kill)
        slow.start()
        try:
            self._check_all(kill)
        finally:
            slow.cancel()

    def _check_all(self, kill: str) -> None:
        with self._server.connect() as con:
            found = observed(con)
            shared = {key: value for key, value in found.items() if owner(key) is None}
            if shared != self._shared:
                self.figures.fault("shared", "lost", f"{kill}: expected {self._shared}, got {shared}")
            verbs = {number: client.in_flight for number, client in enumerate(self._clients)}
            for number, client in enumerate(self._clients):
                client.check({key: value for key, value in found.items() if owner(key) == number}, kill)
            for key, text in wrong_answers(self._server, found, self._rng):
                number = owner(key)
                verb = "shared" if number is None else self._clients[number].verbs.get(key, "unknown")
                self.figures.fault(verb, "lost", f"{kill}: {key}: {text}")
            self._check_files(kill, verbs, found)
            self._remove_damaged(con)

    def _check_files(self, kill: str, verbs: dict[int, Change | None], found: dict[Key, Value]) -> None:
        left = set(left_over(self._data, found))
        deadline = time.monotonic() + SETTLE_SECONDS
        # The server may be writing an index file, or removing that of no index.
        while left - self._seen and time.monotonic() < deadline:
            time.sleep(0.1)
            left &= set(left_over(self._data, found))
        new, self._seen = left - self._seen, left
        for path in sorted(new):
            name = path.relative_to(self._data)
            number = next((number for part in name.parts if (number := owner(("table", part))) is not None), None)
            change = None if number is None else verbs[number]
            # Hidden folders are of one kind each, whatever their UUID.
            place = re.sub(r"-[0-9a-f-]{36}$", "", name.parts[0])
            verb = place if number is None else "unknown" if change is None else change.verb
            self.figures.fault(verb, "left over", f"{kill}: {name}")

    def _remove_damaged(self, con: ruvector.Connection) -> None:
        """Drop tables that cannot be read, so that their clients go on."""
        for client in self._clients:
            state = client.changes.state
            for key in [key for key, value in state.items() if str(value).startswith("listed, but not readable")]:
                con.sql(f"DROP TABLE {key[1]}")
                del state[key]


def kills() -> bool:
    """Whether a server keeps what it acknowledged, and nothing by halves, over many kills."""
    seed = int(os.environ.get("RUVECTOR_SEED", "20260901"))
    count = int(os.environ.get("RUVECTOR_KILLS", "60"))
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    began, folder = time.monotonic(), Path(tempfile.mkdtemp())
    say(f"\n{count} kills under {CLIENTS} clients, RUVECTOR_SEED={seed}")
    run = Run(seed, folder)
    run.kills(count)
    run.figures.show()
    met = not run.figures.faults
    say(f"{count} kills in {time.monotonic() - began:.0f} s{'' if met else f'  missed; the folder is kept: {folder}'}")
    if met:
        shutil.rmtree(folder)
    return met
