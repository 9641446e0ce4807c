"""Random changes of tables with hostile names leave the rows that a model has, in process and on a server."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from random_changes.hunt import hunt

import ruvector

if TYPE_CHECKING:
    from random_changes.hunt import Found

CASES = int(os.environ.get("RUVECTOR_RANDOM_CASES", "300"))
# Tables, names and types are a seed's: many seeds with few changes each find more than the other way round.
CHANGES_PER_SEED = 10
FIRST_SEED = 20260501
LAST_SEED = FIRST_SEED + max(2, CASES // 2 // CHANGES_PER_SEED)
NOT_JUDGED_MAX = 0.05
# Changes that are refused for a known reason, as a share of all: more would mean that the test has stopped testing.
REFUSED_MAX = 0.3


@pytest.mark.parametrize("group", range(4))
def test_random_changes_in_process(group: int) -> None:
    _expect_no_difference([hunt(seed, CHANGES_PER_SEED) for seed in range(FIRST_SEED + group, LAST_SEED, 4)])


def test_random_changes_on_a_server(address: str) -> None:
    seeds = range(LAST_SEED, LAST_SEED + max(1, (LAST_SEED - FIRST_SEED) // 5))
    _expect_no_difference([hunt(seed, CHANGES_PER_SEED, address=address) for seed in seeds])


def _expect_no_difference(all_found: list[Found]) -> None:
    kinds = [f"{count} x {kind} (seed {found.seed})" for found in all_found for kind, count in found.kinds.items()]
    reports = [report for found in all_found for report in found.reports]
    assert not kinds, "\n".join([*kinds, "", *reports[:8]])
    ran = sum(found.ran for found in all_found)
    refused = sum(found.known.total() for found in all_found)
    assert refused <= REFUSED_MAX * ran, [dict(found.known) for found in all_found]
    not_judged = [message for found in all_found for message in found.not_judged.elements()]
    assert len(not_judged) <= max(3, NOT_JUDGED_MAX * ran), not_judged


def test_a_merge_that_would_change_a_row_twice_changes_nothing(con: ruvector.Connection, name: str) -> None:
    con.ingest(name, {"id": [1, 2], "n": [0, 0]})
    merge = f"MERGE INTO {name} AS x USING (VALUES (1, 7), (1, 8)) AS s(id, n) ON x.id = s.id WHEN MATCHED THEN "
    for then in ("UPDATE SET n = s.n", "DELETE"):
        with pytest.raises(ruvector.RuVectorError):
            con.sql(merge + then)
        assert con.sql(f"SELECT id, n FROM {name} ORDER BY id").fetchall() == [(1, 0), (2, 0)]
