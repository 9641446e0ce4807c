"""Plain pyarrow against the server: what a program has that knows Flight SQL, and nothing of ruvector."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest
from conftest import nearest
from pyarrow import flight

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Vectors = Callable[..., np.ndarray]


@pytest.fixture
def client(address: str) -> Iterator[flight.FlightClient]:
    with flight.FlightClient(address) as client:
        yield client


# Flight SQL, spoken by hand: every message is an `Any` of length-delimited fields.


def field(number: int, value: bytes) -> bytes:
    length, out = len(value), bytearray([number << 3 | 2])
    while length > 0x7F:
        out.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes(out) + bytes([length]) + value


def command(name: str, *fields: bytes) -> bytes:
    return field(1, f"type.googleapis.com/arrow.flight.protocol.sql.{name}".encode()) + field(2, b"".join(fields))


def query(sql: str) -> flight.FlightDescriptor:
    return flight.FlightDescriptor.for_command(command("CommandStatementQuery", field(1, sql.encode())))


def rows(client: flight.FlightClient, sql: str) -> pa.Table:
    info = client.get_flight_info(query(sql))
    table = pa.concat_tables(client.do_get(endpoint.ticket).read_all() for endpoint in info.endpoints)
    assert table.schema == info.schema, "the schema that was announced is the schema that came"
    return table


def update(client: flight.FlightClient, sql: str) -> int:
    message = command("CommandStatementUpdate", field(1, sql.encode()))
    writer, reader = client.do_put(flight.FlightDescriptor.for_command(message), pa.schema([]))
    with writer:
        writer.done_writing()
        answer = reader.read().to_pybytes()
    if not answer:
        return 0
    assert answer[0] == 1 << 3
    return sum((byte & 0x7F) << 7 * at for at, byte in enumerate(answer[1:]))


def test_a_query_answers_with_arrow(client: flight.FlightClient) -> None:
    assert rows(client, "SELECT 1 AS id, 'a' AS word").to_pylist() == [{"id": 1, "word": "a"}]


def test_an_update_answers_with_a_count(client: flight.FlightClient, name: str) -> None:
    assert update(client, f"CREATE TABLE {name} (id BIGINT, vec FLOAT[2])") == 0
    assert update(client, f"INSERT INTO {name} VALUES (1, [0.0, 1.0]), (2, [1.0, 0.0])") == 2
    table = rows(client, f"SELECT id, vec FROM {name} ORDER BY id")
    assert table.schema.field("vec").type == pa.list_(pa.float32(), 2)
    assert table.to_pydict() == {"id": [1, 2], "vec": [[0.0, 1.0], [1.0, 0.0]]}


def test_a_statement_on_the_query_path_runs_once_and_without_a_fetch(client: flight.FlightClient, name: str) -> None:
    client.get_flight_info(query(f"CREATE TABLE {name} (id BIGINT)"))
    info = client.get_flight_info(query(f"INSERT INTO {name} VALUES (1)"))
    for _ in range(2):
        for endpoint in info.endpoints:
            client.do_get(endpoint.ticket).read_all()
    assert rows(client, f"SELECT count(*) AS n FROM {name}").to_pydict() == {"n": [1]}


def test_knn_is_exact(client: flight.FlightClient, name: str, vectors: Vectors) -> None:
    data, question = vectors(1000, 8), vectors(1, 8)[0]
    update(client, f"CREATE TABLE {name} (id BIGINT, vec FLOAT[8])")
    # A path as descriptor appends to the table of that name: plain Flight, without Flight SQL.
    vec = pa.FixedSizeListArray.from_arrays(pa.array(data.reshape(-1)), 8)
    table = pa.table({"id": pa.array(np.arange(len(data))), "vec": vec})
    writer, _ = client.do_put(flight.FlightDescriptor.for_path(name), table.schema)
    with writer:
        writer.write_table(table)
    update(client, f"CREATE INDEX {name}_vec ON {name} USING rabitq_plus (vec)")

    ids, distances = nearest(data, question, 10)
    literal = ", ".join(repr(float(x)) for x in question)
    answer = rows(client, f"SELECT id, _distance FROM knn('{name}', [{literal}], 10)")
    assert answer["id"].to_pylist() == ids
    np.testing.assert_allclose(answer["_distance"].to_numpy(), distances, rtol=1e-5)


def test_sql_may_stand_alone_in_a_descriptor_or_ticket(client: flight.FlightClient) -> None:
    info = client.get_flight_info(flight.FlightDescriptor.for_command("SELECT 7 AS x"))
    assert client.do_get(info.endpoints[0].ticket).read_all().to_pydict() == {"x": [7]}
    assert client.do_get(flight.Ticket("SELECT 8 AS x")).read_all().to_pydict() == {"x": [8]}


def test_tables_are_listed_with_their_schemas(client: flight.FlightClient, name: str) -> None:
    update(client, f"CREATE TABLE {name} (id BIGINT, vec FLOAT[2])")
    listed = {info.descriptor.path[-1].decode(): info.schema for info in client.list_flights()}
    assert listed[name].names == ["id", "vec"]
    assert client.get_schema(query(f"SELECT vec FROM {name}")).schema.field("vec").type == pa.list_(pa.float32(), 2)


@pytest.mark.parametrize(
    ("sql", "error", "message"),
    [
        ("SELECT * FROM nowhere", pa.ArrowKeyError, "not found error.*nowhere"),
        ("SELECT l2_distance([1.0, 2.0], [1.0])", pa.ArrowInvalid, "invalid argument error.*expected"),
        ("SELEC 1", pa.ArrowInvalid, "invalid argument error"),
    ],
)
def test_an_error_has_its_status(client: flight.FlightClient, sql: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        rows(client, sql)
    assert rows(client, "SELECT 1 AS x").num_rows == 1


def test_bytes_that_are_no_command_are_refused(client: flight.FlightClient) -> None:
    with pytest.raises(pa.ArrowInvalid):
        client.get_flight_info(flight.FlightDescriptor.for_command(b"\xff\xfe\x00"))
    with pytest.raises(pa.ArrowInvalid):
        client.do_get(flight.Ticket(b"\xff\xfe\x00")).read_all()
