"""A server, over Flight SQL through pyarrow."""

from __future__ import annotations

import contextlib
import copy
import re
import threading
import time
import uuid
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import pyarrow as pa
from pyarrow import flight

from ruvector import _flight_sql
from ruvector._reach import unreachable
from ruvector._result import Result
from ruvector.exceptions import (
    AlreadyExists,
    Cancelled,
    Corrupt,
    InternalError,
    InvalidInput,
    NotFound,
    NotSupported,
    PermissionDenied,
    ResourceExhausted,
    RuVectorError,
    Unauthenticated,
    Unavailable,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

T = TypeVar("T")

# How long a server may take to answer the first call.
_CONNECT_SECONDS = 10.0

# How long Ctrl-C looks for a statement to end at the server, and how long it waits before it looks again.
_KILL_SECONDS = 2.0
_KILL_INTERVAL_SECONDS = 0.1

# The statements of this session that run. The question is in the list too: its mark tells which session is this one.
_RUNNING = (
    "SELECT q.id, q.statement FROM system.queries q, system.queries own WHERE own.statement LIKE '%MARK%' "
    "AND q.session = own.session AND q.id <> own.id AND q.state = 'running'"
)

# One message holds one batch. Servers refuse larger messages; tonic's own limit is 4 MiB, ruvector's is higher.
_MESSAGE_BYTES = 2 << 20


class RemoteTransport:
    """Statements sent as Flight SQL prepared statements, which tell rows from counts and carry parameters."""

    def __init__(
        self, target: str, token: str | None, login: tuple[str, str] | None, tls_root_certs: bytes | None
    ) -> None:
        """Connect to `target`, sign in if there is a user, and make sure that a server answers."""
        headers = [] if token is None else [(b"authorization", f"Bearer {token}".encode())]
        try:
            with _errors():
                self._client = flight.FlightClient(target, tls_root_certs=tls_root_certs, middleware=[_CookieFactory()])
                if login is not None:
                    options = flight.FlightCallOptions(timeout=_CONNECT_SECONDS)
                    headers = [self._client.authenticate_basic_token(*login, options)]
                self._headers = headers
                self._options = flight.FlightCallOptions(headers=headers)
                self._client.list_actions(flight.FlightCallOptions(headers=headers, timeout=_CONNECT_SECONDS))
        except Unavailable as error:
            raise Unavailable(unreachable(target, str(error))) from error
        except NotSupported as error:
            # A server of HTTP answers the call as a page that it does not have.
            if "http2 header" not in str(error):
                raise
            raise Unavailable(unreachable(target, str(error))) from error

    def execute(self, query: str, params: pa.RecordBatch | None) -> Result:
        """Run one statement. Ctrl-C ends it at the server too."""
        interrupted = threading.Event()

        def end(answer: Future[Result]) -> None:
            interrupted.set()
            self._kill(query, answer)

        return _interruptible(lambda: self._execute(query, params, interrupted), end)

    def _execute(self, query: str, params: pa.RecordBatch | None, interrupted: threading.Event) -> Result:
        with _errors():
            handle, row_schema = self._prepare(query)
            if interrupted.is_set():
                msg = "the statement was interrupted before it ran"
                raise Cancelled(msg)
            if not row_schema:
                values = pa.Table.from_batches([params]) if params is not None else pa.table({})
                metadata = self._put(_flight_sql.prepared_statement_update(handle), values)
                self._close_statement(handle)
                return Result(None, _flight_sql.updated_rows(metadata))
            if params is not None:
                command = _flight_sql.prepared_statement_query(handle)
                metadata = self._put(command, pa.Table.from_batches([params]))
                handle = _flight_sql.rebound_handle(metadata) or handle
            descriptor = flight.FlightDescriptor.for_command(_flight_sql.prepared_statement_query(handle))
            info = self._client.get_flight_info(descriptor, self._options)
            return Result(_RemoteRows(info.schema, self._batches(info, handle)))

    def ingest(self, name: Sequence[str], data: pa.RecordBatchReader, mode: str) -> int:
        """Write rows to a table.

        pyarrow cannot take back a stream that it has begun: it ends it well, and the server would keep the half that it
        got. So the source is read to its end first, and Ctrl-C waits for the last row to be sent.
        """
        try:
            rows = data.read_all()
        except Exception as error:
            msg = f"data: expected rows up to the end, got: {error}"
            raise InvalidInput(msg) from error
        with _errors(), ThreadPoolExecutor(1) as sender:
            metadata = sender.submit(self._put, _flight_sql.statement_ingest(name, mode), rows).result()
            return _flight_sql.updated_rows(metadata)

    def _kill(self, query: str, answer: Future[Result]) -> None:
        """End the statement `query` of this session at the server. One that has answered loses its rows anyway."""
        running = _RUNNING.replace("MARK", uuid.uuid4().hex)
        ended = time.monotonic() + _KILL_SECONDS
        killer = copy.copy(self)
        killer._options = flight.FlightCallOptions(headers=self._headers, timeout=_KILL_SECONDS)  # noqa: SLF001 - a copy
        # It may not have begun yet.
        while not answer.done() and time.monotonic() < ended:
            with contextlib.suppress(RuVectorError):
                for number, shown in killer._execute(running, None, threading.Event()).fetchall():  # noqa: SLF001
                    # Of a long statement the list has the beginning.
                    if query == shown or (shown.endswith("...") and query.startswith(shown[:-3])):
                        killer._execute(f"KILL {number}", None, threading.Event())  # noqa: SLF001
            with contextlib.suppress(TimeoutError):
                answer.exception(_KILL_INTERVAL_SECONDS)

    def close(self) -> None:
        """Close the connection to the server."""
        self._client.close()

    def _prepare(self, query: str) -> tuple[bytes, bytes]:
        action = flight.Action("CreatePreparedStatement", _flight_sql.create_prepared_statement(query))
        (answer,) = self._client.do_action(action, self._options)
        return _flight_sql.created_prepared_statement(answer.body.to_pybytes())

    def _close_statement(self, handle: bytes) -> None:
        action = flight.Action("ClosePreparedStatement", _flight_sql.close_prepared_statement(handle))
        list(self._client.do_action(action, self._options))

    def _put(self, command: bytes, rows: pa.Table) -> bytes:
        """Send rows with a command and return the metadata that the server answers with."""
        descriptor = flight.FlightDescriptor.for_command(command)
        writer, reader = self._client.do_put(descriptor, rows.schema, self._options)
        # Closing a writer whose stream was refused raises the refusal.
        with writer:
            for batch in rows.to_batches():
                for message in _messages(batch):
                    writer.write_batch(message)
            writer.done_writing()
            metadata = reader.read()
        return b"" if metadata is None else metadata.to_pybytes()

    def _batches(self, info: flight.FlightInfo, handle: bytes) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a query: the endpoints of its flight in their order, over the same connection."""
        with _errors():
            for endpoint in info.endpoints:
                get = partial(self._client.do_get, endpoint.ticket, self._options)
                reader = _interruptible(get, _cancel_when_begun)
                next_batch = partial(_interruptible, partial(_next_batch, reader), partial(_cancel, reader))
                try:
                    while (batch := next_batch()) is not None:
                        yield batch
                except GeneratorExit:
                    reader.cancel()
                    raise
            self._close_statement(handle)


class _RemoteRows:
    def __init__(self, schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> None:
        self.schema = schema
        self._batches = batches

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        return self._batches

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return pa.RecordBatchReader.from_batches(self.schema, self._batches).__arrow_c_stream__(requested_schema)


def _next_batch(reader: flight.FlightStreamReader) -> pa.RecordBatch | None:
    try:
        return reader.read_chunk().data
    except StopIteration:
        return None


def _cancel(reader: flight.FlightStreamReader, _answer: object) -> None:
    reader.cancel()


def _cancel_when_begun(answer: Future[flight.FlightStreamReader]) -> None:
    """Cancel a stream of rows as soon as it is there to be cancelled."""

    def cancel(begun: Future[flight.FlightStreamReader]) -> None:
        if begun.exception() is None:
            begun.result().cancel()

    answer.add_done_callback(cancel)


def _interruptible(call: Callable[[], T], on_interrupt: Callable[[Future[T]], object]) -> T:
    """Run a call that may take long. pyarrow waits in C++, where Python sees no Ctrl-C; so a thread waits for it.

    On Ctrl-C, `on_interrupt` gets the answer that is still to come, and `KeyboardInterrupt` goes on.
    """
    if threading.current_thread() is not threading.main_thread():
        return call()
    answer: Future[T] = Future()

    def run() -> None:
        try:
            answer.set_result(call())
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
            answer.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    try:
        return answer.result()
    except KeyboardInterrupt:
        on_interrupt(answer)
        raise


class _CookieFactory(flight.ClientMiddlewareFactory):
    """Sends back the cookies of the server, by which it knows the session with its settings."""

    def __init__(self) -> None:
        super().__init__()
        self._cookies: dict[str, str] = {}

    def start_call(self, info: flight.CallInfo) -> flight.ClientMiddleware:  # noqa: ARG002 - given by pyarrow
        return _Cookies(self._cookies)


class _Cookies(flight.ClientMiddleware):
    def __init__(self, cookies: dict[str, str]) -> None:
        super().__init__()
        self._cookies = cookies

    def sending_headers(self) -> dict[str, str]:
        if not self._cookies:
            return {}
        return {"cookie": "; ".join(f"{name}={value}" for name, value in self._cookies.items())}

    def received_headers(self, headers: dict[str, list[str | bytes]]) -> None:
        for key, values in headers.items():
            if key.lower() == "set-cookie":
                for value in values:
                    text = value.decode() if isinstance(value, bytes) else value
                    name, _, content = text.partition(";")[0].partition("=")
                    self._cookies[name.strip()] = content.strip()


def _messages(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Cut a batch into slices that fit into one message each."""
    rows = max(1, batch.num_rows * _MESSAGE_BYTES // max(batch.nbytes, 1))
    for start in range(0, batch.num_rows, rows):
        yield batch.slice(start, rows)


# pyarrow puts the gRPC status into the text, and some codes nowhere else.
_STATUS = re.compile(
    r"(?:Flight|gRPC) (?:returned )?(?P<status>[a-zA-Z -]+?)(?: error| call)?,? with message: (?P<message>.*?)"
    r"(?:\. gRPC client debug context: .*|\. Client context: .*)?$",
    re.DOTALL,
)
_CLASSES = {
    "invalid argument": InvalidInput,
    "precondition failed": InvalidInput,
    "out-of-range": InvalidInput,
    "not found": NotFound,
    "already exists": AlreadyExists,
    "unimplemented": NotSupported,
    "unavailable": Unavailable,
    "aborted": Unavailable,
    "timeout": Unavailable,
    "unauthenticated": Unauthenticated,
    "unauthorized": PermissionDenied,
    "resource exhausted": ResourceExhausted,
    "data loss": Corrupt,
    "cancelled": Cancelled,
    "internal": InternalError,
}


@contextlib.contextmanager
def _errors() -> Iterator[None]:
    """Turn the errors of pyarrow into those that the engine raises in process."""
    try:
        yield
    except pa.ArrowException as error:
        raise _error(error) from error


def _error(error: Exception) -> RuVectorError:
    status = _STATUS.search(str(error))
    if status is None:
        return RuVectorError(str(error))
    return _CLASSES.get(status["status"], RuVectorError)(status["message"])
