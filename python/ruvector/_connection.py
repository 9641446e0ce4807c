"""`connect()` and the one face of both kinds of connection."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ruvector._arrow import Rows, to_reader
from ruvector._embedded import EmbeddedTransport
from ruvector._flight_sql import IngestMode, is_ingest_mode
from ruvector._params import to_batch
from ruvector._remote import RemoteTransport
from ruvector.exceptions import InvalidInput, NotFound

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    import pyarrow as pa

    from ruvector._result import Result

_REMOTE_SCHEMES = ("grpc", "grpc+tcp", "grpc+tls")
# An address without a scheme, as `localhost:50051` or `[::1]:50051`.
_HOST_PORT = re.compile(r"[^/\\]+:[0-9]{1,5}")


class _Transport(Protocol):
    def execute(self, query: str, params: pa.RecordBatch | None) -> Result: ...

    def ingest(self, name: Sequence[str], data: pa.RecordBatchReader, mode: str) -> int: ...

    def close(self) -> None: ...


def connect(
    target: str | os.PathLike[str] | None = None,
    *,
    token: str | None = None,
    user: str | None = None,
    password: str | None = None,
    tls_root_certs: str | os.PathLike[str] | None = None,
) -> Connection:
    """Return a connection to tables in a folder, in a temporary folder, or on a server.

    `target` is a folder (made if it does not exist, in one that does), `grpc://host:port` or `grpc+tls://host:port` of
    a server, or `None` for tables that go with the connection. `user` and `password` sign in to the server; `token`,
    instead of them, is sent with every call. `tls_root_certs` is a PEM file of the authorities that may vouch for the
    server; without it those that the system trusts.

    Connections of one process to one folder share its engine; another process cannot open that folder at that time.

    Raises `InvalidInput` for a target that is none of these, `Unauthenticated` if the server does not let the user in,
    and `Unavailable` if the server does not answer or another process, which the message names, has the folder open.

    Examples:
        >>> import ruvector
        >>> with ruvector.connect() as con:
        ...     con.ingest("docs", {"id": [1, 2], "vec": [[0.0, 1.0], [3.0, 4.0]]})
        ...     con.sql("SELECT id, l2_distance(vec, $1) AS d FROM docs ORDER BY d", [[0.0, 0.0]]).fetchall()
        2
        [(1, 1.0), (2, 5.0)]
    """
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", target) if isinstance(target, str) else None
    if scheme is None:
        for name, value in (("token", token), ("user", user), ("password", password)):
            if value is not None:
                msg = f"{name}: expected none for a folder: only a server asks for one"
                raise InvalidInput(msg)
        if tls_root_certs is not None:
            msg = "tls_root_certs: expected none for a folder: only a server shows a certificate"
            raise InvalidInput(msg)
        _check_folder(target)
        return Connection(EmbeddedTransport(target), "memory" if target is None else os.fspath(target))
    if scheme[1].lower() not in _REMOTE_SCHEMES:
        msg = f"target: expected a folder, grpc://host:port or grpc+tls://host:port, got {target!r}"
        raise InvalidInput(msg)
    login = _login(user, password, token)
    return Connection(RemoteTransport(str(target), token, login, _pem(scheme[1], tls_root_certs)), str(target))


def _login(user: str | None, password: str | None, token: str | None) -> tuple[str, str] | None:
    """Return the user and the password that sign in."""
    if user is None and password is None:
        return None
    if token is not None:
        msg = "token: expected a token or user and password, got both"
        raise InvalidInput(msg)
    if user is None or password is None:
        msg = "user and password: expected both, got one of them"
        raise InvalidInput(msg)
    return user, password


def _check_folder(target: str | os.PathLike[str] | None) -> None:
    """Refuse what was probably meant as something else than a new folder."""
    if target is None or Path(target).exists():
        return
    if isinstance(target, str) and _HOST_PORT.fullmatch(target):
        msg = (
            "target: expected a folder, grpc://host:port or grpc+tls://host:port, "
            f"got {target!r}: a server is 'grpc://{target}'"
        )
        raise InvalidInput(msg)
    if not Path(target).absolute().parent.exists():
        msg = f"target: expected a folder, or a new one in a folder that exists, got {os.fspath(target)!r}"
        raise InvalidInput(msg)


def _pem(scheme: str, path: str | os.PathLike[str] | None) -> bytes | None:
    if path is None:
        return None
    if scheme.lower() != "grpc+tls":
        msg = f"tls_root_certs: expected a target grpc+tls://host:port, got {scheme}://"
        raise InvalidInput(msg)
    try:
        pem = Path(path).read_bytes()
    except OSError as error:
        msg = f"tls_root_certs: expected a file of certificates, got {os.fspath(path)!r}: {error.strerror}"
        raise InvalidInput(msg) from error
    if b"-----BEGIN CERTIFICATE-----" not in pem:
        msg = f"tls_root_certs: expected certificates in PEM, found none in {os.fspath(path)!r}"
        raise InvalidInput(msg)
    return pem


class Connection:
    """A connection to ruvector, in process or remote: the same methods, results and errors.

    Settings (`SET ...`) belong to the connection. Safe from many threads. It is a context manager that closes itself.
    """

    def __init__(self, transport: _Transport, name: str) -> None:
        """Use `connect()`."""
        self._transport = transport
        self._name = name

    def sql(self, query: str, params: Sequence[object] = ()) -> Result:
        """Run one statement and return its answer.

        `params` is the list of the values of `$1, $2, ...`, or of `?` in order. A value that is a list is an SQL array
        of its own type, of `BIGINT` or `DOUBLE` for numbers; it becomes a vector where a vector stands: in `knn()`, in
        a distance to a vector, in a vector column. NumPy arrays, pandas and polars Series, pyarrow arrays and tensors
        keep their types; one of float32 is a vector, and one of shape `[n, dim]` an array of vectors.

        A statement that changes something has run to its end, once, when this returns. Rows are made as they are pulled
        from the `Result`.

        Raises a class of `ruvector.exceptions` named by what went wrong; nothing is changed then. Ctrl-C ends the
        statement with `KeyboardInterrupt`.
        """
        return self._transport.execute(query, to_batch(params))

    def ingest(self, name: str, data: Rows, *, mode: IngestMode = "create") -> int:
        """Write rows to the table `name` in one transaction and return their number.

        `data` is anything with Arrow rows (tables, readers and batches of pyarrow, polars, DuckDB, a `Result`), a
        pandas frame, or a mapping of column names to values. Columns, and fields of structs, are matched by name.
        Values are kept exactly, but for coordinates of vectors and fractions in columns of floats, which are rounded to
        the nearest one.

        In a new table, a column of lists of numbers is a column of vectors, `FLOAT[dim]`, if all lists are equally
        long; a list that is `None` is a vector that is NULL. So is an array of shape `[num_rows, dim]` in a mapping. It
        stays a column of lists if a number in it is NULL, or is an integer that a `FLOAT` would round. For that, a
        reader with lists is read to its end before anything is written; fixed-size lists need no such look.

        `name` is written as in SQL: `docs`, `main.docs`, `"Docs"`; without double quotes it is taken in lower case.

        `mode` says what happens with a table of that name: `create` (an error if it exists), `append` (an error if it
        does not), `replace`, or `create_append`.

        Raises `AlreadyExists`, `NotFound`, or `InvalidInput` for rows that do not fit; nothing is written then.
        """
        if not is_ingest_mode(mode):
            msg = f"mode: expected create, append, replace or create_append, got {mode!r}"
            raise InvalidInput(msg)
        table = _table_name(name)

        def is_new() -> bool:
            return mode in ("create", "replace") or (mode == "create_append" and not self._exists(name))

        return self._transport.ingest(table, to_reader(data, is_new), mode)

    def _exists(self, name: str) -> bool:
        try:
            self._transport.execute(f"SELECT 1 FROM {name} LIMIT 0", None)  # noqa: S608 - the name was checked
        except NotFound:
            return False
        return True

    def close(self) -> None:
        """Give the connection up; tables in a temporary folder go with it. Twice is once."""
        self._transport.close()

    def __enter__(self) -> Connection:  # noqa: PYI034 - `Self` is in typing from Python 3.11 on
        """Return the connection itself."""
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the connection."""
        self.close()

    def __repr__(self) -> str:
        """Return the target."""
        return f"<ruvector.Connection to {self._name}>"


_NAME_PART = r'(?:[^\W\d]\w*|"(?:[^"]|"")+")'
_NAME = re.compile(rf"{_NAME_PART}(?:\.{_NAME_PART}){{0,2}}")


def _table_name(name: str) -> list[str]:
    """Return the parts of a table's name, by the rules of SQL."""
    if not _NAME.fullmatch(name):
        msg = f"name: expected a table's name as in SQL ('docs', 'main.docs', '\"My docs\"'), got {name!r}"
        raise InvalidInput(msg)
    return [
        part[1:-1].replace('""', '"') if part.startswith('"') else part.lower() for part in re.findall(_NAME_PART, name)
    ]
