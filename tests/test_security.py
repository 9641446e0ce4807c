"""TLS, users, tokens and roles, with the clients that people have: pyarrow, ADBC and ruvector's own."""

from __future__ import annotations

import hashlib
import subprocess
from typing import TYPE_CHECKING, NamedTuple

import adbc_driver_flightsql.dbapi as adbc
import pyarrow as pa
import pytest
from adbc_driver_flightsql import DatabaseOptions
from conftest import RUVECTOR, SECONDS_MAX, serve
from pyarrow import flight

import ruvector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

CERTIFICATES = RUVECTOR.parent / "ruvector-test-certificates"
PASSWORD = "pass:wörd?>~"  # noqa: S105 - of a user that this file makes
TOKEN = "the-token-of-a-dashboard"  # noqa: S105 - as above


class Server(NamedTuple):
    """A server with TLS that lets in the users `admin` and `reader`, and a token of the role reader."""

    address: str
    ca: str
    log: Path

    def adbc(self, **options: str) -> adbc.Connection:
        """Connect by ADBC."""
        return adbc.connect(
            self.address, db_kwargs={DatabaseOptions.TLS_ROOT_CERTS.value: self.ca, **options}, autocommit=True
        )

    def flight(self) -> flight.FlightClient:
        """Connect by pyarrow."""
        return flight.FlightClient(self.address, tls_root_certs=self.ca.encode())


def ruvector_user(name: str, role: str) -> str:
    done = subprocess.run(
        [RUVECTOR, "user", "hash-password", name, "--role", role],
        input=PASSWORD,
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=True,
    )
    return done.stdout


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("secured")
    subprocess.run([CERTIFICATES, folder], timeout=SECONDS_MAX, check=True)
    users = [ruvector_user(role, role) for role in ("admin", "reader")]
    sha256 = hashlib.sha256(TOKEN.encode()).hexdigest()
    users.append(f"[tokens.dashboard]\nrole = 'reader'\nsha256 = '{sha256}'\n")
    (folder / "users.toml").write_text("\n".join(users))
    settings = folder / "ruvector.toml"
    settings.write_text("[tls]\ncert = 'server.pem'\nkey = 'server.key'\n[auth]\nusers = 'users.toml'\n")
    with serve(folder / "data", "--config", settings) as address:
        assert address.startswith("grpc+tls://")
        secured = Server(address, (folder / "ca.pem").read_text(), folder / "data.log")
        with secured.adbc(username="admin", password=PASSWORD) as admin, admin.cursor() as cursor:
            assert cursor.adbc_ingest("docs", pa.table({"id": [1, 2, 3]})) == 3
        yield secured
    log = secured.log.read_text()
    assert "ruvector::audit" in log
    assert PASSWORD not in log
    assert TOKEN not in log


def count(connection: adbc.Connection) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM docs")
        return cursor.fetchone()[0]


def test_adbc_with_a_password(server: Server) -> None:
    with server.adbc(username="reader", password=PASSWORD) as connection:
        assert count(connection) == 3
        assert connection.adbc_get_table_schema("docs").names == ["id"]
        with connection.cursor() as cursor:
            with pytest.raises(adbc.Error, match="needs the role writer, and this session has the role reader"):
                cursor.execute("DELETE FROM docs")
            with pytest.raises(adbc.Error, match="needs the role writer"):
                cursor.adbc_ingest("docs", pa.table({"id": [4]}), mode="append")
        assert count(connection) == 3


def test_adbc_with_a_token(server: Server) -> None:
    with server.adbc(**{DatabaseOptions.AUTHORIZATION_HEADER.value: f"Bearer {TOKEN}"}) as connection:
        assert count(connection) == 3
        with connection.cursor() as cursor, pytest.raises(adbc.Error, match="needs the role admin"):
            cursor.execute("CREATE BACKEND b TYPE memory")


@pytest.mark.parametrize(
    "options",
    [
        {"username": "reader", "password": "wrong"},
        {"username": "nobody", "password": PASSWORD},
        {DatabaseOptions.AUTHORIZATION_HEADER.value: "Bearer wrong"},
        {},
    ],
)
def test_adbc_is_turned_away(server: Server, options: dict[str, str]) -> None:
    def connect() -> int:
        with server.adbc(**options) as connection:
            return count(connection)

    with pytest.raises(adbc.Error, match=r"(?i)unauthenticated|sign-in failed|bearer token"):
        connect()


def sql(client: flight.FlightClient, options: flight.FlightCallOptions | None) -> Callable[[str], pa.Table]:
    return lambda statement: client.do_get(flight.Ticket(statement.encode()), options).read_all()


def test_pyarrow_with_a_password(server: Server) -> None:
    with server.flight() as client:
        header = client.authenticate_basic_token("reader", PASSWORD)
        read = sql(client, flight.FlightCallOptions(headers=[header]))
        assert read("SELECT id FROM docs ORDER BY id").to_pydict() == {"id": [1, 2, 3]}
        with pytest.raises(flight.FlightUnauthorizedError, match="needs the role writer"):
            read("DROP TABLE docs")
        with pytest.raises(flight.FlightUnauthenticatedError):
            sql(client, None)("SELECT 1")


def test_pyarrow_with_a_token(server: Server) -> None:
    with server.flight() as client:
        options = flight.FlightCallOptions(headers=[(b"authorization", f"Bearer {TOKEN}".encode())])
        assert sql(client, options)("SELECT 1 AS one").to_pydict() == {"one": [1]}


def test_pyarrow_with_a_wrong_password(server: Server) -> None:
    with server.flight() as client, pytest.raises(flight.FlightUnauthenticatedError, match="wrong user or password"):
        client.authenticate_basic_token("reader", "wrong")


def test_pyarrow_does_not_trust_everybody(server: Server) -> None:
    with flight.FlightClient(server.address) as client, pytest.raises(pa.ArrowException):
        client.authenticate_basic_token("reader", PASSWORD)


def test_a_refusal_is_an_error_of_its_own_class(server: Server, tmp_path: Path) -> None:
    """The Python client trusts what the system does, so it is shown the server without TLS."""
    users = server.log.parent / "users.toml"
    with serve(tmp_path / "data", "--auth-users", users) as address:
        with ruvector.connect(address, token=TOKEN) as con:
            assert con.sql("SELECT 1 AS one").to_arrow().to_pydict() == {"one": [1]}
            with pytest.raises(ruvector.Unauthenticated, match="needs the role writer"):
                con.sql("CREATE TABLE t (id BIGINT)")
        with pytest.raises(ruvector.Unauthenticated):
            ruvector.connect(address, token=TOKEN[1:])
        with pytest.raises(ruvector.Unauthenticated):
            ruvector.connect(address)


def test_the_command_over_tls(server: Server) -> None:
    command = [
        RUVECTOR,
        "sql",
        "--remote",
        server.address,
        "--tls-ca",
        server.log.parent / "ca.pem",
        "--user",
        "reader",
    ]
    done = subprocess.run(
        [*command, "-c", "SELECT count(*) AS n FROM docs", "--format", "csv"],
        env={"RUVECTOR_PASSWORD": PASSWORD},
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "n\n3\n"), done.stderr
