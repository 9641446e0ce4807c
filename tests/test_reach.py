"""Servers that cannot be reached: both clients say what to check."""

from __future__ import annotations

import re
import socket
import subprocess
from typing import TYPE_CHECKING, NamedTuple

import pytest
from conftest import RUVECTOR, SECONDS_MAX, Secured, serve

import ruvector

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Servers(NamedTuple):
    """Where something listens, as HOST:PORT."""

    plain: str
    http: str
    tls: str
    nothing: str
    ca: Path


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory, secured: Secured) -> Iterator[Servers]:
    """A server without TLS, its port for metrics, one with TLS, and a port where nothing listens."""
    http, nothing = free_port(), free_port()
    folder = tmp_path_factory.mktemp("reach")
    settings = folder / "ruvector.toml"
    settings.write_text(f"[server]\nhttp_listen = '{http}'\n")
    with serve(folder / "data", "--config", settings) as address:
        yield Servers(address.split("//")[1], http, secured.address.split("//")[1], nothing, secured.ca)


def free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return f"127.0.0.1:{taken.getsockname()[1]}"


CASES = {
    "nothing listens": ("grpc://{0.nothing}", None, "nothing listens there: check host and port"),
    "nothing listens with TLS": ("grpc+tls://{0.nothing}", "ca", "nothing listens there: check host and port"),
    "unknown host": ("grpc://no-such-host.invalid:50051", None, "no host has this name"),
    "TLS without grpc+tls": ("grpc://{0.tls}", None, r"grpc\+tls://"),
    "grpc+tls without TLS": ("grpc+tls://{0.plain}", "ca", "no TLS is spoken at this port: use grpc://"),
    "port of HTTP": ("grpc://{0.http}", None, r"no gRPC is spoken at this port: .*server\.http_listen"),
    "authority not trusted": ("grpc+tls://{0.tls}", None, "by an authority that is not trusted"),
}


@pytest.mark.parametrize(("url", "ca", "message"), CASES.values(), ids=CASES)
def test_python_says_what_to_check(servers: Servers, url: str, ca: str | None, message: str) -> None:
    url = url.format(servers)
    with pytest.raises(ruvector.Unavailable, match=message) as caught:
        ruvector.connect(url, tls_root_certs=ca and servers.ca)
    assert str(caught.value).startswith(f"cannot reach {url}: ")


@pytest.mark.parametrize(("url", "ca", "message"), CASES.values(), ids=CASES)
def test_the_shell_says_what_to_check(servers: Servers, url: str, ca: str | None, message: str) -> None:
    url = url.format(servers)
    trusted = ["--tls-ca", servers.ca] if ca else []
    command = [RUVECTOR, "sql", "--remote", url, *trusted, "-c", "SELECT 1"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=SECONDS_MAX)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error: cannot reach {url}: "), done.stderr
    assert re.search(message, done.stderr), done.stderr
