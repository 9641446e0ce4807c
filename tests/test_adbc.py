"""The ADBC Flight SQL driver against the server: what pandas, polars, DuckDB and BI tools connect with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import adbc_driver_flightsql.dbapi as adbc
import numpy as np
import pyarrow as pa
import pytest
from conftest import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Vectors = Callable[..., np.ndarray]


@pytest.fixture
def connection(address: str) -> Iterator[adbc.Connection]:
    with adbc.connect(address, autocommit=True) as connection:
        yield connection


def fetch(connection: adbc.Connection, sql: str, parameters: object = None) -> list[tuple[object, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchall()


def run(connection: adbc.Connection, sql: str, parameters: object = None) -> int:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.rowcount


def docs(vectors: np.ndarray) -> pa.Table:
    vec = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1])
    return pa.table({"id": pa.array(np.arange(len(vectors))), "vec": vec})


def test_a_statement_runs_without_a_fetch_and_once(connection: adbc.Connection, name: str) -> None:
    run(connection, f"CREATE TABLE {name} (id BIGINT, word VARCHAR)")
    run(connection, f"INSERT INTO {name} VALUES (1, 'a')")
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {name} VALUES (2, 'b'), (3, 'c')")
        cursor.fetchall()
    assert fetch(connection, f"SELECT id FROM {name} ORDER BY id") == [(1,), (2,), (3,)]


def test_many_rows_of_parameters(connection: adbc.Connection, name: str) -> None:
    columns = ", ".join(f"c{number} BIGINT" for number in range(12))
    run(connection, f"CREATE TABLE {name} ({columns})")
    wanted = [tuple(range(row, row + 12)) for row in range(5)]
    with connection.cursor() as cursor:
        cursor.executemany(f"INSERT INTO {name} VALUES ({', '.join('?' * 12)})", wanted)
        assert cursor.rowcount == 5
    assert fetch(connection, f"SELECT * FROM {name} ORDER BY c0") == wanted


def test_parameters_of_a_query(connection: adbc.Connection) -> None:
    assert fetch(connection, "SELECT ? + 1 AS x, ? AS y", (1, "it's")) == [(2, "it's")]


def test_a_script_runs_statement_by_statement(connection: adbc.Connection, name: str) -> None:
    with connection.cursor() as cursor:
        cursor.executescript(f"CREATE TABLE {name} (id BIGINT); INSERT INTO {name} VALUES (1); ")
    assert fetch(connection, f"SELECT count(*) FROM {name}") == [(1,)]


def test_ingest_and_knn(connection: adbc.Connection, name: str, vectors: Vectors) -> None:
    data, question = vectors(1000, 8), vectors(1, 8)[0]
    with connection.cursor() as cursor:
        assert cursor.adbc_ingest(name, docs(data[:500])) == 500
        assert cursor.adbc_ingest(name, docs(data[500:]).to_reader(max_chunksize=77), mode="append") == 500
    run(connection, f"CREATE INDEX {name}_vec ON {name} USING rabitq_plus (vec)")
    ids, distances = nearest(data, question, 10)
    literal = ", ".join(repr(float(x)) for x in question)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT id, _distance FROM knn('{name}', [{literal}], 10)")
        answer = cursor.fetch_arrow_table()
    assert answer["id"].to_pylist() == [row % 500 for row in ids]
    np.testing.assert_allclose(answer["_distance"].to_numpy(), distances, rtol=1e-5)


def test_the_modes_of_ingest(connection: adbc.Connection, name: str) -> None:
    def ingest(value: int, mode: str) -> None:
        with connection.cursor() as cursor:
            assert cursor.adbc_ingest(name, pa.table({"id": [value]}), mode=mode) == 1

    def ids() -> list[object]:
        return [row[0] for row in fetch(connection, f"SELECT id FROM {name} ORDER BY id")]

    with pytest.raises(adbc.Error, match=name):
        ingest(0, "append")
    ingest(1, "create")
    with pytest.raises(adbc.Error, match=name):
        ingest(2, "create")
    ingest(3, "append")
    ingest(4, "create_append")
    assert ids() == [1, 3, 4]
    ingest(5, "replace")
    assert ids() == [5]


def test_a_vector_of_another_dimension_changes_nothing(connection: adbc.Connection, name: str) -> None:
    with connection.cursor() as cursor:
        cursor.adbc_ingest(name, docs(np.eye(3, dtype=np.float32)))
        with pytest.raises(adbc.ProgrammingError, match=r"(?s)3.*4|4.*3"):
            cursor.adbc_ingest(name, docs(np.eye(4, dtype=np.float32)), mode="append")
    assert fetch(connection, f"SELECT count(*) FROM {name}") == [(3,)]


def test_settings_last_as_long_as_the_connection(address: str) -> None:
    options = {"adbc.flight.sql.rpc.with_cookie_middleware": "true"}
    with adbc.connect(address, db_kwargs=options, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("SET datafusion.execution.batch_size = 100")
        cursor.execute("SELECT value FROM generate_series(1, 1000)")
        assert cursor.fetch_arrow_table().column(0).num_chunks >= 10


def test_tools_find_tables_and_columns(connection: adbc.Connection, name: str) -> None:
    run(connection, f"CREATE TABLE {name} (id BIGINT, vec FLOAT[8])")
    assert name in {
        table["table_name"]
        for catalog in connection.adbc_get_objects(depth="all").read_all().to_pylist()
        for schema in catalog["catalog_db_schemas"]
        for table in schema["db_schema_tables"]
    }
    assert connection.adbc_get_table_schema(name).names == ["id", "vec"]
    info = connection.adbc_get_info()
    assert info["vendor_name"].lower().startswith("ruvector")


@pytest.mark.parametrize(
    ("sql", "error"),
    [
        ("SELECT * FROM nowhere", adbc.ProgrammingError),
        ("SELECT l2_distance([1.0, 2.0], [1.0])", adbc.ProgrammingError),
        ("SELEC 1", adbc.ProgrammingError),
    ],
)
def test_an_error_is_a_database_error(connection: adbc.Connection, sql: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        fetch(connection, sql)
    assert fetch(connection, "SELECT 1") == [(1,)]
