"""The pages of the clients, `docs/clients/*.md`: their code is run, and prints what they say.

`127.0.0.1:50051` is one server for all pages; `db.example.com:50051` is the one with TLS and users. A block `text` is
what the program before it prints. Each page runs twice: a reader does, and the tables are there by then.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, NamedTuple

import pytest
from conftest import GO, JDBC, PASSWORD, ROOT, RUVECTOR, SECONDS_MAX, TOKEN, Secured, go, java, serve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGES = ROOT / "docs" / "clients"
HERE, ELSEWHERE = "127.0.0.1:50051", "db.example.com:50051"


class Program(NamedTuple):
    """A program of a page, and what it prints."""

    page: str
    line: int
    language: str
    source: str
    prints: str

    def __str__(self) -> str:
        """Where it is."""
        return f"{self.page}:{self.line}"


def blocks(page: Path) -> list[tuple[int, str, str]]:
    """The fenced blocks of a page: line, language, text."""
    text = page.read_text()
    found = re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [(text.count("\n", 0, block.start()) + 1, block[1], block[2]) for block in found]


def programs(page: Path) -> list[Program]:
    """The programs of a page, each with the block `text` that follows."""
    found: list[Program] = []
    for line, language, text in blocks(page):
        if language in {"python", "java", "go"}:
            found.append(Program(page.name, line, language, text, ""))
        elif language == "text":
            found[-1] = found[-1]._replace(prints=text)
    return found


ALL = sorted(page for page in PAGES.glob("*.md") if page.name != "README.md")
OPEN = [[program for program in programs(page) if ELSEWHERE not in program.source] for page in ALL]
SECURED = [program for page in ALL for program in programs(page) if ELSEWHERE in program.source]


def test_every_page_has_a_program_that_prints() -> None:
    assert len(ALL) == 8
    for page in ALL:
        assert page.name in (PAGES / "README.md").read_text()
        assert programs(page)
        for program in programs(page):
            assert program.prints, program
            assert (HERE in program.source) != (ELSEWHERE in program.source), program
        for line, language, _ in blocks(page):
            assert language in {"python", "java", "go", "text", "sh", "xml"}, f"{page.name}:{line}"


def test_what_a_page_installs_is_what_is_tested() -> None:
    # "ruvector" is not among them: on PyPI it is another project.
    tested = {"dist/*.whl", *(ROOT / "requirements" / "dev.in").read_text().split()}
    pom = "".join((JDBC / "pom.xml").read_text().split())
    for page in ALL:
        for line, language, text in blocks(page):
            if language == "sh":
                for command in text.splitlines():
                    assert command.split()[:2] != ["pip", "install"] or set(command.split()[2:]) <= tested, command
            if language == "xml":
                assert "".join(text.split()) in pom, f"{page.name}:{line}"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the server that all pages ask, one after another."""
    with serve(tmp_path_factory.mktemp("pages") / "data") as address:
        yield address


@pytest.mark.parametrize("page", [found for found in OPEN if found], ids=lambda found: found[0].page)
def test_a_page(page: list[Program], server: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    for program in page + page:
        assert run(program, {HERE: place(server)}, tmp_path, request) == program.prints, program


def test_no_page_has_the_table_of_another() -> None:
    made = {
        page.name: set(re.findall(r"TABLE (\w+) \(|(?:ingest|to_sql|write_database)\(\"(\w+)\"", page.read_text()))
        for page in ALL
    }
    names = [name for found in made.values() for name in {next(filter(None, match)) for match in found}]
    assert len(names) >= len(ALL)
    assert sorted(names) == sorted(set(names))


def test_the_readme_starts_again_and_again(tmp_path: Path) -> None:
    found = blocks(ROOT / "README.md")
    start = next(at for at, (_, language, _) in enumerate(found) if language == "sql")
    (_, _, statements), (_, language, program) = found[start : start + 2]
    assert language == "python"
    for _ in range(2):
        shell = [RUVECTOR, "sql", "--data", tmp_path / "data", "-f", "-"]
        done = subprocess.run(shell, input=statements, capture_output=True, text=True, timeout=SECONDS_MAX, check=False)
        assert done.returncode == 0, done.stderr
        assert "a whale is a large sea animal" in done.stdout
        assert run(Program("README.md", 0, language, program, ""), {}, tmp_path, None) == ""


@pytest.mark.parametrize("program", SECURED, ids=str)
def test_signing_in(program: Program, secured: Secured, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    shutil.copy(secured.ca, tmp_path / "ca.pem")
    assert run(program, {ELSEWHERE: place(secured.address)}, tmp_path, request) == program.prints


def place(address: str) -> str:
    return address.split("//")[1]


def run(program: Program, addresses: dict[str, str], folder: Path, request: pytest.FixtureRequest | None) -> str:
    """What a program of a page prints, run in a folder, in a process of its own."""
    source = program.source
    for written, real in addresses.items():
        source = source.replace(written, real)
    environment = {**os.environ, "RUVECTOR_PASSWORD": PASSWORD, "RUVECTOR_TOKEN": TOKEN, "PYTHONIOENCODING": "utf-8"}
    if program.language == "java":
        name = re.search(r"public class (\w+)", source)
        assert name is not None
        assert request is not None
        file = folder / f"{name[1]}.java"
        file.write_text(source)
        return java(request.getfixturevalue("jdbc_driver"), file, folder=folder, environment=environment)
    if program.language == "go":
        for file in GO.glob("go.*"):
            shutil.copy(file, folder)
        (folder / "main.go").write_text(source)
        go("build", "-o", "program", ".", folder=folder)
        command = [folder / "program"]
    else:
        (folder / "program.py").write_text(source)
        command = [sys.executable, folder / "program.py"]
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=SECONDS_MAX,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
