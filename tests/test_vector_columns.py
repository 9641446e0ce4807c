"""Vector columns as common tools write them, searched in place; each answer is held against NumPy."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import SEED
from deltalake import write_deltalake

import ruvector

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ROWS, DIM, K = 500, 16, 10


def floats() -> np.ndarray:
    """Vectors whose coordinates a half-precision float has."""
    return np.random.default_rng(SEED).normal(size=(ROWS, DIM)).astype(np.float16).astype(np.float32)


def integers(low: int, high: int) -> np.ndarray:
    """Vectors of integers."""
    return np.random.default_rng(SEED).integers(low, high, size=(ROWS, DIM))


def columns(vectors: pa.Array) -> pa.Table:
    return pa.table({"id": np.arange(ROWS), "vec": vectors})


def lists(vectors: np.ndarray, item: pa.DataType, make: Callable[[pa.DataType], pa.DataType]) -> pa.Table:
    dtype = item.to_pandas_dtype()
    return columns(pa.array(list(vectors.astype(dtype)), make(item)))


def fixed(item: pa.DataType) -> pa.DataType:
    return pa.list_(item, DIM)


class Writer(NamedTuple):
    """A tool that leaves vectors behind: the function writes them below a folder and returns their place."""

    kind: str
    vectors: np.ndarray
    write: Callable[[np.ndarray, Path], Path]


def by_pyarrow(item: pa.DataType, make: Callable[[pa.DataType], pa.DataType]) -> Callable[[np.ndarray, Path], Path]:
    def write(vectors: np.ndarray, folder: Path) -> Path:
        pq.write_table(lists(vectors, item, make), folder / "docs.parquet")
        return folder / "docs.parquet"

    return write


def by_arrow_in_streams(vectors: np.ndarray, folder: Path) -> Path:
    """Doubles byte by byte, as archives keep them."""
    table = lists(vectors, pa.float64(), pa.list_)
    pq.write_table(table, folder / "docs.parquet", use_dictionary=False, use_byte_stream_split=True)
    return folder / "docs.parquet"


def by_polars_lists(vectors: np.ndarray, folder: Path) -> Path:
    frame = pl.DataFrame({"id": np.arange(ROWS), "vec": [row.tolist() for row in vectors.astype(np.float64)]})
    assert frame.schema["vec"] == pl.List(pl.Float64)
    frame.write_parquet(folder / "docs.parquet")
    return folder / "docs.parquet"


def by_polars_arrays(vectors: np.ndarray, folder: Path) -> Path:
    frame = pl.DataFrame({"id": np.arange(ROWS), "vec": vectors}, schema_overrides={"vec": pl.Array(pl.Float32, DIM)})
    frame.write_parquet(folder / "docs.parquet")
    return folder / "docs.parquet"


def by_pandas_lists(vectors: np.ndarray, folder: Path) -> Path:
    frame = pd.DataFrame({"id": np.arange(ROWS), "vec": [row.tolist() for row in vectors.astype(np.float64)]})
    frame.to_parquet(folder / "docs.parquet", index=False)
    return folder / "docs.parquet"


def by_pandas_arrays(vectors: np.ndarray, folder: Path) -> Path:
    frame = pd.DataFrame({"id": np.arange(ROWS), "vec": list(vectors.astype(np.float64))})
    frame.to_parquet(folder / "docs.parquet", index=False)
    return folder / "docs.parquet"


def by_duckdb(item: str) -> Callable[[np.ndarray, Path], Path]:
    def write(vectors: np.ndarray, folder: Path) -> Path:
        table = lists(vectors, pa.float64(), pa.list_)
        with duckdb.connect() as con:
            con.register("docs", table)
            place = folder / "docs.parquet"
            con.execute(f"COPY (SELECT id, vec::{item} AS vec FROM docs) TO '{place}' (FORMAT parquet)")
            return place

    return write


def by_delta(item: pa.DataType) -> Callable[[np.ndarray, Path], Path]:
    def write(vectors: np.ndarray, folder: Path) -> Path:
        write_deltalake(folder / "docs", lists(vectors, item, pa.list_))
        return folder / "docs"

    return write


def by_delta_with_nulls_and_partitions(vectors: np.ndarray, folder: Path) -> Path:
    """Rows without a vector, and two languages in folders of their own, as Spark's jobs write them."""
    rows = lists(vectors, pa.float64(), pa.list_)
    missing = pa.table({"id": [-1, -2], "vec": pa.array([None, None], pa.list_(pa.float64()))})
    rows = pa.concat_tables([missing, rows])
    rows = rows.append_column("lang", pa.array(["en" if i % 3 else "de" for i in range(rows.num_rows)]))
    write_deltalake(folder / "docs", rows, partition_by=["lang"])
    return folder / "docs"


WRITERS = {
    "fixed list of float32": Writer("PARQUET", floats(), by_pyarrow(pa.float32(), fixed)),
    "fixed list of float64": Writer("PARQUET", floats(), by_pyarrow(pa.float64(), fixed)),
    "fixed list of float16": Writer("PARQUET", floats(), by_pyarrow(pa.float16(), fixed)),
    "fixed list of int8": Writer("PARQUET", integers(-128, 128), by_pyarrow(pa.int8(), fixed)),
    "fixed list of uint8": Writer("PARQUET", integers(0, 256), by_pyarrow(pa.uint8(), fixed)),
    "list of float32": Writer("PARQUET", floats(), by_pyarrow(pa.float32(), pa.list_)),
    "list of float64": Writer("PARQUET", floats(), by_pyarrow(pa.float64(), pa.list_)),
    "list of float16": Writer("PARQUET", floats(), by_pyarrow(pa.float16(), pa.list_)),
    "list of int8": Writer("PARQUET", integers(-128, 128), by_pyarrow(pa.int8(), pa.list_)),
    "large list of float32": Writer("PARQUET", floats(), by_pyarrow(pa.float32(), pa.large_list)),
    "large list of float64": Writer("PARQUET", floats(), by_pyarrow(pa.float64(), pa.large_list)),
    "list of float64 in byte streams": Writer("PARQUET", floats(), by_arrow_in_streams),
    "polars list": Writer("PARQUET", floats(), by_polars_lists),
    "polars array": Writer("PARQUET", floats(), by_polars_arrays),
    "pandas lists": Writer("PARQUET", floats(), by_pandas_lists),
    "pandas arrays": Writer("PARQUET", floats(), by_pandas_arrays),
    "DuckDB list of doubles": Writer("PARQUET", floats(), by_duckdb("DOUBLE[]")),
    "DuckDB array of floats": Writer("PARQUET", floats(), by_duckdb(f"FLOAT[{DIM}]")),
    "Delta array of float": Writer("DELTA", floats(), by_delta(pa.float32())),
    "Delta array of double": Writer("DELTA", floats(), by_delta(pa.float64())),
    "Delta array of byte": Writer("DELTA", integers(-128, 128), by_delta(pa.int8())),
    "Delta with nulls and partitions": Writer("DELTA", floats(), by_delta_with_nulls_and_partitions),
}


@pytest.fixture(params=WRITERS, ids=lambda name: name.replace(" ", "_"))
def writer(request: pytest.FixtureRequest) -> Writer:
    return WRITERS[request.param]


def nearest(vectors: dict[int, np.ndarray], question: np.ndarray) -> tuple[list[int], np.ndarray]:
    """The ids and the squared distances of the nearest rows, computed with float32's values in double precision."""
    ids = np.array(sorted(vectors))
    rows = np.stack([vectors[i] for i in ids]).astype(np.float32).astype(np.float64)
    distances = ((rows - question) ** 2).sum(axis=1)
    order = np.argsort(distances, kind="stable")[:K]
    return ids[order].tolist(), distances[order]


def check_searches(con: ruvector.Connection, table: str, vectors: dict[int, np.ndarray]) -> None:
    """`knn()` and ORDER BY, held against NumPy."""
    for number in [0, 7, ROWS - 1]:
        question = floats()[number].astype(np.float64) * 1.25
        ids, distances = nearest(vectors, question)
        text = "[" + ", ".join(repr(float(x)) for x in question) + "]"
        found = con.sql(f"SELECT id, _distance FROM knn('{table}', {text}, {K})").fetchall()
        assert [row[0] for row in found] == ids
        np.testing.assert_allclose([row[1] for row in found], np.sqrt(distances), rtol=1e-5)
        query = f"SELECT id FROM {table} WHERE vec IS NOT NULL ORDER BY l2_distance(vec, {text}) LIMIT {K}"
        assert [row[0] for row in con.sql(query).fetchall()] == ids
        assert "KnnExec" in con.sql(f"EXPLAIN {query}").to_arrow()["plan"].to_pylist()[-1]


def test_vectors_of_every_writer_are_searched_in_place(writer: Writer, tmp_path: Path) -> None:
    place = writer.write(writer.vectors, tmp_path)
    con = ruvector.connect(tmp_path / "data")
    con.sql(f"CREATE EXTERNAL TABLE docs STORED AS {writer.kind} LOCATION '{place}'")
    vectors = dict(enumerate(writer.vectors))
    check_searches(con, "docs", vectors)
    con.sql("CREATE INDEX docs_vec ON docs USING rabitq_plus (vec)")
    check_searches(con, "docs", vectors)
    # The column comes back as it is stored.
    stored = con.sql("SELECT vec FROM docs WHERE id = 3").to_arrow()["vec"][0].as_py()
    np.testing.assert_array_equal(np.array(stored, np.float64), writer.vectors[3].astype(np.float64))

    # A copy is searched and changed like any table.
    con.sql("CREATE TABLE copied AS SELECT id, vec FROM docs WHERE vec IS NOT NULL")
    con.sql("CREATE INDEX copied_vec ON copied USING rabitq_plus (vec)")
    check_searches(con, "copied", vectors)
    con.sql("DELETE FROM copied WHERE id % 5 = 0")
    con.sql("INSERT INTO copied SELECT id + 1000, vec FROM docs WHERE id % 7 = 0 AND vec IS NOT NULL")
    changed = {i: row for i, row in vectors.items() if i % 5}
    changed |= {i + 1000: row for i, row in vectors.items() if i % 7 == 0}
    # Rows twice have equal distances: only the distances are determined.
    for number in [0, 7]:
        question = floats()[number].astype(np.float64) * 1.25
        _, distances = nearest(changed, question)
        text = "[" + ", ".join(repr(float(x)) for x in question) + "]"
        found = con.sql(f"SELECT _distance FROM knn('copied', {text}, {K})").fetchall()
        np.testing.assert_allclose([row[0] for row in found], np.sqrt(distances), rtol=1e-5)


FRAMES: dict[str, Callable[[np.ndarray], object]] = {
    "polars lists": lambda vectors: pl.DataFrame({"id": np.arange(ROWS), "vec": [row.tolist() for row in vectors]}),
    "pandas arrays": lambda vectors: pd.DataFrame({"id": np.arange(ROWS), "vec": list(vectors)}),
    "pandas lists": lambda vectors: pd.DataFrame({"id": np.arange(ROWS), "vec": [row.tolist() for row in vectors]}),
    "fixed list of double": lambda vectors: lists(vectors, pa.float64(), fixed),
    "list of double": lambda vectors: lists(vectors, pa.float64(), pa.list_),
    "large list of float": lambda vectors: lists(vectors, pa.float32(), pa.large_list),
    "fixed list of half": lambda vectors: lists(vectors, pa.float16(), fixed),
    "NumPy double": lambda vectors: {"id": np.arange(ROWS), "vec": vectors.astype(np.float64)},
    "NumPy half": lambda vectors: {"id": np.arange(ROWS), "vec": vectors.astype(np.float16)},
}


@pytest.mark.parametrize("frame", FRAMES.values(), ids=lambda _: "")
def test_ingested_frames_are_searchable(frame: Callable[[np.ndarray], object], tmp_path: Path) -> None:
    con = ruvector.connect(tmp_path / "data")
    con.ingest("docs", frame(floats()))
    check_searches(con, "docs", dict(enumerate(floats())))


def test_doubles_and_bytes_keep_their_values(tmp_path: Path) -> None:
    con = ruvector.connect(tmp_path / "data")
    con.sql("CREATE TABLE docs (id BIGINT, vec DOUBLE[2])")
    con.sql("INSERT INTO docs VALUES (1, [0.1, 16777217.0]), (2, [0.0, 1.0])")
    assert con.sql("SELECT vec FROM docs WHERE id = 1").fetchall() == [([0.1, 16777217.0],)]
    assert con.sql("SELECT id FROM knn('docs', [0, 0], 2)").fetchall() == [(2,), (1,)]
    with pytest.raises(ruvector.RuVectorError, match=r"dimension.*expected 2, got 3"):
        con.sql("INSERT INTO docs VALUES (3, [1.0, 2.0, 3.0])")
    con.ingest("bytes", {"id": np.arange(2), "vec": np.array([[-128, 127], [0, 1]], np.int8)})
    assert con.sql("SELECT vec FROM bytes ORDER BY id").fetchall() == [([-128, 127],), ([0, 1],)]


def test_a_row_at_fault_is_named(tmp_path: Path) -> None:
    good = [1.0, 2.0]
    for vectors, message in [
        ([good, [1.0, 2.0, 3.0]], r"wrong dimension: file part-.*\.parquet, row 1, expected 2, got 3"),
        ([good, [1.0, float("nan")]], r"not finite: file part-.*\.parquet, row 1, coordinate 1, got NaN"),
        ([good, [1.0, 1e300]], r"not finite: file part-.*\.parquet, row 1, coordinate 1, got inf"),
        ([good, [1.0, None]], r"NULL coordinate: file part-.*\.parquet, row 1"),
    ]:
        folder = tmp_path / f"docs-{len(list(tmp_path.iterdir()))}"
        write_deltalake(folder, pa.table({"id": [0, 1], "vec": pa.array(vectors, pa.list_(pa.float64()))}))
        con = ruvector.connect()
        con.sql(f"CREATE EXTERNAL TABLE docs STORED AS DELTA LOCATION '{folder}'")
        with pytest.raises(ruvector.RuVectorError, match=message):
            con.sql("SELECT id FROM knn('docs', [1, 2], 2)").fetchall()


def test_a_column_is_named_where_several_hold_vectors(tmp_path: Path) -> None:
    rows = {
        "id": [1],
        "a": pa.array([[1.0, 2.0]], pa.list_(pa.float64())),
        "b": pa.array([[1.0]], pa.list_(pa.float64())),
    }
    write_deltalake(tmp_path / "docs", pa.table(rows))
    con = ruvector.connect()
    con.sql(f"CREATE EXTERNAL TABLE docs STORED AS DELTA LOCATION '{tmp_path / 'docs'}'")
    with pytest.raises(ruvector.RuVectorError, match="several vector columns: say column => one of a, b"):
        con.sql("SELECT id FROM knn('docs', [1, 2], 1)")
    assert con.sql("SELECT id FROM knn('docs', [1, 2], 1, column => 'a')").fetchall() == [(1,)]


def test_long_lists_beside_vectors_are_no_vectors(tmp_path: Path) -> None:
    """Pictures as bytes have one length too, which no index can hold."""
    pictures = np.zeros((3, 20_000), np.uint8)
    for make in [pa.list_, lambda item: pa.list_(item, 20_000)]:
        vectors = pa.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], pa.list_(pa.float64()))
        rows = pa.table({"id": [1, 2, 3], "picture": pa.array(list(pictures), make(pa.uint8())), "vec": vectors})
        folder = tmp_path / f"{make(pa.uint8())}"[:5].strip()
        folder.mkdir(exist_ok=True)
        pq.write_table(rows, folder / "docs.parquet")
        con = ruvector.connect()
        con.sql(f"CREATE EXTERNAL TABLE docs STORED AS PARQUET LOCATION '{folder / 'docs.parquet'}'")
        assert con.sql("SELECT id FROM knn('docs', [0, 1], 1)").fetchall() == [(2,)]
        assert len(con.sql("SELECT picture FROM docs WHERE id = 1").fetchall()[0][0]) == 20_000
        con.ingest("copied", rows)
        assert con.sql("SELECT id FROM knn('copied', [0, 1], 1)").fetchall() == [(2,)]
        con.close()
