"""Where ONNX Runtime is: `embed()` loads the library of the Python package `onnxruntime` (the extra `text`)."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

_VARIABLE = "ORT_DYLIB_PATH"
_NAMES = ("libonnxruntime.so*", "libonnxruntime.*dylib", "onnxruntime.dll")


def provide() -> None:
    """Tell the native module which library to load, unless the environment does."""
    if not os.environ.get(_VARIABLE) and (path := library()):
        os.environ[_VARIABLE] = str(path)


def library() -> Path | None:
    """Return the library of the package `onnxruntime` without importing it; `None` if it is not installed."""
    spec = importlib.util.find_spec("onnxruntime")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for name in _NAMES:
            for path in sorted((Path(folder) / "capi").glob(name)):
                return path
    return None
