"""TLS, users, tokens and roles, with the clients that people have: pyarrow, ADBC and ruvector's own."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import adbc_driver_flightsql.dbapi as adbc
import pyarrow as pa
import pytest
from adbc_driver_flightsql import DatabaseOptions
from conftest import PASSWORD, RUVECTOR, SECONDS_MAX, TOKEN, Secured, serve
from pyarrow import flight

import ruvector

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def server(secured: Secured) -> Secured:
    return secured


def trusting(server: Secured) -> flight.FlightClient:
    return flight.FlightClient(server.address, tls_root_certs=server.ca.read_bytes())


def count(connection: adbc.Connection) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM docs")
        return cursor.fetchone()[0]


def test_adbc_with_a_password(server: Secured) -> None:
    with server.adbc(username="reader", password=PASSWORD) as connection:
        assert count(connection) == 3
        assert connection.adbc_get_table_schema("docs").names == ["id"]
        with connection.cursor() as cursor:
            with pytest.raises(adbc.Error, match="needs the role writer, and this session has the role reader"):
                cursor.execute("DELETE FROM docs")
            with pytest.raises(adbc.Error, match="needs the role writer"):
                cursor.adbc_ingest("docs", pa.table({"id": [4]}), mode="append")
        assert count(connection) == 3


def test_adbc_with_a_token(server: Secured) -> None:
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
def test_adbc_is_turned_away(server: Secured, options: dict[str, str]) -> None:
    def connect() -> int:
        with server.adbc(**options) as connection:
            return count(connection)

    with pytest.raises(adbc.Error, match=r"(?i)unauthenticated|sign-in failed|bearer token"):
        connect()


def sql(client: flight.FlightClient, options: flight.FlightCallOptions | None) -> Callable[[str], pa.Table]:
    return lambda statement: client.do_get(flight.Ticket(statement.encode()), options).read_all()


def test_pyarrow_with_a_password(server: Secured) -> None:
    with trusting(server) as client:
        header = client.authenticate_basic_token("reader", PASSWORD)
        read = sql(client, flight.FlightCallOptions(headers=[header]))
        assert read("SELECT id FROM docs ORDER BY id").to_pydict() == {"id": [1, 2, 3]}
        with pytest.raises(flight.FlightUnauthorizedError, match="needs the role writer"):
            read("DROP TABLE docs")
        with pytest.raises(flight.FlightUnauthenticatedError):
            sql(client, None)("SELECT 1")


def test_pyarrow_with_a_token(server: Secured) -> None:
    with trusting(server) as client:
        options = flight.FlightCallOptions(headers=[(b"authorization", f"Bearer {TOKEN}".encode())])
        assert sql(client, options)("SELECT 1 AS one").to_pydict() == {"one": [1]}


def test_pyarrow_with_a_wrong_password(server: Secured) -> None:
    with trusting(server) as client, pytest.raises(flight.FlightUnauthenticatedError, match="wrong user or password"):
        client.authenticate_basic_token("reader", "wrong")


def test_pyarrow_does_not_trust_everybody(server: Secured) -> None:
    with flight.FlightClient(server.address) as client, pytest.raises(pa.ArrowException):
        client.authenticate_basic_token("reader", PASSWORD)


def test_the_python_client_trusts_whom_it_is_told(server: Secured) -> None:
    with ruvector.connect(server.address, token=TOKEN, tls_root_certs=server.ca) as con:
        assert con.sql("SELECT count(*) FROM docs").fetchall() == [(3,)]
    with pytest.raises(ruvector.Unavailable):
        ruvector.connect(server.address, token=TOKEN)


def test_the_python_client_signs_in_with_a_password(server: Secured) -> None:
    with ruvector.connect(server.address, user="reader", password=PASSWORD, tls_root_certs=server.ca) as con:
        assert con.sql("SELECT count(*) FROM docs").fetchall() == [(3,)]
    with pytest.raises(ruvector.Unauthenticated, match="wrong user or password"):
        ruvector.connect(server.address, user="reader", password=PASSWORD[1:], tls_root_certs=server.ca)


def test_a_refusal_is_an_error_of_its_own_class(server: Secured, tmp_path: Path) -> None:
    users = server.log.parent / "users.toml"
    with serve(tmp_path / "data", "--auth-users", users) as address:
        with ruvector.connect(address, token=TOKEN) as con:
            assert con.sql("SELECT 1 AS one").to_arrow().to_pydict() == {"one": [1]}
            with pytest.raises(ruvector.PermissionDenied, match="needs the role writer"):
                con.sql("CREATE TABLE t (id BIGINT)")
        with pytest.raises(ruvector.Unauthenticated):
            ruvector.connect(address, token=TOKEN[1:])
        with pytest.raises(ruvector.Unauthenticated):
            ruvector.connect(address)


def test_the_command_over_tls(server: Secured) -> None:
    command = [
        RUVECTOR,
        "sql",
        "--remote",
        server.address,
        "--tls-ca",
        server.ca,
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
