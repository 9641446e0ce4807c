"""Embeds texts with the project's own MiniLM model, in shards that survive an interruption."""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import onnxruntime
from tokenizers import Tokenizer

if TYPE_CHECKING:
    from pathlib import Path

MAX_TOKENS = 256
BATCH = 64
SHARD = 64 * BATCH

Matrix = npt.NDArray[np.float32]


def embed(texts: list[str], model: Path, cache: Path) -> Matrix:
    """Return one vector of length 1 per text: the mean of its tokens' vectors.

    Texts are sorted by length, so that a batch has little padding, and every finished shard is kept in `cache`.
    """
    if not (model / "model.onnx").exists():
        raise RuntimeError(f"{model} holds no model: `make bench-index` builds it first")
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    tokenizer.enable_truncation(MAX_TOKENS)
    tokenizer.enable_padding()
    session = onnxruntime.InferenceSession(str(model / "model.onnx"), providers=["CPUExecutionProvider"])
    order = np.argsort([len(text) for text in texts], kind="stable")
    shards = cache / f"shards-{_digest(texts, model)}"
    shards.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    parts = []
    for first in range(0, len(texts), SHARD):
        chosen = [texts[i] for i in order[first : first + SHARD]]
        parts.append(_shard(shards / f"{first:08d}.npy", chosen, tokenizer, session))
        _progress(first + len(chosen), len(texts), time.monotonic() - start)
    vectors = np.empty((len(texts), parts[0].shape[1]), np.float32)
    vectors[order] = np.concatenate(parts)
    return vectors


def _shard(path: Path, texts: list[str], tokenizer: Tokenizer, session: onnxruntime.InferenceSession) -> Matrix:
    if path.exists():
        return np.load(path)
    parts = [_batch(texts[i : i + BATCH], tokenizer, session) for i in range(0, len(texts), BATCH)]
    vectors: Matrix = np.concatenate(parts)
    # It appears complete or not at all.
    staging = path.with_suffix(".new")
    with staging.open("wb") as file:
        np.save(file, vectors)
    staging.replace(path)
    return vectors


def _batch(texts: list[str], tokenizer: Tokenizer, session: onnxruntime.InferenceSession) -> Matrix:
    encodings = tokenizer.encode_batch(texts)
    ids = np.array([encoding.ids for encoding in encodings], np.int64)
    mask = np.array([encoding.attention_mask for encoding in encodings], np.int64)
    inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
    (tokens,) = session.run(["last_hidden_state"], inputs)
    weights = mask[:, :, None].astype(np.float32)
    means = (tokens * weights).sum(axis=1) / weights.sum(axis=1)
    return (means / np.linalg.norm(means, axis=1, keepdims=True)).astype(np.float32)


def _digest(texts: list[str], model: Path) -> str:
    """Name the texts and the model, so that shards of others are never mistaken for these."""
    digest = hashlib.sha256((model / "manifest.json").read_bytes())
    for text in texts:
        digest.update(text.encode() + b"\n")
    return digest.hexdigest()[:16]


def _progress(done: int, total: int, seconds: float) -> None:
    print(f"  embedded {done:,} of {total:,} texts, {seconds:.0f} s", flush=True)
