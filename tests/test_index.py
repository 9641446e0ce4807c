"""The index classes, against brute force in NumPy."""

from __future__ import annotations

import contextlib
import doctest
import gc
import inspect
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest
from conftest import SEED

import ruvector
from ruvector import (
    FlatF32Index,
    Hit,
    IdFilter,
    IvfRabitqIndex,
    RabitqAsymIndex,
    RabitqIndex,
    RabitqPlusIndex,
)
from ruvector._native_module import native

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NO_ID = 2**64 - 1
# A relative error of float32 sums in another order.
CLOSE = 1e-4


class Case(NamedTuple):
    """A class, the options of its `build`, and what it promises."""

    kind: Any
    options: dict[str, Any]
    exact: bool
    recall_min: float

    def build(self, vectors: np.ndarray, **options: Any) -> Any:  # noqa: ANN401 - one of five classes
        """Build an index with the options of the case and more."""
        return self.kind.build(vectors, **self.options, **options)


ALL_LISTS = {"nlist": 8, "nprobe": 8}
CASES = {
    "flat": Case(FlatF32Index, {}, exact=True, recall_min=1.0),
    "rabitq": Case(RabitqIndex, {}, exact=False, recall_min=0.3),
    "rabitq_asym": Case(RabitqAsymIndex, {}, exact=True, recall_min=0.98),
    "rabitq_asym_codes": Case(RabitqAsymIndex, {"keep_originals": False}, exact=False, recall_min=0.3),
    "rabitq_plus": Case(RabitqPlusIndex, {}, exact=True, recall_min=0.98),
    "ivf_rabitq": Case(IvfRabitqIndex, ALL_LISTS, exact=True, recall_min=0.98),
    "ivf_rabitq_codes": Case(IvfRabitqIndex, {**ALL_LISTS, "keep_originals": False}, exact=False, recall_min=0.8),
}
WITH_ORIGINALS = [name for name, case in CASES.items() if case.exact]
WITHOUT_ORIGINALS = [name for name, case in CASES.items() if not case.exact]


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


@pytest.fixture(params=WITH_ORIGINALS)
def case_with_originals(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


@pytest.fixture(params=WITHOUT_ORIGINALS)
def case_without_originals(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


@pytest.fixture(scope="module")
def data() -> np.ndarray:
    """Clustered vectors, `[2000, 96]`."""
    return clustered(2000, 96)


def clustered(num_rows: int, dim: int) -> np.ndarray:
    rng = np.random.default_rng(SEED)
    centres = rng.uniform(-2, 2, (20, dim))
    rows = centres[rng.integers(20, size=num_rows)] + 0.6 * rng.standard_normal((num_rows, dim))
    return rows.astype(np.float32)


def scores(metric: str, vectors: np.ndarray, query: np.ndarray) -> np.ndarray:
    """The oracle: the score of each vector, in double precision."""
    a, b = vectors.astype(np.float64), query.astype(np.float64)
    if metric == "l2":
        return ((a - b) ** 2).sum(axis=1)
    if metric == "inner_product":
        return -(a @ b)
    return 1 - (a @ b) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b))


def nearest(metric: str, vectors: np.ndarray, query: np.ndarray, k: int) -> list[int]:
    return np.argsort(scores(metric, vectors, query), kind="stable")[:k].tolist()


def queries_near(data: np.ndarray, num_queries: int) -> np.ndarray:
    rng = np.random.default_rng(SEED + 1)
    rows = data[rng.integers(len(data), size=num_queries)]
    return (rows + 0.3 * rng.standard_normal(rows.shape)).astype(np.float32)


# Answers.


@pytest.mark.parametrize("metric", ["l2", "inner_product", "cosine"])
def test_search_finds_the_nearest(case: Case, data: np.ndarray, metric: str) -> None:
    index = case.build(data, metric=metric)
    found = 0
    queries = queries_near(data, 20)
    for query in queries:
        hits = index.search(query)
        assert len(hits) == 10
        assert [(hit.score, hit.id) for hit in hits] == sorted((hit.score, hit.id) for hit in hits)
        if case.exact:
            expected = scores(metric, data, query)[[hit.id for hit in hits]]
            np.testing.assert_allclose([hit.score for hit in hits], expected, rtol=CLOSE, atol=CLOSE)
        found += len({hit.id for hit in hits} & set(nearest(metric, data, query, 10)))
    assert found / (10 * len(queries)) >= case.recall_min


def test_a_hit_is_a_named_tuple(data: np.ndarray) -> None:
    (hit,) = FlatF32Index.build(data, ids=range(5, 2005)).search(data[7], k=1)
    assert type(hit) is Hit
    assert hit == (12, 0.0)
    id_, score = hit
    assert (type(id_), type(score)) == (int, float)
    assert repr(hit) == "Hit(id=12, score=0.0)"


def test_a_query_may_be_a_sequence_of_floats(case: Case, data: np.ndarray) -> None:
    index = case.build(data)
    expected = index.search(data[3], k=3)
    assert index.search(data[3].tolist(), k=3) == expected
    assert index.search(tuple(data[3].tolist()), k=3) == expected


def test_search_batch_is_search_for_each_row(case: Case, data: np.ndarray) -> None:
    index = case.build(data)
    queries = queries_near(data, 9)
    ids, distances = index.search_batch(queries, k=4)
    assert (ids.shape, ids.dtype) == ((9, 4), np.dtype(np.uint64))
    assert (distances.shape, distances.dtype) == ((9, 4), np.dtype(np.float32))
    for query, row_ids, row_distances in zip(queries, ids, distances, strict=True):
        assert index.search(query, k=4) == list(zip(row_ids.tolist(), row_distances.tolist(), strict=True))
    assert [array.shape for array in index.search_batch(queries[:0], k=4)] == [(0, 4), (0, 4)]


def test_more_answers_than_vectors_are_all_vectors(case: Case) -> None:
    data = clustered(5, 8)
    index = case.build(data)
    assert sorted(hit.id for hit in index.search(data[0], k=1000)) == [0, 1, 2, 3, 4]
    ids, distances = index.search_batch(data, k=1000)
    assert ids.shape == distances.shape == (5, 5)


def test_filters_leave_k_answers_where_k_match(case: Case, data: np.ndarray) -> None:
    index = case.build(data)
    query = queries_near(data, 1)[0]
    for step in [1, 3, 100, 1000]:
        allowed = np.arange(0, len(data), step)
        hits = index.search(query, k=10, filter=IdFilter(allowed))
        assert len(hits) == min(10, len(allowed))
        assert all(hit.id % step == 0 for hit in hits)
        if case.exact:
            assert [hit.id for hit in hits] == (allowed[nearest("l2", data[allowed], query, 10)]).tolist()


def test_rows_of_a_batch_are_filled_up(case: Case, data: np.ndarray) -> None:
    index = case.build(data)
    ids, distances = index.search_batch(data[:2], k=4, filter=IdFilter([3, 5, NO_ID - 1]))
    assert {3, 5} == set(ids[0, :2].tolist()) == set(ids[1, :2].tolist())
    assert np.all(ids[:, 2:] == NO_ID)
    assert np.all(np.isposinf(distances[:, 2:]))
    assert np.all(np.isfinite(distances[:, :2]))
    assert index.search(data[0], filter=IdFilter([])) == []


def test_range_search_finds_everything_within(case: Case, data: np.ndarray) -> None:
    index = case.build(data)
    query = queries_near(data, 1)[0]
    expected = scores("l2", data, query)
    radius = float(np.sort(expected)[40] * (1 + CLOSE))
    hits = index.range_search(query, radius)
    assert all(hit.score <= radius for hit in hits)
    assert [hit.score for hit in hits] == sorted(hit.score for hit in hits)
    if case.exact:
        assert [hit.id for hit in hits] == nearest("l2", data, query, 41)
    odd = IdFilter(np.arange(1, len(data), 2))
    assert index.range_search(query, radius, filter=odd) == [hit for hit in hits if hit.id % 2 == 1]
    assert index.range_search(query, -1e9) == []


def test_searching_more_lists_finds_more(data: np.ndarray) -> None:
    index = IvfRabitqIndex.build(data, nlist=40, nprobe=1)
    queries = queries_near(data, 30)
    truth = [set(nearest("l2", data, query, 10)) for query in queries]

    def recall(**options: int) -> float:
        ids, _ = index.search_batch(queries, k=10, **options)
        return sum(len(set(row.tolist()) & wanted) for row, wanted in zip(ids, truth, strict=True)) / (10 * len(truth))

    assert index.nlist == 40
    assert recall() == recall(nprobe=1) < recall(nprobe=40)
    assert recall(nprobe=40) >= 0.98
    assert len(index.search(queries[0], k=10, nprobe=40)) == 10


def test_parameters_of_a_search_are_used(data: np.ndarray) -> None:
    index = RabitqPlusIndex.build(data, rerank_factor=1, epsilon=0.0)
    queries = queries_near(data, 30)
    truth = FlatF32Index.build(data).search_batch(queries)[0]
    few = np.mean(index.search_batch(queries)[0] == truth)
    many = np.mean(index.search_batch(queries, rerank_factor=200)[0] == truth)
    assert few < many == 1.0


# Building.


@pytest.mark.parametrize(
    "ids",
    [
        [3, 2**63, 0, NO_ID],
        np.array([3, 2**63, 0, NO_ID], dtype=np.uint64),
        np.array([3, 9, 2**63, 9, 0, 9, NO_ID, 9], dtype=np.uint64)[::2],
        np.array([3, 300, 0, 70]),
        np.array([3, 200, 0, 70], dtype=np.uint8),
        range(4, 8),
    ],
    ids=["list", "uint64", "strided", "int64", "uint8", "range"],
)
def test_ids_are_arrays_or_iterables_of_ints(case: Case, ids: Any) -> None:  # noqa: ANN401 - many types
    data = clustered(4, 8)
    index = case.build(data, ids=ids)
    expected = [int(id_) for id_ in ids]
    assert index.ids.tolist() == expected
    assert index.ids.dtype == np.uint64
    assert {hit.id for hit in index.search(data[0], k=4)} == set(expected)
    assert all(id_ in index for id_ in expected)


def test_an_index_without_ids_counts_from_0(case: Case, data: np.ndarray) -> None:
    index = case.build(data)
    assert index.ids.tolist() == list(range(2000))


def test_building_twice_gives_equal_indexes(case: Case, data: np.ndarray) -> None:
    index = case.build(data)
    assert index == case.build(data.copy())
    assert not index.__ne__(case.build(data))
    assert index != case.build(data, seed=7)
    assert index != case.build(data[:-1])
    assert index != case.build(data, ids=range(1, 2001))
    assert index != "an index"
    with pytest.raises(TypeError, match="unhashable"):
        hash(index)


def test_kinds_differ(data: np.ndarray) -> None:
    indexes = [case.build(data) for case in CASES.values()]
    assert [[a == b for b in indexes] for a in indexes] == np.eye(len(indexes), dtype=bool).tolist()


def test_progress_rises_to_the_number_of_vectors(case: Case, data: np.ndarray) -> None:
    calls: list[tuple[int, int]] = []
    thread = threading.current_thread()

    def progress(done: int, total: int) -> None:
        assert threading.current_thread() is thread
        calls.append((done, total))

    assert case.build(data, progress=progress) == case.build(data)
    assert calls == sorted(calls)
    assert calls[-1] == (2000, 2000)
    assert {total for _, total in calls} == {2000}


def test_an_error_in_progress_cancels_the_build(case: Case, data: np.ndarray) -> None:
    def progress(_done: int, _total: int) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        case.build(data, progress=progress)


def test_a_long_build_stops_early() -> None:
    data = clustered(60_000, 128)
    options = {"nlist": 2000}
    calls: list[int] = []

    def progress(done: int, _total: int) -> None:
        calls.append(done)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        IvfRabitqIndex.build(data, progress=progress, **options)
    # Once: it stopped in the middle, with vectors to go.
    assert len(calls) == 1
    assert calls[0] < len(data)


def test_ctrl_c_stops_a_build() -> None:
    script = """
import _thread, signal, sys, threading, time
import numpy as np, ruvector
# A shell that started the tests in the background had the signal ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
data = np.random.default_rng(0).standard_normal((200_000, 128), dtype=np.float32)
threading.Timer(0.2, _thread.interrupt_main).start()
start = time.monotonic()
try:
    ruvector.IvfRabitqIndex.build(data, nlist=4000)
except KeyboardInterrupt:
    sys.exit(7)
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 7


# Changing.


def test_vectors_come_and_go(case: Case, data: np.ndarray) -> None:
    index = case.build(data[:1000], ids=range(1000))
    index.add(id=5000, vector=data[1000])
    index.add(6000, data[1001].tolist())
    index.add_batch(np.arange(1002, 2000), data[1002:])
    assert len(index) == 2000
    assert index.remove(5000) == 1
    assert index.remove(np.uint64(6000)) == 1
    assert index.remove([0, 1, 1, 99_999]) == 2
    assert index.remove(np.arange(2, 10)) == 8
    assert index.remove(IdsOnce()) == 0
    gone = {*range(10), 1000, 1001}
    left = [row for row in range(2000) if row not in gone]
    assert sorted(index.ids.tolist()) == left
    assert 5000 not in index
    assert 10 in index
    if case.exact:
        query = queries_near(data, 1)[0]
        expected = [left[row] for row in nearest("l2", data[left], query, 10)]
        assert [hit.id for hit in index.search(query)] == expected


class IdsOnce:
    """Something that iterates over ints and is nothing else."""

    def __iter__(self) -> Iterator[int]:
        """Yield ids that no index has."""
        return iter([70_000, 80_000])


def test_an_index_may_begin_empty(case: Case) -> None:
    index = case.build(np.empty((0, 4), dtype=np.float32))
    assert (len(index), index.dim) == (0, 4)
    index.add_batch([5, 6], np.eye(2, 4, dtype=np.float32))
    assert index.search([1, 0, 0, 0], k=1)[0].id == 5
    assert index.remove([5, 6]) == 2
    with pytest.raises(ruvector.EmptyIndex):
        index.search([1, 0, 0, 0])


def test_nothing_is_changed_by_what_is_refused(case: Case, data: np.ndarray) -> None:
    index, same = case.build(data), case.build(data)
    nan = np.array([np.nan] * 96, dtype=np.float32)
    for error, change in [
        (ruvector.AlreadyExists, lambda: index.add(7, data[0])),
        (ruvector.AlreadyExists, lambda: index.add_batch([3000, 7], data[:2])),
        (ruvector.InvalidInput, lambda: index.add_batch([3000, 3000], data[:2])),
        (ruvector.InvalidInput, lambda: index.add_batch([3000], data[:2])),
        (ruvector.DimensionMismatch, lambda: index.add(3000, data[0, :5].copy())),
        (ruvector.InvalidInput, lambda: index.add(3000, nan)),
        (ruvector.InvalidInput, lambda: index.remove([3, -1])),
    ]:
        with pytest.raises(error):
            change()
    assert index == same


# Python's own verbs.


def test_an_index_says_what_it_is(case: Case, data: np.ndarray) -> None:
    index = case.build(data, metric="cosine")
    name = case.kind.__name__
    assert isinstance(index, ruvector.AnyIndex)
    assert not isinstance(data, ruvector.AnyIndex)
    assert (len(index), index.dim, index.metric) == (2000, 96, "cosine")
    assert (
        index.kind
        == {
            "FlatF32Index": "flat",
            "RabitqIndex": "rabitq",
            "RabitqAsymIndex": "rabitq_asym",
            "RabitqPlusIndex": "rabitq_plus",
            "IvfRabitqIndex": "ivf_rabitq",
        }[name]
    )
    assert repr(index) == f"{name}(n=2000, dim=96, metric='cosine', memory_bytes={index.memory_bytes})"
    assert index.memory_bytes > (data.nbytes if case.exact else data.nbytes / 32)
    assert type(index).__module__ == "ruvector"
    assert "x" not in index
    assert -1 not in index
    assert 2000 not in index


def test_classes_are_made_by_build_only() -> None:
    for case in CASES.values():
        with pytest.raises(TypeError):
            case.kind()


def test_originals_are_there_by_id(case_with_originals: Case, data: np.ndarray) -> None:
    index = case_with_originals.build(data, ids=range(100, 2100))
    vector = index[107]
    assert vector.dtype == np.float32
    assert np.array_equal(vector, data[7])
    vector[:] = 0
    assert np.array_equal(index[107], data[7])
    with pytest.raises(LookupError, match="no vector of this id: id 7"):
        index[7]
    pairs = list(index)
    assert [id_ for id_, _ in pairs] == list(range(100, 2100))
    assert type(pairs[0][0]) is int
    assert np.array_equal([row for _, row in pairs], data)


def test_without_originals_there_is_nothing_to_get(case_without_originals: Case, data: np.ndarray) -> None:
    index = case_without_originals.build(data)
    message = f"this {case_without_originals.kind.__name__} keeps no originals: RabitqPlusIndex does"
    with pytest.raises(LookupError, match=message) as raised:
        index[7]
    assert isinstance(raised.value, ruvector.NotFound)
    with pytest.raises(TypeError, match=message):
        iter(index)
    with pytest.raises(TypeError, match=message):
        np.asarray(index)


def test_asarray_is_the_matrix_without_a_copy(case_with_originals: Case, data: np.ndarray) -> None:
    index = case_with_originals.build(data)
    array = np.asarray(index)
    assert (array.shape, array.dtype, array.flags.c_contiguous) == ((2000, 96), np.float32, True)
    assert np.array_equal(array, data)
    assert array.ctypes.data == np.asarray(index).ctypes.data
    assert not array.flags.owndata
    with pytest.raises(ValueError, match="read-only"):
        array[0, 0] = 1
    with pytest.raises(ValueError, match="WRITEABLE"):
        array.flags.writeable = True
    assert np.asarray(index, dtype=np.float64).dtype == np.float64
    copy = np.array(index)
    copy[0, 0] = 77
    assert np.array_equal(np.asarray(index), data)
    with pytest.raises(ruvector.InvalidInput, match="float32 becomes float64 by a copy"):
        index.__array__(np.float64, copy=False)


def test_an_array_outlives_changes_and_the_index(case_with_originals: Case, data: np.ndarray) -> None:
    index = case_with_originals.build(data)
    array, rows = np.asarray(index), iter(index)
    index.remove(range(1, 2000))
    index.add(9999, data[5])
    assert np.array_equal(array, data)
    assert np.array_equal(np.asarray(index), data[[0, 5]])
    del index
    gc.collect()
    assert np.array_equal(array, data)
    assert [id_ for id_, _ in rows] == list(range(2000))


def test_a_filter_is_a_set_of_ids() -> None:
    allowed = IdFilter(np.array([5, 3, 5, NO_ID], dtype=np.uint64))
    assert len(allowed) == 3
    assert 5 in allowed
    assert NO_ID in allowed
    assert 4 not in allowed
    assert "5" not in allowed
    assert repr(allowed) == "IdFilter(n=3)"
    assert len(IdFilter(range(1000))) == 1000
    assert len(IdFilter([])) == 0


def test_cpu_features_name_the_kernel() -> None:
    features = ruvector.cpu_features()
    assert features.kernel in features.available
    assert features.available[0] == "scalar"


# Files.


def test_save_and_load(case: Case, tmp_path: Path) -> None:
    data = clustered(3000, 96)  # more than one list, also where the kind decides
    index = case.build(data, ids=range(10, 3010), metric="cosine", seed=5, rerank_factor=3, epsilon=2.5)
    index.remove(range(10, 40))
    path = tmp_path / "index.rbpx"
    index.save(path)
    loaded = case.kind.load(str(path))
    assert type(loaded) is case.kind
    assert loaded == index
    assert loaded.search(data[3], k=5) == index.search(data[3], k=5)
    loaded.add(7, data[7])
    loaded.save(path)
    assert case.kind.load(path) == loaded


def test_a_missing_file_is_not_found(case: Case, data: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(ruvector.IndexFileNotFound) as raised:
        case.kind.load(tmp_path / "none.rbpx")
    assert isinstance(raised.value, (ruvector.PersistError, ruvector.NotFound))
    with pytest.raises(ruvector.IndexFileNotFound):
        case.build(data[:3]).save(tmp_path / "none" / "index.rbpx")


def test_a_damaged_file_is_corrupt(case: Case, data: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "index.rbpx"
    case.build(data[:50]).save(path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ruvector.IndexFileCorrupt) as raised:
        case.kind.load(path)
    assert isinstance(raised.value, ruvector.PersistError)
    assert isinstance(raised.value, ruvector.Corrupt)


def test_a_file_of_another_class_is_refused(data: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "index.rbpx"
    RabitqIndex.build(data[:50]).save(path)
    with pytest.raises(ruvector.PersistError, match="expected flat, got rabitq"):
        FlatF32Index.load(path)


# What is wrong.


def strided(array: np.ndarray) -> np.ndarray:
    return np.repeat(array, 2, axis=-1)[..., ::2]


def unaligned(array: np.ndarray) -> np.ndarray:
    return np.frombuffer(b"x" + array.tobytes(), dtype=np.uint8)[1:].view(np.float32).reshape(array.shape)


MATRIX = np.eye(3, 4, dtype=np.float32)
EXPECTED = "expected a C-contiguous float32 array of shape (n, dim), got "
WRONG_MATRICES: list[tuple[Any, str]] = [
    (MATRIX.tolist(), "list: np.asarray({0}, dtype=np.float32)"),
    ("text", "str: np.asarray({0}, dtype=np.float32)"),
    (None, "NoneType: np.asarray({0}, dtype=np.float32)"),
    (MATRIX[0], "shape (4,): {0}.reshape(1, -1)"),
    (MATRIX[None], "shape (1, 3, 4): {0}.reshape(-1, {0}.shape[-1])"),
    (MATRIX.astype(np.float64), "float64: {0}.astype(np.float32)"),
    (MATRIX.astype(np.float16), "float16: {0}.astype(np.float32)"),
    (MATRIX.astype(np.int64), "int64: {0}.astype(np.float32)"),
    (MATRIX.astype(">f4"), ">f4: {0}.astype(np.float32)"),
    (MATRIX.T.astype(np.float64), "float64: np.ascontiguousarray({0}, dtype=np.float32)"),
    (np.asfortranarray(MATRIX), "a non-contiguous array: np.ascontiguousarray({0})"),
    (strided(MATRIX), "a non-contiguous array: np.ascontiguousarray({0})"),
    (unaligned(MATRIX), "an unaligned array: {0}.copy()"),
]


@pytest.mark.parametrize(("wrong", "message"), WRONG_MATRICES)
def test_a_wrong_array_is_refused_with_the_way_to_mend_it(wrong: Any, message: str) -> None:  # noqa: ANN401 - anything
    index = FlatF32Index.build(MATRIX)
    for name, call in {
        "vectors": FlatF32Index.build,
        "queries": index.search_batch,
    }.items():
        with pytest.raises(ruvector.InvalidInput) as raised:
            call(wrong)
        assert str(raised.value) == f"{name}: {EXPECTED}{message.format(name)}"
    if isinstance(wrong, np.ndarray):
        # What the message says, works.
        mended = eval(message.format("wrong").split(": ")[-1], {"np": np, "wrong": wrong})  # noqa: S307 - our own message
        assert len(FlatF32Index.build(mended)) == mended.shape[0]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (MATRIX[:1], "shape (1, 4): query[0]"),
        (MATRIX, "shape (3, 4): search_batch(queries)"),
        (MATRIX[None], "shape (1, 3, 4): query.reshape(-1)"),
        (MATRIX[0].astype(np.float64), "float64: query.astype(np.float32)"),
        (strided(MATRIX[0]), "a non-contiguous array: np.ascontiguousarray(query)"),
        ("text", "str: np.asarray(query, dtype=np.float32)"),
        (["a", "b"], "list: np.asarray(query, dtype=np.float32)"),
        (7, "int: np.asarray(query, dtype=np.float32)"),
    ],
)
def test_a_wrong_query_is_refused_with_the_way_to_mend_it(wrong: Any, message: str) -> None:  # noqa: ANN401 - anything
    with pytest.raises(ruvector.InvalidInput) as raised:
        FlatF32Index.build(MATRIX).search(wrong)
    expected = "query: expected a C-contiguous float32 array of shape (dim,) or a list of floats, got "
    assert str(raised.value) == expected + message


def bad_calls(case: Case) -> dict[str, tuple[Callable[[], object], type[Exception], str]]:
    index, empty = case.build(MATRIX), case.build(MATRIX[:0])
    nan = MATRIX.copy()
    nan[2, 1] = np.nan
    zeros = [0.0] * 4
    invalid, dimension = ruvector.InvalidInput, ruvector.DimensionMismatch
    return {
        "query dim": (
            lambda: index.search([0.0] * 3),
            dimension,
            "query has the wrong dimension: expected 4, got 3",
        ),
        "queries dim": (
            lambda: index.search_batch(MATRIX[:, :3].copy()),
            dimension,
            "queries have the wrong dimension: expected 4, got 3",
        ),
        "range dim": (
            lambda: index.range_search([0.0] * 5, 1.0),
            dimension,
            "query has the wrong dimension: expected 4, got 5",
        ),
        "vector dim": (
            lambda: index.add(9, [0.0]),
            dimension,
            "vector has the wrong dimension: expected 4, got 1",
        ),
        "vectors dim": (
            lambda: index.add_batch([9], np.zeros((1, 5), dtype=np.float32)),
            dimension,
            "vectors have the wrong dimension: expected 4, got 5",
        ),
        "empty": (
            lambda: empty.search(zeros),
            ruvector.EmptyIndex,
            "the index has no vectors to search: add some first",
        ),
        "empty batch": (
            lambda: empty.search_batch(MATRIX),
            ruvector.EmptyIndex,
            "the index has no vectors to search: add some first",
        ),
        "empty range": (
            lambda: empty.range_search(zeros, 1.0),
            ruvector.EmptyIndex,
            "the index has no vectors to search: add some first",
        ),
        "k 0": (lambda: index.search(zeros, k=0), invalid, "k is out of range: expected at least 1, got 0"),
        "k -1": (lambda: index.search_batch(MATRIX, -1), invalid, "k is out of range: expected at least 1, got -1"),
        "rerank_factor": (
            lambda: index.search(zeros, rerank_factor=-3),
            invalid,
            "rerank_factor is out of range: expected at least 0, got -3",
        ),
        "nan query": (
            lambda: index.search([0.0, np.nan, 0.0, 0.0]),
            invalid,
            "query has a component that is not finite: component 1, expected a finite number, got NaN",
        ),
        "nan queries": (
            lambda: index.search_batch(nan),
            invalid,
            "vector has a component that is not finite: row 2, component 1, expected a finite number, got NaN",
        ),
        "radius": (lambda: index.range_search(zeros, np.nan), invalid, "radius is out of range"),
        "nan": (
            lambda: case.build(nan),
            invalid,
            "vector has a component that is not finite: row 2, component 1, expected a finite number, got NaN",
        ),
        "dim 0": (
            lambda: case.build(np.zeros((3, 0), dtype=np.float32)),
            invalid,
            "dimension is out of range: expected 1..=16384, got 0",
        ),
        "dim 16385": (
            lambda: case.build(np.zeros((1, 16385), dtype=np.float32)),
            invalid,
            "dimension is out of range: expected 1..=16384, got 16385",
        ),
        "metric": (
            lambda: case.build(MATRIX, metric="euclid"),
            invalid,
            "unknown metric: expected l2, inner_product or cosine, got 'euclid'",
        ),
        "epsilon": (lambda: case.build(MATRIX, epsilon=-1.0), invalid, "epsilon is out of range"),
        "seed": (lambda: case.build(MATRIX, seed=-1), invalid, f"seed is out of range: expected 0..={NO_ID}, got -1"),
        "ids twice": (lambda: case.build(MATRIX, ids=[4, 7, 4]), invalid, "two vectors have one id: id 4"),
        "few ids": (
            lambda: case.build(MATRIX, ids=[4, 7]),
            invalid,
            "number of ids differs from number of vectors: expected 3, got 2",
        ),
        "id -1": (
            lambda: case.build(MATRIX, ids=[4, 7, -1]),
            invalid,
            f"id is out of range: expected 0..={NO_ID}, got -1",
        ),
        "int64 -1": (
            lambda: case.build(MATRIX, ids=np.array([4, 7, -1])),
            invalid,
            f"id is out of range: expected 0..={NO_ID}, got -1",
        ),
        "id 2**64": (lambda: index.add(2**64, zeros), invalid, f"expected 0..={NO_ID}, got {2**64}"),
        "float ids": (
            lambda: case.build(MATRIX, ids=np.array([1.0, 2.0, 3.0])),
            invalid,
            "ids: expected an iterable of ints, or an integer array of shape (n,), got float64",
        ),
        "matrix of ids": (
            lambda: case.build(MATRIX, ids=np.array([[1, 2, 3]])),
            invalid,
            "ids: expected an iterable of ints, or an integer array of shape (n,), got shape (1, 3)",
        ),
        "text ids": (lambda: index.remove("123"), invalid, "ids: expected an iterable of ints"),
        "text id": (lambda: index.add("7", zeros), invalid, "id: expected an int, got str"),
        "filter": (
            lambda: index.search(zeros, filter=[1, 2]),
            invalid,
            "filter: expected an IdFilter, got list: ruvector.IdFilter(ids)",
        ),
    }


@pytest.mark.parametrize("name", bad_calls(CASES["flat"]))
def test_errors_name_expected_and_got(case: Case, name: str) -> None:
    call, error, message = bad_calls(case)[name]
    with pytest.raises(error) as raised:
        call()
    assert type(raised.value) is error
    assert message in str(raised.value)
    assert isinstance(raised.value, ValueError)


def test_lists_are_at_least_one() -> None:
    for option in ["nlist", "nprobe"]:
        with pytest.raises(ruvector.InvalidInput, match=f"{option} is out of range: expected at least 1, got 0"):
            IvfRabitqIndex.build(MATRIX, **{option: 0})
    with pytest.raises(ruvector.InvalidInput, match="nprobe is out of range: expected at least 1, got 0"):
        IvfRabitqIndex.build(MATRIX).search_batch(MATRIX, nprobe=0)


# Memory and threads.


def test_arrays_are_read_where_they_are() -> None:
    """The largest memory of a process does not grow by another copy of its vectors or queries."""
    script = """
import resource, sys, numpy as np, ruvector
unit = 1 if sys.platform == "darwin" else 1024
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
vectors = np.zeros((200_000, 128), dtype=np.float32)
vectors[:, 0] = np.arange(200_000)
vectors += 1
small = ruvector.RabitqIndex.build(vectors[:1000])
small.search_batch(vectors[:1000], k=1)
before = peak()
index = ruvector.RabitqIndex.build(vectors)
built = peak()
small.search_batch(vectors, k=1)
searched = peak()
print(vectors.nbytes, built - before, searched - built)
"""
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    size, built, searched = map(int, done.stdout.split())
    assert built < size / 2
    assert searched < size / 2


def test_threads_search_at_once_while_another_changes_the_index(case: Case, data: np.ndarray) -> None:
    index = case.build(data)
    queries = queries_near(data, 8)
    odd = IdFilter(np.arange(1, 2000, 2))
    expected = [index.search(query, k=5, filter=odd) for query in queries]
    stop = threading.Event()

    def search(number: int) -> int:
        rounds = 0
        while not stop.is_set():
            assert index.search(queries[number], k=5, filter=odd) == expected[number]
            ids, _ = index.search_batch(queries, k=5, filter=odd)
            assert ids[number].tolist() == [hit.id for hit in expected[number]]
            assert len(index) in range(1000, 4001)
            if case.exact:
                assert np.asarray(index).shape[1] == 96
            rounds += 1
        return rounds

    with ThreadPoolExecutor(8) as pool, contextlib.ExitStack() as stack:
        stack.callback(stop.set)
        searches = [pool.submit(search, number) for number in range(8)]
        end = time.monotonic() + 1
        while time.monotonic() < end:
            index.add_batch(np.arange(10_000, 10_200) * 2, data[:200])
            assert index.remove(np.arange(10_000, 10_200) * 2) == 200
            index.add(2**40, data[0])
            index.remove(2**40)
        stop.set()
        assert all(done.result() > 0 for done in searches)


def test_other_threads_run_during_work() -> None:
    data = clustered(100_000, 128)
    ticks = 0
    stop = threading.Event()

    def tick() -> None:
        nonlocal ticks
        while not stop.is_set():
            ticks += 1
            time.sleep(0.001)

    thread = threading.Thread(target=tick)
    thread.start()
    try:
        index = RabitqPlusIndex.build(data[:50_000].copy())
        for work in [
            lambda: IvfRabitqIndex.build(data),
            lambda: index.search_batch(data[:5000]),
            lambda: index.add_batch(np.arange(50_000, 100_000), data[50_000:]),
        ]:
            before, start = ticks, time.monotonic()
            work()
            seconds = time.monotonic() - start
            # A thousand ticks a second at best; none if the interpreter were held.
            assert ticks - before >= 20 * seconds, (ticks - before, seconds)
    finally:
        stop.set()
        thread.join()


# Documents.


def _documented() -> list[tuple[str, object]]:
    """Everything public in the native module that is about indexes; what the classes share is there once."""
    found: dict[str, object] = {"cpu_features": ruvector.cpu_features, "IdFilter": IdFilter}
    for case in CASES.values():
        for owner in (native._Index, case.kind):  # noqa: SLF001 - not a class for users, but its methods are
            found[owner.__name__] = owner
            for name in vars(owner):
                if not name.startswith("_"):
                    found[f"{owner.__name__}.{name}"] = getattr(owner, name)
    return list(found.items())


@pytest.mark.parametrize("value", [value for _, value in _documented()], ids=[name for name, _ in _documented()])
def test_everything_is_documented_and_its_examples_are_true(value: object) -> None:
    text = inspect.getdoc(value) or ""
    assert text[0].isupper()
    report: list[str] = []
    examples = doctest.DocTestParser().get_doctest(text, {}, "example", None, None)
    result = doctest.DocTestRunner(verbose=False).run(examples, out=report.append)
    assert result.failed == 0, "".join(report)
    assert result.attempted > 0 or not inspect.isclass(value) or value is native._Index  # noqa: SLF001 - as above
