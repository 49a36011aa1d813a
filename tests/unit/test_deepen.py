"""The bench's deeper model keeps the weights that it was made of; no model is loaded here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench.deepen import WEIGHTS, deepen


def write(folder: Path, tensors: dict[str, bytes], layers: int) -> None:
    """A model of such weights."""
    head, at = dict[str, Any](), 0
    for name, data in tensors.items():
        head[name] = {"dtype": "U8", "shape": [len(data)], "data_offsets": [at, at + len(data)]}
        at += len(data)
    told = json.dumps(head).encode()
    folder.mkdir()
    weights = len(told).to_bytes(8, "little") + told + b"".join(tensors.values())
    (folder / WEIGHTS).write_bytes(weights)
    (folder / "config.json").write_text(json.dumps({"num_hidden_layers": layers}))


def read(folder: Path) -> dict[str, bytes]:
    """The weights of a model."""
    data = (folder / WEIGHTS).read_bytes()
    begin = 8 + int.from_bytes(data[:8], "little")
    head = json.loads(data[8:begin])
    return {
        name: data[begin:][slice(*tensor["data_offsets"])]
        for name, tensor in head.items()
    }  # fmt: skip


def test_a_deeper_model_has_the_weights_it_had_and_layers_that_put_nothing_out(
    tmp_path: Path,
) -> None:
    """Each layer has a copy behind the last one, whose outputs are zero, and all else is unchanged."""
    own = {
        "model.embed_tokens.weight": b"words",
        "model.layers.0.self_attn.o_proj.weight": b"out0",
        "model.layers.0.mlp.up_proj.weight": b"up0",
        "model.layers.1.self_attn.o_proj.weight": b"out1",
        "model.layers.1.mlp.up_proj.weight": b"up1",
    }
    write(tmp_path / "model", own, layers=2)
    deepen(tmp_path / "model", tmp_path / "deeper", times=2)
    assert read(tmp_path / "deeper") == own | {
        "model.layers.2.self_attn.o_proj.weight": bytes(4),
        "model.layers.2.mlp.up_proj.weight": b"up0",
        "model.layers.3.self_attn.o_proj.weight": bytes(4),
        "model.layers.3.mlp.up_proj.weight": b"up1",
    }
    assert json.loads((tmp_path / "deeper" / "config.json").read_text())["num_hidden_layers"] == 4
