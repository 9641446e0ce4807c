"""The interactive shell: what Enter, Tab, Ctrl-C and Ctrl-D do, and the session that docs/shell.md shows."""

from __future__ import annotations

import re
import stat
from typing import TYPE_CHECKING

import pytest
from conftest import ROOT, SECONDS_MAX, serve
from terminal import CONTINUES, READS, RUNS, Terminal, plain, shell

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LONG = "SELECT count(*) FROM range(100000) a, range(100000) b, range(1000) c;"
TABLE = "CREATE TABLE words (id BIGINT, word VARCHAR, vec FLOAT[3]);"


@pytest.fixture(params=["embedded", "remote"])
def terminal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Terminal]:
    """A shell over tables of its own: what a person does in one they do in the other."""
    if request.param == "embedded":
        with shell(tmp_path / "history", "--data", tmp_path / "data") as terminal:
            yield terminal
    else:
        with serve(tmp_path / "data") as address, shell(tmp_path / "history", "--remote", address) as terminal:
            yield terminal


def without_times(text: str) -> str:
    return re.sub(r"\d+\.\d+ s\)", "T s)", text)


def test_the_session_of_the_page_is_what_happens(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "shell.md").read_text()
    session = re.search(r"```text\n(ruvector> .*?)```", page, re.DOTALL)
    assert session is not None
    steps = session[1].split("ruvector> ")[1:]
    assert len(steps) > 5
    with shell(tmp_path / "history", "--data", tmp_path / "data") as terminal:
        for step in steps:
            # A statement goes on to the line that ends with `;`.
            typed = re.match(r"\\[^\n]*\n|.*?;\n", step, re.DOTALL)
            assert typed is not None, step
            answer = terminal.run(typed[0].rstrip("\n").replace(CONTINUES, ""))
            assert without_times(answer) == without_times(step[typed.end() :].rstrip("\n")), typed[0]


def test_tab_completes_what_the_connection_knows(terminal: Terminal) -> None:
    terminal.run(TABLE)
    for text, completed in {
        "sel": "select",
        "SELECT wo": "SELECT word",
        "SELECT * FROM wor": "SELECT * FROM words",
        "SELECT * FROM knn('wo": "SELECT * FROM knn('words'",
        "FROM knn('words', [1.0, 0.0, 0.0], 2, me": "FROM knn('words', [1.0, 0.0, 0.0], 2, metric => ",
        "SELECT l2_d": "SELECT l2_distance(",
        "SELECT * FROM system.bu": "SELECT * FROM system.bundles",
        "SET ruvector.np": "SET ruvector.nprobe",
        "\\timi": "\\timing",
        "\\d wor": "\\d words",
    }.items():
        terminal.expect_completion(text, completed)
    # After a change there are other names.
    terminal.run("CREATE TABLE other_words (letter VARCHAR);")
    terminal.expect_completion("DESCRIBE oth", "DESCRIBE other_words")
    terminal.expect_completion("SELECT let", "SELECT letter")


def test_commands_tell_what_there_is(terminal: Terminal) -> None:
    terminal.run(TABLE)
    terminal.run("INSERT INTO words VALUES (1, 'x', [1.0, 0.0, 0.0]);")
    terminal.run("CREATE INDEX words_vec ON words (vec) WITH (metric = 'cosine');")
    assert "| main   | words" in terminal.run("\\d")
    described = terminal.run("\\d words")
    assert "| word        | Utf8 " in described
    assert "| words_vec | vec           | rabitq_plus | cosine | ready |       1 |" in described
    assert "system" not in terminal.run("\\dt")
    assert terminal.run("\\dt nothing*").endswith("0 rows")
    assert "words_vec" in terminal.run("\\di words*")
    assert "l2_distance(a, b)" in terminal.run("\\df l2_dist*")
    assert "| main | delta |" in terminal.run("\\l")
    assert "not found" in terminal.run("\\d nothing")
    assert "\\timing" in terminal.run("\\nothing")
    assert "\\timing" in terminal.run("\\?")


def test_statements_may_span_lines_and_say_how_long_they_took(terminal: Terminal) -> None:
    assert re.search(r"\n1 row \(\d+\.\d{3} s\)$", terminal.run("SELECT\n1 AS a\n;"))
    assert terminal.run("\\timing off") == "timing is off"
    assert terminal.run("SELECT 1 AS a;").endswith("\n1 row")


def test_a_statement_that_goes_on_is_prompted_for(terminal: Terminal) -> None:
    terminal.run(TABLE)
    terminal.type("SELECT 'a;\r")
    terminal.wait_for(CONTINUES)
    terminal.type("b' AS text\r")
    terminal.wait_for(CONTINUES)
    # Completion knows the lines before.
    terminal.type("FROM wor\t")
    terminal.wait_for("FROM words")
    terminal.type("\x03")
    # Ctrl-C drops them all.
    terminal.wait_for("ruvector> ")
    assert "|  7 |" in terminal.run("SELECT 7 AS id;")


@pytest.mark.parametrize("word", ["exit", "quit", "QUIT;", "\\q"])
def test_a_word_leaves(tmp_path: Path, word: str) -> None:
    with shell(tmp_path / "history") as terminal:
        assert "\\timing" in terminal.run("help")
        terminal.type(f"{word}\r")
        assert terminal.process.wait(SECONDS_MAX) == 0


def test_the_shells_own_questions_are_in_no_list(tmp_path: Path) -> None:
    seen = "SELECT statement FROM system.queries WHERE state <> 'running' ORDER BY id;"
    with serve(tmp_path / "data") as address, shell(tmp_path / "history", "--remote", address) as terminal:
        terminal.run(TABLE)
        terminal.expect_completion("SELECT * FROM wor", "SELECT * FROM words")
        for command in ["\\d", "\\d words", "\\dt", "\\di", "\\df knn*", "\\l"]:
            terminal.run(command)
        terminal.run("SELECT 1 AS one;")
        answer = terminal.run(seen)
    listed = [line.strip("| ") for line in answer.split("\n") if line.startswith("| ")][1:]
    assert listed == [TABLE.rstrip(";"), "SELECT 1 AS one"]
    audit = [line for line in (tmp_path / "data.log").read_text().splitlines() if "ruvector::audit" in line]
    assert len(audit) == 3
    assert not any("information_schema" in line or "DESCRIBE" in line for line in audit)


def test_ctrl_c_stops_the_statement_and_not_the_shell(terminal: Terminal) -> None:
    terminal.type(LONG + "\r")
    terminal.wait_for(RUNS)
    # How long it takes is shown after a second, and gone afterwards.
    terminal.wait_for("1.2 s")
    terminal.type("\x03")
    assert terminal.answer() == "error: interrupted"
    # What was typed is dropped, and nothing of it runs.
    terminal.type("SELECT nothing\x03")
    terminal.wait_for(READS)
    assert "|  7 |" in terminal.run("SELECT 7 AS id;")


def test_rows_are_printed_as_the_person_likes(tmp_path: Path) -> None:
    with shell(tmp_path / "history", columns=40) as terminal:
        wide = "SELECT 1 AS number, repeat('long ', 30) AS text;"
        lines = terminal.run(wide).split("\n")
        assert max(map(len, lines)) == 40
        assert "…" in lines[3]
        assert terminal.run("\\x on") == "expanded display is on"
        assert "long " * 30 in terminal.run(wide).replace("\n", "")
        terminal.run("\\x off")
        assert terminal.run("\\format json") == "rows are printed as json"
        assert terminal.run("SELECT 1 AS a, NULL AS b;").startswith('[{"a":1,"b":null}]')
        terminal.run("\\format csv")
        assert terminal.run("SELECT 1 AS a, 'x,\"y\"' AS b;").startswith('a,b\n1,"x,""y"""')
        terminal.run("\\format table")
        assert "first 100 rows; for all of them: \\rows all" in terminal.run("SELECT * FROM range(200);")
        terminal.run("\\rows all")
        assert "200 rows" in terminal.run("SELECT * FROM range(200);")


def test_files_are_read_and_written(tmp_path: Path) -> None:
    (tmp_path / "script.sql").write_text("\\format csv\nSELECT 1 AS a;\nSELECT 2 AS\nb;\n")
    (tmp_path / "wrong.sql").write_text("SELECT nothing;\nSELECT 5 AS five;\n")
    with shell(tmp_path / "history") as terminal:
        terminal.run(f"\\o {tmp_path}/rows.csv")
        answer = terminal.run(f"\\i {tmp_path}/script.sql")
        assert answer.count("1 row (") == 2
        terminal.run("\\o")
        assert (tmp_path / "rows.csv").read_text() == "a\n1\nb\n2\n"
        answer = terminal.run(f"\\i {tmp_path}/wrong.sql")
        assert "wrong.sql:1: " in answer
        assert "five" not in answer
        assert "cannot read" in terminal.run(f"\\i {tmp_path}/missing.sql")


def test_the_history_is_kept_without_secrets(tmp_path: Path) -> None:
    history = tmp_path / "state" / "history"
    with shell(history) as terminal:
        terminal.run("SELECT\n41 AS before;")
        terminal.run("CREATE BACKEND b TYPE object_store OPTIONS (url 's3://b', aws_secret_access_key 'hunter2');")
    assert stat.S_IMODE(history.stat().st_mode) == 0o600
    assert stat.S_IMODE(history.parent.stat().st_mode) == 0o700
    assert "hunter2" not in history.read_text()
    with shell(history) as terminal:
        # Up twice, and the statement runs again as it was typed.
        assert "|     41 |" in terminal.run("\x1b[A\x1b[A")


def test_a_cleared_line_leaves_nothing() -> None:
    assert plain("\r\x1b[2K1.0 s\r\x1b[2K1.1 s\r\x1b[2Kerror: no\r\n") == "error: no"
