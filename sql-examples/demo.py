"""The main job of ruvector in one run: load a corpus, embed it, index it, and ask it three questions.

    make demo

It starts `ruvector serve` on a free port, loads dictionary entries, lets the server embed them with all-MiniLM-L6-v2,
indexes the vectors, and asks the same questions from Python over Arrow Flight SQL and with the `ruvector sql` shell.
Every answer is compared with an exact search. What one run has built, the next one finds in the data folder.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

import ruvector

if TYPE_CHECKING:
    from collections.abc import Iterator

CORPUS = Path(__file__).parent / "data" / "glosses.parquet"
QUESTIONS = [
    "a fruit that is sour and yellow",
    "a person who flies airplanes",
    "feeling sad and lonely",
]
K = 3
EMBED_BATCH = 100
BAR_WIDTH = 30
SERVER_SECONDS_MAX = 60

KNN = "SELECT id, word, gloss, _distance FROM knn('docs', embed({text}), {k})"
EXACT = (
    "SELECT id, word, gloss, l2_distance(vec, embed({text})) AS _distance FROM docs ORDER BY _distance, id LIMIT {k}"
)


def main() -> None:
    """Run the demo; exit with 1 and a message if anything is not as it should be."""
    arguments = _arguments()
    corpus = pq.read_table(CORPUS)
    if arguments.rows is not None:
        corpus = corpus.slice(0, arguments.rows)
    total = time.perf_counter()
    with _server(arguments.ruvector, data_folder(arguments.data, corpus)) as address, ruvector.connect(address) as con:
        load(con, corpus)
        if not arguments.load_only:
            for number, question in enumerate(QUESTIONS, start=1):
                _ask(con, arguments.ruvector, address, number, question)
    print(f"\nEverything in {time.perf_counter() - total:.1f} s.")


def load(con: ruvector.Connection, corpus: pa.Table) -> None:
    """Put the corpus into the table `docs` with a vector for each gloss, and index it; keep what is there already."""
    with _step(f"load {corpus.num_rows:,} dictionary entries") as step:
        if _num_rows(con, "docs") == corpus.num_rows:
            step.note = "found in the data folder"
        else:
            con.ingest("glosses", corpus, mode="replace")

    if step.note is None:
        with _step(f"embed {corpus.num_rows:,} glosses with all-MiniLM-L6-v2") as step:
            rows = _embed(con, corpus.num_rows)
            step.note = f"{corpus.num_rows / step.seconds():,.0f} texts/s"
        with _step("write them to the table docs"):
            con.sql("DROP TABLE IF EXISTS docs")
            con.sql("CREATE TABLE docs (id BIGINT, word VARCHAR, pos VARCHAR, gloss VARCHAR, vec FLOAT[384])")
            con.ingest("docs", rows, mode="append")

    with _step("index them: CREATE INDEX docs_vec ON docs USING rabitq_plus (vec)") as step:
        try:
            con.sql("CREATE INDEX docs_vec ON docs USING rabitq_plus (vec)")
        except ruvector.AlreadyExists:
            step.note = "found in the data folder"


def _embed(con: ruvector.Connection, num_rows: int) -> pa.Table:
    """Return the rows of `glosses` with their vectors. The server embeds; this only counts."""
    batches = []
    bar = _Bar(num_rows)
    for start in range(0, num_rows, EMBED_BATCH):
        # Not LIMIT and OFFSET: a function stands below them in the plan, and would embed every row for each batch.
        query = "SELECT id, word, pos, gloss, embed(gloss) AS vec FROM glosses WHERE id > $1 AND id <= $2"
        batches.append(con.sql(query, [start, start + EMBED_BATCH]).to_arrow())
        bar.show(sum(batch.num_rows for batch in batches))
    bar.close()
    return pa.concat_tables(batches)


def _ask(con: ruvector.Connection, binary: Path, address: str, number: int, question: str) -> None:
    print(f"\nQuestion {number}: {question}")

    start = time.perf_counter()
    answer = con.sql(KNN.format(text="$1", k=K), [question]).to_arrow()
    _print_answer(f"from Python, in {_milliseconds(start)}", answer.to_pylist())

    exact = con.sql(EXACT.format(text="$1", k=K), [question]).to_arrow()
    _check_equal("an exact search", answer.to_pylist(), exact.to_pylist())

    query = KNN.format(text="'" + question.replace("'", "''") + "'", k=K)
    start = time.perf_counter()
    shell = [str(binary), "sql", "--remote", address, "-c", query]
    table = subprocess.run(shell, check=True, stdout=subprocess.PIPE, text=True).stdout
    print(f'  $ ruvector sql --remote {address} -c "{query}"    in {_milliseconds(start)}')
    print("".join(f"    {line}\n" for line in table.splitlines()), end="")
    rows = subprocess.run([*shell, "--format", "json"], check=True, stdout=subprocess.PIPE, text=True).stdout
    _check_equal("the shell", answer.to_pylist(), json.loads(rows))


def _print_answer(title: str, rows: list[dict[str, object]]) -> None:
    print(f"  {title}:")
    for row in rows:
        print(f"    {row['_distance']:.4f}  {row['word']}: {row['gloss']}")


def _check_equal(what: str, rows: list[dict[str, object]], expected: list[dict[str, object]]) -> None:
    """Exit unless the rows are the same, in the same order, at the same distance but for rounding."""
    same = [row["id"] for row in rows] == [row["id"] for row in expected] and all(
        abs(float(str(row["_distance"])) - float(str(other["_distance"]))) < 1e-4  # noqa: PLR2004 - float32 sums
        for row, other in zip(rows, expected, strict=True)
    )
    if not same:
        sys.exit(f"demo: {what} answers differently:\n  got      {rows}\n  expected {expected}")
    print(f"  The same {len(rows)} rows as {what}.")


def _num_rows(con: ruvector.Connection, table: str) -> int:
    try:
        return int(con.sql(f"SELECT count(*) FROM {table}").fetchall()[0][0])  # noqa: S608 - a constant of this file
    except ruvector.NotFound:
        return 0


def data_folder(parent: Path, corpus: pa.Table) -> Path:
    """Return a folder for this corpus: another corpus, or part of it, gets another one."""
    digest = hashlib.sha256(CORPUS.read_bytes() + str(corpus.num_rows).encode()).hexdigest()
    return parent / digest[:12]


@contextlib.contextmanager
def _server(binary: Path, data: Path) -> Iterator[str]:
    """Run `ruvector serve` on a free loopback port, yield its address, and stop it."""
    data.mkdir(parents=True, exist_ok=True)
    log = data.with_suffix(".log")
    command = [str(binary), "serve", "--listen", "127.0.0.1:0", "--data", str(data)]
    with log.open("w") as errors, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as server:
        try:
            with _step("start the server") as step:
                step.note = address = _address(server, log)
            yield address
            with _step("stop the server"):
                server.send_signal(signal.SIGTERM)
                code = server.wait(SERVER_SECONDS_MAX)
            if code != 0:
                sys.exit(f"demo: the server stopped with exit code {code}:\n{log.read_text()}")
        finally:
            server.kill()


def _address(server: subprocess.Popen[str], log: Path) -> str:
    lines: queue.Queue[str] = queue.Queue()
    threading.Thread(target=lambda: lines.put(server.stdout.readline() if server.stdout else ""), daemon=True).start()
    try:
        line = lines.get(timeout=SERVER_SECONDS_MAX)
    except queue.Empty:
        line = ""
    before, found, address = line.strip().partition("ruvector listening on ")
    if before or not found:
        server.kill()
        sys.exit(f"demo: the server did not start, it said {line!r}:\n{log.read_text()}")
    return address


class _Step:
    """One step of the demo: what it does, a note, and how long it took."""

    def __init__(self) -> None:
        self.note: str | None = None
        self._start = time.perf_counter()

    def seconds(self) -> float:
        return time.perf_counter() - self._start


@contextlib.contextmanager
def _step(title: str) -> Iterator[_Step]:
    step = _Step()
    yield step
    note = f" ({step.note})" if step.note else ""
    print(f"{step.seconds():7.2f} s  {title}{note}", flush=True)


def _milliseconds(start: float) -> str:
    return f"{(time.perf_counter() - start) * 1e3:.0f} ms"


class _Bar:
    """A progress bar: one line that is redrawn on a terminal, a line for every tenth in a log."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._start = time.perf_counter()
        self._live = sys.stdout.isatty()
        self._tenths = 0

    def show(self, done: int) -> None:
        rate = done / max(time.perf_counter() - self._start, 1e-9)
        left = (self._total - done) / max(rate, 1e-9)
        full = BAR_WIDTH * done // self._total
        text = f"{'#' * full}{'.' * (BAR_WIDTH - full)} {done:,}/{self._total:,}, {rate:,.0f}/s, {left:.0f} s left"
        if self._live:
            print(f"\r\x1b[K           {text}", end="", flush=True)
        elif 10 * done // self._total > self._tenths:
            self._tenths = 10 * done // self._total
            print(f"           {text}", flush=True)

    def close(self) -> None:
        if self._live:
            print("\r\x1b[K", end="", flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Load a corpus, embed it, index it, and ask it three questions.")
    parser.add_argument("--ruvector", type=Path, required=True, metavar="FILE", help="the ruvector binary")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder for what is built")
    parser.add_argument("--rows", type=int, metavar="N", help="load only the first N entries")
    parser.add_argument("--load-only", action="store_true", help="ask nothing")
    return parser.parse_args()


if __name__ == "__main__":
    main()
