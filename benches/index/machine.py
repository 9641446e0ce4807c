"""The machine that measures: what it is, and how to make it one core."""

from __future__ import annotations

import datetime as dt
import os
import platform
import subprocess
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGES = ("faiss-cpu", "hnswlib", "lancedb", "numpy", "onnxruntime", "ruvector", "turbovec", "usearch")


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def describe() -> dict[str, Any]:
    """Return what a reader has to know of the machine and the software."""
    return {
        "cpu": _cpu(),
        "cores": cores(),
        "os": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "commit": _commit(),
        "date": dt.datetime.now(dt.timezone.utc).date().isoformat(),
        "versions": {name: _version(name) for name in PACKAGES} | {"ruvector-rabitq": "2.3.0"},
    }


@contextmanager
def one_core() -> Iterator[None]:
    """Pin every thread of the process to one core, whatever pools the libraries have made; Linux only."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    everywhere = os.sched_getaffinity(0)
    try:
        _pin({max(everywhere)})
        yield
    finally:
        _pin(everywhere)


def _pin(allowed: set[int]) -> None:
    for thread in Path("/proc/self/task").iterdir():
        # A thread may end during the loop.
        with suppress(ProcessLookupError):
            os.sched_setaffinity(int(thread.name), allowed)


def _cpu() -> str:
    """Return the processor's name with its family and model, which tell what a virtual machine's name hides."""
    info = Path("/proc/cpuinfo")
    if not info.exists():
        return platform.processor() or platform.machine()
    pairs = (line.partition(":") for line in info.read_text(encoding="utf-8").split("\n\n")[0].splitlines())
    fields = {key.strip(): value.strip() for key, _, value in pairs}
    name = fields.get("model name", platform.machine())
    return f"{name}, family {fields['cpu family']} model {fields['model']}" if "cpu family" in fields else name


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parent)
    return result.stdout.strip() or "unknown"


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
