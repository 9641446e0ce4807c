"""What was measured, as plain data that goes to JSON and back."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

Mode = Literal["single", "batch"]
RECALLS = (0.95, 0.99)


@dataclass
class Point:
    """One setting: what it finds, and how fast. None: not timed, because its recall is of no interest."""

    setting: dict[str, int]
    recall: float
    single: float | None = None
    batch: float | None = None

    def qps(self, mode: Mode) -> float | None:
        """Return the queries per second."""
        return self.single if mode == "single" else self.batch


@dataclass
class Run:
    """One build of one index over one data set."""

    data: str
    num_vectors: int
    dim: int
    library: str
    kind: str
    variant: str
    ours: bool
    graph: bool
    build_seconds: float = 0.0
    bytes_per_vector: float = 0.0
    fixed_bytes: int = 0
    points: list[Point] = field(default_factory=list)
    error: str | None = None


@dataclass
class Filtered:
    """The fastest setting of one build that reaches the recall within a subset; without `qps` none does."""

    data: str
    kind: str
    variant: str
    ours: bool
    selectivity: float
    setting: dict[str, int]
    recall: float
    qps: float | None
    note: str = ""


@dataclass
class Best:
    """The fastest point of a kind at a recall."""

    qps: float
    run: Run
    point: Point

    def __str__(self) -> str:
        """Say it in a line."""
        knobs = ", ".join(f"{key}={value}" for key, value in self.point.setting.items())
        return f"{self.run.kind} {self.qps:,.0f} QPS at recall {self.point.recall:.3f}" + (
            f" ({knobs})" if knobs else ""
        )


@dataclass
class Results:
    """Everything."""

    machine: dict[str, Any]
    parameters: dict[str, Any]
    runs: list[Run] = field(default_factory=list)
    filtered: list[Filtered] = field(default_factory=list)
    roofline: dict[str, Any] = field(default_factory=dict)
    # Builds of a million vectors, if they were measured: runs without points.
    builds: list[Run] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def data_names(self) -> list[str]:
        """Return the data sets in the order they were measured."""
        return list(dict.fromkeys(run.data for run in self.runs))

    def kinds(self, runs: Iterable[Run] | None = None) -> list[str]:
        """Return the kinds of index, ours first."""
        chosen = sorted(self.runs if runs is None else runs, key=lambda run: not run.ours)
        return list(dict.fromkeys(run.kind for run in chosen))

    def of(self, data: str | None = None, kind: str | None = None) -> Iterator[Run]:
        """Return the runs of a data set and a kind; None is any."""
        return (run for run in self.runs if data in {None, run.data} and kind in {None, run.kind})

    def best(self, runs: Iterable[Run], mode: Mode, recall: float) -> Best | None:
        """Return the fastest point that reaches the recall."""
        reached = [
            Best(qps, run, point)
            for run in runs
            for point in run.points
            if point.recall >= recall and (qps := point.qps(mode)) is not None
        ]
        return max(reached, key=lambda best: best.qps, default=None)

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Results:
        """Read what `save` wrote."""
        values = json.loads(path.read_text(encoding="utf-8"))
        for name in ("runs", "builds"):
            values[name] = [
                Run(**run | {"points": [Point(**point) for point in run["points"]]}) for run in values[name]
            ]
        values["filtered"] = [Filtered(**entry) for entry in values["filtered"]]
        return cls(**values)
