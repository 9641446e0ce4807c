"""The `ruvector` command: exit codes, messages, and what bad input leaves behind."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from conftest import RUVECTOR, SECONDS_MAX, serve

import ruvector

if TYPE_CHECKING:
    from pathlib import Path

DOCS = """
    CREATE TABLE docs (id BIGINT, word VARCHAR, vec FLOAT[3]);
    INSERT INTO docs VALUES (1, 'x', [1.0, 0.0, 0.0]), (2, 'y', [0.0, 1.0, 0.0]), (3, 'z', [0.0, 0.0, 1.0]);
"""


def command(*arguments: object, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(RUVECTOR), *map(str, arguments)], check=False, capture_output=True, text=True, input=stdin, timeout=60
    )


def json_rows(*arguments: object) -> list[dict[str, object]]:
    done = command("sql", *arguments, "--format", "json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    done = command("sql", "--data", tmp_path / "data", "-c", DOCS)
    assert done.returncode == 0, done.stderr
    return tmp_path / "data"


def test_the_version_is_that_of_the_package() -> None:
    assert command("--version").stdout.split() == ["ruvector", ruvector.__version__]
    package = subprocess.run(
        [sys.executable, "-m", "ruvector._cli", "--version"], check=True, capture_output=True, text=True
    )
    assert package.stdout.split() == ["ruvector", ruvector.__version__]


def test_a_table_outlives_the_shell(data: Path) -> None:
    query = "SELECT id, word, _distance FROM knn('docs', [1.0, 0.0, 0.0], 1)"
    assert json_rows("--data", data, "-c", query) == [{"id": 1, "word": "x", "_distance": 0.0}]


def test_the_shell_reads_files_and_pipes(data: Path, tmp_path: Path) -> None:
    (tmp_path / "query.sql").write_text("-- how many\nSELECT count(*) AS n FROM docs;\n")
    assert json_rows("--data", data, "-f", tmp_path / "query.sql") == [{"n": 3}]
    piped = command("sql", "--data", data, "--format", "csv", stdin="SELECT word FROM docs ORDER BY id;")
    assert piped.stdout.split() == ["word", "x", "y", "z"]


def test_the_shell_asks_a_server_the_same(data: Path) -> None:
    query = "SELECT id, _distance FROM knn('docs', [0.9, 0.1, 0.0], 2)"
    here = json_rows("--data", data, "-c", query)
    with serve(data) as address:
        assert json_rows("--remote", address, "-c", query) == here


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELECT * FROM nowhere", "nowhere"),
        ("SELECT * FROM knn('docs', [1.0, 2.0], 1)", r"3\b.*\b2\b"),
        ("SELECT * FROM knn('docs', [1.0, 2.0, 3.0], 0)", r"\bk\b.*\b0\b"),
        ("SELECT * FROM knn('docs', [1.0, 'NaN'::float, 3.0], 1)", "(?i)nan|finite"),
        ("INSERT INTO docs VALUES (4, 'w', [1.0, 2.0])", r"3\b.*\b2\b"),
        ("INSERT INTO docs VALUES (4, 'w', [1.0, 'NaN'::float, 2.0])", "(?i)nan|finite"),
        ("CREATE INDEX i ON docs USING rabitq_plus (word)", "(?i)word"),
        ("SELEC 1", "(?i)selec"),
    ],
)
@pytest.mark.parametrize("where", ["here", "server"])
def test_a_wrong_statement_exits_with_1_and_changes_nothing(data: Path, where: str, sql: str, message: str) -> None:
    if where == "here":
        done = command("sql", "--data", data, "-c", sql)
    else:
        with serve(data) as address:
            done = command("sql", "--remote", address, "-c", sql)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: ")
    assert re.search(message, done.stderr), done.stderr
    assert json_rows("--data", data, "-c", "SELECT id FROM docs ORDER BY id") == [{"id": 1}, {"id": 2}, {"id": 3}]


def test_the_first_error_ends_a_script(data: Path) -> None:
    done = command("sql", "--data", data, "-c", "DELETE FROM docs WHERE id = 1; SELECT nothing; DELETE FROM docs")
    assert done.returncode == 1
    assert json_rows("--data", data, "-c", "SELECT id FROM docs ORDER BY id") == [{"id": 2}, {"id": 3}]


@pytest.mark.parametrize("how", ["file", "pipe", "included"])
def test_an_error_of_a_script_names_its_line(data: Path, tmp_path: Path, how: str) -> None:
    script = tmp_path / "load.sql"
    script.write_text("\\timing off\nSELECT\n1;\n\n-- Wrong:\nSELECT id\nFROM dosc;\nSELECT 2;\n")
    (tmp_path / "all.sql").write_text(f"SELECT 0;\n\\i {script}\n")
    arguments = {"file": ["-f", script], "pipe": [], "included": ["-f", tmp_path / "all.sql"]}[how]
    text = script.read_text() if how == "pipe" else None
    done = command("sql", "--data", data, *arguments, stdin=text)
    place = {"file": script, "pipe": "standard input", "included": f"{tmp_path / 'all.sql'}:2: {script}"}[how]
    assert done.returncode == 1
    assert done.stderr.startswith(
        f"error: {place}:6: table 'ruvector.main.dosc' not found (at line 2, column 6); did you mean docs?"
    )
    assert done.stderr.endswith("LINE 2: FROM dosc\n             ^\n")


@pytest.mark.parametrize(
    "arguments", [["fly"], ["serve", "--listen"], ["sql", "-c", "SELECT 1", "--format", "xml"]], ids=" ".join
)
def test_wrong_arguments_exit_with_2(arguments: list[str]) -> None:
    done = command(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "error: " in done.stderr


def test_a_port_in_use_is_an_error(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = command("serve", "--listen", f"127.0.0.1:{port}", "--data", tmp_path / "data")
    assert (done.returncode, done.stdout) == (1, "")
    assert str(port) in done.stderr
    assert "in use" in done.stderr
    assert not (tmp_path / "data").exists()


def test_other_machines_are_let_in_only_on_purpose(tmp_path: Path) -> None:
    done = command("serve", "--listen", "0.0.0.0:0", "--data", tmp_path / "data")
    assert (done.returncode, done.stdout) == (1, "")
    assert "--insecure-allow-remote" in done.stderr


def test_a_file_is_no_data_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    for arguments in [("sql", "-c", "SELECT 1"), ("serve", "--listen", "127.0.0.1:0")]:
        done = command(*arguments, "--data", tmp_path / "file")
        assert (done.returncode, done.stdout) == (1, "")
        assert "file" in done.stderr
    assert (tmp_path / "file").read_text() == "not a folder"


def test_nobody_listens_at_the_server_s_address() -> None:
    done = command("sql", "--remote", "grpc://127.0.0.1:1", "-c", "SELECT 1")
    assert (done.returncode, done.stdout) == (1, "")
    assert "127.0.0.1:1" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_server(tmp_path: Path, number: signal.Signals) -> None:
    arguments = [str(RUVECTOR), "serve", "--listen", "127.0.0.1:0", "--data", str(tmp_path / "data")]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        assert server.stdout.readline().startswith("ruvector listening on grpc://127.0.0.1:")
        server.send_signal(number)
        assert server.wait(SECONDS_MAX) == 0


def test_the_package_s_server_stops_too(tmp_path: Path) -> None:
    arguments = [sys.executable, "-m", "ruvector._cli", "serve", "--listen", "127.0.0.1:0", "--data", tmp_path / "data"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        address = server.stdout.readline().split()[-1]
        with ruvector.connect(address) as con:
            assert con.sql("SELECT 1").fetchall() == [(1,)]
        server.send_signal(signal.SIGTERM)
        assert server.wait(SECONDS_MAX) == 0


@pytest.mark.parametrize("damage", ["truncated", "emptied", "flipped"])
def test_a_damaged_index_is_never_trusted(data: Path, damage: str) -> None:
    query = ("--data", data, "-c", "SELECT id, _distance FROM knn('docs', [0.9, 0.1, 0.0], 3)")
    assert command("sql", "--data", data, "-c", "CREATE INDEX i ON docs USING rabitq_plus (vec)").returncode == 0
    right = json_rows(*query)
    files = [path for path in data.rglob("*") if path.is_file() and "_ruvector" in path.parts]
    indexes = [path for path in files if path.suffix not in {".json", ".toml", ".lock"}]
    assert indexes, files
    for path in indexes:
        content = path.read_bytes()
        middle = len(content) // 2
        path.write_bytes(
            {
                "truncated": content[:middle],
                "emptied": b"",
                "flipped": content[:middle] + bytes([content[middle] ^ 0xFF]) + content[middle + 1 :],
            }[damage]
        )
    assert json_rows(*query) == right


def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    data = tmp_path / "data"
    arguments = [str(RUVECTOR), "serve", "--listen", "127.0.0.1:0", "--data", str(data)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        with ruvector.connect(server.stdout.readline().split()[-1]) as con:
            con.ingest("docs", {"id": list(range(1000)), "vec": [[float(i), 1.0] for i in range(1000)]})
            con.sql("CREATE INDEX docs_vec ON docs USING rabitq_plus (vec)")
            con.sql("DELETE FROM docs WHERE id = 5")
        os.kill(server.pid, signal.SIGKILL)
    query = "SELECT id FROM knn('docs', [5.0, 1.0], 3)"
    assert {row["id"] for row in json_rows("--data", data, "-c", query)} >= {4, 6}
    assert json_rows("--data", data, "-c", "SELECT count(*) AS n FROM docs") == [{"n": 999}]


def test_a_server_starts_quickly(tmp_path: Path) -> None:
    start = time.monotonic()
    with serve(tmp_path / "data"):
        assert time.monotonic() - start < 10
