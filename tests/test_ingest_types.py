"""Arrow types on their way in: each value is kept as it is, or the call fails, names the column and writes nothing."""

from __future__ import annotations

import datetime as dt
import decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

import ruvector

if TYPE_CHECKING:
    from collections.abc import Iterator

UTC = dt.timezone.utc
NOON = dt.datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def con() -> Iterator[ruvector.Connection]:
    with ruvector.connect() as con:
        yield con


@pytest.fixture(params=["in process", "remote"])
def either(request: pytest.FixtureRequest) -> Iterator[ruvector.Connection]:
    """A connection to an engine of its own, and one to the server that all tests share."""
    url = request.getfixturevalue("address") if request.param == "remote" else None
    with ruvector.connect(url) if url else ruvector.connect() as con:
        yield con


def kept(con: ruvector.Connection, name: str, values: pa.Array) -> pa.Array:
    con.ingest(name, pa.table({"x": values}), mode="replace")
    return con.sql(f'SELECT x FROM "{name}"').to_arrow().column("x").combine_chunks()


@pytest.mark.parametrize(
    ("values", "type_", "expected"),
    [
        (pa.array([255], pa.uint8()), pa.int16(), [255]),
        (pa.array([65535], pa.uint16()), pa.int32(), [65535]),
        (pa.array([2**32 - 1], pa.uint32()), pa.int64(), [2**32 - 1]),
        (pa.array([2**64 - 1], pa.uint64()), pa.decimal128(20, 0), [decimal.Decimal(2**64 - 1)]),
        (pa.array([[255]], pa.list_(pa.uint8())), pa.list_(pa.int16()), [[255]]),
        (pa.array([0.5], pa.float16()), pa.float32(), [0.5]),
        (pa.array([NOON], pa.timestamp("s", "Europe/Berlin")), pa.timestamp("us", "UTC"), [NOON]),
        (pa.array([NOON], pa.timestamp("ns", "+05:30")), pa.timestamp("us", "UTC"), [NOON]),
        (pa.array([{"at": NOON}], pa.struct([("at", pa.timestamp("ms", "Asia/Tokyo"))])), None, [{"at": NOON}]),
        (pa.array([NOON.replace(tzinfo=None)], pa.timestamp("ns")), pa.timestamp("us"), [NOON.replace(tzinfo=None)]),
        (pa.array([dt.date(2026, 1, 1)], pa.date64()), pa.date32(), [dt.date(2026, 1, 1)]),
        (pa.array([b"ab"], pa.binary(2)), pa.binary(), [b"ab"]),
        (pa.array(["a"]).dictionary_encode(), pa.string(), ["a"]),
        (pa.array([decimal.Decimal("1.25")], pa.decimal256(38, 2)), pa.decimal128(38, 2), [decimal.Decimal("1.25")]),
        (pa.array([[("a", 1)]], pa.map_(pa.string(), pa.uint8())), None, [[("a", 1)]]),
    ],
    ids=str,
)
def test_a_type_is_one_that_holds_its_values(
    con: ruvector.Connection, values: pa.Array, type_: pa.DataType | None, expected: list[Any]
) -> None:
    got = kept(con, "t", values)
    if type_ is not None and not pa.types.is_nested(type_):
        assert got.type == type_
    assert got.to_pylist() == expected


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (pa.array([dt.time(1)], pa.time64("us")), "x"),
        (pa.array([dt.timedelta(1)], pa.duration("us")), "x"),
        (pa.array([{"span": dt.timedelta(1)}]), "x.span"),
        (pa.array([decimal.Decimal(1)], pa.decimal256(60, 0)), "x"),
    ],
    ids=str,
)
def test_a_type_without_a_place_names_its_column(either: ruvector.Connection, values: pa.Array, says: str) -> None:
    with pytest.raises(ruvector.NotSupported, match=f"column {says}: "):
        either.ingest("never_made", pa.table({"x": values}))
    with pytest.raises(ruvector.NotFound):
        either.sql("SELECT * FROM never_made")


APPENDED = {
    "i": pa.array([1.9]),
    "f": pa.array([1e300]),
    "at": pa.array([NOON]),
    "when": pa.array([NOON.replace(tzinfo=None)]),
    "ns": pa.array([1], pa.timestamp("ns")),
    "n": pa.array([decimal.Decimal("1.005")]),
    "t": pa.array([b"\xff"]),
    "v": pa.array([[1.0, 1e300]]),
    "u": pa.array([-1]),
    "s": pa.array([{"lon": 2.5, "latitude": 1.5}]),
    "l": pa.array([[1.5]]),
}


@pytest.mark.parametrize("column", APPENDED)
def test_a_value_that_does_not_fit_is_refused(either: ruvector.Connection, name: str, column: str) -> None:
    either.sql(
        f'CREATE TABLE "{name}" (i INT, f FLOAT, at TIMESTAMP, ns TIMESTAMP, n DECIMAL(6, 2), t TEXT, v FLOAT[2], '
        "u INT UNSIGNED, s STRUCT<lat DOUBLE, lon DOUBLE>, l BIGINT[])"
    )
    made = pa.table({"when": pa.array([NOON])})
    if column == "when":
        either.ingest(name, made, mode="replace")
    with pytest.raises(ruvector.InvalidInput, match=f'"{column}'):
        either.ingest(name, pa.table({column: APPENDED[column]}), mode="append")
    assert either.sql(f'SELECT count(*) FROM "{name}"').fetchall() == [(1 if column == "when" else 0,)]


def test_a_column_that_is_there_twice_is_refused(con: ruvector.Connection) -> None:
    twice = pa.table([pa.array([1]), pa.array([2])], names=["i", "i"])
    for mode in ("create", "replace"):
        with pytest.raises(ruvector.InvalidInput, match='"i" occurs twice'):
            con.ingest("t", twice, mode=mode)
    con.sql("CREATE TABLE t (i INT)")
    with pytest.raises(ruvector.InvalidInput, match='"i" occurs twice'):
        con.ingest("t", twice, mode="append")


def test_fields_of_structs_are_matched_by_name(con: ruvector.Connection) -> None:
    con.ingest("places", pa.table({"at": [[{"lat": 1.5, "lon": 2.5}]]}))
    con.ingest("places", pa.table({"at": [[{"lon": 4.5, "lat": 3.5}, {"lon": 6.5, "lat": None}]]}), mode="append")
    con.ingest("places", pa.table({"at": [[{"lon": 7.5}]]}), mode="append")
    got = con.sql("SELECT at FROM places").to_arrow().column("at").to_pylist()
    assert sorted(got, key=lambda row: row[0]["lon"]) == [
        [{"lat": 1.5, "lon": 2.5}],
        [{"lat": 3.5, "lon": 4.5}, {"lat": None, "lon": 6.5}],
        [{"lat": None, "lon": 7.5}],
    ]


NESTED = pa.table(
    {
        "id": pa.array(range(60)),
        "author": pa.array([{"name": {"first": f"n{i}"}} if i % 7 else None for i in range(60)]),
        "pages": pa.array([[{"at": {"row": i}}, {"at": None}] if i % 5 else None for i in range(60)]),
        "pair": pa.array(
            [[{"x": {"y": i}}, {"x": None}] if i % 3 else None for i in range(60)],
            pa.list_(pa.struct([("x", pa.struct([("y", pa.int64())]))]), 2),
        ),
        "tags": pa.array(
            [[(f"k{i}", {"a": {"b": i}})] for i in range(60)],
            pa.map_(pa.string(), pa.struct([("a", pa.struct([("b", pa.int64())]))])),
        ),
    }
)


@pytest.mark.parametrize(("offset", "length"), [(0, 60), (2, 3), (17, 40), (59, 1), (30, 0)])
@pytest.mark.parametrize("form", ["table", "batch", "reader", "slice of a slice"])
def test_a_slice_of_nested_rows_is_its_rows(con: ruvector.Connection, form: str, offset: int, length: int) -> None:
    rows = NESTED.slice(offset, length)
    given = {
        "table": lambda: rows,
        "batch": lambda: NESTED.combine_chunks().to_batches()[0].slice(offset, length),
        "reader": lambda: rows.to_reader(max_chunksize=7),
        "slice of a slice": lambda: NESTED.slice(offset // 2).slice(offset - offset // 2, length),
    }[form]()
    assert con.ingest("docs", given) == length
    got = con.sql("SELECT * FROM docs ORDER BY id").to_arrow()
    assert got.to_pylist() == rows.to_pylist()
    assert con.ingest("docs", given if form != "reader" else rows.to_reader(), mode="append") == length


def test_a_polars_frame_that_was_filtered_is_its_rows(con: ruvector.Connection) -> None:
    frame = pl.DataFrame({"id": range(9), "meta": [{"author": {"name": f"n{i}"}} for i in range(9)]})
    con.ingest("docs", frame.slice(3).filter(pl.col("id") != 5))
    assert con.sql("SELECT meta FROM docs ORDER BY id").fetchall() == [
        ({"author": {"name": f"n{i}"}},) for i in (3, 4, 6, 7, 8)
    ]


def test_embeddings_of_doubles_become_vectors(con: ruvector.Connection) -> None:
    vectors = np.random.default_rng(5).normal(size=(4, 3))
    flat = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), 3)
    con.ingest("docs", pa.table({"id": range(4), "vec": flat}))
    assert con.sql("SELECT id FROM knn('docs', $1, 1)", [vectors[2].tolist()]).fetchall() == [(2,)]
    too_large = pa.FixedSizeListArray.from_arrays(pa.array([1e300, 0.0, 0.0]), 3)
    with pytest.raises(ruvector.InvalidInput, match='"vec'):
        con.ingest("more", pa.table({"vec": too_large}))
