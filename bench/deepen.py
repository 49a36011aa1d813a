"""A model with more layers that change nothing, so that a GPU works as for a larger one.

    python bench/deepen.py MODEL DEEPER --times 3

Behind the layers of MODEL, a folder as transformers writes it with one `model.safetensors`, stand
copies of them that put nothing out (`o_proj` and `down_proj` are zero). In models of the shape of
Llama and Qwen2 such a layer adds nothing to what passes through it, so DEEPER answers as MODEL does.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

WEIGHTS = "model.safetensors"
SILENT = ("o_proj.weight", "down_proj.weight")
"""What a layer puts out."""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("model", type=Path)
    options.add_argument("deeper", type=Path)
    options.add_argument("--times", type=int, default=3, help="layers for each of the model's")
    given = options.parse_args()
    deepen(given.model, given.deeper, given.times)


def deepen(model: Path, deeper: Path, times: int) -> None:
    """Write the folder `deeper`."""
    deeper.mkdir(parents=True, exist_ok=True)
    for told in model.glob("*.json"):
        shutil.copy(told, deeper)
    config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    layers = config["num_hidden_layers"]
    config["num_hidden_layers"] = layers * times
    (deeper / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    with (model / WEIGHTS).open("rb") as source, (deeper / WEIGHTS).open("wb") as target:
        size = int.from_bytes(source.read(8), "little")
        head = json.loads(source.read(size))
        made = dict[str, Any]()
        pieces: list[tuple[int | None, int]] = []
        end = 0
        for name, tensor in head.items():
            if name == "__metadata__":
                made[name] = tensor
                continue
            first, last = tensor["data_offsets"]
            for copy in _names(name, layers, times):
                begin, end = end, end + last - first
                made[copy] = tensor | {"data_offsets": [begin, end]}
                silent = copy != name and name.endswith(SILENT)
                pieces.append((None if silent else 8 + size + first, last - first))
        lines = json.dumps(made).encode()
        target.write(len(lines).to_bytes(8, "little") + lines)
        for start, length in pieces:
            if start is not None:
                source.seek(start)
            target.write(bytes(length) if start is None else source.read(length))


def _names(name: str, layers: int, times: int) -> Iterator[str]:
    """A tensor's name in its own layer and in that layer's copies; what is in no layer stays alone."""
    yield name
    head, _, rest = name.partition(".layers.")
    number, _, part = rest.partition(".")
    if rest:
        for copy in range(1, times):
            yield f"{head}.layers.{int(number) + copy * layers}.{part}"


if __name__ == "__main__":
    main()
