"""Files in an S3 that really speaks its protocol, checks signatures and can be stopped."""

from __future__ import annotations

import json
import socket
import time
import urllib.request
from typing import TYPE_CHECKING, NamedTuple

import boto3
import moto.settings
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import nearest, serve
from moto.server import ThreadedMotoServer

import ruvector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import numpy as np

    Vectors = Callable[..., np.ndarray]

REGION = "us-east-1"
BUCKET = "lake"
DIM = 8
# An endpoint that is not there is given up within this.
SECONDS_MAX = 15


class Store(NamedTuple):
    """A running S3 with a bucket, and a user who may read and write it."""

    server: ThreadedMotoServer
    endpoint: str
    key_id: str
    secret: str

    def client(self, service: str = "s3") -> boto3.client:
        """Return a client of AWS's own library."""
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id=self.key_id,
            aws_secret_access_key=self.secret,
        )

    def write(self, name: str, ids: range, vectors: np.ndarray) -> None:
        """Write rows as `data/<name>`."""
        vec = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), DIM)
        sink = pa.BufferOutputStream()
        pq.write_table(pa.table({"id": pa.array(ids), "vec": vec}), sink)
        self.client().put_object(Bucket=BUCKET, Key=f"data/{name}", Body=sink.getvalue().to_pybytes())

    def upload(self, folder: Path) -> None:
        """Copy the files of a folder to `data/<its name>`; the commits of a Delta table last."""
        files = sorted(file for file in folder.rglob("*") if file.is_file() and "_ruvector" not in file.parts)
        for file in sorted(files, key=lambda file: "_delta_log" in file.parts):
            key = f"data/{file.relative_to(folder.parent).as_posix()}"
            self.client().put_object(Bucket=BUCKET, Key=key, Body=file.read_bytes())

    def options(self, **options: str) -> str:
        """The options of a backend or an external table, with some replaced or added."""
        given = {
            "endpoint": self.endpoint,
            "region": REGION,
            "allow_http": "true",
            "aws_access_key_id": self.key_id,
            "aws_secret_access_key": self.secret,
        }
        return ", ".join(f"{key} '{value}'" for key, value in (given | options).items())

    def create(self, name: str = "lake", **options: str) -> str:
        """The statement that makes the backend, with some options replaced."""
        options = {"url": f"s3://{BUCKET}/data"} | options
        return f"CREATE BACKEND {name} TYPE object_store OPTIONS ({self.options(**options)})"

    def external(self, name: str, kind: str, location: str, **options: str) -> str:
        """The statement that makes an external table."""
        where = f"LOCATION 's3://{BUCKET}/data/{location}' OPTIONS ({self.options(**options)})"
        return f"CREATE EXTERNAL TABLE {name} STORED AS {kind} {where}"


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    anybody = Store(server, f"http://{host}:{port}", "anybody", "nothing")
    urllib.request.urlopen(f"{anybody.endpoint}/moto-api/reset", data=b"").close()  # noqa: S310 - it is on this machine
    iam = anybody.client("iam")
    iam.create_user(UserName="reader")
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
    iam.put_user_policy(UserName="reader", PolicyName="all", PolicyDocument=json.dumps(policy))
    key = iam.create_access_key(UserName="reader")["AccessKey"]
    store = anybody._replace(key_id=key["AccessKeyId"], secret=key["SecretAccessKey"])
    store.client().create_bucket(Bucket=BUCKET)
    # From here on it looks at signatures and policies.
    monkeypatch.setattr(moto.settings, "INITIAL_NO_AUTH_ACTION_COUNT", 0)
    yield store
    server.stop()


def search(con: ruvector.Connection, query: np.ndarray, k: int = 5) -> list[int]:
    rows = con.sql("SELECT id FROM knn('lake.docs', $1, $2)", [query, k]).to_arrow()
    return rows["id"].to_pylist()


def test_files_are_searched_where_they_are(store: Store, tmp_path: Path, vectors: Vectors) -> None:
    data, questions = vectors(300, DIM), vectors(4, DIM)
    store.write("docs/a.parquet", range(100), data[:100])
    store.write("docs/b.parquet", range(100, 200), data[100:200])
    backends = tmp_path / "data" / "_ruvector" / "backends.json"
    with serve(tmp_path / "data") as address, ruvector.connect(address) as con:
        con.sql(store.create())
        assert search(con, questions[0]) == nearest(data[:200], questions[0], 5)[0]
        con.sql("CREATE INDEX docs_vec ON lake.docs USING rabitq_plus (vec)")
        assert search(con, questions[1]) == nearest(data[:200], questions[1], 5)[0]

        store.write("docs/c.parquet", range(200, 300), data[200:])
        assert search(con, questions[2]) == nearest(data, questions[2], 5)[0], "a file that was appended is seen"
        data[100:200] = vectors(100, DIM)
        store.write("docs/b.parquet", range(100, 200), data[100:200])
        assert search(con, questions[3]) == nearest(data, questions[3], 5)[0], "a file that was replaced is seen"

        row = con.sql("SELECT * FROM system.backends WHERE name = 'lake'").to_arrow().to_pylist()[0]
        assert (row["kind"], row["location"], row["collections"]) == ("object_store", f"s3://{BUCKET}/data", 1)
        assert store.secret not in str(row)
        assert store.key_id not in str(row)
        shown = {"allow_http": "true", "endpoint": store.endpoint, "region": REGION}
        assert json.loads(row["options"]) == shown | {"aws_access_key_id": "***", "aws_secret_access_key": "***"}

    assert store.secret in backends.read_text()
    assert backends.stat().st_mode & 0o777 == 0o600
    with serve(tmp_path / "data") as address, ruvector.connect(address) as con:
        assert search(con, questions[0]) == nearest(data, questions[0], 5)[0], "the backend outlives the server"
        con.sql("DROP BACKEND lake")
    assert store.secret not in backends.read_text()
    log = (tmp_path / "data").with_suffix(".log").read_text()
    assert store.secret not in log
    assert store.client().list_objects_v2(Bucket=BUCKET)["KeyCount"] == 3, "files of the bucket are left alone"


def test_the_environment_is_asked_only_if_an_option_says_so(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", store.key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", store.secret)
    options = f"url 's3://{BUCKET}/data', endpoint '{store.endpoint}', allow_http true"
    with ruvector.connect() as con:
        with pytest.raises(ruvector.InvalidInput, match=r"without credentials.*from_env 'true'"):
            con.sql(f"CREATE BACKEND lake TYPE object_store OPTIONS ({options})")
        con.sql(f"CREATE BACKEND lake TYPE object_store OPTIONS ({options}, from_env true)")
        status = con.sql("SELECT status FROM system.backends WHERE name = 'lake'").to_arrow()
        assert status["status"].to_pylist() == ["ok"]


def closed_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"aws_secret_access_key": "hush-hush"},
            ruvector.Unavailable,
            "denies access.*backend lake.*SignatureDoesNotMatch",
        ),
        (
            {"aws_access_key_id": "AKIAHUSHHUSH"},
            ruvector.Unavailable,
            "denies access.*backend lake.*InvalidAccessKeyId",
        ),
        ({"url": "s3://no-such-bucket/data"}, ruvector.NotFound, "no such bucket.*backend lake"),
        ({"allow_http": "false"}, ruvector.Unavailable, "does not answer.*backend lake"),
        ({"colour": "hush"}, ruvector.InvalidInput, "got colour"),
        ({"url": "s3://bucket/data?token=hush"}, ruvector.InvalidInput, r"as options, got s3://bucket/data\?\*\*\*"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_kept(
    store: Store, tmp_path: Path, options: dict[str, str], error: type[Exception], message: str
) -> None:
    with ruvector.connect(tmp_path / "data") as con:
        with pytest.raises(error, match=message) as raised:
            con.sql(store.create(**options))
        assert "hush" not in str(raised.value).lower()
        assert store.secret not in str(raised.value)
        assert "<" not in str(raised.value), "what the store says is read, not shown as it came"
        assert con.sql("SELECT name FROM system.backends").to_arrow()["name"].to_pylist() == ["main"]
    assert not (tmp_path / "data" / "_ruvector" / "backends.json").exists()


def test_an_endpoint_that_is_not_there_is_given_up(store: Store, vectors: Vectors) -> None:
    with ruvector.connect() as con, socket.create_server(("127.0.0.1", 0)) as silent:
        for endpoint, options in [
            (f"http://127.0.0.1:{closed_port()}", {}),
            (f"http://127.0.0.1:{silent.getsockname()[1]}", {"timeout": "1s", "max_retries": "0"}),
        ]:
            started = time.monotonic()
            with pytest.raises(ruvector.Unavailable, match=r"does not answer.*backend dead"):
                con.sql(store.create("dead", endpoint=endpoint, **options))
            assert time.monotonic() - started < SECONDS_MAX

        # It answered once, and then no more.
        store.write("docs/a.parquet", range(10), vectors(10, DIM))
        con.sql(store.create())
        assert con.sql("SELECT count(*) AS n FROM lake.docs").to_arrow()["n"].to_pylist() == [10]
        store.server.stop()
        started = time.monotonic()
        with pytest.raises(ruvector.Unavailable, match=r"does not answer.*backend lake"):
            con.sql("SELECT count(*) FROM lake.docs")
        rows = con.sql("SELECT collections, status FROM system.backends WHERE name = 'lake'").to_arrow().to_pylist()
        assert rows[0]["collections"] is None
        assert "does not answer" in rows[0]["status"]
        assert time.monotonic() - started < 2 * SECONDS_MAX


def test_external_tables_are_read_where_they_are(store: Store, tmp_path: Path, vectors: Vectors) -> None:
    data, question = vectors(100, DIM), vectors(1, DIM)[0]
    store.write("docs/a.parquet", range(100), data)
    store.client().put_object(Bucket=BUCKET, Key="data/words/a.csv", Body=b"id,word\n1,one\n2,two\n")
    expected = nearest(data, question, 5)[0]
    catalog = tmp_path / "data" / "_ruvector" / "external_tables.json"
    theirs = ruvector.connect(tmp_path / "theirs")
    theirs.sql(f"CREATE TABLE lines (id BIGINT, vec FLOAT[{DIM}])")
    theirs.ingest("lines", pa.table({"id": range(100), "vec": list(data)}), mode="append")
    store.upload(tmp_path / "theirs" / "lines")

    def found(con: ruvector.Connection, table: str) -> list[int]:
        return con.sql(f"SELECT id FROM knn({table}, $1, 5)", [question]).to_arrow()["id"].to_pylist()

    with serve(tmp_path / "data") as address, ruvector.connect(address) as con:
        con.sql(store.external("docs", "PARQUET", "docs"))
        con.sql(store.external("words", "CSV", "words/", has_header="true"))
        con.sql(store.external("lines", "DELTA", "lines"))
        con.sql("CREATE INDEX lines_vec ON lines USING rabitq_plus (vec)")
        assert found(con, "docs") == expected
        assert found(con, "lines") == expected
        assert con.sql("SELECT word FROM words ORDER BY id").to_arrow()["word"].to_pylist() == ["one", "two"]
        # What others write is seen, and what they deleted is still there in its version.
        theirs.sql("DELETE FROM lines WHERE id = $1", [expected[0]])
        store.upload(tmp_path / "theirs" / "lines")
        assert expected[0] not in found(con, "lines")
        assert found(con, "(SELECT * FROM lines VERSION AS OF 1)") == expected
        with pytest.raises(ruvector.Unavailable, match="denies access") as raised:
            con.sql(store.external("wrong", "DELTA", "lines", aws_access_key_id="AKIAHUSHHUSH"))
        assert "hush" not in str(raised.value).lower()
        with pytest.raises(ruvector.NotFound, match="no such Delta table"):
            con.sql(store.external("wrong", "DELTA", "docs"))
    theirs.close()

    assert store.secret in catalog.read_text()
    assert catalog.stat().st_mode & 0o777 == 0o600
    with serve(tmp_path / "data") as address, ruvector.connect(address) as con:
        assert found(con, "docs") == expected, "the tables outlive the server"
        store.server.stop()
        started = time.monotonic()
        with pytest.raises(ruvector.Unavailable, match="does not answer"):
            con.sql("SELECT count(*) FROM words")
        assert time.monotonic() - started < SECONDS_MAX
        for name in ("docs", "words", "lines"):
            con.sql(f"DROP TABLE {name}")
    assert store.secret not in catalog.read_text()
