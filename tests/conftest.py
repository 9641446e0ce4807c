"""Servers and connections for the tests: the built binary on a free port, and the engine in this process."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import adbc_driver_flightsql.dbapi as adbc
import numpy as np
import pyarrow as pa
import pytest
from adbc_driver_flightsql import DatabaseOptions

import ruvector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parent.parent
RUVECTOR = Path(os.environ.get("RUVECTOR", ROOT / "target" / "debug" / "ruvector")).resolve()
CERTIFICATES = RUVECTOR.parent / "ruvector-test-certificates"
JDBC = ROOT / "tests" / "jdbc"
GO = ROOT / "tests" / "go"
SECONDS_MAX = 60
SEED = 20240527
PASSWORD = "pass:wörd?>~"  # noqa: S105 - of users that the tests make
TOKEN = "the-token-of-a-dashboard"  # noqa: S105 - as above

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


class Secured(NamedTuple):
    """A server with TLS that lets in the users `admin`, `reader` and `ann`, and a token of the role reader."""

    address: str
    ca: Path
    log: Path

    def adbc(self, **options: str) -> adbc.Connection:
        """Connect by ADBC."""
        trusted = {DatabaseOptions.TLS_ROOT_CERTS.value: self.ca.read_text()}
        return adbc.connect(self.address, db_kwargs={**trusted, **options}, autocommit=True)


@pytest.fixture(scope="session")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """A server with TLS, users and a token, and the table `docs` of 3 rows. Tests change nothing there."""
    folder = tmp_path_factory.mktemp("secured")
    subprocess.run([CERTIFICATES, folder], timeout=SECONDS_MAX, check=True)
    users = [hashed_user(role, role) for role in ("admin", "reader")]
    users.append(hashed_user("ann", "reader"))
    sha256 = hashlib.sha256(TOKEN.encode()).hexdigest()
    users.append(f"[tokens.dashboard]\nrole = 'reader'\nsha256 = '{sha256}'\n")
    (folder / "users.toml").write_text("\n".join(users))
    settings = folder / "ruvector.toml"
    settings.write_text("[tls]\ncert = 'server.pem'\nkey = 'server.key'\n[auth]\nusers = 'users.toml'\n")
    with serve(folder / "data", "--config", settings) as address:
        assert address.startswith("grpc+tls://")
        server = Secured(address, folder / "ca.pem", folder / "data.log")
        with server.adbc(username="admin", password=PASSWORD) as admin, admin.cursor() as cursor:
            assert cursor.adbc_ingest("docs", pa.table({"id": [1, 2, 3]})) == 3
        yield server
    log = server.log.read_text()
    assert "ruvector::audit" in log
    assert PASSWORD not in log
    assert TOKEN not in log


def hashed_user(name: str, role: str) -> str:
    """The section of a user with the password of the tests."""
    done = subprocess.run(
        [RUVECTOR, "user", "hash-password", name, "--role", role],
        input=PASSWORD,
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=True,
    )
    return done.stdout


def needs(*programs: str) -> None:
    """Skip the test where one of these programs is not installed; with CI=true that is a failure."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing and os.environ.get("CI") == "true":
        pytest.fail(f"not installed: {', '.join(missing)}")
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")


@pytest.fixture(scope="session")
def jdbc_driver() -> Path:
    """The jar of the JDBC driver that `tests/jdbc/pom.xml` names; Maven fetches it once."""
    needs("java", "mvn")
    package = ["mvn", "--batch-mode", "--quiet", "--file", JDBC / "pom.xml", "package"]
    done = subprocess.run([*package, "--offline"], capture_output=True, text=True, timeout=600, check=False)
    if done.returncode != 0:
        done = subprocess.run(package, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return JDBC / "target" / "flight-sql-jdbc-driver.jar"


def java(
    driver: Path,
    source: Path,
    *arguments: object,
    folder: Path | None = None,
    environment: dict[str, str] | None = None,
) -> str:
    """Run a Java file with the JDBC driver, as `docs/clients/jdbc.md` says, and return what it prints."""
    command = ["java", "--add-opens=java.base/java.nio=ALL-UNNAMED", "--class-path", driver, source]
    done = subprocess.run(
        [*command, *map(str, arguments)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        cwd=folder,
        env=environment,
        timeout=SECONDS_MAX,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def go(*arguments: object, folder: Path) -> str:
    """Run the go command in a folder and return what it prints. The first build takes a minute, later ones a second."""
    needs("go")
    command = ["go", *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class Answers:
    """What came of each step of a client in another language: a value, or an error."""

    def __init__(self, printed: str) -> None:
        self._steps = {line["step"]: line for line in map(json.loads, printed.splitlines())}

    def errors(self) -> dict[str, str]:
        """The steps that failed."""
        return {step: line["error"] for step, line in self._steps.items() if "error" in line}

    def __getitem__(self, step: str) -> Any:  # noqa: ANN401 - whatever JSON holds
        """The value of a step that went well."""
        assert "error" not in self._steps[step], self._steps[step]
        return self._steps[step]["value"]

    def error(self, step: str) -> str:
        """The message of a step that failed."""
        return self._steps[step]["error"]

    def rows(self, step: str) -> list[dict[str, object]]:
        """The rows of a result."""
        result = self[step]
        return [dict(zip(result["names"], row, strict=True)) for row in result["rows"]]


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
def interrupt() -> Iterator[Callable[[], None]]:
    """Press Ctrl-C in half a second, in a process that does what a terminal's does."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
    yield timer.start
    timer.join()
    signal.signal(signal.SIGINT, before)


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
