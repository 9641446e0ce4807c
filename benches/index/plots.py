"""The report as pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import matplotlib.pyplot as plt

if TYPE_CHECKING:
    from pathlib import Path

    from benches.index.results import Mode, Point, Results

from benches.index.data import SELECTIVITIES

# Ours are solid and warm; peers are thin and cool, each with its own colour and marker in every plot.
OURS = ("#d62728", "#ff7f0e", "#e377c2", "#bcbd22", "#8c564b")
PEERS = (
    "#1f77b4",
    "#2ca02c",
    "#17becf",
    "#9467bd",
    "#7f7f7f",
    "#000000",
    "#393b79",
    "#98df8a",
    "#5254a3",
    "#17717c",
    "#aec7e8",
    "#c5b0d5",
)
MARKERS = "osD^vP*Xh<>pd8H"
RECALL_SHOWN = 0.85
MODES: dict[Mode, str] = {
    "single": "one query per call, one core",
    "batch": "1,000 queries in one call, all cores",
}

Style = dict[str, Any]


def draw(results: Results, folder: Path) -> list[str]:
    """Write every picture into `folder`; return their names."""
    mpl.use("Agg")
    plt.rcParams.update({"figure.dpi": 110, "font.size": 9, "axes.grid": True, "grid.alpha": 0.3})
    styles = _styles(results)
    names = []
    for data in results.data_names():
        names += [_save(_curves(results, data, mode, styles), folder, f"{data}-{mode}.png") for mode in MODES]
    names.append(_save(_bars(results, styles, "build_seconds", "build, seconds on all cores"), folder, "build.png"))
    names.append(_save(_bars(results, styles, "bytes_per_vector", "bytes per vector"), folder, "bytes.png"))
    if results.filtered:
        names.append(_save(_filtered(results, styles), folder, "filtered.png"))
    return names


def _styles(results: Results) -> dict[str, Style]:
    styles: dict[str, Style] = {}
    ours = {run.kind for run in results.runs if run.ours}
    for kind in results.kinds():
        colours = OURS if kind in ours else PEERS
        number = len([other for other in styles if (other in ours) == (kind in ours)])
        styles[kind] = {
            "color": colours[number % len(colours)],
            "marker": MARKERS[len(styles) % len(MARKERS)],
            "linewidth": 2.4 if kind in ours else 1.2,
            "zorder": 3 if kind in ours else 2,
            "markersize": 5,
        }
    return styles


def _curves(results: Results, data: str, mode: Mode, styles: dict[str, Style]) -> Any:
    """Draw queries per second against recall: of each kind the points that no other of it beats in both."""
    figure, axes = plt.subplots(figsize=(9, 5.5))
    runs = list(results.of(data))
    for kind in results.kinds(runs):
        points = _frontier([point for run in runs if run.kind == kind for point in run.points], mode)
        if points:
            axes.plot([p.recall for p in points], [p.qps(mode) or 0.0 for p in points], label=kind, **styles[kind])
    axes.set(
        xlabel="recall@10",
        ylabel="queries per second",
        yscale="log",
        xlim=(RECALL_SHOWN, 1.003),
        title=f"{data}, {runs[0].num_vectors:,} x {runs[0].dim}: {MODES[mode]}",
    )
    for recall in (0.95, 0.99):
        axes.axvline(recall, color="black", linewidth=0.8, linestyle=":")
    if axes.get_lines()[:-2]:
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    return figure


def _frontier(points: list[Point], mode: Mode) -> list[Point]:
    timed = [point for point in points if point.qps(mode) is not None and point.recall >= RECALL_SHOWN]
    best: list[Point] = []
    for point in sorted(timed, key=lambda point: (-(point.qps(mode) or 0.0), -point.recall)):
        if not best or point.recall > best[-1].recall:
            best.append(point)
    return best


def _bars(results: Results, styles: dict[str, Style], what: str, label: str) -> Any:
    """Draw one panel per data set: the least of each kind's builds."""
    names = results.data_names()
    figure, panels = plt.subplots(1, len(names), figsize=(3.2 + 2.6 * len(names), 4.8), sharey=True, squeeze=False)
    kinds = results.kinds()[::-1]
    for axes, data in zip(panels[0], names, strict=True):
        values = [
            min((getattr(run, what) for run in results.of(data, kind) if run.points or not run.error), default=0.0)
            for kind in kinds
        ]
        bars = axes.barh(kinds, values, color=[styles[kind]["color"] for kind in kinds])
        axes.bar_label(bars, [_short(value) for value in values], padding=3, fontsize=8)
        run = next(results.of(data))
        axes.set(xlabel=label, title=f"{data}\n{run.num_vectors:,} x {run.dim}")
        axes.margins(x=0.25)
        axes.grid(visible=False, axis="y")
    return figure


def _filtered(results: Results, styles: dict[str, Style]) -> Any:
    names = list(dict.fromkeys(entry.data for entry in results.filtered))
    figure, panels = plt.subplots(1, len(names), figsize=(3.5 + 4.2 * len(names), 4.8), squeeze=False, sharey=True)
    for axes, data in zip(panels[0], names, strict=True):
        best: dict[str, dict[float, float]] = {}
        for entry in results.filtered:
            if entry.data == data and entry.qps:
                line = best.setdefault(entry.kind, {})
                line[entry.selectivity] = max(entry.qps, line.get(entry.selectivity, 0.0))
        for kind in (kind for kind in styles if kind in best):
            line = dict(sorted(best[kind].items()))
            axes.plot([100 * share for share in line], list(line.values()), label=kind, **styles[kind])
        axes.set(
            xlabel="share of vectors that the filter lets by, %",
            xscale="log",
            xticks=(shares := [100 * share for share in SELECTIVITIES]),
            xticklabels=[f"{share:g}" for share in shares],
            yscale="log",
            title=f"{data}: one query, one core, recall@10 >= 0.95",
        )
    panels[0][0].set(ylabel="queries per second")
    handles: dict[str, Any] = {}
    for axes in panels[0]:
        handles |= {label: handle for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles, loc="center left", bbox_to_anchor=(0.99, 0.5), frameon=False)
    return figure


def _short(value: float) -> str:
    if not value:
        return "-"
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def _save(figure: Any, folder: Path, name: str) -> str:
    figure.tight_layout()
    figure.savefig(folder / name, bbox_inches="tight")
    plt.close(figure)
    return name
