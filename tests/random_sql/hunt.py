"""Runs random statements and collects what differs."""

from __future__ import annotations

import random
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from random_sql import tables
from random_sql.compare import Difference, difference
from random_sql.engines import DuckDb, Refused, Ruvector
from random_sql.known import known_difference
from random_sql.shrink import shrink
from random_sql.statements import Generator, Statement

if TYPE_CHECKING:
    from random_sql.tree import Node


class Wanted(NamedTuple):
    """The differences that are reduced and reported: the first `most`, one of each kind that has `only` in its words.

    `seconds` is the time that the reduction of one statement may take.
    """

    most: int = 3
    seconds: float = 5
    only: str = ""


FEW = Wanted()


@dataclass
class Found:
    """The findings of a run."""

    seed: int
    ran: int = 0
    # Statements that DuckDB has no answer to by a limitation of its own, by its message.
    not_judged: Counter[str] = field(default_factory=Counter)
    # Differences that are known, by their reason.
    known: Counter[str] = field(default_factory=Counter)
    # All others, by their kind.
    kinds: Counter[str] = field(default_factory=Counter)
    # Of each kind the first few, reduced, in words.
    reports: list[str] = field(default_factory=list)


def hunt(seed: int, cases: int, wanted: Wanted = FEW) -> Found:
    """Run `cases` statements over the tables of a seed."""
    rng = random.Random(seed)  # noqa: S311 - the point is that it repeats
    made = tables.make(rng)
    generator = Generator(rng, [table.source() for table in made])
    duckdb = DuckDb(made)
    found = Found(seed)
    with closing(Ruvector(made)) as ruvector:

        def judge(tree: Node, *, ordered: bool) -> Difference | None:
            return difference(duckdb.run(tree.write("duckdb")), ruvector.run(tree.write("ruvector")), ordered=ordered)

        for number in range(cases):
            statement = generator.statement()
            answer = duckdb.run(statement.tree.write("duckdb"))
            found.ran += 1
            if isinstance(answer, Refused) and answer.limit:
                found.not_judged[" ".join(answer.message.split())[:80]] += 1
            text = statement.tree.write("ruvector")
            differs = difference(answer, ruvector.run(text), ordered=statement.ordered)
            if differs is None:
                continue
            if (known := known_difference(text, differs)) is not None:
                found.known[known.reason] += 1
                continue
            found.kinds[differs.kind] += 1
            if found.kinds[differs.kind] == 1 and len(found.reports) < wanted.most and wanted.only in differs.kind:
                kind = differs.kind

                def stays(tree: Node, statement: Statement = statement, kind: str = kind) -> bool:
                    now = judge(tree, ordered=statement.ordered)
                    return (
                        now is not None and now.kind == kind and known_difference(tree.write("ruvector"), now) is None
                    )

                reduced = shrink(statement.tree, stays, seconds=wanted.seconds)
                shown = judge(reduced, ordered=statement.ordered) or differs
                found.reports.append(
                    f"seed {seed}, statement {number}: " + _report(statement.tree, reduced, shown, made)
                )
    return found


def _report(whole: Node, reduced: Node, differs: Difference, made: list[tables.Table]) -> str:
    statement = reduced.write("ruvector")
    used = "".join(tables.as_sql(table) for table in made if table.name in statement)
    return (
        f"{differs.kind}\n  statement: {whole.write('ruvector')}\n  reduced:   {statement}\n{differs}\n  over:\n{used}"
    )
