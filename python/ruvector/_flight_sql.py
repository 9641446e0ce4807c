"""The few Flight SQL messages that a connection sends, written by hand: each is two or three protobuf fields.

Source: `FlightSql.proto` of Apache Arrow. Only varints and length-delimited fields occur.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

_TYPE_URL: Final = "type.googleapis.com/arrow.flight.protocol.sql."

# TableDefinitionOptions of CommandStatementIngest: if_not_exist (1 create, 2 fail), if_exists (1 fail, 2 append,
# 3 replace)
_INGEST_MODES: Final = {"create": (1, 1), "append": (2, 2), "replace": (1, 3), "create_append": (1, 2)}

IngestMode = Literal["create", "append", "replace", "create_append"]


def create_prepared_statement(query: str) -> bytes:
    """Return the body of the action `CreatePreparedStatement`."""
    return _any("ActionCreatePreparedStatementRequest", _bytes(1, query.encode()))


def created_prepared_statement(body: bytes) -> tuple[bytes, bytes]:
    """Return (handle, schema of the rows) of its result; the schema is empty if the statement answers with a count."""
    fields = _fields(_fields(body)[2])
    return fields.get(1, b""), fields.get(2, b"")


def close_prepared_statement(handle: bytes) -> bytes:
    """Return the body of the action `ClosePreparedStatement`."""
    return _any("ActionClosePreparedStatementRequest", _bytes(1, handle))


def prepared_statement_query(handle: bytes) -> bytes:
    """Return the command that binds parameters to a query, or runs it."""
    return _any("CommandPreparedStatementQuery", _bytes(1, handle))


def prepared_statement_update(handle: bytes) -> bytes:
    """Return the command that runs a statement which answers with a count."""
    return _any("CommandPreparedStatementUpdate", _bytes(1, handle))


def rebound_handle(metadata: bytes) -> bytes | None:
    """Return the new handle of a `DoPutPreparedStatementResult`, or `None` if the old one stays."""
    return _fields(metadata).get(1)


def statement_ingest(table: Sequence[str], mode: str) -> bytes:
    """Return the command that writes a stream of batches to `[catalog,] [schema,] table`."""
    if_not_exist, if_exists = _INGEST_MODES[mode]
    message = _bytes(1, _varint_field(1, if_not_exist) + _varint_field(2, if_exists))
    # table, schema and catalog are the fields 2, 3 and 4
    for field, part in enumerate(reversed(table), start=2):
        message += _bytes(field, part.encode())
    return _any("CommandStatementIngest", message)


def is_ingest_mode(mode: str) -> bool:
    """Return whether `mode` is one of the four."""
    return mode in _INGEST_MODES


def updated_rows(metadata: bytes) -> int:
    """Return the number of rows in a `DoPutUpdateResult`; -1 is unknown."""
    count = _varint_fields(metadata).get(1, 0)
    return count - (1 << 64) if count >> 63 else count


def _any(name: str, message: bytes) -> bytes:
    return _bytes(1, (_TYPE_URL + name).encode()) + _bytes(2, message)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _varint_field(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:  # noqa: PLR2004 - seven bits a byte
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _fields(message: bytes) -> dict[int, bytes]:
    return {field: value for field, value in _decode(message) if isinstance(value, bytes)}


def _varint_fields(message: bytes) -> dict[int, int]:
    return {field: value for field, value in _decode(message) if isinstance(value, int)}


def _decode(message: bytes) -> list[tuple[int, int | bytes]]:
    fields: list[tuple[int, int | bytes]] = []
    at = 0
    while at < len(message):
        key, at = _read_varint(message, at)
        value, at = _read_varint(message, at)
        if key & 7 == 0:
            fields.append((key >> 3, value))
        elif key & 7 == 2:  # noqa: PLR2004 - the wire type of length-delimited fields
            fields.append((key >> 3, message[at : at + value]))
            at += value
        else:
            msg = f"Flight SQL answer: expected wire type 0 or 2, got {key & 7}"
            raise ValueError(msg)
    return fields


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:  # noqa: PLR2004 - the continuation bit
            return value, at
