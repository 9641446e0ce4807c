"""The report as Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benches.index.results import RECALLS, Best, Mode, Results, Run

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


YES_NO = {True: "yes", False: "no"}
MEANING = (
    "QPS is queries per second of the fastest setting that reaches the recall: *single* is one query per call from a"
    " Python loop on one core, so the cost of each library's binding is in it; *batch* is all queries in one call on"
    " all cores. Bytes are all that a search reads, originals included. `-`: the recall is not reached."
)
FILTERED = (
    "Single QPS at recall@10 >= 0.95 within a random subset of this share; in brackets the best recall that was"
    " reached instead."
)


def render(results: Results, targets: list[dict[str, Any]], plots: Sequence[str]) -> str:
    """Return the whole report."""
    parts = ["# ruvector and its peers", _conditions(results), "## Targets", _targets(targets)]
    for data in results.data_names():
        parts += _data(results, data)
    parts += _filtered(results)
    parts += ["## Plots", *(f"![{name.removesuffix('.png')}]({name})" for name in plots)]
    if results.notes:
        parts += ["## Notes", "\n".join(f"- {note}" for note in dict.fromkeys(results.notes))]
    return "\n\n".join(parts) + "\n"


def _conditions(results: Results) -> str:
    machine = results.machine
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items() if version)
    roof = results.roofline
    lines = [
        f"{machine['cpu']}, {machine['cores']} cores, {machine['os']}, Python {machine['python']}. {versions}.",
        (
            f"Commit {machine['commit']}, {machine['date']}. Seed {results.parameters['seed']},"
            f" k = {results.parameters['k']}, {results.parameters['num_queries']:,} queries, squared L2."
        ),
    ]
    if roof:
        lines.append(
            f"One core reads {roof['read_bytes_per_second'] / 1e9:.1f} GB/s over {roof['read_bytes'] / 1e6:.0f} MB and"
            f" {roof['large_read_bytes_per_second'] / 1e9:.1f} GB/s over {roof['large_read_bytes'] / 1e6:.0f} MB."
        )
    lines.append(MEANING)
    return "\n".join(lines)


def _targets(targets: list[dict[str, Any]]) -> str:
    head = ["target", "asked", "measured", "met"]
    rows = [[*(entry[name] for name in ("name", "target", "measured")), YES_NO[entry["met"]]] for entry in targets]
    return _table(head, rows, "lllc")


def _data(results: Results, data: str) -> list[str]:
    runs = list(results.of(data))
    head = ["index", "build s", "bytes / vector", "best recall"]
    head += [f"{mode} QPS >= {recall:g}" for mode in ("single", "batch") for recall in RECALLS]
    rows = []
    for kind in results.kinds(runs):
        of_kind = [run for run in runs if run.kind == kind and run.points]
        if not of_kind:
            errors = "; ".join(run.error or "no points" for run in runs if run.kind == kind)
            rows.append([kind, errors, *[""] * (len(head) - 2)])
            continue
        rows.append([_name(kind, results.runs), *_row(results, of_kind)])
    shape = f"{runs[0].num_vectors:,} x {runs[0].dim}"
    return [f"## {data}, {shape}", _table(head, rows, "l" + "r" * (len(head) - 1)), _settings(results, runs)]


def _row(results: Results, runs: list[Run]) -> list[str]:
    """Return the cells of one kind: build and size are those of the build that is fastest at the lower recall."""
    best = results.best(runs, "single", RECALLS[0])
    run = best.run if best else runs[0]
    recall = max(point.recall for run in runs for point in run.points)
    modes: tuple[Mode, ...] = ("single", "batch")
    speeds = [results.best(runs, mode, recall) for mode in modes for recall in RECALLS]
    return [
        f"{run.build_seconds:.1f}",
        f"{run.bytes_per_vector:,.0f}",
        f"{recall:.3f}",
        *(f"{speed.qps:,.0f}" if speed else "-" for speed in speeds),
    ]


def _settings(results: Results, runs: list[Run]) -> str:
    """Say with which settings the single queries were fastest."""
    lines = []
    for kind in results.kinds(runs):
        bests = [results.best([run for run in runs if run.kind == kind], "single", recall) for recall in RECALLS]
        said = [f"{recall:g}: {_setting(best)}" for recall, best in zip(RECALLS, bests, strict=True) if best]
        if any(best and (best.point.setting or best.run.variant) for best in bests):
            lines.append(f"- {kind}, {'; '.join(said)}")
    return "Settings of the fastest single queries:\n\n" + "\n".join(lines) if lines else ""


def _setting(best: Best) -> str:
    parts = [best.run.variant, *(f"{key}={value}" for key, value in best.point.setting.items())]
    return " ".join(part for part in parts if part)


def _filtered(results: Results) -> list[str]:
    parts = []
    for data in dict.fromkeys(entry.data for entry in results.filtered):
        entries = [entry for entry in results.filtered if entry.data == data]
        selectivities = sorted({entry.selectivity for entry in entries}, reverse=True)
        ordered = sorted(entries, key=lambda entry: not entry.ours)
        rows = []
        for kind in dict.fromkeys(entry.kind for entry in ordered):
            row = [_name(kind, results.runs)]
            for selectivity in selectivities:
                found = [entry for entry in entries if entry.kind == kind and entry.selectivity == selectivity]
                best = max(found, key=lambda entry: (entry.qps or 0.0, entry.recall))
                row.append(f"{best.qps:,.0f}" if best.qps else f"- ({best.recall:.2f})")
            rows.append(row)
        head = ["index", *(f"{selectivity:.1%}" for selectivity in selectivities)]
        parts += [
            f"## Filtered search, {data}",
            FILTERED,
            _table(head, rows, "l" + "r" * len(selectivities)),
        ]
    return parts


def _name(kind: str, runs: Iterable[Run]) -> str:
    return f"**{kind}**" if any(run.ours for run in runs if run.kind == kind) else kind


def _table(head: list[str], rows: list[list[str]], align: str) -> str:
    marks = {"l": ":--", "r": "--:", "c": ":-:"}
    lines = [head, [marks[side] for side in align], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
