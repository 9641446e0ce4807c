"""What to check when a server cannot be reached, by what gRPC says."""

from __future__ import annotations

# Words of gRPC's message, in lower case, and the hint. The first that is found counts. The messages of gRPC are no
# interface: one that is not known is shown as it is.
_HINTS = (
    ("connection refused", "nothing listens there: check host and port, and that `ruvector serve` runs"),
    ("domain name not found", "no host has this name: check it"),
    ("lookup failed", "no host has this name: check it"),
    (
        "certificate verify failed",
        (
            "the server's certificate is by an authority that is not trusted, or has expired: name the authority's "
            "file, tls_root_certs='ca.pem'"
        ),
    ),
    (
        "not in peer certificate",
        "the server's certificate is for another name: connect to a name that it has, not to an address",
    ),
    ("wrong version number", "no TLS is spoken at this port: use grpc://, or the port of a server with TLS"),
    ("socket closed", "the server hung up, as one with TLS does: use grpc+tls:// if it has TLS"),
    ("connection reset", "the server hung up, as one with TLS does: use grpc+tls:// if it has TLS"),
    ("http2 header", "no gRPC is spoken at this port: use the one of server.listen, not that of server.http_listen"),
    ("http/2", "no gRPC is spoken at this port: use the one of server.listen, not that of server.http_listen"),
    ("deadline exceeded", "nothing answered in time: check host and port, and the firewalls between"),
    ("unreachable", "there is no way to this host: check its address and the network"),
)


def unreachable(target: str, message: str) -> str:
    """Return the message of an error of connecting to `target`, with a hint at what to check."""
    said = message.lower()
    hint = next((hint for words, hint in _HINTS if words in said), None)
    shown = f"cannot reach {target}: "
    return f"{shown}{message}" if hint is None else f"{shown}{hint} ({message})"
