"""Search among a subset: one query, one core, at the recall that the unfiltered search is held to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benches.index import machine
from benches.index.index import FilterNotSupported, Index, Setting
from benches.index.measure import RECALL_TIMED, WrongAnswer, check, one_by_one
from benches.index.results import Filtered, Results, Run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benches.index.data import Dataset

RECALL = 0.95
# Seconds to time a setting, and to check it before.
BOX = 0.2
CHECK_BOX = 0.2
# Where one query takes longer, thorough settings are not tried.
SLOW_SECONDS = 0.05


def measure(index: Index, run: Run, results: Results) -> None:
    """Add the fastest setting of this build for each selectivity, or say why there is none."""
    chains = [_promising(chain, run) for chain in index.chains()]
    for selectivity, mask in index.data.masks.items():
        try:
            allowed = index.prepare_filter(mask)
        except FilterNotSupported:
            results.notes.append(f"{run.kind} has no filter")
            return
        entry = Filtered(run.data, run.kind, run.variant, run.ours, selectivity, {}, 0.0, None)
        try:
            with machine.one_core():
                index.set_threads(1)
                for chain in chains:
                    _chain(index, chain, allowed, entry)
        except WrongAnswer as error:
            entry.note = f"wrong: {error}"
        finally:
            index.set_threads(machine.cores())
        results.filtered.append(entry)


def _promising(chain: Sequence[Setting], run: Run) -> Sequence[Setting]:
    """Leave out the settings that found too little even without a filter."""
    poor = [point.setting for point in run.points if point.recall < RECALL_TIMED]
    return [setting for setting in chain if setting not in poor]


def _chain(index: Index, chain: Sequence[Setting], allowed: object, entry: Filtered) -> None:
    """Take the first setting that reaches the recall into `entry`, if it is faster than what is there."""
    data: Dataset = index.data
    for setting in chain:
        search = index.search(setting, allowed)
        try:
            found, seconds = check(index, search, data, CHECK_BOX, entry.selectivity)
        except RuntimeError as error:
            # hnswlib fails where it finds fewer than k; a more thorough setting may find them.
            entry.note = str(error).splitlines()[0]
            continue
        recall = float(found.mean())
        if entry.qps is None and recall > entry.recall:
            entry.recall, entry.setting = recall, setting
        if recall >= RECALL:
            qps = one_by_one(index, search, BOX, len(found))
            if entry.qps is None or qps > entry.qps:
                entry.qps, entry.recall, entry.setting, entry.note = qps, recall, setting, ""
            return
        if entry.qps is not None and len(found) / seconds < entry.qps:
            return
        if seconds / len(found) > SLOW_SECONDS:
            return
