"""The binary under test and the output of `python -m hostile`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

RUVECTOR = Path(os.environ.get("RUVECTOR", "target/debug/ruvector")).resolve()


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
