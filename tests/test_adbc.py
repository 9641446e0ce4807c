"""The ADBC Flight SQL driver against the server: what pandas, polars, DuckDB and BI tools connect with."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

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


def test_many_rows_of_vectors(connection: adbc.Connection, name: str, vectors: Vectors) -> None:
    data, question = vectors(50, 8), vectors(1, 8)[0]
    run(connection, f"CREATE TABLE {name} (id BIGINT, vec FLOAT[8])")
    with connection.cursor() as cursor:
        cursor.executemany(f"INSERT INTO {name} VALUES (?, ?)", [(row, data[row].tolist()) for row in range(50)])
        assert cursor.rowcount == 50
        with pytest.raises(adbc.ProgrammingError, match="wrong dimension: row 1, expected 8, got 3"):
            cursor.executemany(f"INSERT INTO {name} VALUES (?, ?)", [(50, [0.0] * 8), (51, [0.0] * 3)])
    ids, _ = nearest(data, question, 5)
    found = fetch(connection, f"SELECT id FROM knn('{name}', ?, ?)", (question.tolist(), 5))
    assert [row[0] for row in found] == ids
    assert fetch(connection, f"SELECT count(*) FROM {name}") == [(50,)]


def test_many_updates_and_deletes(connection: adbc.Connection, name: str) -> None:
    run(connection, f"CREATE TABLE {name} AS SELECT value AS id FROM generate_series(1, 5)")
    with connection.cursor() as cursor:
        cursor.executemany(f"UPDATE {name} SET id = id + ? WHERE id = ?", [(10, 1), (10, 2), (10, 99)])
        assert cursor.rowcount == 2
        cursor.executemany(f"DELETE FROM {name} WHERE id = ?", pa.record_batch({"id": [3, 4]}))
        assert cursor.rowcount == 2
        cursor.executemany(f"DELETE FROM {name} WHERE id = ?", [])
    assert fetch(connection, f"SELECT id FROM {name} ORDER BY id") == [(5,), (11,), (12,)]


def test_a_statement_says_its_types_before_it_runs(connection: adbc.Connection, name: str) -> None:
    run(connection, f"CREATE TABLE {name} (id BIGINT, vec FLOAT[8])")
    vector = pa.list_(pa.float32(), 8)
    with connection.cursor() as cursor:
        assert cursor.adbc_prepare(f"INSERT INTO {name} VALUES (?, ?)").types == [pa.int64(), vector]
        assert cursor.adbc_prepare(f"SELECT id FROM knn('{name}', ?, ?)").types == [vector, pa.int64()]
        schema = cursor.adbc_execute_schema(f"SELECT vec, _distance FROM knn('{name}', [{', '.join(['0.0'] * 8)}], 1)")
    assert schema.names == ["vec", "_distance"]
    assert schema.field("vec").type == vector


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


def test_what_an_ingest_may_say_of_its_table(connection: adbc.Connection, name: str) -> None:
    one = pa.table({"id": [1]})
    with connection.cursor() as cursor:
        assert cursor.adbc_ingest(name, one, catalog_name="ruvector", db_schema_name="main") == 1
        with pytest.raises(adbc.NotSupportedError, match=r"expected ruvector\.main"):
            cursor.adbc_ingest(name, one, mode="append", db_schema_name="system")
        with pytest.raises(adbc.NotSupportedError, match="temporary tables are not supported"):
            cursor.adbc_ingest(f"{name}_temporary", one, temporary=True)
    assert fetch(connection, f"SELECT * FROM {name}") == [(1,)]


def test_a_vector_of_another_dimension_changes_nothing(connection: adbc.Connection, name: str) -> None:
    with connection.cursor() as cursor:
        cursor.adbc_ingest(name, docs(np.eye(3, dtype=np.float32)))
        with pytest.raises(adbc.ProgrammingError, match=r"(?s)3.*4|4.*3"):
            cursor.adbc_ingest(name, docs(np.eye(4, dtype=np.float32)), mode="append")
    assert fetch(connection, f"SELECT count(*) FROM {name}") == [(3,)]


def test_arrays_of_integers_and_texts_are_parameters(connection: adbc.Connection, name: str) -> None:
    odd = 2**53 + 1
    with connection.cursor() as cursor:
        cursor.adbc_ingest(name, pa.table({"id": [odd - 1, odd, odd + 1], "word": ["a", "b", "c"]}))
        assert fetch(connection, f"SELECT id FROM {name} WHERE id = ANY(?)", ([odd],)) == [(odd,)]
        assert fetch(connection, f"SELECT id FROM {name} WHERE word = ANY(?)", (["c", None],)) == [(odd + 1,)]
        cursor.execute(f"DELETE FROM {name} WHERE id = ANY(?)", ([odd, 0],))
        assert cursor.rowcount == 1


def test_rows_without_a_batch_are_refused_with_a_way_out(connection: adbc.Connection, name: str) -> None:
    schema = pa.schema([("id", pa.int64())])
    with connection.cursor() as cursor:
        # The driver sends nothing at all: neither the name nor the schema reaches the server.
        with pytest.raises(adbc.Error, match="send one batch without rows"):
            cursor.adbc_ingest(name, schema.empty_table())
        assert cursor.adbc_ingest(name, pa.RecordBatch.from_pylist([], schema)) == 0
    assert fetch(connection, f"SELECT count(*) FROM {name}") == [(0,)]


def test_settings_last_as_long_as_the_connection(address: str) -> None:
    options = {"adbc.flight.sql.rpc.with_cookie_middleware": "true"}
    with adbc.connect(address, db_kwargs=options, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("SET datafusion.execution.batch_size = 100")
        cursor.execute("SELECT value FROM generate_series(1, 1000)")
        assert cursor.fetch_arrow_table().column(0).num_chunks >= 10


def objects(connection: adbc.Connection, depth: str, **filters: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - as ADBC has them
    return connection.adbc_get_objects(depth=depth, **filters).read_all().to_pylist()


def test_tools_find_tables_and_columns(connection: adbc.Connection, name: str) -> None:
    run(connection, f"CREATE TABLE {name} (id BIGINT, word VARCHAR, vec FLOAT[8])")
    assert [catalog["catalog_name"] for catalog in objects(connection, "catalogs")] == ["ruvector"]
    (catalog,) = objects(connection, "db_schemas")
    assert {"main", "system"} <= {schema["db_schema_name"] for schema in catalog["catalog_db_schemas"]}
    (catalog,) = objects(connection, "all")
    found = {
        (schema["db_schema_name"], table["table_name"]): table
        for schema in catalog["catalog_db_schemas"]
        for table in schema["db_schema_tables"]
    }
    assert found["main", name]["table_type"] == "TABLE"
    assert [
        (column["ordinal_position"], column["column_name"], column["xdbc_type_name"])
        for column in found["main", name]["table_columns"]
    ] == [(1, "id", "BIGINT"), (2, "word", "VARCHAR"), (3, "vec", "FLOAT[8]")]
    assert found["main", name]["table_constraints"] == []
    assert found["system", "indexes"]["table_type"] == "SYSTEM TABLE"
    assert connection.adbc_get_table_types() == ["SYSTEM TABLE", "TABLE", "VIEW"]
    assert connection.adbc_get_table_schema(name).names == ["id", "word", "vec"]
    info = connection.adbc_get_info()
    assert info["vendor_name"].lower().startswith("ruvector")


def test_tools_filter_what_they_find(connection: adbc.Connection, name: str) -> None:
    run(connection, f"CREATE TABLE {name} (id BIGINT, vec FLOAT[8])")
    filters = {"catalog_filter": "ruvector", "db_schema_filter": "ma%", "table_types_filter": ["TABLE", "VIEW"]}
    (catalog,) = objects(connection, "all", table_name_filter=name, column_name_filter="v_c", **filters)
    (schema,) = catalog["catalog_db_schemas"]
    (table,) = schema["db_schema_tables"]
    assert table["table_name"] == name
    assert [column["column_name"] for column in table["table_columns"]] == ["vec"]
    assert objects(connection, "all", catalog_filter="elsewhere") == []


def test_a_statement_is_cancelled_while_it_runs(connection: adbc.Connection) -> None:
    start = time.monotonic()
    with connection.cursor() as cursor:
        timer = threading.Timer(0.3, cursor.adbc_cancel)
        timer.start()
        with pytest.raises(adbc.Error, match=r"(?i)cancel"):  # noqa: PT012 - it may come from either
            cursor.execute("SELECT sum(value % 7) FROM generate_series(1, 1000000000000)")
            cursor.fetchall()
        timer.join()
    assert time.monotonic() - start < 10
    assert fetch(connection, "SELECT 1") == [(1,)]


def test_rows_that_come_are_cancelled(connection: adbc.Connection) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT value FROM generate_series(1, 1000000000000)")
        assert cursor.fetchone() == (1,)
        cursor.adbc_cancel()
        with pytest.raises(adbc.Error, match=r"(?i)cancel"):
            cursor.fetchall()
    assert fetch(connection, "SELECT 1") == [(1,)]


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
