"""Hunts: `PYTHONPATH=tests python -m random_changes SEED CASES [a part of the kinds to report]`."""

import sys

from random_sql.hunt import Wanted

from random_changes.hunt import hunt

seed, cases = int(sys.argv[1]), int(sys.argv[2])
found = hunt(seed, cases, wanted=Wanted(100, only=sys.argv[3] if len(sys.argv) > 3 else ""))
lines = [
    *found.reports,
    f"{found.ran} changes of seed {seed}",
    *(f"{count:6} {kind}" for kind, count in found.kinds.most_common()),
    *(f"{count:6} refused by both: {message}" for message, count in found.refused.most_common()),
    *(f"{count:6} not judged: {message}" for message, count in found.not_judged.most_common()),
]
sys.stdout.write("\n".join(lines) + "\n")
