"""`python -m benches.index`: measures, judges and reports. `make bench-index` installs what it needs and runs it."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benches.index import data, filtered, machine, measure, ours, peers, plots, roofline, table, targets
from benches.index.data import Dataset, Sources
from benches.index.results import Results, Run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benches.index.index import Index

ROOT = Path(__file__).resolve().parents[2]
RESULTS, BUILDS = "index-results.json", "index-build.json"
# A short run filters over these two only.
FILTERED_DATA = {"clustered", "text"}


def main() -> int:
    """Run the command line."""
    arguments = _arguments()
    arguments.out.mkdir(parents=True, exist_ok=True)
    if arguments.report:
        results = Results.load(arguments.out / RESULTS)
    else:
        try:
            benchmark = Benchmark(arguments)
            results = benchmark.builds() if arguments.build else benchmark.run()
        except RuntimeError as error:
            # Something is missing that the user has to bring.
            print(f"bench-index: {error}", file=sys.stderr)
            return 1
        if arguments.build:
            results.save(arguments.out / BUILDS)
            print(f"wrote {arguments.out / BUILDS}")
            return 0
    _report(results, arguments.out)
    return 1 if any(run.ours and run.error for run in results.runs) else 0


class Benchmark:
    """One run: what to measure, and what was measured so far."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        """Check that everything is there before the first measurement."""
        self.arguments = arguments
        self.start = time.monotonic()
        self.seconds = arguments.minutes * 60 if arguments.minutes else float("inf")
        self.boxes = measure.Boxes(arguments.seconds, arguments.seconds, arguments.seconds / 2)
        self.results = Results(
            machine=machine.describe(),
            parameters={"seed": data.SEED, "k": data.K, "num_queries": data.NUM_QUERIES, "command": sys.argv[1:]},
        )
        if any(self.wanted(kind.kind) for kind in ours.KINDS):
            ours.check_module()
        self.say(json.dumps(self.results.machine))

    def say(self, message: str) -> None:
        """Print a line with the time since the start."""
        seconds = int(time.monotonic() - self.start)
        print(f"[{seconds // 60:3d}:{seconds % 60:02d}] {message}", flush=True)

    def wanted(self, kind: str) -> bool:
        """Tell whether `--only` asks for this kind."""
        only: list[str] | None = self.arguments.only
        return only is None or any(word.lower() in kind.lower() for word in only)

    def run(self) -> Results:
        """Measure every index over every data set."""
        self.say("how fast one core reads memory")
        self.results.roofline = roofline.bandwidth()
        if self.wanted("ruvector rabitq"):
            self.results.roofline |= roofline.scan()
        names = self.arguments.data
        specs = data.specs(self.arguments.limit, full=self.arguments.full)
        specs = [spec for spec in specs if names is None or spec.name in names]
        # All data is made first: what is left of the time is shared by the data sets.
        for spec in specs:
            self.load(spec)
        if not self.arguments.full:
            self.results.notes.append(peers.SHORT_RUN)
        made = time.monotonic() - self.start
        for number, spec in enumerate(specs, 1):
            dataset = self.load(spec)
            deadline = made + (self.seconds - made) * number / len(specs)
            for index in self.indexes(dataset):
                self.one(index, deadline)
        return self.results

    def builds(self) -> Results:
        """Build what the build target compares, over a million vectors of 384 dimensions."""
        (spec,) = (spec for spec in data.specs(self.arguments.limit, full=True) if spec.name == "spectrum-384")
        for index in self.indexes(self.load(spec)):
            if index.graph or index.kind in {targets.IVF, targets.FAISS_IVF}:
                self.results.builds.append(self.build(index))
                index.close()
        return self.results

    def load(self, spec: data.Spec) -> Dataset:
        """Load a data set with its exact answers."""
        self.say(f"{spec.name}: {spec.title}, seed {data.SEED}")
        dataset = data.load(spec, Sources(self.arguments.cache, self.arguments.model, self.arguments.wordnet))
        dataset.limits()
        self.say(f"{spec.name}: {len(dataset.base):,} x {dataset.dim}")
        return dataset

    def indexes(self, dataset: Dataset) -> Iterator[Index]:
        """Return what to build over a data set, one after the other: ours first, then peers."""
        makes: list[peers.Make] = [
            *ours.KINDS,
            *peers.builds(dataset, full=self.arguments.full or self.arguments.build),
        ]
        return (index for index in (make(dataset) for make in makes) if self.wanted(index.kind))

    def build(self, index: Index) -> Run:
        """Build an index on all cores, timed."""
        run = _describe(index)
        index.set_threads(machine.cores())
        start = time.perf_counter()
        index.build()
        run.build_seconds = time.perf_counter() - start
        run.bytes_per_vector = index.num_bytes() / len(index.data.base)
        run.fixed_bytes = index.fixed_bytes()
        name = f"{run.kind} {run.variant}".strip()
        self.say(f"  {name}: built in {run.build_seconds:.1f} s, {run.bytes_per_vector:,.0f} bytes per vector")
        return run

    def one(self, index: Index, deadline: float) -> None:
        """Build, check and time one index, if the deadline is not over; a failure is a result too."""
        name = f"{index.data.spec.name}: {index.kind} {index.variant}".strip()
        if time.monotonic() - self.start > deadline:
            self.results.notes.append(
                f"{name}: left out, the data set's share of {self.arguments.minutes} minutes was over"
            )
            self.say(self.results.notes[-1])
            return
        run = None
        try:
            run = self.build(index)
            measure.sweep(index, run, self.boxes)
            seen = any(entry.data == run.data and entry.kind == run.kind for entry in self.results.filtered)
            if not seen and (self.arguments.full or run.data in FILTERED_DATA):
                filtered.measure(index, run, self.results)
        except Exception as error:  # noqa: BLE001 - the others go on
            message = f"{type(error).__name__}: {error}".splitlines()[0]
            run = run or _describe(index)
            run.error = message
            self.results.notes.append(f"{name}: {message}")
        finally:
            index.close()
        self.results.runs.append(run)
        best = [self.results.best([run], mode, 0.95) for mode in ("single", "batch")]
        self.say("    " + (run.error or "; ".join(str(found or "recall 0.95 is not reached") for found in best)))
        self.results.save(self.arguments.out / RESULTS)


def _describe(index: Index) -> Run:
    """Return a run of this index without measurements."""
    data, kind = index.data, type(index)
    name, shape = data.spec.name, (len(data.base), data.dim)
    return Run(name, *shape, kind.library, kind.kind, index.variant, kind.ours, kind.graph)


def _report(results: Results, out: Path) -> None:
    """Write everything that a person looks at."""
    if (out / BUILDS).exists():
        built = Results.load(out / BUILDS)
        results.builds = built.builds
        results.notes.append(f"the builds of a million vectors were measured at commit {built.machine['commit']}")
    judged = targets.judge(results)
    (out / "index.json").write_text(json.dumps(judged, indent=1) + "\n", encoding="utf-8")
    report = table.render(results, judged, plots.draw(results, out))
    (out / "index.md").write_text(report, encoding="utf-8")
    print(report)
    print(f"wrote {out}/index.md, index.json, {RESULTS} and the plots")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benches.index", description=__doc__)
    path: dict[str, Any] = {"type": Path, "metavar": "DIR"}
    parser.add_argument("--out", default=ROOT / "benches/out", **path, help="where the report goes (benches/out)")
    parser.add_argument("--cache", default=ROOT / ".cache/bench", **path, help="where data is kept (.cache/bench)")
    model = ROOT / ".cache/models/all-MiniLM-L6-v2"
    parser.add_argument("--model", default=model, **path, help="the folder of the MiniLM model")
    parser.add_argument("--wordnet", **path, help="WordNet's data files, instead of the npm package")
    parser.add_argument("--only", nargs="+", metavar="WORD", help="only indexes whose name has one of these words")
    parser.add_argument("--data", nargs="+", metavar="NAME", help="only these data sets")
    parser.add_argument("--limit", type=int, metavar="N", help="at most N vectors, to work on the harness")
    parser.add_argument("--seconds", type=float, default=0.4, help="for each timing (0.4)")
    parser.add_argument("--minutes", type=int, default=28, help="after these no index is begun; 0 is no limit (28)")
    parser.add_argument("--full", action="store_true", help="a million vectors; hours")
    parser.add_argument("--build", action="store_true", help="only time the builds of a million vectors")
    parser.add_argument("--report", action="store_true", help="only write the report again, from the results in --out")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
