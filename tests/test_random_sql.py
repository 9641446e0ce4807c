"""Random SELECT statements answer as they do in DuckDB, but for what `random_sql.known` lists."""

from __future__ import annotations

import os
import random
from contextlib import closing

import pytest
from random_sql.compare import difference
from random_sql.engines import DuckDb, Rows, Ruvector
from random_sql.hunt import hunt
from random_sql.known import BY_DESIGN, FAULTS, Known, known_difference
from random_sql.statements import Generator
from random_sql.tables import make

CASES = int(os.environ.get("RUVECTOR_RANDOM_CASES", "300"))
CASES_PER_SEED = 100
FIRST_SEED = 20260401
# Statements that DuckDB cannot judge, as a share of all: more would mean that the test has stopped testing.
NOT_JUDGED_MAX = 0.03
# Statements that differ for a known reason, refusals most of all, as a share of all.
KNOWN_MAX = 0.55


@pytest.mark.parametrize("seed", range(FIRST_SEED, FIRST_SEED + max(1, CASES // CASES_PER_SEED)))
def test_random_statements_answer_as_in_duckdb(seed: int) -> None:
    found = hunt(seed, min(CASES, CASES_PER_SEED))
    assert not found.kinds, (
        f"{found.kinds.total()} of {found.ran} statements of seed {seed} differ: {dict(found.kinds)}\n\n"
        + "\n".join(found.reports)
    )
    assert found.known.total() <= KNOWN_MAX * found.ran, dict(found.known)
    assert found.not_judged.total() <= max(3, NOT_JUDGED_MAX * found.ran), dict(found.not_judged)


@pytest.mark.parametrize("known", BY_DESIGN + FAULTS, ids=lambda known: known.reason)
def test_what_is_known_to_differ_differs(known: Known) -> None:
    with closing(Ruvector([])) as ruvector:
        found = difference(DuckDb([]).run(known.example), ruvector.run(known.example), ordered=False)
    assert found is not None
    assert known_difference(known.example, found) == known


def test_a_difference_is_noticed() -> None:
    nan, one = float("nan"), Rows([(1, 0.1 + 0.2, [None, "a"])])
    assert difference(one, Rows([(1, 0.3, [None, "a"])]), ordered=True) is None
    assert difference(Rows([(nan,), (True,)]), Rows([(True,), (nan,)]), ordered=False) is None
    for other in (
        [(2, 0.3, [None, "a"])],
        [(1, 0.31, [None, "a"])],
        [(1, 0.3, ["a", None])],
        [(True, 0.3, [None, "a"])],
        [],
    ):
        assert difference(one, Rows(other), ordered=False) is not None, other
    assert difference(Rows([(1,), (2,)]), Rows([(2,), (1,)]), ordered=True) is not None
    assert difference(Rows([(1,), (1,), (2,)]), Rows([(1,), (2,), (2,)]), ordered=False) is not None


def test_a_seed_makes_the_same_statements_again() -> None:
    first, second = _statements(FIRST_SEED), _statements(FIRST_SEED)
    assert first == second
    assert len(set(first)) > 40
    assert first != _statements(FIRST_SEED + 1)


def _statements(seed: int) -> list[str]:
    rng = random.Random(seed)  # noqa: S311 - the point is that it repeats
    generator = Generator(rng, [table.source() for table in make(rng)])
    return [generator.statement().tree.write("ruvector") for _ in range(50)]
