"""A server, over Flight SQL through pyarrow."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING

import pyarrow as pa
from pyarrow import flight

from ruvector import _flight_sql
from ruvector._result import Result
from ruvector.exceptions import (
    AlreadyExists,
    Cancelled,
    Corrupt,
    InternalError,
    InvalidInput,
    NotFound,
    NotSupported,
    ResourceExhausted,
    RuVectorError,
    Unauthenticated,
    Unavailable,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# How long a server may take to answer the first call.
_CONNECT_SECONDS = 10.0

# One message holds one batch. Servers refuse larger messages; tonic's own limit is 4 MiB, ruvector's is higher.
_MESSAGE_BYTES = 2 << 20


class RemoteTransport:
    """Statements sent as Flight SQL prepared statements, which tell rows from counts and carry parameters."""

    def __init__(self, target: str, token: str | None) -> None:
        """Connect to `target` and make sure that a server answers."""
        headers = [] if token is None else [(b"authorization", f"Bearer {token}".encode())]
        self._options = flight.FlightCallOptions(headers=headers)
        with _errors():
            self._client = flight.FlightClient(target, middleware=[_CookieFactory()])
            try:
                first = flight.FlightCallOptions(headers=headers, timeout=_CONNECT_SECONDS)
                list(self._client.list_flights(options=first))
            except NotImplementedError:
                pass  # a server without this call is a server too

    def execute(self, query: str, params: pa.RecordBatch | None) -> Result:
        """Run one statement."""
        with _errors():
            handle, row_schema = self._prepare(query)
            if not row_schema:
                try:
                    return Result(None, self._update(_flight_sql.prepared_statement_update(handle), params))
                finally:
                    self.close_statement(handle)
            if params is not None:
                metadata = self._put(_flight_sql.prepared_statement_query(handle), params.schema, [params])
                handle = _flight_sql.rebound_handle(metadata) or handle
            command = flight.FlightDescriptor.for_command(_flight_sql.prepared_statement_query(handle))
            info = self._client.get_flight_info(command, self._options)
            return Result(_RemoteRows(self, handle, info))

    def ingest(self, name: str, data: pa.RecordBatchReader, mode: str) -> int:
        """Write rows to a table."""
        with _errors():
            return _flight_sql.updated_rows(self._put(_flight_sql.statement_ingest(name, mode), data.schema, data))

    def close(self) -> None:
        """Close the connection to the server."""
        self._client.close()

    def read(self, ticket: flight.Ticket) -> flight.FlightStreamReader:
        """Start to read the rows behind a ticket."""
        return self._client.do_get(ticket, self._options)

    def close_statement(self, handle: bytes) -> None:
        """Let the server forget a prepared statement."""
        action = flight.Action("ClosePreparedStatement", _flight_sql.close_prepared_statement(handle))
        list(self._client.do_action(action, self._options))

    def _prepare(self, query: str) -> tuple[bytes, bytes]:
        action = flight.Action("CreatePreparedStatement", _flight_sql.create_prepared_statement(query))
        (answer,) = self._client.do_action(action, self._options)
        return _flight_sql.created_prepared_statement(answer.body.to_pybytes())

    def _update(self, command: bytes, params: pa.RecordBatch | None) -> int:
        if params is None:
            return _flight_sql.updated_rows(self._put(command, pa.schema([]), []))
        return _flight_sql.updated_rows(self._put(command, params.schema, [params]))

    def _put(self, command: bytes, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> bytes:
        """Send batches and return the metadata that the server answers with."""
        descriptor = flight.FlightDescriptor.for_command(command)
        writer, reader = self._client.do_put(descriptor, schema, self._options)
        try:
            for batch in batches:
                for message in _messages(batch):
                    writer.write_batch(message)
        except flight.FlightError:
            raise
        except BaseException:
            # The source failed, or Ctrl-C. pyarrow can only end the stream well, and the server would keep the half
            # that it has: a message without a batch makes the stream invalid, and the server undoes everything.
            with contextlib.suppress(pa.ArrowException, OSError):
                writer.write_metadata(b"abort")
                writer.close()
            raise
        writer.done_writing()
        metadata = reader.read()
        writer.close()
        return b"" if metadata is None else metadata.to_pybytes()


class _RemoteRows:
    """The rows of one query: the endpoints of its flight in their order, over the same connection."""

    def __init__(self, transport: RemoteTransport, handle: bytes, info: flight.FlightInfo) -> None:
        self._transport = transport
        self._handle = handle
        self._info = info
        self.schema = info.schema

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        with _errors():
            for endpoint in self._info.endpoints:
                for chunk in self._transport.read(endpoint.ticket):
                    yield chunk.data
            self._transport.close_statement(self._handle)

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return pa.RecordBatchReader.from_batches(self.schema, iter(self)).__arrow_c_stream__(requested_schema)


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
    "unauthorized": Unauthenticated,
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
    except pa.ArrowCancelled as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from error
        raise _error(error) from error
    except pa.ArrowException as error:
        raise _error(error) from error


def _error(error: Exception) -> RuVectorError:
    status = _STATUS.search(str(error))
    if status is None:
        return RuVectorError(str(error))
    return _CLASSES.get(status["status"], RuVectorError)(status["message"])
