"""The demo, and what it shows: search over a real corpus embedded by a real model."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
from conftest import ROOT, RUVECTOR, SEED, nearest

import ruvector

if TYPE_CHECKING:
    from pathlib import Path

K = 10
QUERIES = 100


@pytest.mark.corpus
def test_recall_on_the_corpus_is_1(corpus_address: str) -> None:
    with ruvector.connect(corpus_address) as con:
        corpus = con.sql("SELECT id, vec FROM docs ORDER BY id")
        ids, vectors = corpus.to_numpy("id"), corpus.to_numpy("vec")
        assert vectors.dtype == np.float32
        assert vectors.shape[1] == 384
        found = 0
        rng = np.random.default_rng(SEED)
        for row in rng.choice(len(ids), QUERIES, replace=False):
            # Beside a vector of the corpus, so that the nearest is no matter of course.
            query = vectors[row] + rng.normal(0, 0.02, 384).astype(np.float32)
            answer = con.sql(f"SELECT id, _distance FROM knn('docs', $1, {K})", [query])
            expected, distances = nearest(vectors, query, K)
            found += len(set(answer.to_numpy("id")) & set(ids[expected]))
            np.testing.assert_allclose(answer.to_numpy("_distance"), distances, rtol=1e-4)
    assert found == K * QUERIES, f"recall@{K} = {found / (K * QUERIES)}"


@pytest.mark.corpus
def test_embedding_in_process_is_embedding_on_the_server(corpus_address: str) -> None:
    query = "SELECT embed($1) AS vec"
    with ruvector.connect(corpus_address) as remote, ruvector.connect() as embedded:
        there = remote.sql(query, ["a domesticated carnivore"]).to_numpy("vec")
        here = embedded.sql(query, ["a domesticated carnivore"]).to_numpy("vec")
    assert here.shape == (1, 384)
    np.testing.assert_allclose(here, there, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(here), 1, atol=1e-5)


@pytest.mark.corpus
def test_the_demo_runs_and_reuses_what_it_built(tmp_path: Path) -> None:
    def demo() -> str:
        command = [sys.executable, ROOT / "sql-examples" / "demo.py", "--ruvector", RUVECTOR, "--data", tmp_path]
        done = subprocess.run(
            [*command, "--rows", "300"], check=False, capture_output=True, text=True, timeout=300, env=os.environ
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    first = demo()
    assert first.count("Question ") == 3
    assert first.count("The same 3 rows as an exact search.") == 3
    assert first.count("The same 3 rows as the shell.") == 3
    assert "300/300" in first
    assert "\r" not in first, "a log has no cursor"
    second = demo()
    assert second.count("found in the data folder") == 2
    assert second.count("The same 3 rows as the shell.") == 3
