"""Servers that speak OpenAI's protocol: llama.cpp, vLLM, TensorRT-LLM, and others.

They differ in what they tell of themselves, in the fields that they accept and in how they take
a schema. A `Dialect` holds those differences; it is found by asking the server, or given.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sparky.errors import EngineError, Transient
from sparky.llm.answers import Draft
from sparky.llm.faults import SchemaRefused
from sparky.llm.tokens import Estimator, Memory
from sparky.llm.wire import Deadline, Timeouts, Wire, utcnow
from sparky.ports import Answer, Clock, Engine, Prompt

DEFAULT_CONTEXT = 8192
"""Tokens, for a server that does not tell: TensorRT-LLM's default limit of a prompt."""
_COMMON = frozenset(
    {"model", "messages", "temperature", "seed", "stream", "stream_options", "response_format"}
)


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one kind of server wants to be spoken to."""

    name: str
    fields: frozenset[str]
    """Request fields that it accepts; no other is sent."""
    limit: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """The one field that bounds the answer; a server may refuse both."""
    schema: Literal["json_schema", "json"] = "json_schema"
    """`json_schema`: OpenAI's wrapper. `json`: the bare schema, TensorRT-LLM's own form, which
    means the same in all its versions (1.2.1 reads the wrapper itself as the schema)."""
    tokenize: Literal["content", "prompt", ""] = ""
    """The field of `/tokenize` that takes a text; empty where there is no such address."""
    slots: int = 1
    """Requests to keep in flight where the server does not tell."""


LLAMA_CPP = Dialect("llama.cpp", _COMMON | {"max_tokens"}, tokenize="content")
VLLM = Dialect("vllm", _COMMON | {"max_tokens"}, tokenize="prompt", slots=8)
TENSORRT_LLM = Dialect("tensorrt-llm", _COMMON | {"max_tokens"}, schema="json", slots=8)
OTHER = Dialect("openai", _COMMON | {"max_tokens"}, slots=4)
DIALECTS = {d.name: d for d in (LLAMA_CPP, VLLM, TENSORRT_LLM, OTHER)}
_OWNERS = {"llamacpp": LLAMA_CPP, "vllm": VLLM, "tensorrt_llm": TENSORRT_LLM}


class OpenAIBackend:
    """A server of OpenAI's protocol as a `Backend`.

    Args:
        url: `http(s)://host[:port][/prefix]`, with or without `/v1`.
        model: the model that must answer; may be left out where only one is served.
        api_key: sent as a bearer token, shown nowhere.
        dialect: found by asking when left out.
        context: tokens of prompt and answer together, for servers that do not tell.
        reasoning_tokens: room that each answer gets on top for a model's reasoning.
    """

    def __init__(
        self,
        url: str,
        model: str | None = None,
        api_key: str | None = None,
        *,
        timeouts: Timeouts | None = None,
        dialect: Dialect | None = None,
        context: int | None = None,
        reasoning_tokens: int = 0,
        clock: Clock = utcnow,
        now: Callable[[], float] = time.monotonic,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._wire = Wire(url, api_key=api_key, timeouts=timeouts, clock=clock, now=now, tls=tls)
        self._wanted = model
        self._dialect = dialect
        self._context = context
        self._reasoning = reasoning_tokens
        self._lock = threading.Lock()
        self._engine: Engine | None = None
        self._schemas = True
        self._separator = ""
        self._memory = Memory()
        self._estimator = Estimator()

    def __repr__(self) -> str:
        return f"OpenAIBackend({self._wire.url!r}, {self._wanted!r})"

    def close(self) -> None:
        self._wire.close()

    def engine(self) -> Engine:
        """What answers here; asked once, then remembered.

        Raises:
            Transient: nothing answers, or it is not ready yet.
            EngineError: wrong key, wrong model, or not a server of this protocol.
        """
        with self._lock:
            if self._engine is None:
                self._engine = self._probe()
            return self._engine

    def _probe(self) -> Engine:
        # A server may list its models and still not be able to answer: it loads, or it is wedged.
        # One without /health says 404, which passes.
        self._wire.get("/health")
        cards = [c for c in self._wire.get("/v1/models").get("data") or () if isinstance(c, dict)]
        if not cards:
            raise EngineError(
                f"the server at {self._wire.url} lists no models at /v1/models",
                remedy="Check SPARKY_LLM_URL and SPARKY_LLM_KIND (openai, ollama or triton)",
            )
        props = self._props(cards)
        dialect = self._dialect or self._recognise(cards, props)
        self._dialect = dialect
        card = self._choose(cards, dialect)
        told = (
            _number(props.get("default_generation_settings"), "n_ctx")
            or _number(card, "max_model_len")
            or _number(card.get("meta"), "n_ctx")
        )
        # A setting makes what a server tells smaller, never larger.
        context = min(
            told or self._context or DEFAULT_CONTEXT, self._context or told or DEFAULT_CONTEXT
        )
        self._separator = _special(props)
        return Engine(
            name=dialect.name,
            model=str(card["id"]),
            context=context - self._reasoning,
            slots=_number(props, "total_slots") or dialect.slots,
        )

    def _props(self, cards: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        """What only llama.cpp tells: the context of a slot, how many there are, its tokens."""
        known = _OWNERS.get(str(cards[0].get("owned_by")))
        dialect = self._dialect or known
        if dialect not in (None, LLAMA_CPP):
            return {}
        reply = self._wire.ask("GET", "/props")
        return reply.document() if reply.ok else {}

    def _recognise(self, cards: Sequence[Mapping[str, Any]], props: Mapping[str, Any]) -> Dialect:
        if known := _OWNERS.get(str(cards[0].get("owned_by"))):
            return known
        if "default_generation_settings" in props:
            return LLAMA_CPP
        if any("max_model_len" in card for card in cards):
            return VLLM
        if self._wire.ask("GET", "/api/version").document().get("version"):
            # Its /v1 drops the oldest text silently when a prompt is too long.
            raise EngineError(
                f"the server at {self._wire.url} is Ollama",
                remedy="Set SPARKY_LLM_KIND=ollama, so that its context can be pinned",
            )
        return OTHER

    def _choose(self, cards: Sequence[Mapping[str, Any]], dialect: Dialect) -> Mapping[str, Any]:
        served = ", ".join(str(card.get("id")) for card in cards)
        wanted = self._wanted
        if not wanted:
            if len(cards) == 1:
                return cards[0]
            raise EngineError(
                f"the engine at {self._wire.url} serves {len(cards)} models: {served}",
                remedy="Set SPARKY_LLM_MODEL to one of them",
            )
        names = {wanted}
        if dialect is TENSORRT_LLM:
            names.add(wanted.rstrip("/").rpartition("/")[2])  # it goes by its folder's name
        for card in cards:
            if names & {card.get("id"), *(card.get("aliases") or ())}:
                return card
        raise EngineError(
            f"the engine at {self._wire.url} does not serve {wanted}, but: {served}",
            remedy="Set SPARKY_LLM_MODEL to a model that it serves, or serve this one",
        )

    # ---- counting

    def count(self, text: str) -> int:
        """Tokens of `text`, without any template around it: exact where there is `/tokenize`.

        Raises:
            Transient, Throttled, EngineError: the server could not be asked.
        """
        if not text:
            return 0
        engine = self.engine()
        known = self._memory.get(text)
        if known is not None:
            return known
        exact = self._tokenize(text, engine.model)
        if exact is None:
            return self._estimator.estimate(text)
        self._memory.put(text, len(exact))
        return len(exact)

    def count_all(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, in few round trips where the engine's tokens allow that.

        llama.cpp splits a text at its special tokens before anything else, so texts joined by
        one are counted together as exactly as alone. The counts are remembered for `count`.
        """
        engine = self.engine()
        if self._separator:
            apart = self._tokenize(self._separator, engine.model, special=True) or []
            fresh = [t for t in dict.fromkeys(texts) if t and self._memory.get(t) is None]
            # Text that could itself hold special tokens is counted alone, where they are text.
            plain = [t for t in fresh if "<" not in t and "[" not in t]
            for batch in _batches(plain) if len(apart) == 1 else ():
                joined = self._separator.join(batch)
                counts = _split(self._tokenize(joined, engine.model, special=True), apart[0])
                if len(counts) == len(batch):
                    for text, tokens in zip(batch, counts, strict=True):
                        self._memory.put(text, tokens)
        return [self.count(text) for text in texts]

    def _tokenize(self, text: str, model: str, *, special: bool = False) -> list[int] | None:
        dialect = self._dialect
        if dialect is None or not dialect.tokenize:
            return None
        body: dict[str, Any] = {dialect.tokenize: text}
        if dialect is VLLM:
            body |= {"model": model, "add_special_tokens": False}
        else:
            body |= {"add_special": False, "parse_special": special}
        tokens = self._wire.expect(self._wire.ask("POST", "/tokenize", body)).get("tokens")
        return tokens if isinstance(tokens, list) else None

    # ---- answering

    def complete(self, prompt: Prompt) -> Answer:
        """Ask once; the answer is streamed, so that deadlines hold.

        Raises:
            Transient: no connection, a reset, a timeout, a 5xx, a stream that broke off.
            Throttled: the server said how long to wait.
            ContextExceeded: prompt and answer do not fit.
            BadAnswer: an answer came that is cut, empty or only reasoning.
            EngineError: wrong key, wrong model, refused request.
        """
        engine = self.engine()
        started, deadline = self._wire.now(), self._wire.deadline()
        body = self._body(prompt, engine)
        try:
            draft = self._ask(body, deadline)
        except SchemaRefused:
            if "response_format" not in body:
                raise
            # Known for good only when the engine then answers: whoever asked checks the answer.
            draft = self._ask({k: v for k, v in body.items() if k != "response_format"}, deadline)
            self._schemas = False
        return draft.finished(
            prompt,
            server=self._wire.url,
            model=engine.model,
            seconds=self._wire.now() - started,
            estimator=self._estimator,
        )

    def _body(self, prompt: Prompt, engine: Engine) -> dict[str, Any]:
        dialect = self._dialect or OTHER
        messages = [{"role": "system", "content": prompt.system}] if prompt.system else []
        messages.append({"role": "user", "content": prompt.user})
        body: dict[str, Any] = {
            "model": engine.model,
            "messages": messages,
            dialect.limit: prompt.max_tokens + self._reasoning,
            "temperature": prompt.temperature,
            "seed": prompt.seed,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if prompt.schema is not None and self._schemas:
            schema = dict(prompt.schema)
            body["response_format"] = (
                {"type": "json", "schema": schema}
                if dialect.schema == "json"
                else {
                    "type": "json_schema",
                    "json_schema": {"name": "answer", "strict": True, "schema": schema},
                }
            )
        return {name: value for name, value in body.items() if name in dialect.fields}

    def _ask(self, body: Mapping[str, Any], deadline: Deadline) -> Draft:
        draft = Draft()
        with self._wire.stream("/v1/chat/completions", body, deadline) as parts:
            for part in parts:
                try:
                    _add(draft, part)
                except (AttributeError, TypeError, KeyError, IndexError) as error:
                    raise Transient(
                        f"the engine at {self._wire.url} sent a part of an answer that is none"
                    ) from error
        return draft


def _add(draft: Draft, part: Mapping[str, Any]) -> None:
    draft.model = part.get("model") or draft.model
    if usage := part.get("usage"):
        draft.prompt_tokens = usage.get("prompt_tokens") or 0
        draft.completion_tokens = usage.get("completion_tokens") or 0
        draft.cached_tokens = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
    for choice in (part.get("choices") or ())[:1]:
        said = choice.get("delta") or choice.get("message") or {}
        draft.text.append("" + (said.get("content") or ""))
        if said.get("reasoning_content") or said.get("reasoning"):
            draft.reasoned = True
        draft.finish = choice.get("finish_reason") or draft.finish


def _number(holder: object, name: str) -> int:
    value = holder.get(name) if isinstance(holder, Mapping) else None
    return value if isinstance(value, int) and value > 0 else 0


def _special(props: Mapping[str, Any]) -> str:
    """The text of a special token, to set texts apart with."""
    token = props.get("eos_token")
    return token if isinstance(token, str) and token.strip() else ""


def _batches(texts: Sequence[str], size: int = 200_000) -> list[list[str]]:
    batches: list[list[str]] = []
    room = 0
    for text in texts:
        if not batches or len(text) > room:
            batches.append([])
            room = size
        batches[-1].append(text)
        room -= len(text)
    return batches


def _split(tokens: Sequence[int] | None, apart: int) -> list[int]:
    counts = [0]
    for token in tokens or ():
        if token == apart:
            counts.append(0)
        else:
            counts[-1] += 1
    return counts
