"""What the engines of a Swarm are to be given: pure reckoning, with its reasons.

The figures come from the model catalogue (`sparky models show`) and from `spark.toml`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from sparky.errors import UsageError
from sparky.llm import catalogue
from sparky.llm.catalogue import Format, Model
from sparky.stack.spark import Speed, facts

Shape = Literal["replicas", "mpi"]

STABLE: Final = "1.2.1"
"""The version of TensorRT-LLM that is taken unless another is named."""
MOST: Final = 64
"""Sequences of one server at once, at most: what NVIDIA's playbook gives a Spark."""
READ: Final = 8192
"""Tokens of prompts that a server reads in one step, at least."""
FRACTION: Final = 0.8
"""Of the memory that is free once the weights are loaded, what the cache may take at most.

On unified memory this is the system's own memory; the limit in tokens is the one that counts.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is asked for."""

    model: Model
    nodes: int
    form: str = ""
    """The weights' format; empty: the smallest that is published for Sparks."""
    memory: int = 0
    """Bytes of each node; 0: of a Spark."""
    tokens: int = 8192
    """Of one sequence, prompt and answer together."""
    shape: Shape | None = None
    """None: replicas if the model fits on one node, else one server over all nodes."""
    release: str = STABLE
    """The version of TensorRT-LLM."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What one server is given, and how many servers there are."""

    model: Model
    format: Format
    checkpoint: str
    """The weights' name on the hub."""
    release: str
    shape: Shape
    nodes: int
    servers: int
    tp: int
    """Tensor parallel: each layer is split over so many nodes."""
    pp: int
    """Pipeline parallel: the layers are dealt to so many groups of nodes."""
    batch: int
    """Sequences of one server at once."""
    seq_tokens: int
    """Of one sequence, at most."""
    read_tokens: int
    """Of prompts, in one step."""
    kv: Literal["fp16", "fp8"]
    kv_tokens: int
    """That the cache of one server holds."""
    reuse: bool
    """Whether the cache of a common prefix is used again."""
    guided: str
    """What holds answers to a schema; empty: nothing, answers are only checked."""
    moe: str
    """The mixture-of-experts backend; empty: the model has no experts."""
    reasoning: str
    """What keeps reasoning out of answers; empty: the server does it by itself, or none is needed."""
    speed: str
    """The expected tokens a second, with the source, in words."""
    sum: tuple[str, ...]
    """How the memory was reckoned, line by line."""
    warnings: tuple[str, ...]

    @property
    def in_flight(self) -> int:
        """Requests at once that all servers together can work on."""
        return self.batch * self.servers


def plan(wish: Wish) -> Plan:
    """Reckon the configuration.

    Raises:
        UsageError: the model or version is unsuitable, or it does not fit; the message holds the
            sum.
    """
    model, nodes = wish.model, wish.nodes
    form, checkpoint = published(wish)
    _refuse_bad(model, wish.release)
    memory = wish.memory or facts().memory
    room = int(memory * catalogue.SHARE) - catalogue.RUNTIME
    # FP8 weights and FP4 weights come with scales for an FP8 cache; gpt-oss has none.
    kv: Literal["fp16", "fp8"] = "fp8" if form.name in ("nvfp4", "fp8") else "fp16"
    tokens = min(wish.tokens, model.context)
    per_token = model.kv_bytes_per_token(kv)
    alone = room - form.bytes
    shape: Shape = wish.shape or ("replicas" if alone >= tokens * per_token else "mpi")
    span = 1 if shape == "replicas" else nodes
    tp, pp = _split(model, span)
    left = room * span - form.bytes - model.state * MOST
    told = _sum(wish, form, room, span, left, kv)
    if left < tokens * per_token:
        raise UsageError(
            f"{model.name} does not fit on {_nodes(span)}: " + "; ".join(told),
            remedy="Give more nodes, fewer --tokens, or another model: `sparky models fit`",
        )
    kv_tokens = left // per_token // 1024 * 1024
    batch = _batch(kv_tokens // tokens)
    told.append(
        f"so the cache holds {kv_tokens} tokens: {kv_tokens // tokens} sequences of {tokens};"
        f" {batch} are allowed at once"
    )
    warnings = tuple(_warnings(wish, shape, alone >= tokens * per_token))
    return Plan(
        model=model,
        format=form,
        checkpoint=checkpoint,
        release=wish.release,
        shape=shape,
        nodes=nodes,
        servers=nodes // span,
        tp=tp,
        pp=pp,
        batch=batch,
        seq_tokens=tokens,
        read_tokens=max(READ, tokens),
        kv=kv,
        kv_tokens=kv_tokens,
        reuse=not model.state,
        guided="" if model.name.startswith("gpt-oss") else "xgrammar",
        moe="CUTLASS" if model.active < model.parameters else "",
        reasoning=_reasoning(model),
        speed=_speed(model, form, span, batch, nodes // span),
        sum=tuple(told),
        warnings=warnings,
    )


def _sum(wish: Wish, form: Format, room: int, span: int, left: int, kv: str) -> list[str]:
    model = wish.model
    most = f"{catalogue.SHARE:.0%} of it, as more would freeze the host"
    engine = f"less {_gb(catalogue.RUNTIME)} for the engine itself"
    state = f" and {_gb(model.state * MOST)} of state" if model.state else ""
    size = catalogue.KV_BYTES[kv]
    cache = f"2 × {model.layers} layers × {model.kv_heads} heads × {model.head_dim}"
    return [
        f"a node has {_gb(wish.memory or facts().memory)}; {most}, {engine} leaves {_gb(room)}",
        f"weights in {form.name}: {_gb(form.bytes)} ({form.origin})",
        f"{_nodes(span)} × {_gb(room)} less the weights{state} leaves {_gb(left)} for the cache",
        f"a token takes {model.kv_bytes_per_token(kv)} B in {kv}: {cache} × {size} B",
    ]


def published(wish: Wish) -> tuple[Format, str]:
    """The format that is taken, and where its weights are on the hub.

    Raises:
        UsageError: there are none that TensorRT-LLM reads on a Spark.
    """
    known = facts().checkpoints.get(wish.model.name, {})
    if not known:
        raise UsageError(
            f"no weights of {wish.model.name} are published that TensorRT-LLM reads on a Spark",
            remedy=f"Take one of {', '.join(facts().checkpoints)}, or serve it with vLLM or Ollama",
        )
    if wish.form and wish.form not in known:
        raise UsageError(
            f"{wish.model.name} is not published in {wish.form} for Sparks",
            remedy=f"Its formats are {', '.join(known)}",
        )
    forms = [form for form in wish.model.formats if form.name in known]
    chosen = next((f for f in forms if f.name == wish.form), None) or catalogue.smallest(forms)
    return chosen, known[chosen.name]


def _refuse_bad(model: Model, release: str) -> None:
    for text in model.bad:
        engine, _, rest = text.partition(" ")
        if engine == "TensorRT-LLM" and rest.startswith((f"{release}:", f"{release},")):
            raise UsageError(
                f"this version is known to be bad for {model.name}: {text}",
                remedy=f"Take --release {STABLE}",
            )


def _split(model: Model, span: int) -> tuple[int, int]:
    """Tensor parallel as far as the key-value heads part evenly, the pipeline over the rest."""
    tp = max(n for n in range(1, span + 1) if span % n == 0 and model.kv_heads % n == 0)
    return tp, span // tp


def _batch(fitting: int) -> int:
    """So many sequences at once: in steps of eight, as CUDA graphs are padded."""
    capped = min(fitting, MOST)
    return capped if capped < 8 else capped // 8 * 8


def _reasoning(model: Model) -> str:
    if model.name.startswith("qwen3"):
        return "qwen3"
    return "deepseek-r1" if model.name.startswith("deepseek-r1") else ""


def _speed(model: Model, form: Format, span: int, batch: int, servers: int) -> str:
    known = [
        speed
        for speed in facts().speeds
        if speed.model == model.name
        and speed.nodes == span
        and speed.format in ("", form.name)
        and any(n <= batch for n, _ in speed.at)
    ]
    if not known:
        return _bound(model, form, span)
    best = max(known, key=lambda speed: _reached(speed, batch)[0])
    at, rate = _reached(best, batch)
    each = f"{rate:g} tokens/s with {at} at once, measured with {best.engine} ({best.source})"
    if at == 1:
        return f"{each}; more with several at once, which nobody has published"
    if servers > 1:
        return f"about {rate * servers:g} tokens/s over {servers} servers; each {each}"
    return f"about {each}"


def _reached(speed: Speed, batch: int) -> tuple[int, float]:
    return max((n, rate) for n, rate in speed.at if n <= batch)


def _bound(model: Model, form: Format, span: int) -> str:
    # Each token of one sequence reads all active weights once.
    share = model.active / model.parameters
    rate = facts().bandwidth * span / (form.bytes * share)
    return (
        f"nobody has published a measurement; memory gives one sequence at most {rate:.0f} tokens/s"
        f" ({facts().bandwidth / 1e9:g} GB/s a node ÷ {_gb(int(form.bytes * share))} of weights a"
        " token); measure with `sparky bench engine`"
    )


def _warnings(wish: Wish, shape: Shape, alone: bool) -> list[str]:
    found = []
    if wish.release not in {release.version for release in facts().releases}:
        found.append(
            f"nobody is known to have run TensorRT-LLM {wish.release} on a Spark; {STABLE} is stable"
        )
    if shape == "mpi" and alone:
        found.append(
            f"{wish.model.name} fits on one node: replicas write more tokens than one server over"
            f" {_nodes(wish.nodes)}"
        )
    if shape == "mpi" and wish.nodes > 2:
        found.append("TensorRT-LLM over more than two Sparks is published by nobody")
    return found


def _nodes(count: int) -> str:
    return "1 node" if count == 1 else f"{count} nodes"


def _gb(size: int) -> str:
    return f"{size / 10**9:.1f} GB"
