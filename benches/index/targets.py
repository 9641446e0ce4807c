"""The targets, and whether this run meets them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from benches.index import roofline
from benches.index.filtered import RECALL as FILTERED_RECALL
from benches.index.results import RECALLS, Filtered, Results, Run

PLUS, IVF, RABITQ = "ruvector rabitq_plus", "ruvector ivf_rabitq", "ruvector rabitq"
FAISS_LINEAR, FAISS_IVF = "faiss RaBitQFastScan + refine", "faiss IVFRaBitQFastScan + refine"
V2 = "ruvector-rabitq 2.3.0"
CLUSTERED = "clustered"
# The builds that the build targets are about.
MILLION, DIM = 1_000_000, 384


@dataclass
class Target:
    """One target: what was asked, what was measured and from what, and whether it is met."""

    name: str
    target: str
    measured: str
    met: bool


@dataclass
class Claim:
    """One comparison within a target; without a ratio it could not be made, and `met` says what that means."""

    text: str
    met: bool
    ratio: float | None = None


def judge(results: Results) -> list[dict[str, Any]]:
    """Return one entry per target, also of those missed and not measured."""
    targets = [*_linear(results), *_ivf(results), *_batch(results), *_build(results), *_scan(results)]
    targets += _filtered(results)
    return [asdict(target) for target in targets]


def _linear(results: Results) -> list[Target]:
    return [
        _target(
            f"one query, one thread: rabitq_plus against {peer}, clustered, recall@10 >= {recall}",
            "at least 10x",
            [_faster(results, CLUSTERED, PLUS, peer, recall, 10.0)],
        )
        for peer in (FAISS_LINEAR, V2)
        for recall in RECALLS
    ]


def _ivf(results: Results) -> list[Target]:
    return [
        _target(
            f"one query, one thread: ivf_rabitq against {FAISS_IVF}, every data set, recall@10 >= {recall}",
            "at least 3x; where the peer misses the recall, reach it",
            [_faster(results, data, IVF, FAISS_IVF, recall, 3.0) for data in results.data_names()],
        )
        for recall in RECALLS
    ]


def _faster(results: Results, data: str, kind: str, peer: str, recall: float, factor: float) -> Claim:
    """Compare two kinds by one query at a time."""
    ours = results.best(results.of(data, kind), "single", recall)
    theirs = results.best(results.of(data, peer), "single", recall)
    if ours is None:
        why = "does not reach it" if any(run.points for run in results.of(data, kind)) else "not measured"
        return Claim(f"{data}: {kind} {why}", met=False)
    if theirs is None:
        measured = any(run.points for run in results.of(data, peer))
        return Claim(f"{data}: {ours}; {peer} {'does not reach it' if measured else 'not measured'}", met=measured)
    ratio = ours.qps / theirs.qps
    return Claim(f"{data} {ratio:.2f}x: {ours} / {theirs}", ratio >= factor, ratio)


def _batch(results: Results) -> list[Target]:
    targets = []
    for data in results.data_names():
        ours = results.best((run for run in results.of(data) if run.ours), "batch", RECALLS[0])
        theirs = results.best((run for run in results.of(data) if not run.ours), "batch", RECALLS[0])
        if ours is None or theirs is None:
            claim = Claim("not measured, or the recall is not reached", met=False)
        else:
            ratio = ours.qps / theirs.qps
            claim = Claim(f"{ratio:.2f}x: {ours} / {theirs}", ratio >= 3.0, ratio)
        name = (
            f"1,000 queries in one call, all cores: best of ruvector against the best peer, {data}, recall@10 >= 0.95"
        )
        targets.append(_target(name, "at least 3x", [claim]))
    return targets


def _build(results: Results) -> list[Target]:
    """Compare builds of a million vectors of 384 dimensions, or else those of the data set with most graphs."""
    runs = [run for run in results.builds or _smaller(results) if run.error is None]
    million = bool(runs) and runs[0].num_vectors == MILLION
    size = f"{runs[0].num_vectors:,} x {runs[0].dim}" if runs else "1,000,000 x 384"
    note = "" if million else " (the target is for 1,000,000 x 384: `make bench-index BUILD=1`)"
    ours = _quickest([run for run in runs if run.kind == IVF])
    graph = _quickest([run for run in runs if run.graph])
    against = [
        ("the fastest graph", "at most 1/5", [graph] if graph else [], 0.2),
        (FAISS_IVF, "no slower", [run for run in runs if run.kind == FAISS_IVF], 1.0),
    ]
    targets = []
    for peer, target, theirs, share in against:
        claims = []
        for run in theirs:
            if ours is None:
                continue
            ratio = ours.build_seconds / run.build_seconds
            text = f"{ratio:.2f}: {ours.build_seconds:.1f} s / {run.kind} {run.variant} {run.build_seconds:.1f} s"
            claims.append(Claim(text, ratio <= share, ratio))
        targets.append(_target(f"build of {size}, all cores: ivf_rabitq against {peer}{note}", target, claims))
    return targets


def _smaller(results: Results) -> list[Run]:
    """Return the runs over vectors of 384 dimensions, of the data set for which most graphs were built."""
    runs = [run for run in results.runs if run.dim == DIM]
    graphs = {run.data: sum(other.graph for other in results.of(run.data)) for run in runs}
    return list(results.of(max(graphs, key=lambda data: graphs[data]))) if graphs else []


def _quickest(runs: list[Run]) -> Run | None:
    return min(runs, key=lambda run: run.build_seconds, default=None)


def _scan(results: Results) -> list[Target]:
    roof = results.roofline
    speed, size = Claim("not measured", met=False), Claim("not measured", met=False)
    if "scan_bytes_per_second" in roof:
        ratio = roof["scan_bytes_per_second"] / roof["read_bytes_per_second"]
        speed = Claim(
            f"{ratio:.0%}: {roof['scan_bytes_per_second'] / 1e9:.1f} GB/s of {roof['read_bytes_per_second'] / 1e9:.1f}"
            f" GB/s over {roof['read_bytes'] / 1e6:.0f} MB, one thread"
            f" ({roof['large_read_bytes_per_second'] / 1e9:.1f} GB/s over {roof['large_read_bytes'] / 1e6:.0f} MB)",
            ratio >= 0.8,
        )
    sizes = [(run, _growth(run), roofline.code_bytes(run.dim)) for run in results.of(kind=RABITQ) if not run.error]
    if sizes:
        text = ", ".join(
            f"{run.data} {found:.1f} of {most}, and {run.fixed_bytes / 1000:.0f} KB in all"
            for run, found, most in sizes
        )
        size = Claim(text, all(found <= most for _, found, most in sizes))
    return [
        _target("1-bit scan of data larger than L2, of one core's read bandwidth", "at least 80 %", [speed]),
        _target("bytes per vector in RabitqIndex", "at most padded_dim / 8 + 12", [size]),
    ]


def _growth(run: Run) -> float:
    """Return the bytes per vector of an index, without what does not grow and the empty places of its last block."""
    places = -(-run.num_vectors // roofline.BLOCK_LEN) * roofline.BLOCK_LEN
    return (run.bytes_per_vector * run.num_vectors - run.fixed_bytes) / places


def _filtered(results: Results) -> list[Target]:
    entries = results.filtered
    # One claim per data set and selectivity, for the better of the two indexes that rerank.
    ours = _fastest([entry for entry in entries if entry.kind in {PLUS, IVF}])
    theirs = _fastest([entry for entry in entries if not entry.ours])
    recall, slower, faster = [], [], []
    for (data, selectivity), mine in ours.items():
        where = f"{data} at {selectivity:.1%}"
        recall.append(Claim(f"{where}: {mine.recall:.3f}", mine.recall >= FILTERED_RECALL and mine.qps is not None))
        free = results.best(results.of(data, mine.kind), "single", FILTERED_RECALL)
        if free and mine.qps:
            ratio = mine.qps / free.qps
            slower.append(Claim(f"{where}: {ratio:.2f} of {mine.kind} unfiltered", ratio >= 0.5, ratio))
        else:
            slower.append(Claim(f"{where}: not measured, or the recall is not reached", met=False))
        other = theirs.get((data, selectivity))
        if mine.qps and other and other.qps:
            ratio = mine.qps / other.qps
            text = f"{where} {ratio:.2f}x: {mine.kind} {mine.qps:,.0f} QPS / {other.kind} {other.qps:,.0f}"
            faster.append(Claim(text, ratio > 1.0, ratio))
        else:
            faster.append(Claim(f"{where}: no peer to compare with, or the recall is not reached", met=bool(mine.qps)))
    name = "filtered search at 50 %, 10 %, 1 % and 0.1 %, the faster of ivf_rabitq and rabitq_plus: "
    return [
        _target(name + "k correct results", "recall@10 >= 0.95", recall),
        _target(name + "against the unfiltered search", "at least half as fast", slower),
        _target(name + "against the best peer's", "faster", faster),
    ]


def _fastest(entries: list[Filtered]) -> dict[tuple[str, float], Filtered]:
    """Return the fastest entry by data set and selectivity."""
    best: dict[tuple[str, float], Filtered] = {}
    for entry in entries:
        key = entry.data, entry.selectivity
        if key not in best or (entry.qps or 0.0, entry.recall) > (best[key].qps or 0.0, best[key].recall):
            best[key] = entry
    return best


def _target(name: str, target: str, claims: list[Claim]) -> Target:
    """Return the target that all claims make together: met if every one of them is."""
    measured = "; ".join(claim.text for claim in claims) or "not measured"
    return Target(name, target, measured, bool(claims) and all(claim.met for claim in claims))
