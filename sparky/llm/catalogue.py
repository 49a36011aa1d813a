"""What models need: their weights, the cache of their sequences, and what fits into a machine.

The figures stand in `catalogue.toml`, each with where it comes from.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from sparky.errors import UsageError

SHARE = 0.8
"""Of a node's memory, what an engine may take. On unified memory, more of it freezes the host."""
RUNTIME = 4 * 10**9
"""Bytes that an engine takes on each node beside weights and cache: kernels, graphs, activations."""
WHOLE = {"q4_k_m"}
"""Formats that leave no part of a model in 16 bits."""
KV_BYTES = {"fp16": 2, "fp8": 1}
"""Bytes of one number in the key-value cache."""


@dataclass(frozen=True, slots=True)
class Format:
    """The weights in one form."""

    name: str
    bytes: int
    origin: str
    """Where the size comes from, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model's shape, forms and known troubles."""

    name: str
    hub: str
    parameters: float
    """In thousand millions; `active` of them for each token."""
    active: float
    layers: int
    """With a key-value cache; `window_layers` of them look back `window` tokens only."""
    kv_heads: int
    head_dim: int
    context: int
    licence: str
    engines: tuple[str, ...]
    formats: tuple[Format, ...]
    geometry: str
    window: int = 0
    window_layers: int = 0
    state: int = 0
    """Bytes that a sequence takes whatever its length."""
    bad: tuple[str, ...] = ()
    speed: str = ""

    def kv_bytes_per_token(self, kv: str = "fp16") -> int:
        """Bytes of key-value cache that one more token takes, while all layers look at it."""
        return 2 * self.layers * self.kv_heads * self.head_dim * KV_BYTES[kv]

    def sequence_bytes(self, tokens: int, kv: str = "fp16") -> int:
        """Bytes that a sequence of so many tokens takes."""
        layer = 2 * self.kv_heads * self.head_dim * KV_BYTES[kv]
        far = (self.layers - self.window_layers) * tokens
        near = self.window_layers * min(tokens, self.window)
        return layer * (far + near) + self.state


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """Whether a model in one form fits into some nodes, and what is then left for sequences."""

    model: Model
    format: Format
    nodes: int
    shape: str
    """`replicas`: a server on each node. `parallel`: one over all. Empty: it does not fit."""
    sequences: int
    """That fit at once, over all nodes."""
    tokens: int
    """Of one sequence."""
    sum: tuple[str, ...]
    """How this was reckoned, line by line."""


@cache
def load() -> Mapping[str, Model]:
    """All models, by name."""
    document = tomllib.loads(files("sparky.llm").joinpath("catalogue.toml").read_text("utf-8"))
    bits = document["bits"]
    return {
        name.replace("_", "."): _model(name.replace("_", "."), entry, bits)
        for name, entry in document["models"].items()
    }


def find(name: str) -> Model:
    """The model of that name, or of that name on the hub.

    Raises:
        UsageError: there is none; the nearest names are told.
    """
    wanted = name.lower()
    for model in load().values():
        if wanted in (model.name, model.hub.lower(), model.hub.lower().rpartition("/")[2]):
            return model
    near = [known for known in load() if wanted[:4] in known]
    raise UsageError(
        f"the catalogue has no model {name}",
        remedy=f"Did you mean {' or '.join(near)}?" if near else "`sparky models list` lists them",
    )


def fit(
    model: Model, form: Format, *, memory: int, nodes: int, tokens: int, kv: str = "fp16"
) -> Fit:
    """Reckon whether it fits, alone on each node or over all of them.

    Args:
        memory: bytes of one node.
        tokens: of one sequence, prompt and answer together; no more than the model's context.
        kv: `fp16` or `fp8`, the form of the key-value cache.
    """
    tokens = min(tokens, model.context)
    room = int(memory * SHARE) - RUNTIME
    each = model.sequence_bytes(tokens, kv)
    usable = f"{SHARE:.0%} of it less {_gb(RUNTIME)} for the engine is {_gb(room)}"
    told = [
        f"a node has {_gb(memory)}; {usable}",
        f"weights in {form.name}: {_gb(form.bytes)} ({form.origin})",
        _cache(model, tokens, kv, each),
    ]
    left = room - form.bytes
    if left >= each:
        count = left // each
        told.append(
            f"it fits on one node: {_gb(left)} left / {_mb(each)} = {count} sequences"
            + (f", on {nodes} nodes {count * nodes}" if nodes > 1 else "")
        )
        shape, total = "replicas", count * nodes
    elif nodes > 1 and model.kv_heads % nodes == 0 and room * nodes - form.bytes >= each:
        left = room * nodes - form.bytes
        total = left // each
        told.append(
            f"it does not fit on one node; split over {nodes}: {nodes} × {_gb(room)} less the"
            f" weights leaves {_gb(left)} / {_mb(each)} = {total} sequences"
        )
        shape = "parallel"
    else:
        why = f"{_gb(form.bytes + each)} are needed for the weights and one sequence"
        if nodes > 1 and model.kv_heads % nodes:
            why += f", and {model.kv_heads} key-value heads do not part evenly over {nodes} nodes"
        told.append(f"it does not fit: {why}")
        shape, total = "", 0
    return Fit(
        model=model,
        format=form,
        nodes=nodes,
        shape=shape,
        sequences=total,
        tokens=tokens,
        sum=tuple(told),
    )


def _cache(model: Model, tokens: int, kv: str, each: int) -> str:
    far = model.layers - model.window_layers
    said = (
        f"cache of a token in {kv}: 2 × {model.layers} layers × {model.kv_heads} heads"
        f" × {model.head_dim} × {KV_BYTES[kv]} B = {model.kv_bytes_per_token(kv)} B"
    )
    if model.window_layers:
        said += f", {model.window_layers} of the layers for the last {model.window} tokens only"
    if model.state:
        said += f", and {_mb(model.state)} of state for each sequence"
    whole = "" if far == model.layers else f" ({far} layers whole)"
    return f"{said}; a sequence of {tokens} tokens takes {_mb(each)}{whole}"


def _model(name: str, entry: Mapping[str, Any], bits: Mapping[str, float]) -> Model:
    values = dict(entry)
    formats = values.pop("formats")
    unquantized = values.pop("unquantized")
    values["active"] = values.get("active", values["parameters"])
    for key in ("engines", "bad"):
        values[key] = tuple(values.get(key, ()))
    made = [
        Format(form, told["bytes"], told["from"])
        if "bytes" in told
        else _computed(form, values["parameters"], unquantized, bits[form])
        for form, told in formats.items()
    ]
    return Model(name=name, formats=tuple(made), **values)


def _computed(form: str, parameters: float, unquantized: float, bits: float) -> Format:
    unquantized = 0.0 if form in WHOLE else unquantized
    quantized = parameters - unquantized
    size = int((quantized * bits + unquantized * 16) / 8 * 10**9)
    return Format(
        form,
        size,
        f"computed: {quantized:.2f} × 10⁹ weights at {bits:g} bits, {unquantized:.2f} × 10⁹ at 16",
    )


def smallest(formats: Sequence[Format]) -> Format:
    """The form that takes least."""
    return min(formats, key=lambda form: form.bytes)


def _gb(size: int) -> str:
    return f"{size / 10**9:.1f} GB"


def _mb(size: int) -> str:
    return f"{size / 10**6:.1f} MB"
