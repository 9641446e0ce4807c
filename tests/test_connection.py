"""What a connection promises, asked of the engine in this process and of a server."""

from __future__ import annotations

import datetime as dt
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from conftest import nearest, serve

import ruvector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Vectors = Callable[..., np.ndarray]

DIM = 16


# Statements and their answers


def test_rows_become_arrow_pandas_polars_numpy_and_tuples(con: ruvector.Connection) -> None:
    result = con.sql("SELECT 1 AS id, 'a' AS word UNION ALL SELECT 2, NULL ORDER BY id")
    assert result.rows_affected is None
    assert result.schema.names == ["id", "word"]
    assert result.to_arrow().to_pydict() == {"id": [1, 2], "word": ["a", None]}
    assert result.to_pandas()["id"].tolist() == [1, 2]
    assert result.to_polars().rows() == [(1, "a"), (2, None)]
    assert result.to_numpy("id").tolist() == [1, 2]
    assert result.fetchall() == [(1, "a"), (2, None)]


def test_a_statement_that_changes_something_answers_with_a_count(con: ruvector.Connection, name: str) -> None:
    assert con.sql(f"CREATE TABLE {name} (id BIGINT)").rows_affected == 0
    inserted = con.sql(f"INSERT INTO {name} VALUES (1), (2), (3)")
    assert inserted.rows_affected == 3
    assert inserted.to_arrow().to_pydict() == {"count": [3]}
    assert con.sql(f"SELECT count(*) FROM {name}").fetchall() == [(3,)]


def test_vectors_become_a_matrix(con: ruvector.Connection, name: str, vectors: Vectors) -> None:
    data = vectors(5, 3)
    con.ingest(name, {"id": np.arange(5), "vec": data})
    result = con.sql(f"SELECT vec FROM {name} ORDER BY id")
    assert result.schema.field("vec").type == pa.list_(pa.float32(), 3)
    np.testing.assert_array_equal(result.to_numpy("vec"), data)
    assert result.to_numpy("vec").dtype == np.float32
    assert con.sql(f"SELECT vec FROM {name} WHERE id < 0").to_numpy("vec").shape == (0, 3)
    with pytest.raises(ruvector.NotFound, match="expected one of vec, got 'x'"):
        result.to_numpy("x")


def test_rows_are_streamed_once(con: ruvector.Connection) -> None:
    result = con.sql("SELECT 1 AS id")
    assert pa.table(result).to_pydict() == {"id": [1]}
    with pytest.raises(ruvector.RuVectorError, match="spent"):
        result.to_arrow()
    assert "stream" in repr(result)


def test_rows_that_were_kept_are_streamed_again(con: ruvector.Connection) -> None:
    result = con.sql("SELECT 1 AS id")
    assert result.fetchall() == [(1,)]
    assert pl.DataFrame(result).rows() == [(1,)]
    assert pa.table(result).to_pydict() == {"id": [1]}


def test_repr_shows_the_first_rows(con: ruvector.Connection, name: str) -> None:
    con.ingest(name, {"id": list(range(25)), "word": ["x" * 100] * 25})
    lines = repr(con.sql(f"SELECT * FROM {name} ORDER BY id")).splitlines()
    assert lines[0].split() == ["id", "word"]
    assert len(lines) == 13
    assert lines[2].startswith("0   xxx")
    assert lines[2].endswith("...")
    assert lines[-1] == "(first 10 rows)"
    assert repr(con.sql("SELECT 1 AS id WHERE false")).splitlines()[-1] == "(0 rows)"


# Parameters


@pytest.mark.parametrize(
    "value",
    [
        7,
        -(2**63),
        0.5,
        "it's",
        "",
        True,
        None,
        b"\x00\xff",
        Decimal("1.50"),
        dt.date(2024, 5, 27),
        dt.datetime(2024, 5, 27, 12, 30, 1, 5, tzinfo=dt.timezone.utc),
        np.int64(3),
        np.float64(2.5),
        pa.scalar(3, pa.int8()),
    ],
    ids=repr,
)
def test_a_parameter_keeps_its_value(con: ruvector.Connection, value: object) -> None:
    expected = value.as_py() if isinstance(value, pa.Scalar) else value
    ((answer,),) = con.sql("SELECT $1 AS v", [value]).fetchall()
    assert answer == expected


def test_parameters_are_taken_in_order(con: ruvector.Connection) -> None:
    numbers = list(range(12))
    query = "SELECT " + ", ".join("?" for _ in numbers)
    assert con.sql(query, numbers).fetchall() == [tuple(numbers)]
    assert con.sql("SELECT $2 AS a, $1 AS b", ["x", "y"]).fetchall() == [("y", "x")]


class ByArray:
    """A tensor that NumPy reads."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    def __array__(self, dtype: object = None, copy: object = None) -> np.ndarray:
        """Return the array."""
        return self.array


class ByDlpack:
    """A tensor of the other protocol."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    def __dlpack__(self, **options: object) -> object:
        """Return a capsule of the array."""
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        """Return the device of the array."""
        return self.array.__dlpack_device__()


FLOATS = np.array([3, 4], np.float32)
VECTORS = {
    "floats": [3.0, 4.0],
    "integers": (3, 4),
    "both": [3, 4.0],
    "float32": FLOATS,
    "float16": FLOATS.astype(np.float16),
    "float64": FLOATS.astype(np.float64),
    "big endian": FLOATS.astype(">f4"),
    "strided": np.array([3, 0, 4], np.float32)[::2],
    "int32": FLOATS.astype(np.int32),
    "uint8": FLOATS.astype(np.uint8),
    "scalars": list(FLOATS),
    "pandas": pd.Series([3.0, 4.0]),
    "polars": pl.Series([3, 4]),
    "polars float32": pl.Series(FLOATS),
    "arrow": pa.array([3.0, 4.0]),
    "chunks": pa.chunked_array([[3], [4]]),
    "scalar": pa.scalar([3.0, 4.0], pa.list_(pa.float32(), 2)),
    "tensor": ByArray(FLOATS),
    "dlpack": ByDlpack(FLOATS.astype(np.float64)),
}


@pytest.mark.parametrize("vector", VECTORS.values(), ids=VECTORS)
def test_numbers_are_a_vector_where_one_stands(con: ruvector.Connection, name: str, vector: object) -> None:
    con.ingest(name, {"id": [1, 2], "vec": [[0.0, 0.0], [9.0, 9.0]]})
    assert con.sql(f"INSERT INTO {name} VALUES (3, $1)", [vector]).rows_affected == 1
    assert con.sql(f"UPDATE {name} SET vec = $1 WHERE id = $2", [vector, 2]).rows_affected == 1
    for query, expected in {
        f"SELECT l2_distance(vec, $1) FROM {name} WHERE id = 1": [(5.0,)],
        f"SELECT id, _distance FROM knn('{name}', $1, 3) ORDER BY _distance, id": [(2, 0.0), (3, 0.0), (1, 5.0)],
        f"SELECT id FROM {name} ORDER BY l2_distance(vec, $1) DESC LIMIT 1": [(1,)],
        f"SELECT count(*) FROM {name} WHERE vec <-> $1 < 1": [(2,)],
        f"SELECT id FROM knn('{name}', CAST($1 AS FLOAT[2]), 1) WHERE id = 1": [(1,)],
    }.items():
        # Twice: a search keeps its plan.
        for _ in range(2):
            assert con.sql(query, [vector]).fetchall() == expected, query


# The first integers that a float32 and a float64 have not.
BEYOND_FLOAT, BEYOND_DOUBLE = 2**24 + 1, 2**53 + 1


@pytest.mark.parametrize("odd", [BEYOND_FLOAT, BEYOND_DOUBLE])
@pytest.mark.parametrize(
    "of",
    [list, tuple, np.array, pd.Series, pl.Series, pa.array, lambda ids: ByArray(np.array(ids, np.uint64))],
    ids=["list", "tuple", "numpy", "pandas", "polars", "arrow", "tensor"],
)
def test_integers_stay_integers(con: ruvector.Connection, name: str, of: Callable[..., object], odd: int) -> None:
    con.ingest(name, {"id": [odd - 1, odd, odd + 1, odd + 2]})
    wanted = of([odd, odd + 2])
    for condition in ["id = ANY($1)", "array_has($1, id)", "NOT id <> ALL($1)"]:
        found = con.sql(f"SELECT id FROM {name} WHERE {condition} ORDER BY id", [wanted]).fetchall()
        assert found == [(odd,), (odd + 2,)], condition
    assert con.sql(f"UPDATE {name} SET id = -id WHERE id = ANY($1)", [of([odd])]).rows_affected == 1
    assert con.sql(f"DELETE FROM {name} WHERE id = ANY($1)", [wanted]).rows_affected == 1
    assert con.sql(f"SELECT id FROM {name} ORDER BY id").fetchall() == [(-odd,), (odd - 1,), (odd + 1,)]
    con.sql(f"CREATE TABLE {name}_lists (ids BIGINT[])")
    con.sql(f"INSERT INTO {name}_lists VALUES ($1)", [wanted])
    assert con.sql(f"SELECT ids FROM {name}_lists").fetchall() == [([odd, odd + 2],)]
    assert con.sql("SELECT $1 AS ids", [wanted]).fetchall() == [([odd, odd + 2],)]


def test_no_float_equals_an_integer_beside_it(con: ruvector.Connection, name: str) -> None:
    con.ingest(name, {"id": [1, 2], "x": [0.1, 0.5]})
    assert con.sql(f"SELECT id FROM {name} WHERE id = ANY($1)", [[1.5, 2.0]]).fetchall() == [(2,)]
    # 0.1 is another number in float32.
    assert con.sql(f"SELECT id FROM {name} WHERE x = ANY($1)", [[0.1]]).fetchall() == [(1,)]
    assert con.sql(f"DELETE FROM {name} WHERE x = ANY($1)", [[0.1]]).rows_affected == 1


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (["a", None, "it's"], ["a", "it's"]),
        (np.array(["a", "it's"]), ["a", "it's"]),
        (pd.Series(["a", None]), ["a"]),
        (pl.Series(["b"]), ["b"]),
        ([], []),
        ([None], []),
    ],
    ids=repr,
)
def test_texts_are_an_array(con: ruvector.Connection, name: str, value: object, found: list[str]) -> None:
    con.ingest(name, {"word": ["a", "b", "it's", None]})
    query = f"SELECT word FROM {name} WHERE word = ANY($1) ORDER BY word"
    assert [word for (word,) in con.sql(query, [value]).fetchall()] == found


@pytest.mark.parametrize(
    "value",
    [
        [True, None, False],
        [1, None, 3],
        [0.5, None],
        [dt.date(2024, 5, 27), None],
        [Decimal("1.50"), Decimal("2.25")],
        [[1, 2], [3], None],
        [["a"], []],
        [b"\x00\xff"],
    ],
    ids=repr,
)
def test_an_array_keeps_its_values(con: ruvector.Connection, value: list[object]) -> None:
    assert con.sql("SELECT $1 AS v", [value]).fetchall() == [(value,)]


@pytest.mark.parametrize(
    "of",
    [lambda rows: rows, lambda rows: [ByArray(row) for row in rows], lambda rows: rows.astype(np.float64), list],
    ids=["matrix", "list of tensors", "float64", "list of rows"],
)
def test_a_matrix_is_several_vectors(con: ruvector.Connection, name: str, vectors: Vectors, of: Callable) -> None:
    data, queries = vectors(50, 3), vectors(4, 3)
    con.ingest(name, {"id": np.arange(50), "vec": data})
    query = f"SELECT query_index, id FROM knn_batch('{name}', $1, 1) ORDER BY query_index"
    expected = [(number, nearest(data, row, 1)[0][0]) for number, row in enumerate(queries)]
    for _ in range(2):
        assert con.sql(query, [of(queries)]).fetchall() == expected
    with pytest.raises(ruvector.InvalidInput, match=r"expected one vector of 3 numbers.*knn_batch"):
        con.sql(f"SELECT id FROM knn('{name}', $1, 1)", [of(queries)]).to_arrow()


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (
            [1, np.zeros((2, 2, 2))],
            r"parameter \$2: .*expected an array of one or two dimensions, got shape \(2, 2, 2\)",
        ),
        ([object()], r"parameter \$1: expected a value with an Arrow type, got object"),
        ([2**63], r"parameter \$1: expected a value with an Arrow type, got int"),
        ([[1, 2**63]], r"parameter \$1: expected a value with an Arrow type, got list"),
        ([np.array([2**63], np.uint64)], r"parameter \$1: expected a value with an Arrow type, got ndarray"),
        ([[2**53 + 1, 0.5]], r"parameter \$1: expected a value with an Arrow type, got list"),
        ([["a", 1]], r"parameter \$1: expected a value with an Arrow type, got list"),
        ("text", r"params: expected a list of values, got str: con.sql\(query, \[value\]\)"),
        (7, r"params: expected a list of values, got int: con.sql\(query, \[value\]\)"),
        (np.zeros(3), r"params: expected a list of values, got ndarray: con.sql\(query, \[vector\]\)"),
        (pd.Series([1.0]), r"params: expected a list of values, got Series: con.sql\(query, \[vector\]\)"),
        ({"a": 1}, r"params: expected a list of values in the order of \$1, \$2, ..., got dict"),
        (
            [0.5, 1, 2.5],
            r"parameters: expected 1, got 3: a vector is one parameter, as in con.sql\(query, \[vector\]\)",
        ),
        (["a", "b"], "parameters: expected 1, got 2$"),
        ([], "parameters: expected 1, got 0$"),
    ],
)
def test_a_bad_parameter_is_named(con: ruvector.Connection, params: object, message: str) -> None:
    with pytest.raises(ruvector.InvalidInput, match=message):
        con.sql("SELECT $1", params)  # type: ignore[arg-type]


# Searching


def test_knn_is_exact(con: ruvector.Connection, name: str, vectors: Vectors) -> None:
    data, queries = vectors(2000, DIM), vectors(10, DIM)
    con.ingest(name, {"id": np.arange(len(data)), "vec": data})
    con.sql(f"CREATE INDEX {name}_vec ON {name} USING rabitq_plus (vec)")
    for query in queries:
        ids, distances = nearest(data, query, 10)
        answer = con.sql(f"SELECT id, _distance FROM knn('{name}', $1, 10)", [query])
        assert answer.to_numpy("id").tolist() == ids
        np.testing.assert_allclose(answer.to_numpy("_distance"), distances, rtol=1e-5)


def test_knn_needs_no_index(con: ruvector.Connection, name: str, vectors: Vectors) -> None:
    data = vectors(300, DIM)
    con.ingest(name, {"id": np.arange(len(data)), "vec": data})
    ids, _ = nearest(data, data[7], 5)
    assert con.sql(f"SELECT id FROM knn('{name}', $1, 5)", [data[7]]).to_numpy("id").tolist() == ids


def test_a_filter_still_gives_k_rows(con: ruvector.Connection, name: str, vectors: Vectors) -> None:
    data, query = vectors(2000, DIM), vectors(1, DIM)[0]
    con.ingest(name, {"id": np.arange(len(data)), "vec": data})
    con.sql(f"CREATE INDEX {name}_vec ON {name} USING rabitq_plus (vec)")
    rare = np.arange(0, len(data), 100)
    ids, _ = nearest(data[rare], query, 10)
    answer = con.sql(f"SELECT id FROM knn('{name}', $1, 10) WHERE id % 100 = 0", [query])
    assert answer.to_numpy("id").tolist() == rare[ids].tolist()


def test_order_by_distance_is_exact(con: ruvector.Connection, name: str, vectors: Vectors) -> None:
    data, query = vectors(1000, DIM), vectors(1, DIM)[0]
    con.ingest(name, {"id": np.arange(len(data)), "vec": data})
    con.sql(f"CREATE INDEX {name}_vec ON {name} USING rabitq_plus (vec)")
    ids, _ = nearest(data, query, 10)
    answer = con.sql(f"SELECT id FROM {name} ORDER BY l2_distance(vec, $1) LIMIT 10", [query])
    assert answer.to_numpy("id").tolist() == ids


def test_rows_that_came_later_are_found(con: ruvector.Connection, name: str, vectors: Vectors) -> None:
    data = vectors(1000, DIM)
    con.ingest(name, {"id": np.arange(500), "vec": data[:500]})
    con.sql(f"CREATE INDEX {name}_vec ON {name} USING rabitq_plus (vec)")
    con.ingest(name, {"id": np.arange(500, 1000), "vec": data[500:]}, mode="append")
    ids, _ = nearest(data, data[900], 10)
    assert con.sql(f"SELECT id FROM knn('{name}', $1, 10)", [data[900]]).to_numpy("id").tolist() == ids


# Ingesting


def _sources(data: np.ndarray) -> dict[str, Callable[[], object]]:
    ids = np.arange(len(data))
    vec = pa.FixedSizeListArray.from_arrays(pa.array(data.reshape(-1)), data.shape[1])
    table = pa.table({"id": ids, "vec": vec})
    return {
        "table": lambda: table,
        "batch": lambda: table.to_batches()[0],
        "reader": lambda: pa.RecordBatchReader.from_batches(table.schema, iter(table.to_batches(max_chunksize=7))),
        "pandas": lambda: pd.DataFrame({"id": ids, "vec": list(data)}, index=ids[::-1]),
        "polars": lambda: pl.DataFrame({"id": ids, "vec": data}),
        "mapping": lambda: {"id": ids, "vec": data},
        "lists": lambda: {"id": ids.tolist(), "vec": data.tolist()},
    }


@pytest.mark.parametrize("source", ["table", "batch", "reader", "pandas", "polars", "mapping", "lists"])
def test_rows_of_every_kind_arrive_whole(con: ruvector.Connection, name: str, vectors: Vectors, source: str) -> None:
    data = vectors(100, DIM)
    assert con.ingest(name, _sources(data)[source]()) == 100  # type: ignore[arg-type]
    result = con.sql(f"SELECT * FROM {name} ORDER BY id")
    assert result.schema.names == ["id", "vec"]
    np.testing.assert_array_equal(result.to_numpy("vec"), data)
    ids, _ = nearest(data, data[3], 5)
    assert con.sql(f"SELECT id FROM knn('{name}', $1, 5)", [data[3]]).to_numpy("id").tolist() == ids


# What a column of lists is in a new table: a vector of that many numbers, or `None` for lists.
LISTS = {
    "floats": ([[1.0, 0.5], [0.0, 2.0]], 2),
    "integers": ([[1, 0], [3, 4]], 2),
    "with nulls": ([[1.0, 0.5], None, [0.0, 2.0], None], 2),
    "integers with nulls": ([None, [1, 0]], 2),
    "one number": ([[1.0], [2.0]], 1),
    "different lengths": ([[1.0, 0.5], [1.0]], None),
    "empty lists": ([[1.0], []], None),
    "a missing number": ([[1.0, None], [0.0, 2.0]], None),
    "large integers": ([[BEYOND_FLOAT, 1], [2, 3]], None),
    "texts": ([["a", "b"], ["c", "d"]], None),
}
FRAMES = {
    "mapping": lambda rows: rows,
    "pandas": pd.DataFrame,
    "polars": pl.DataFrame,
    "arrow": pa.table,
    "reader": lambda rows: pa.table(rows).to_reader(max_chunksize=1),
    "slice": lambda rows: pa.concat_tables([pa.table(rows)] * 3).slice(len(rows["id"]), len(rows["id"])),
}


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
@pytest.mark.parametrize(("lists", "dim"), LISTS.values(), ids=LISTS)
def test_one_rule_says_what_is_a_vector(
    con: ruvector.Connection, name: str, frame: Callable, lists: list[object], dim: int | None
) -> None:
    ids = list(range(len(lists)))
    con.ingest(name, frame({"id": ids, "vec": lists}))
    answer = con.sql(f"SELECT vec FROM {name} ORDER BY id")
    assert (dim is None) != pa.types.is_fixed_size_list(answer.schema.field("vec").type)
    assert [vec for (vec,) in answer.fetchall()] == lists
    if dim is not None:
        assert answer.schema.field("vec").type == pa.list_(pa.float32(), dim)
        (first,) = (vec for vec in lists[:2] if vec and vec[0] == 1)  # type: ignore[index]
        found = con.sql(f"SELECT id FROM knn('{name}', $1, 1)", [first]).fetchall()
        assert found == [(lists.index(first),)]


def test_a_table_says_what_its_columns_are(con: ruvector.Connection, name: str) -> None:
    con.sql(f"CREATE TABLE {name} (ids BIGINT[], xs DOUBLE[], vec FLOAT[2])")
    rows = {"ids": [[BEYOND_FLOAT, 2], None], "xs": [[0.1, 0.2], [0.3, 0.4]], "vec": [[1, 2], None]}
    matrices = {
        "ids": np.array([[BEYOND_FLOAT, 2]]),
        "xs": np.array([[0.1, 0.2]]),
        "vec": np.array([[1, 2]], np.float64),
    }
    for data in [rows, matrices, pd.DataFrame(rows), pl.DataFrame(rows)]:
        for mode in ["append", "create_append"]:
            con.ingest(name, data, mode=mode)  # type: ignore[arg-type]
    found = con.sql(f"SELECT ids, xs, vec FROM {name} WHERE ids IS NOT NULL").fetchall()
    assert found == [([BEYOND_FLOAT, 2], [0.1, 0.2], [1.0, 2.0])] * 8


def test_a_column_may_be_tensors(con: ruvector.Connection, name: str) -> None:
    for number, vec in enumerate(
        [ByArray(np.eye(2, 3)), [ByArray(row) for row in np.eye(2, 3)], ByDlpack(np.eye(2, 3))]
    ):
        con.ingest(f"{name}_{number}", {"id": [1, 2], "vec": vec})
        np.testing.assert_array_equal(
            con.sql(f"SELECT vec FROM {name}_{number} ORDER BY id").to_numpy("vec"), np.eye(2, 3)
        )


@pytest.mark.parametrize(
    "empty",
    [
        pa.table({"id": pa.array([], pa.int64())}),
        pa.record_batch({"id": pa.array([], pa.int64())}),
        pd.DataFrame({"id": np.array([], np.int64)}),
        pl.DataFrame({"id": []}, schema={"id": pl.Int64}),
        {"id": np.array([], np.int64), "vec": np.empty((0, 3))},
    ],
    ids=["table", "batch", "pandas", "polars", "mapping"],
)
def test_no_rows_make_a_table(con: ruvector.Connection, name: str, empty: object) -> None:
    assert con.ingest(name, empty) == 0  # type: ignore[arg-type]
    assert con.sql(f"SELECT count(id) FROM {name}").fetchall() == [(0,)]
    if isinstance(empty, dict):
        assert con.sql(f"SELECT vec FROM {name}").schema.field("vec").type == pa.list_(pa.float32(), 3)


def test_a_result_can_be_ingested(con: ruvector.Connection, name: str) -> None:
    assert con.ingest(name, con.sql("SELECT 1 AS id UNION ALL SELECT 2")) == 2
    assert con.sql(f"SELECT sum(id) FROM {name}").fetchall() == [(3,)]


def test_the_modes_of_ingest(con: ruvector.Connection, name: str) -> None:
    def ids() -> list[int]:
        return con.sql(f"SELECT id FROM {name} ORDER BY id").to_numpy("id").tolist()

    with pytest.raises(ruvector.NotFound, match=name):
        con.ingest(name, {"id": [1]}, mode="append")
    con.ingest(name, {"id": [1]}, mode="create_append")
    con.ingest(name, {"id": [2]}, mode="create_append")
    con.ingest(name, {"id": [3]}, mode="append")
    assert ids() == [1, 2, 3]
    with pytest.raises(ruvector.AlreadyExists, match=name):
        con.ingest(name, {"id": [4]})
    assert ids() == [1, 2, 3]
    con.ingest(name, {"id": [5]}, mode="replace")
    assert ids() == [5]
    with pytest.raises(ruvector.InvalidInput, match="mode: expected create, append, replace or create_append"):
        con.ingest(name, {"id": [6]}, mode="upsert")  # type: ignore[arg-type]


def test_a_large_ingest_is_cut_into_messages(con: ruvector.Connection, name: str, vectors: Vectors) -> None:
    data = vectors(5000, 768)  # 15 MB in one batch
    assert con.ingest(name, {"id": np.arange(len(data)), "vec": data}) == len(data)
    result = con.sql(f"SELECT * FROM {name} ORDER BY id")
    np.testing.assert_array_equal(result.to_numpy("vec"), data)


def test_a_name_is_written_as_in_sql(con: ruvector.Connection, name: str) -> None:
    con.ingest(name.upper(), {"id": [1]})
    assert con.sql(f"SELECT id FROM {name.upper()}").fetchall() == [(1,)]
    con.ingest(f'main."{name}.Dot"', {"id": [2]})
    assert con.sql(f'SELECT id FROM "{name}.Dot"').fetchall() == [(2,)]
    for bad in ["", "a b", "a.b.c.d", 'a"b', "1a", "a; DROP TABLE b"]:
        with pytest.raises(ruvector.InvalidInput, match="name: expected a table's name as in SQL"):
            con.ingest(bad, {"id": [1]})


@pytest.mark.parametrize(
    ("vec", "message"),
    [
        (np.zeros((1, 4), np.float32), r"(?s)3.*4|4.*3"),
        (np.array([[0, np.nan, 0]], np.float32), "(?i)nan|finite"),
        (np.array([[0, np.inf, 0]], np.float32), "(?i)inf|finite"),
        (np.array(["a"]), "(?i)vec"),
    ],
    ids=["dimension", "nan", "infinity", "type"],
)
def test_rows_that_do_not_fit_change_nothing(
    con: ruvector.Connection, name: str, vec: np.ndarray, message: str
) -> None:
    con.ingest(name, {"id": [1, 2], "vec": np.eye(3, dtype=np.float32)[:2]})
    with pytest.raises(ruvector.InvalidInput, match=message):
        con.ingest(name, {"id": [3], "vec": vec}, mode="append")
    assert con.sql(f"SELECT id FROM {name} ORDER BY id").fetchall() == [(1,), (2,)]
    assert con.sql(f"SELECT id FROM knn('{name}', $1, 5)", [[1, 0, 0]]).to_numpy("id").tolist() == [1, 2]


def test_a_source_that_fails_writes_nothing(con: ruvector.Connection, name: str) -> None:
    batch = pa.record_batch({"id": pa.array(range(1000))})

    def batches() -> Iterator[pa.RecordBatch]:
        yield from [batch] * 3
        msg = "the disk is gone"
        raise OSError(msg)

    con.sql(f"CREATE TABLE {name} (id BIGINT)")
    with pytest.raises(ruvector.RuVectorError, match="the disk is gone"):
        con.ingest(name, pa.RecordBatchReader.from_batches(batch.schema, batches()), mode="append")
    assert con.sql(f"SELECT count(*) FROM {name}").fetchall() == [(0,)]


@pytest.mark.parametrize("data", [[1, 2], 7, "text", None], ids=repr)
def test_what_has_no_rows_cannot_be_ingested(con: ruvector.Connection, name: str, data: object) -> None:
    with pytest.raises(ruvector.InvalidInput, match="data: expected"):
        con.ingest(name, data)  # type: ignore[arg-type]
    with pytest.raises(ruvector.NotFound):
        con.sql(f"SELECT * FROM {name}")


# Errors


def test_an_unknown_table_is_not_found(con: ruvector.Connection) -> None:
    for query in ["SELECT * FROM nowhere", "SELECT * FROM knn('nowhere', [1.0], 1)", "DROP TABLE nowhere"]:
        with pytest.raises(ruvector.NotFound, match="nowhere") as caught:
            con.sql(query).to_arrow()
        assert isinstance(caught.value, LookupError)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT * FROM {0}s", r"table 'ruvector.main.{0}s' not found \(at line 1, column 15\); did you mean {0}\?"),
        ("SELECT a.id FROM {0} a\nJOIN {0}z b ON true", r"{0}z' not found \(at line 2, column 6\); did you mean {0}\?"),
        ("SELECT id FROM knn('{0}s', [1.0], 1)", r"\(at line 1, column 20\); did you mean {0}\?"),
        ("DELETE FROM {0}s WHERE id = 1", r"\(at line 1, column 13\); did you mean {0}\?"),
        ("UPDATE {0}s SET id = 1", r"\(at line 1, column 8\); did you mean {0}\?"),
        ("INSERT INTO {0}s VALUES (1)", r"\(at line 1, column 13\); did you mean {0}\?"),
        ("DROP TABLE {0}s", r"\(at line 1, column 12\); did you mean {0}\?"),
        ("SELECT * FROM mian.{0}", r"\(at line 1, column 20\); did you mean main.{0}\?"),
        ("SELECT * FROM queries", r"\(at line 1, column 15\); did you mean system.queries\?"),
        ("SELECT * FROM kn('{0}', [1.0], 1)", r"'kn' not found \(at line 1, column 15\); did you mean knn\?"),
        ("SELECT wrod FROM {0}", r"(?i)wrod.*did you mean '.*word'"),
        ("SELECT l2_distanc([1.0], [1.0])", r"(?i)l2_distanc'.*did you mean 'l2_distance'"),
    ],
)
def test_a_missing_name_is_shown_and_another_offered(
    con: ruvector.Connection, name: str, query: str, message: str
) -> None:
    con.ingest(name, {"id": [1], "word": ["one"]})
    with pytest.raises(ruvector.RuVectorError, match=f"(?s){message.format(name)}"):
        con.sql(query.format(name)).to_arrow()


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT id FROM knn('{0}', [1.0, 2.0], 1)", r"3\b.*\b2\b"),
        ("SELECT id FROM knn('{0}', [1.0, 2.0, 3.0], 0)", r"\bk\b.*\b0\b"),
        ("SELECT id FROM knn('{0}', [1.0, 'NaN'::float, 3.0], 1)", "(?i)nan|finite"),
        ("SELECT id FROM knn('{0}', 'text', 1)", "(?i)vector"),
        ("SELECT l2_distance(vec, [1.0, 2.0]) FROM {0}", r"3\b.*\b2\b"),
        ("SELECT l2_distance(id, [1.0, 2.0, 3.0]) FROM {0}", "(?i)vector|list"),
        ("CREATE INDEX i ON {0} USING rabitq_plus (id)", "(?i)id"),
        ("CREATE INDEX i ON {0} USING hnsw (vec)", "(?i)hnsw"),
        ("SELEC 1", "(?i)selec"),
    ],
)
def test_a_wrong_statement_says_expected_and_got(con: ruvector.Connection, name: str, query: str, message: str) -> None:
    con.ingest(name, {"id": [1], "vec": [[1.0, 2.0, 3.0]]})
    with pytest.raises(ruvector.RuVectorError, match=message) as caught:
        con.sql(query.format(name)).to_arrow()
    assert isinstance(caught.value, (ruvector.InvalidInput, ruvector.NotSupported))
    assert "Traceback" not in str(caught.value)
    assert "Flight returned" not in str(caught.value)


def test_an_error_leaves_the_connection_usable(con: ruvector.Connection) -> None:
    with pytest.raises(ruvector.RuVectorError):
        con.sql("SELECT * FROM nowhere")
    assert con.sql("SELECT 1").fetchall() == [(1,)]


def test_an_error_in_the_middle_of_rows_is_raised_and_kept(con: ruvector.Connection) -> None:
    result = con.sql("SELECT 1 / (20000 - value) AS x FROM generate_series(1, 30000)")
    with pytest.raises(ruvector.RuVectorError, match=r"(?i)zero"):
        result.to_arrow()
    with pytest.raises(ruvector.RuVectorError, match="spent"):
        result.to_arrow()


# Sessions, threads and signals


def test_settings_belong_to_the_connection(con: ruvector.Connection) -> None:
    con.sql("SET datafusion.execution.batch_size = 100")
    assert con.sql("SELECT value FROM generate_series(1, 1000)").to_arrow().column(0).num_chunks >= 10


def test_many_threads_share_a_connection(con: ruvector.Connection, name: str, vectors: Vectors) -> None:
    data = vectors(1000, DIM)
    con.ingest(name, {"id": np.arange(len(data)), "vec": data})

    def search(row: int) -> bool:
        answer = con.sql(f"SELECT id FROM knn('{name}', $1, 3)", [data[row]])
        return answer.to_numpy("id").tolist() == nearest(data, data[row], 3)[0]

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(search, range(100)))


SLOW = "SELECT sum(value % 7) FROM generate_series(1, 1000000000000)"


def test_ctrl_c_ends_a_long_statement(con: ruvector.Connection, interrupt: Callable[[], None]) -> None:
    ticks = 0
    done = threading.Event()

    def tick() -> None:
        nonlocal ticks
        while not done.wait(0.01):
            ticks += 1

    ticker = threading.Thread(target=tick)
    ticker.start()
    start = time.monotonic()
    interrupt()
    with pytest.raises(KeyboardInterrupt):
        con.sql(SLOW).to_arrow()
    assert time.monotonic() - start < 5
    done.set()
    ticker.join()
    assert ticks > 10, "other threads run while the statement does"
    assert con.sql("SELECT 1").fetchall() == [(1,)]


# Opening and closing


def test_a_closed_connection_says_so(con: ruvector.Connection) -> None:
    con.close()
    con.close()
    with pytest.raises(ruvector.RuVectorError, match="closed"):
        con.sql("SELECT 1")


def test_tables_in_a_folder_outlive_the_connection(tmp_path: Path) -> None:
    with ruvector.connect(tmp_path / "data") as con:
        con.ingest("docs", {"id": [1], "vec": [[1.0, 2.0]]})
        con.sql("CREATE INDEX docs_vec ON docs USING rabitq_plus (vec)")
    with ruvector.connect(str(tmp_path / "data")) as con:
        assert con.sql("SELECT id, _distance FROM knn('docs', $1, 1)", [[1, 2]]).fetchall() == [(1, 0.0)]
        with pytest.raises(ruvector.AlreadyExists, match="docs_vec"):
            con.sql("CREATE INDEX docs_vec ON docs USING rabitq_plus (vec)")


def index_names(con: ruvector.Connection) -> list[tuple[str]]:
    return con.sql("SELECT name FROM system.indexes ORDER BY name").fetchall()


def test_connections_of_one_process_share_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with ruvector.connect(folder) as one, ruvector.connect(folder / ".." / "data") as two:
        one.ingest("docs", {"id": [1], "vec": [[1.0, 2.0]]})
        one.sql("CREATE INDEX a ON docs USING rabitq_plus (vec)")
        two.sql("CREATE INDEX b ON docs USING flat (vec)")
        assert index_names(one) == index_names(two) == [("a",), ("b",)]
        one.close()
        assert two.sql("SELECT id FROM docs").fetchall() == [(1,)]
    with ruvector.connect(folder) as con:
        assert index_names(con) == [("a",), ("b",)]


def test_the_folder_of_a_running_server_is_refused_and_names_it(tmp_path: Path) -> None:
    with serve(tmp_path / "data"), pytest.raises(ruvector.Unavailable, match=r"owner process \d+ .*stop that process"):
        ruvector.connect(tmp_path / "data")


def test_a_server_and_this_process_read_the_same_folder(tmp_path: Path) -> None:
    with serve(tmp_path / "data") as address, ruvector.connect(address) as con:
        con.ingest("docs", {"id": [1], "vec": [[1.0, 2.0]]})
    with ruvector.connect(tmp_path / "data") as con:
        assert con.sql("SELECT id FROM docs").fetchall() == [(1,)]


@pytest.mark.parametrize("target", ["http://localhost:1", "postgres://x", "s3://bucket"])
def test_an_unknown_target_is_refused(target: str) -> None:
    with pytest.raises(ruvector.InvalidInput, match=r"expected a folder, grpc://host:port or grpc\+tls://host:port"):
        ruvector.connect(target)


@pytest.mark.parametrize("target", ["localhost:50051", "127.0.0.1:1", "[::1]:50051", "db.example.com:443"])
def test_an_address_without_a_scheme_makes_no_folder(
    target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ruvector.InvalidInput, match=re.escape(f"a server is 'grpc://{target}'")):
        ruvector.connect(target)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_made_in_one_that_exists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with ruvector.connect("new") as con:
        assert con.sql("SELECT 1").fetchall() == [(1,)]
    assert (tmp_path / "new").is_dir()
    with pytest.raises(ruvector.InvalidInput, match="a new one in a folder that exists, got 'typo/data'"):
        ruvector.connect("typo/data")
    assert not (tmp_path / "typo").exists()


def test_a_file_is_no_data_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ruvector.InvalidInput, match="file"):
        ruvector.connect(tmp_path / "file")


def test_a_token_is_for_servers(tmp_path: Path, address: str) -> None:
    with pytest.raises(ruvector.InvalidInput, match="token"):
        ruvector.connect(tmp_path, token="x")  # noqa: S106 - not a secret
    with ruvector.connect(address, token="x") as con:  # noqa: S106 - not a secret
        assert con.sql("SELECT 1").fetchall() == [(1,)]


def test_a_user_is_for_servers_and_has_a_password(tmp_path: Path, address: str) -> None:
    words = "x"
    with pytest.raises(ruvector.InvalidInput, match="user: expected none for a folder"):
        ruvector.connect(tmp_path, user="ann", password=words)
    with pytest.raises(ruvector.InvalidInput, match="expected both"):
        ruvector.connect(address, user="ann")
    with pytest.raises(ruvector.InvalidInput, match="expected both"):
        ruvector.connect(address, password=words)
    with pytest.raises(ruvector.InvalidInput, match="expected a token or user and password, got both"):
        ruvector.connect(address, user="ann", password=words, token=words)
    with ruvector.connect(address, user="ann", password=words) as con:
        assert con.sql("SELECT 1").fetchall() == [(1,)]


def test_certificates_are_of_servers_with_tls(tmp_path: Path) -> None:
    pem = tmp_path / "ca.pem"
    for target, file, said in [
        (tmp_path, pem, "expected none for a folder"),
        ("grpc://127.0.0.1:1", pem, r"expected a target grpc\+tls://host:port, got grpc://"),
        ("grpc+tls://127.0.0.1:1", pem, "expected a file of certificates, got .*ca.pem"),
    ]:
        with pytest.raises(ruvector.InvalidInput, match=f"tls_root_certs: {said}"):
            ruvector.connect(target, tls_root_certs=file)
    pem.write_text("no certificate")
    with pytest.raises(ruvector.InvalidInput, match="tls_root_certs: expected certificates in PEM"):
        ruvector.connect("grpc+tls://127.0.0.1:1", tls_root_certs=pem)


def test_a_server_that_does_not_answer_is_unavailable() -> None:
    start = time.monotonic()
    with pytest.raises(ruvector.Unavailable):
        ruvector.connect("grpc://127.0.0.1:1")
    assert time.monotonic() - start < 30
