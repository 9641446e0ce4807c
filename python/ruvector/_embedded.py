"""The engine in this process."""

from __future__ import annotations

import atexit
from typing import TYPE_CHECKING

import pyarrow as pa

from ruvector import _onnxruntime
from ruvector._native_module import NO_ENGINE, native
from ruvector._result import Result
from ruvector.exceptions import NotSupported

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence

    from ruvector import _native


class EmbeddedTransport:
    """Statements run by the native module on its own threads, with the GIL released."""

    def __init__(self, data_dir: str | os.PathLike[str] | None) -> None:
        """Open the engine over `data_dir`, or over a temporary folder."""
        if not native.has_sql:
            msg = f"{NO_ENGINE}, or connect to 'grpc://host:port'"
            raise NotSupported(msg)
        self._engine = native.Engine(data_dir, _onnxruntime.library())

    def execute(self, query: str, params: pa.RecordBatch | None) -> Result:
        """Run one statement."""
        answer = self._engine.execute(query, params)
        return Result(None, answer) if isinstance(answer, int) else Result(_EmbeddedRows(answer))

    def ingest(self, name: Sequence[str], data: pa.RecordBatchReader, mode: str) -> int:
        """Write rows to a table."""
        # Again and again is once: the callback is the same.
        atexit.unregister(native.wait_for_readers)
        atexit.register(native.wait_for_readers)
        quoted = ".".join('"' + part.replace('"', '""') + '"' for part in name)
        return self._engine.ingest(quoted, mode, data)

    def close(self) -> None:
        """Give the engine up."""
        self._engine.close()


class _EmbeddedRows:
    def __init__(self, rows: _native.Rows) -> None:
        self._rows = rows
        self.schema = pa.schema(rows)

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        while (batch := self._rows.next_batch()) is not None:
            yield pa.record_batch(batch)

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self._rows.__arrow_c_stream__(requested_schema)
