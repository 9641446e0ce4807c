"""The errors of ruvector: one root, one class per kind of error, and the classes of each part.

Catch `RuVectorError` for everything, a kind (`InvalidInput`, `NotFound`, `Unavailable`, ...) to act on what happened,
or a part (`IndexError`, `LakeError`, `A2aError`, `EmbedError`) to act on where. A class of a part that says what
happened is of that kind too: `DimensionMismatch` is an `IndexError` and an `InvalidInput`, and so also a `ValueError`.

The same statement raises the same class in process and over the network.
"""

from __future__ import annotations

__all__ = [
    "A2aError",
    "AlreadyExists",
    "BackendError",
    "BudgetExceeded",
    "CacheMissError",
    "Cancelled",
    "CardSignatureInvalid",
    "Corrupt",
    "DimensionMismatch",
    "EmbedError",
    "EmptyIndex",
    "IndexFileCorrupt",
    "IndexFileNotFound",
    "InternalError",
    "InvalidInput",
    "LakeError",
    "NotFound",
    "NotSupported",
    "PermissionDenied",
    "PersistError",
    "PolicyViolation",
    "ResourceExhausted",
    "RuVectorError",
    "TransportError",
    "Unauthenticated",
    "Unavailable",
    "WitnessMismatch",
]


class RuVectorError(Exception):
    """Everything that ruvector raises on purpose."""


# What happened: a kind to act on.


class InvalidInput(RuVectorError, ValueError):
    """The statement or an argument is wrong: fix it; a retry cannot help."""


class NotFound(RuVectorError, LookupError):
    """There is no such table, column, index, backend, model or folder."""


class AlreadyExists(RuVectorError):
    """The object exists already."""


class NotSupported(RuVectorError, NotImplementedError):
    """The request is understood, but ruvector does not do it."""


class Unavailable(RuVectorError):
    """A server, backend or model hub did not answer, or a concurrent writer won: safe to retry."""


class Unauthenticated(RuVectorError):
    """The server does not know this user, password or token."""


class PermissionDenied(RuVectorError):
    """The role of this user or token does not allow the statement."""


class ResourceExhausted(RuVectorError):
    """A limit was reached: memory, size or time."""


class Corrupt(RuVectorError):
    """Stored bytes failed a check."""


class Cancelled(RuVectorError):
    """The statement was cancelled."""


class InternalError(RuVectorError):
    """A bug in ruvector. Please report it with the statement."""


# Where it happened: the parts of ruvector.


class IndexError(RuVectorError):  # noqa: A001 - the public name; the builtin is an attribute of `builtins`
    """An index could not do what was asked."""


class DimensionMismatch(IndexError, InvalidInput):
    """A vector has another dimension than the index."""


class EmptyIndex(IndexError, InvalidInput):
    """A search in an index without vectors."""


class PersistError(IndexError):
    """An index could not be saved, or its file could not be read."""


class IndexFileNotFound(PersistError, NotFound):
    """There is no such index file, or no such folder to save one in."""


class IndexFileCorrupt(PersistError, Corrupt):
    """The bytes of an index file failed a check."""


class LakeError(RuVectorError):
    """The cache over the backends could not do what was asked."""


class BackendError(LakeError):
    """A backend failed; the message names it."""


class CacheMissError(LakeError):
    """The answer is not in the cache, and the caller forbade to go further."""


class WitnessMismatch(LakeError, Corrupt):
    """A bundle or cache entry was built from other bytes than it says."""


class A2aError(RuVectorError):
    """An agent, or the way to it, failed."""


class CardSignatureInvalid(A2aError):
    """An agent's card does not carry the signature of the key it names."""


class PolicyViolation(A2aError):
    """A task broke its policy."""


class BudgetExceeded(A2aError, ResourceExhausted):
    """The global budget has no room for the task."""


class TransportError(A2aError, Unavailable):
    """An agent did not answer, or not in its protocol."""


class EmbedError(RuVectorError):
    """A model could not be found, loaded or run."""
