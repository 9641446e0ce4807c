"""The `ruvector` command of the wheel. It is the same as the one that cargo builds."""

from __future__ import annotations

import os
import sys

from ruvector import _onnxruntime
from ruvector._native_module import NO_ENGINE, native


def main() -> int:
    """Run `ruvector serve | sql | ...` with the arguments of this process and return the exit code."""
    if not native.has_sql:
        sys.stderr.write(f"ruvector: {NO_ENGINE}\n")
        return 2
    if library := _onnxruntime.library():
        os.environ[_onnxruntime.VARIABLE] = str(library)
    return native.main(["ruvector", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
