"""The native module: that of `ruvector-sql`, which has everything, where it is installed."""

from __future__ import annotations

import importlib
import importlib.util
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ruvector import _native as native
else:

    def _load() -> object:
        base = importlib.import_module("ruvector._native")
        if base.has_sql or importlib.util.find_spec("ruvector_sql") is None:
            return base
        full = importlib.import_module("ruvector_sql._native")
        if full.__version__ != base.__version__:
            message = (
                f"ruvector-sql: expected version {base.__version__}, that of ruvector, got {full.__version__}: "
                "install the wheels of one version"
            )
            raise ImportError(message)
        return full

    native = _load()

NO_ENGINE = "this installation has no SQL engine: install the wheel ruvector_sql that was built with that of ruvector"

__all__ = ["NO_ENGINE", "native"]
