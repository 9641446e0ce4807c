"""The package itself: documented, typed, in step with the crate."""

from __future__ import annotations

import builtins
import inspect
import subprocess
import sys

import pytest
from conftest import ROOT
from google.protobuf import any_pb2, wrappers_pb2

import ruvector
from ruvector import _flight_sql, exceptions
from ruvector._native_module import native


def _documented() -> list[tuple[str, object]]:
    names = []
    for name in ruvector.__all__:
        value = getattr(ruvector, name)
        if name.startswith("__"):
            continue
        names.append((name, value))
        if inspect.isclass(value):
            names += [
                (f"{name}.{attribute}", member)
                for attribute, member in vars(value).items()
                if not attribute.startswith("_") and (callable(member) or isinstance(member, property))
            ]
    return names


@pytest.mark.parametrize("value", [value for _, value in _documented()], ids=[name for name, _ in _documented()])
def test_every_public_name_is_documented(value: object) -> None:
    assert (inspect.getdoc(value) or "").strip().endswith((".", ")", "'", "]"))


def test_every_error_is_public_and_has_the_root() -> None:
    for name in exceptions.__all__:
        assert name in ruvector.__all__
        assert issubclass(getattr(ruvector, name), ruvector.RuVectorError)
    assert issubclass(ruvector.DimensionMismatch, (ruvector.IndexError, ruvector.InvalidInput, ValueError))
    assert issubclass(ruvector.NotFound, LookupError)


@pytest.mark.parametrize("module", ["ruvector", "ruvector.exceptions"])
def test_no_builtin_is_replaced(module: str) -> None:
    names: dict[str, object] = {}
    exec(f"from {module} import *", names)  # noqa: S102 - what a user writes
    replaced = {name for name in vars(builtins) if name in names and names[name] is not vars(builtins)[name]}
    # A namespace has these of its own.
    assert replaced - {"__doc__", "__loader__", "__name__", "__package__", "__spec__"} == set()
    assert ruvector.IndexError is exceptions.IndexError is not IndexError


def test_the_stubs_are_those_of_the_native_module() -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "mypy.stubtest",
            "--concise",
            "--mypy-config-file",
            "pyproject.toml",
            "ruvector._native",
        ],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT / "python",
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_one_version_everywhere() -> None:
    pyproject = (ROOT / "python" / "pyproject.toml").read_text()
    assert ruvector.__version__ == native.__version__
    assert f'"ruvector-sql=={ruvector.__version__}"' in pyproject
    assert f'version = "{ruvector.__version__}"' in (ROOT / "Cargo.toml").read_text()
    assert f"## {ruvector.__version__}" in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.parametrize("handle", [b"", b"h", b"x" * 200, b"x" * 40_000])
def test_messages_are_protobuf(handle: bytes) -> None:
    message = any_pb2.Any.FromString(_flight_sql.prepared_statement_query(handle))
    assert message.type_url == "type.googleapis.com/arrow.flight.protocol.sql.CommandPreparedStatementQuery"
    assert wrappers_pb2.BytesValue.FromString(message.value).value == handle
    # A result whose only field is a handle looks like a BytesValue, one whose only field is a count like an Int64Value.
    rebound = wrappers_pb2.BytesValue(value=handle).SerializeToString()
    assert _flight_sql.rebound_handle(rebound) == (handle or None)


@pytest.mark.parametrize("count", [0, 1, 300, 2**40, -1])
def test_counts_are_protobuf(count: int) -> None:
    assert _flight_sql.updated_rows(wrappers_pb2.Int64Value(value=count).SerializeToString()) == count
