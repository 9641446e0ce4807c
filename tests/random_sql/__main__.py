"""Hunts: `PYTHONPATH=tests python -m random_sql SEED CASES [a part of the kinds to report]`."""

import sys

from random_sql.hunt import Wanted, hunt

seed, cases = int(sys.argv[1]), int(sys.argv[2])
found = hunt(seed, cases, Wanted(100, only=sys.argv[3] if len(sys.argv) > 3 else ""))
lines = [
    *found.reports,
    f"{found.ran} statements of seed {seed}",
    *(f"{count:6} {kind}" for kind, count in found.kinds.most_common()),
    *(f"{count:6} known: {reason}" for reason, count in found.known.most_common()),
    *(f"{count:6} not judged: {message}" for message, count in found.not_judged.most_common()),
]
sys.stdout.write("\n".join(lines) + "\n")
