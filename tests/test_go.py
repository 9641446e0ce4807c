"""Go's database/sql with the Flight SQL driver of arrow-go against the server. `go/client.go` asks."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING
from urllib.parse import quote

import numpy as np
import pytest
from conftest import GO, PASSWORD, SECONDS_MAX, TOKEN, Answers, Secured, go, nearest

import ruvector

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DIM = 8


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Answers]:
    program = tmp_path_factory.mktemp("go") / "client"
    go("build", "-o", program, ".", folder=GO)

    def ask(*arguments: str | Path) -> Answers:
        done = subprocess.run(
            [program, *arguments], capture_output=True, text=True, encoding="utf-8", timeout=SECONDS_MAX, check=False
        )
        assert done.returncode == 0, done.stderr
        return Answers(done.stdout)

    return ask


def test_changes_and_searches(
    client: Callable[..., Answers], address: str, name: str, vectors: Callable[..., np.ndarray]
) -> None:
    data, question = vectors(500, DIM), vectors(1, DIM)[0]
    with ruvector.connect(address) as con:
        con.ingest(name, {"id": np.arange(500), "word": [f"row {row}" for row in range(500)], "vec": data})
        con.sql(f"CREATE INDEX {name}_vec ON {name} USING rabitq_plus (vec)")
    dsn = f"flightsql://{address.split('//')[1]}"
    answers = client("statements", dsn, name, str([float(x) for x in question]))

    assert answers["ping"] is None
    assert answers["insert"] == 2
    assert answers["prepared insert"] == 1
    assert answers["insert of a text"] == 1
    assert answers["where"] == [{"id": -3, "word": "it's ü"}, {"id": -2, "word": "b"}, {"id": -1, "word": "a"}]
    assert answers["the same vector"] == [{"d": 0}]
    assert answers["update"] == 4
    assert answers["delete"] == 4

    ids, distances = nearest(data, question, 10)
    for step in ["knn", "knn of a text"]:
        assert [row["id"] for row in answers[step]] == ids
        np.testing.assert_allclose([row["_distance"] for row in answers[step]], distances, rtol=1e-5)

    assert answers["nothing found"] == []
    assert "No field named nothing" in answers.error("no column")
    assert "nowhere' not found" in answers.error("no table")
    assert "exists already" in answers.error("create again")
    assert re.search("(?i)deadline|cancel", answers.error("given up"))
    assert answers["after"] == [{"x": 2}]


def test_tokens_and_tls(client: Callable[..., Answers], secured: Secured) -> None:
    place = secured.address.split("//")[1]
    by_password = f"flightsql://reader:{quote(PASSWORD, safe='')}@{place}?tls=private&timeout=10s"
    let_in = f"flightsql://{place}?tls=private&token={TOKEN}&timeout=10s"
    turned_away = {
        f"flightsql://reader:wrong@{place}?tls=private&timeout=10s": "(?i)unauthenticated",
        f"flightsql://{place}?tls=private&token=wrong&timeout=10s": "(?i)unauthenticated",
        f"flightsql://{place}?tls=private&timeout=10s": "(?i)unauthenticated",
        f"flightsql://{place}?tls=enabled&token={TOKEN}&timeout=10s": "(?i)certificate",
    }
    answers = client("sign-in", secured.ca, let_in, by_password, *turned_away)
    assert answers[let_in] == answers[by_password] == [{"n": 3}]
    for dsn, message in turned_away.items():
        assert re.search(message, answers.error(dsn))
