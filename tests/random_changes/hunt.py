"""Makes random changes on both sides and collects what differs."""

from __future__ import annotations

import random
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from random_sql.compare import Difference, difference, is_broken
from random_sql.engines import Refused, Rows, part
from random_sql.hunt import FEW, Wanted
from random_sql.shrink import shrink

import ruvector
from random_changes import tables
from random_changes.engines import Changed, Engine, Model
from random_changes.known import known_refusal
from random_changes.statements import MADE, Change, Changes

if TYPE_CHECKING:
    import pyarrow as pa
    from random_sql.tree import Node

    from random_changes.tables import Table


# A table that has grown beyond it is cut.
ROWS_MAX = 40


@dataclass
class Found:
    """The findings of a run."""

    seed: int
    ran: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    not_judged: Counter[str] = field(default_factory=Counter)
    known: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    reports: list[str] = field(default_factory=list)


class Pair:
    """The model and the engine, whose tables are equal."""

    def __init__(self, made: tuple[Table, Table], model: Model, engine: Engine) -> None:
        self.target, self.other = made
        self.model = model
        self.engine = engine

    def put(self, content: pa.Table) -> None:
        """Set the content of the changed table on both sides."""
        self.model.put(self.target, content)
        self.engine.put(self.target, content)

    def make(self, change: Change) -> tuple[Difference | None, Changed | Refused]:
        """Make a change on both sides and compare counts and contents."""
        before = self.engine.content(self.target.name.ruvector)
        expected, got = self.model.run(change), self.engine.run(change)
        after = self.engine.content(self.target.name.ruvector)
        if isinstance(got, Refused) and (moved := difference(before, after, ordered=False)):
            return Difference("a refused statement changed the table", moved.duckdb, moved.ruvector), expected
        if isinstance(got, Refused) and change.right == "either" and not is_broken(got):
            return None, got
        counts = difference(_as_rows(expected), _as_rows(got), ordered=True)
        if counts is not None:
            return counts._replace(kind=counts.kind.replace("rows", "the count")), expected
        # DuckDB has no answer, and the engine has one: nothing to compare.
        if isinstance(expected, Refused):
            return None, expected
        read = MADE if change.creates else self.target.name
        found = difference(self.model.content(read.duckdb), self.engine.content(read.ruvector), ordered=False)
        return (None if found is None else found._replace(kind="the content")), expected


def _as_rows(outcome: Changed | Refused) -> Rows | Refused:
    return outcome if isinstance(outcome, Refused) else Rows([(outcome.rows,)])


def hunt(seed: int, cases: int, *, address: str | None = None, wanted: Wanted = FEW) -> Found:
    """Make `cases` changes of the tables of a seed, in process or on the server at `address`."""
    rng = random.Random(seed)  # noqa: S311 - the point is that it repeats
    made = tables.make(rng)
    changes = Changes(rng, *made)
    found = Found(seed)
    with closing(Engine(address)) as engine:
        try:
            for table in made:
                engine.put(table, table.rows)
        except ruvector.RuVectorError as error:
            names = [name.ruvector for table in made for name in (table.name, *table.names)]
            found.kinds["the tables are refused"] += 1
            found.reports.append(f"seed {seed}: {type(error).__name__}: {error}\n  names: {names}")
            return found
        pair = Pair(made, Model(made), engine)
        for number in range(cases):
            change = changes.change()
            before = pair.model.rows(pair.target)
            if before.num_rows > ROWS_MAX:
                before = part(before, 0, 5)
                pair.put(before)
            differs, expected = pair.make(change)
            found.ran += 1
            if isinstance(expected, Refused):
                counter = found.not_judged if expected.limit else found.refused
                counter[" ".join(expected.message.split())[:80]] += 1
            if differs is None and not isinstance(expected, Refused):
                continue
            if differs is not None and (known := known_refusal(differs.kind)) is not None:
                found.known[known.reason] += 1
            elif differs is not None:
                found.kinds[differs.kind] += 1
                if found.kinds[differs.kind] == 1 and len(found.reports) < wanted.most and wanted.only in differs.kind:
                    found.reports.append(
                        f"seed {seed}, change {number}: " + _report(pair, change, before, differs, wanted.seconds)
                    )
            # From here on both sides are equal again.
            pair.put(pair.model.rows(pair.target))
    return found


def _report(pair: Pair, change: Change, before: pa.Table, differs: Difference, seconds: float) -> str:
    def stays(tree: Node) -> Difference | None:
        pair.put(before)
        now, _ = pair.make(change._replace(tree=tree))
        return now if now is not None and now.kind == differs.kind else None

    again = stays(change.tree)
    reduced = (
        change
        if again is None
        else change._replace(tree=shrink(change.tree, lambda t: stays(t) is not None, seconds=seconds))
    )
    shown = differs if again is None else stays(reduced.tree) or differs
    (whole, _), (statement, values), (plain, _) = (
        change.write("ruvector"),
        reduced.write("ruvector"),
        reduced.write("duckdb"),
    )
    note = "" if again is not None else "\n  (only after the changes before it)"
    pair.put(before)
    names = [
        f"    {table.name.ruvector}: "
        + ", ".join(f"{name.ruvector} {sort}" for name, sort in zip(table.names, table.sorts, strict=True))
        + f"\n      {list(map(tuple, (row.values() for row in rows.to_pylist())))}"
        for table, rows in ((pair.target, before), (pair.other, pair.other.rows))
    ]
    return (
        f"{differs.kind}{note}\n  statement: {whole}\n  reduced:   {statement}\n"
        f"  parameters: {values}\n  plainly:   {plain}\n{shown}\n  over:\n" + "\n".join(names)
    )
