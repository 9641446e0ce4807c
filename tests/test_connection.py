"""What a connection promises, asked of the engine in this process and of a server."""

from __future__ import annotations

import datetime as dt
import os
import signal
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


@pytest.mark.parametrize(
    "vector",
    [
        [3.0, 4.0],
        (3, 4),
        np.array([3, 4], np.float32),
        np.array([3, 4], np.float64),
        np.array([3, 0, 4], np.float32)[::2],
        np.array([3, 4], np.int32),
    ],
    ids=["list", "tuple", "float32", "float64", "strided", "int32"],
)
def test_numbers_are_a_vector(con: ruvector.Connection, name: str, vector: object) -> None:
    con.ingest(name, {"id": [1], "vec": [[0.0, 0.0]]})
    query = f"SELECT l2_distance(vec, $1) AS d FROM {name}"
    assert con.sql(query, [vector]).fetchall() == [(5.0,)]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ([[]], r"parameter \$1: expected a vector of one or more numbers, got shape \(0,\)"),
        ([1, np.zeros((2, 2))], r"parameter \$2: expected a vector of one or more numbers, got shape \(2, 2\)"),
        ([object()], r"parameter \$1: expected a value with an Arrow type, got object"),
        ([2**70], r"parameter \$1: expected a value with an Arrow type, got int"),
        ("text", "params: expected a sequence of values, got str"),
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


@pytest.fixture
def interrupt() -> Iterator[Callable[[], None]]:
    """Press Ctrl-C in half a second, in a process that does what a terminal's does."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
    yield timer.start
    timer.join()
    signal.signal(signal.SIGINT, before)


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


def test_a_server_and_this_process_read_the_same_folder(tmp_path: Path) -> None:
    with serve(tmp_path / "data") as address, ruvector.connect(address) as con:
        con.ingest("docs", {"id": [1], "vec": [[1.0, 2.0]]})
    with ruvector.connect(tmp_path / "data") as con:
        assert con.sql("SELECT id FROM docs").fetchall() == [(1,)]


@pytest.mark.parametrize("target", ["http://localhost:1", "postgres://x", "s3://bucket"])
def test_an_unknown_target_is_refused(target: str) -> None:
    with pytest.raises(ruvector.InvalidInput, match=r"expected a folder, grpc://host:port or grpc\+tls://host:port"):
        ruvector.connect(target)


def test_a_file_is_no_data_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ruvector.InvalidInput, match="file"):
        ruvector.connect(tmp_path / "file")


def test_a_token_is_for_servers(tmp_path: Path, address: str) -> None:
    with pytest.raises(ruvector.InvalidInput, match="token"):
        ruvector.connect(tmp_path, token="x")  # noqa: S106 - not a secret
    with ruvector.connect(address, token="x") as con:  # noqa: S106 - not a secret
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
