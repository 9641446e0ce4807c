"""pandas, polars and DuckDB against the server, each over ADBC: frames out, frames in, and searches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import adbc_driver_flightsql.dbapi as adbc
import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from conftest import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Vectors = Callable[..., np.ndarray]

DIM = 8


@pytest.fixture
def connection(address: str) -> Iterator[adbc.Connection]:
    with adbc.connect(address, autocommit=True) as connection:
        yield connection


def run(connection: adbc.Connection, sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


def knn(table: str, question: np.ndarray, k: int) -> str:
    return f"SELECT id, _distance FROM knn('{table}', [{', '.join(repr(float(x)) for x in question)}], {k})"


# pandas


FRAME = pd.DataFrame(
    {
        "id": [1, 2, 3],
        "word": ["a", None, "ü"],
        "price": [1.5, 2.5, np.nan],
        "day": pd.to_datetime(["2026-01-01", "2026-01-02", None]),
        "ok": [True, False, True],
    }
)


def test_a_pandas_frame_comes_back(connection: adbc.Connection, name: str) -> None:
    assert FRAME.to_sql(name, connection, index=False) == 3
    back = pd.read_sql(f"SELECT * FROM {name} ORDER BY id", connection)
    pd.testing.assert_frame_equal(back, FRAME, check_dtype=False)
    assert {column: str(back.dtypes[column]) for column in ["id", "price", "day", "ok"]} == {
        "id": "int64",
        "price": "float64",
        "day": "datetime64[us]",
        "ok": "bool",
    }
    assert len(pd.read_sql(name, connection)) == 3, "a table's name stands for all of it"


def test_pandas_keeps_the_types_of_arrow(connection: adbc.Connection, name: str) -> None:
    run(connection, f"CREATE TABLE {name} (id INT, price DECIMAL(10, 2), vec FLOAT[2])")
    run(connection, f"INSERT INTO {name} VALUES (NULL, 1.25, [0.0, 1.0])")
    back = pd.read_sql(f"SELECT * FROM {name}", connection, dtype_backend="pyarrow")
    types = [dtype.pyarrow_dtype for dtype in back.dtypes]
    assert types == [pa.int32(), pa.decimal128(10, 2), pa.list_(pa.float32(), 2)]
    assert back["id"].isna().all()


def test_the_modes_of_to_sql(connection: adbc.Connection, name: str) -> None:
    FRAME.to_sql(name, connection, index=False)
    with pytest.raises(ValueError, match=name):
        FRAME.to_sql(name, connection, index=False)
    FRAME.to_sql(name, connection, index=False, if_exists="append")
    assert len(pd.read_sql(name, connection)) == 6
    FRAME[:1].to_sql(name, connection, index=False, if_exists="replace")
    assert len(pd.read_sql(name, connection)) == 1


def test_pandas_knn_is_exact(connection: adbc.Connection, name: str, vectors: Vectors) -> None:
    data, question = vectors(500, DIM), vectors(1, DIM)[0]
    # A frame cannot say how long its lists are, so the table does.
    run(connection, f"CREATE TABLE {name} (id BIGINT, vec FLOAT[{DIM}])")
    frame = pd.DataFrame({"id": np.arange(len(data)), "vec": list(data)})
    assert frame.to_sql(name, connection, index=False, if_exists="append") == 500
    run(connection, f"CREATE INDEX {name}_vec ON {name} USING rabitq_plus (vec)")
    ids, distances = nearest(data, question, 10)
    answer = pd.read_sql(knn(name, question, 10), connection)
    assert answer["id"].tolist() == ids
    np.testing.assert_allclose(answer["_distance"], distances, rtol=1e-5)
    stored = pd.read_sql(f"SELECT vec FROM {name} ORDER BY id", connection)["vec"]
    np.testing.assert_array_equal(np.stack(stored.to_numpy()), data)


def test_an_error_of_pandas_has_the_servers_message(connection: adbc.Connection) -> None:
    with pytest.raises(pd.errors.DatabaseError, match="nowhere' not found"):
        pd.read_sql("SELECT * FROM nowhere", connection)


# polars


def test_a_polars_frame_comes_back(connection: adbc.Connection, name: str, vectors: Vectors) -> None:
    frame = pl.from_pandas(FRAME).with_columns(pl.Series("vec", vectors(3, DIM)))
    assert frame.write_database(name, connection, engine="adbc") == 3
    back = pl.read_database(f"SELECT * FROM {name} ORDER BY id", connection)
    assert back.equals(frame)
    assert back.schema["vec"] == pl.Array(pl.Float32, DIM)


def test_the_modes_of_write_database(connection: adbc.Connection, name: str) -> None:
    frame = pl.DataFrame({"id": [1, 2]})
    frame.write_database(name, connection, engine="adbc")
    with pytest.raises(adbc.Error, match=name):
        frame.write_database(name, connection, engine="adbc", if_table_exists="fail")
    frame.write_database(name, connection, engine="adbc", if_table_exists="append")
    assert len(pl.read_database(f"SELECT * FROM {name}", connection)) == 4
    frame.write_database(name, connection, engine="adbc", if_table_exists="replace")
    assert len(pl.read_database(f"SELECT * FROM {name}", connection)) == 2


def test_polars_knn_is_exact(connection: adbc.Connection, name: str, vectors: Vectors) -> None:
    data, question = vectors(500, DIM), vectors(1, DIM)[0]
    frame = pl.DataFrame({"id": np.arange(len(data)), "vec": data})
    frame.write_database(name, connection, engine="adbc")
    run(connection, f"CREATE INDEX {name}_vec ON {name} USING rabitq_plus (vec)")
    ids, distances = nearest(data, question, 10)
    parameters = {"parameters": [question.tolist(), 10]}
    sql = f"SELECT id, _distance FROM knn('{name}', ?, ?)"
    answer = pl.read_database(sql, connection, execute_options=parameters)
    assert answer["id"].to_list() == ids
    np.testing.assert_allclose(answer["_distance"].to_numpy(), distances, rtol=1e-5)
    assert pl.read_database(knn(name, question, 10), connection).equals(answer)


def test_polars_reads_batch_by_batch(connection: adbc.Connection) -> None:
    batches = pl.read_database("SELECT value FROM generate_series(1, 20000)", connection, iter_batches=True)
    lengths = [len(batch) for batch in batches]
    assert sum(lengths) == 20_000
    assert len(lengths) > 1


# DuckDB, which reads and makes streams of Arrow batches


def test_duckdb_joins_what_a_search_found(connection: adbc.Connection, name: str, vectors: Vectors) -> None:
    data, question = vectors(500, DIM), vectors(1, DIM)[0]
    ids, distances = nearest(data, question, 10)
    with duckdb.connect() as duck, connection.cursor() as cursor:
        duck.execute("CREATE TABLE words AS SELECT i AS id, 'word ' || i AS word FROM range(500) AS t (i)")
        duck.register("data", pa.table({"id": np.arange(len(data)), "vec": list(data)}))
        reader = duck.sql(f"SELECT id, vec::FLOAT[{DIM}] AS vec FROM data").to_arrow_reader(100)
        assert cursor.adbc_ingest(name, reader) == 500
        cursor.execute(knn(name, question, 10))
        found = cursor.fetch_record_batch()
        duck.register("found", found)
        rows = duck.sql("SELECT id, word, _distance FROM found JOIN words USING (id) ORDER BY _distance").fetchall()
    assert [(row[0], row[1]) for row in rows] == [(row, f"word {row}") for row in ids]
    np.testing.assert_allclose([row[2] for row in rows], distances, rtol=1e-5)


def test_duckdb_searches_vectors_of_the_server(connection: adbc.Connection, name: str, vectors: Vectors) -> None:
    data, question = vectors(500, DIM), vectors(1, DIM)[0]
    with duckdb.connect() as duck, connection.cursor() as cursor:
        pl.DataFrame({"id": np.arange(len(data)), "vec": data}).write_database(name, connection, engine="adbc")
        cursor.execute(f"SELECT id, vec FROM {name}")
        duck.register("docs", cursor.fetch_record_batch())
        sql = f"SELECT id FROM docs ORDER BY array_distance(vec, $1::FLOAT[{DIM}]) LIMIT 10"
        rows = duck.execute(sql, [question.tolist()]).fetchall()
    assert [row[0] for row in rows] == nearest(data, question, 10)[0]
