"""The JDBC driver against the server: what DBeaver, Tableau and Java programs connect with. `jdbc/Client.java` asks."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pytest
from conftest import JDBC, PASSWORD, SEED, TOKEN, Answers, Secured, java, nearest

import ruvector

if TYPE_CHECKING:
    from pathlib import Path

CLIENT = JDBC / "Client.java"
TABLE = "jdbc_docs"
DIM = 8


def url(address: str, *, encrypted: bool = False) -> str:
    return f"jdbc:arrow-flight-sql://{address.split('//')[1]}/?useEncryption={str(encrypted).lower()}"


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    return np.random.default_rng(SEED).standard_normal((500, DIM), dtype=np.float32)


@pytest.fixture(scope="module")
def question() -> np.ndarray:
    return np.random.default_rng(SEED + 1).standard_normal(DIM, dtype=np.float32)


@pytest.fixture(scope="module")
def answers(
    address: str,
    jdbc_driver: Path,
    tmp_path_factory: pytest.TempPathFactory,
    vectors: np.ndarray,
    question: np.ndarray,
) -> Answers:
    file = tmp_path_factory.mktemp("jdbc") / "vectors.csv"
    file.write_text("".join(",".join(repr(float(x)) for x in row) + "\n" for row in [question, *vectors]))
    return Answers(java(jdbc_driver, CLIENT, "statements", url(address), "jdbc_words", file))


@pytest.fixture(scope="module")
def meta(address: str, jdbc_driver: Path) -> Answers:
    with ruvector.connect(address) as con:
        con.sql(f"CREATE TABLE {TABLE} (id BIGINT, word VARCHAR, price DECIMAL(10, 2), day DATE, vec FLOAT[{DIM}])")
        try:
            return Answers(java(jdbc_driver, CLIENT, "metadata", url(address), TABLE))
        finally:
            con.sql(f"DROP TABLE {TABLE}")


# Statements


def test_a_statement_runs_once_and_counts(answers: Answers) -> None:
    assert answers["create has rows"] is False
    assert answers["create count"] == 0
    assert "exists already" in answers.error("create again")
    assert answers["insert count"] == 2
    assert answers["insert has rows"] is False
    assert answers["insert count after"] == 1
    assert answers["large insert count"] == 1
    assert answers["update count"] == 5
    assert answers["delete count"] == 5
    assert answers["count"] == [500]
    assert answers["drop"] is False


def test_prepared_inserts_and_batches(answers: Answers) -> None:
    assert answers["parameters"] == 3
    assert answers["prepared insert"] == 1
    assert answers["prepared null"] == 1
    assert answers["batch"] == 499
    assert answers["ids"] == list(range(-5, 500))


def test_vectors_are_arrays(answers: Answers, vectors: np.ndarray) -> None:
    assert answers["vectors"]["types"] == ["BIGINT", "ARRAY"]
    rows = {row["id"]: row["vec"] for row in answers.rows("vectors")}
    assert sorted(rows) == [0, 7]
    for row, vector in rows.items():
        np.testing.assert_array_equal(np.array(vector, np.float32), vectors[row])
    assert answers.rows("null") == [{"word": None, "vec": None}]


@pytest.mark.parametrize("step", ["knn", "knn of a parameter", "knn of a text"])
def test_knn_is_exact(answers: Answers, vectors: np.ndarray, question: np.ndarray, step: str) -> None:
    ids, distances = nearest(vectors, question, 10)
    rows = answers.rows(step)
    assert [row["id"] for row in rows] == ids
    np.testing.assert_allclose([row["_distance"] for row in rows], distances, rtol=1e-5)


def test_a_prepared_knn_is_asked_again(answers: Answers) -> None:
    assert answers.rows("knn of another") == [{"id": 7, "_distance": 0.0}]


def test_parameters_of_a_condition(answers: Answers) -> None:
    assert answers.rows("where") == [{"id": row, "word": f"row {row}"} for row in range(1, 10)]


def test_values_of_every_type(answers: Answers) -> None:
    numbers, others = "TINYINT SMALLINT INTEGER BIGINT FLOAT DOUBLE", "VARBINARY NULL ARRAY VARCHAR VARCHAR"
    types = f"{numbers} BOOLEAN DECIMAL DATE TIMESTAMP {others}"
    assert answers["types"]["types"] == types.split()
    assert answers["types"]["rows"] == [
        [1, 1, 1, 1, 1.5, 1.5, True, 1.25, "2026-01-02", "2026-01-02 03:04:05.0", [0, 255], None, [1, 2], "x", "x"]
    ]
    assert answers["nothing found"]["rows"] == []


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ("no column", "No field named nothing"),
        ("no table", "nowhere' not found"),
        ("no SQL", "SQL cannot be parsed"),
        ("no vector", "wrong dimension: expected 8, got 1"),
        ("wrong dimension", "got 1"),
        ("in the rows", "Divide by zero"),
    ],
)
def test_an_error_is_an_sql_exception(answers: Answers, step: str, message: str) -> None:
    assert answers.error(step).startswith("java.sql.SQLException: ")
    assert message in answers.error(step)
    assert answers["after errors"] == [1]


def test_a_connection_is_a_session(answers: Answers) -> None:
    assert answers["set"] is False
    assert answers["setting lasts"] == ["100"]
    assert answers["at most"] == [1, 2]


def test_queries_are_given_up(address: str, jdbc_driver: Path) -> None:
    answers = Answers(java(jdbc_driver, CLIENT, "cancel", url(address)))
    assert "timed out after 1 SECONDS" in answers.error("time is up")
    assert answers["first row"] is True
    assert "canceled" in answers.error("cancelled")
    assert answers["after"] == [2]


# What tools ask before they show anything


def test_every_question_of_a_tool_is_answered(meta: Answers) -> None:
    # Flight SQL says int32, and the driver reads an int64.
    assert meta.errors().keys() <= {"getDefaultTransactionIsolation"}
    assert meta["valid"] is True


def test_the_product(meta: Answers) -> None:
    assert meta["getDatabaseProductName"] == "ruvector"
    assert meta["getDatabaseProductVersion"].startswith("3.")
    assert meta["getIdentifierQuoteString"] == '"'
    assert "KNN" in meta["getSQLKeywords"]
    assert "L2_DISTANCE" in meta["getNumericFunctions"]
    assert "EMBED" in meta["getStringFunctions"]
    assert meta["supportsTransactions"] is False
    assert meta["supportsBatchUpdates"] is True
    assert meta["isReadOnly"] is False


def test_catalogs_and_schemas(meta: Answers) -> None:
    assert meta.rows("getCatalogs") == [{"TABLE_CAT": "ruvector"}]
    names = [(row["TABLE_CATALOG"], row["TABLE_SCHEM"]) for row in meta.rows("getSchemas")]
    assert ("ruvector", "main") in names
    assert [row["TABLE_SCHEM"] for row in meta.rows("schemas like")] == ["main"]
    assert [row["TABLE_TYPE"] for row in meta.rows("getTableTypes")] == ["SYSTEM TABLE", "TABLE", "VIEW"]


def test_tables(meta: Answers) -> None:
    everything = {(row["TABLE_SCHEM"], row["TABLE_NAME"]): row["TABLE_TYPE"] for row in meta.rows("all tables")}
    assert everything["main", TABLE] == "TABLE"
    assert everything["system", "indexes"] == "SYSTEM TABLE"
    assert {row["TABLE_TYPE"] for row in meta.rows("tables of a type")} <= {"TABLE", "VIEW"}
    assert TABLE in [row["TABLE_NAME"] for row in meta.rows("tables of a type")]
    assert [row["TABLE_NAME"] for row in meta.rows("tables like")] == [TABLE]
    assert meta.rows("tables of no type") == []
    assert meta.rows("tables of another catalog") == []


def test_columns(meta: Answers) -> None:
    columns = [
        (row["COLUMN_NAME"], row["DATA_TYPE"], row["TYPE_NAME"], row["COLUMN_SIZE"], row["DECIMAL_DIGITS"])
        for row in meta.rows("columns")
    ]
    assert [(name, number, word) for name, number, word, *_ in columns] == [
        ("id", -5, "BIGINT"),
        ("word", 12, "VARCHAR"),
        ("price", 3, "DECIMAL"),
        ("day", 91, "DATE"),
        ("vec", 2003, f"FLOAT[{DIM}]"),
    ]
    assert columns[2][3:] == (10, 2)
    assert [row["ORDINAL_POSITION"] for row in meta.rows("columns")] == [1, 2, 3, 4, 5]
    assert {row["IS_NULLABLE"] for row in meta.rows("columns")} == {"YES"}
    assert [row["COLUMN_NAME"] for row in meta.rows("columns like")] == ["vec"]
    listed = {(row["TABLE_SCHEM"], row["TABLE_NAME"], row["COLUMN_NAME"]) for row in meta.rows("all columns")}
    assert ("main", TABLE, "vec") in listed
    assert ("system", "indexes", "state") in listed


@pytest.mark.parametrize("step", ["primary keys", "imported keys", "exported keys", "cross reference", "indexes"])
def test_there_are_no_keys(meta: Answers, step: str) -> None:
    assert meta.rows(step) == []


# Signing in


def test_users_tokens_and_tls(secured: Secured, jdbc_driver: Path) -> None:
    base = url(secured.address, encrypted=True)
    trusted = f"{base};tlsRootCerts={secured.ca}"
    let_in = [f"{trusted};user=reader;password={PASSWORD}", f"{trusted};token={TOKEN}"]
    turned_away = {
        f"{trusted};user=reader;password=wrong": "(?i)unauthenticated|password",
        f"{trusted};token=wrong": "(?i)unauthenticated|token",
        trusted: "(?i)unauthenticated|sign",
        f"{base};user=reader;password={PASSWORD}": "(?i)unavailable|certif|ssl",
    }
    answers = Answers(
        java(jdbc_driver, CLIENT, "sign-in", "SELECT count(*) FROM docs", *let_in, *turned_away),
    )
    for connection in let_in:
        assert answers[connection] == [3]
    for connection, message in turned_away.items():
        assert (error := answers.error(connection)).startswith("java.sql.SQLException")
        assert re.search(message, error), error


def test_a_reader_changes_nothing(secured: Secured, jdbc_driver: Path) -> None:
    connection = f"{url(secured.address, encrypted=True)};tlsRootCerts={secured.ca};token={TOKEN}"
    answers = Answers(java(jdbc_driver, CLIENT, "sign-in", "DELETE FROM docs", connection))
    assert "needs the role writer" in answers.error(connection)


def test_a_server_without_tls_is_asked_for_it(address: str, jdbc_driver: Path) -> None:
    answers = Answers(java(jdbc_driver, CLIENT, "sign-in", "SELECT 1", url(address, encrypted=True)))
    assert answers.errors()
