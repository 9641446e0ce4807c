"""Checks answers, then times them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from benches.index import machine
from benches.index.data import Dataset, K, Mask, Matrix
from benches.index.results import Point, Run

if TYPE_CHECKING:
    from collections.abc import Callable

    from benches.index.index import Index, Search, Setting

# Below this a point is on no plot of interest: its recall is kept, its speed is not measured.
RECALL_TIMED = 0.85
# The first setting of a chain that reaches this ends the chain: the next are slower and hardly better.
RECALL_ENOUGH = 0.99
# A step that gains less ends the chain: the other knob is what limits it.
GAIN_MIN = 0.0005
GAIN_MATTERS = 0.5
# A point is not timed one by one if another of its build finds as much this many times as fast in a batch.
DOMINATED = 2.0
# Equal distances may differ in the last bits, by the order of their sums.
TIES = 1e-5
# An exact index finds everything.
RECALL_EXACT = 0.999
# One query at a time finds what a batch finds, but for ties.
RECALL_DIFFERS_MAX = 0.02


class WrongAnswer(Exception):
    """An index answered what cannot be right: it is not timed."""


@dataclass(frozen=True)
class Boxes:
    """Seconds for the parts of a measurement."""

    single: float = 0.4
    batch: float = 0.4
    check: float = 0.2


def sweep(index: Index, run: Run, boxes: Boxes) -> None:
    """Measure every setting of interest into `run`.

    Chains differ in one knob and walk along the other. What the first steps of a chain lack against its end is lacking
    in the next chain too, so that one begins later.
    """
    first = 0
    for chain in index.chains():
        recalls: list[float] = []
        for setting in chain[first:]:
            point = measure(index, setting, boxes, run.points)
            run.points.append(point)
            gain = point.recall - recalls[-1] if recalls and recalls[-1] > GAIN_MATTERS else 1.0
            recalls.append(point.recall)
            if point.recall >= RECALL_ENOUGH or gain < GAIN_MIN:
                break
        first += sum(recall < RECALL_TIMED * max(recalls) for recall in recalls)


def measure(index: Index, setting: Setting, boxes: Boxes, others: list[Point]) -> Point:
    """Check the answers of a setting, then time them in a batch on all cores and one by one on one core."""
    data = index.data
    index.set_threads(machine.cores())
    batch = index.search_batch(setting)
    start = time.perf_counter()
    answers = np.asarray(batch(data.queries))
    first_seconds = time.perf_counter() - start
    found = hits(data, answers)
    recall = float(found.mean())
    if index.exact and recall < RECALL_EXACT:
        raise WrongAnswer(f"an exact index has recall {recall:.4f}")
    point = Point(setting, recall)
    if recall < RECALL_TIMED and not index.ours:
        return point
    seconds = min(first_seconds, _best_pass(lambda: batch(data.queries), boxes.batch - first_seconds))
    point.batch = len(data.queries) / seconds
    if any(other.recall >= recall and (other.batch or 0.0) > DOMINATED * point.batch for other in others):
        return point
    with machine.one_core():
        index.set_threads(1)
        search = index.search(setting)
        checked, _ = check(index, search, data, boxes.check)
        if (expected := float(found[: len(checked)].mean())) - float(checked.mean()) > RECALL_DIFFERS_MAX:
            raise WrongAnswer(f"recall {checked.mean():.4f} one by one, {expected:.4f} in a batch")
        point.recall = min(point.recall, float(checked.mean()))
        point.single = one_by_one(index, search, boxes.single, len(checked))
    return point


def check(
    index: Index, search: Search, data: Dataset, seconds: float, selectivity: float = 1.0
) -> tuple[npt.NDArray[np.float64], float]:
    """Return the recall of the first queries, as many as fit into `seconds` (at least 20), and how long they took."""
    rows = queries(index)
    answers = []
    start = time.perf_counter()
    for number, query in enumerate(rows, 1):
        answers.append(search(query))
        if number >= 20 and time.perf_counter() - start > seconds:
            break
    spent = time.perf_counter() - start
    ids = np.full((len(answers), K), -1, np.int64)
    for row, answer in zip(ids, answers, strict=True):
        got = np.asarray(index.ids(answer)).astype(np.int64)[:K]
        row[: len(got)] = got
    return hits(data, ids, selectivity), spent


def one_by_one(index: Index, search: Search, seconds: float, num_queries: int) -> float:
    """Return queries per second in a loop over the first queries: the best pass within `seconds`."""
    rows = queries(index)[:num_queries]

    def one_pass() -> None:
        for query in rows:
            search(query)

    return len(rows) / _best_pass(one_pass, seconds)


def queries(index: Index) -> list[Matrix]:
    """Return the queries one by one, as the library wants them."""
    return [row[None] for row in index.data.rows] if index.wants_matrix else index.data.rows


def hits(data: Dataset, answers: npt.NDArray[Any], selectivity: float = 1.0) -> npt.NDArray[np.float64]:
    """Return the share of each answer that is as near as the k-th nearest vector.

    Vectors at equal distance are equally right. Ids that do not exist, are filtered out, or come twice are not.
    """
    if answers.shape[1:] != (K,):
        raise WrongAnswer(f"expected {K} ids per query, got shape {answers.shape}")
    # The largest unsigned number and -1 both stand for no answer.
    ids = answers.astype(np.int64)
    missing = ids < 0
    if (ids >= len(data.base)).any():
        raise WrongAnswer("an id that does not exist")
    ordered = np.sort(np.where(missing, -1 - np.arange(K), ids), axis=1)
    if (np.diff(ordered, axis=1) == 0).any():
        raise WrongAnswer("an id twice in one answer")
    if selectivity < 1.0:
        _check_allowed(ids[~missing], data.masks[selectivity])
    distances = data.distances(np.where(missing, 0, ids))
    limits = data.limits(selectivity)[: len(ids), None]
    near = (distances <= limits * (1 + TIES) + TIES**2) & ~missing
    return near.sum(axis=1) / K


def _check_allowed(ids: npt.NDArray[np.int64], mask: Mask) -> None:
    if not mask[ids].all():
        raise WrongAnswer("an id that the filter leaves out")


def _best_pass(run: Callable[[], object], seconds: float) -> float:
    """Return the time of the fastest pass; passes go on for `seconds`, and there is at least one unless it is 0."""
    best = float("inf")
    end = time.perf_counter() + seconds
    while (start := time.perf_counter()) < end:
        run()
        best = min(best, time.perf_counter() - start)
    return best
