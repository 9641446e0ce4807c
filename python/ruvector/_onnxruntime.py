"""Where ONNX Runtime is: `embed()` loads the library of the Python package `onnxruntime` (the extra `text`)."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

VARIABLE = "ORT_DYLIB_PATH"
_NAMES = ("libonnxruntime.so*", "libonnxruntime.*dylib", "onnxruntime.dll")


def library() -> Path | None:
    """Return the library to load: what `ORT_DYLIB_PATH` says, else that of the package `onnxruntime`, else `None`.

    The package itself is not imported.
    """
    if named := os.environ.get(VARIABLE):
        return Path(named)
    spec = importlib.util.find_spec("onnxruntime")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for name in _NAMES:
            for path in sorted((Path(folder) / "capi").glob(name)):
                return path
    return None


if __name__ == "__main__":
    sys.stdout.write(str(library() or ""))
