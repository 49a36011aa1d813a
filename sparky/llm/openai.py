"""Servers that speak OpenAI's protocol: llama.cpp, vLLM, TensorRT-LLM, and others.

They differ in what they tell of themselves, in the fields that they accept and in how they take
a schema. A `Dialect` holds those differences; it is found by asking the server, or given.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Unpack

from sparky.errors import EngineError
from sparky.llm.answers import Draft
from sparky.llm.backend import HttpBackend, Options, messages
from sparky.llm.tokens import Memory
from sparky.ports import Engine, Prompt

_COMMON = frozenset(
    {"model", "messages", "temperature", "seed", "stream", "stream_options", "response_format"}
)


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one kind of server wants to be spoken to."""

    name: str
    fields: frozenset[str] = _COMMON | {"max_tokens"}
    """Request fields that it accepts; no other is sent."""
    limit: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """The one field that bounds the answer; a server may refuse both."""
    schema: Literal["json_schema", "json"] = "json_schema"
    """`json_schema`: OpenAI's wrapper. `json`: the bare schema, TensorRT-LLM's own form, which
    means the same in all its versions (1.2.1 takes the wrapper itself for the schema)."""
    tokenize: Literal["content", "prompt", ""] = ""
    """The field of `/tokenize` that takes a text; empty where there is no such address."""
    thinking: bool = False
    """Whether its chat template can be told not to let the model reason."""
    slots: int = 1
    """Requests to keep in flight where the server does not tell."""


LLAMA_CPP = Dialect("llama.cpp", tokenize="content")
_THINKING = _COMMON | {"max_tokens", "chat_template_kwargs"}
VLLM = Dialect("vllm", fields=_THINKING, tokenize="prompt", thinking=True, slots=8)
TENSORRT_LLM = Dialect("tensorrt-llm", fields=_THINKING, schema="json", thinking=True, slots=8)
OTHER = Dialect("openai", slots=4)
_OWNERS = {"llamacpp": LLAMA_CPP, "vllm": VLLM, "tensorrt_llm": TENSORRT_LLM}

_CACHE_USED = re.compile(
    r"^vllm:(?:kv|gpu)_cache_usage_perc(?:{[^}]*})? ([\d.eE+-]+)$", re.MULTILINE
)
_Cards = Sequence[Mapping[str, Any]]


class OpenAIBackend(HttpBackend):
    """A server of OpenAI's protocol as a `Backend`; the URL may end in `/v1`.

    Args:
        dialect: found by asking when left out.
    """

    SCHEMA = frozenset({"response_format"})

    def __init__(
        self,
        url: str,
        model: str | None = None,
        api_key: str | None = None,
        *,
        dialect: Dialect | None = None,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(url, model, api_key, **options)
        self._dialect = dialect or OTHER
        self._given = dialect is not None
        self._separator = ""
        self._memory = Memory()

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
        known = self._dialect if self._given else _OWNERS.get(str(cards[0].get("owned_by")))
        # Only llama.cpp tells its properties: the context of a slot, how many there are, its marks.
        props = self._wire.ask("GET", "/props").document() if known in (None, LLAMA_CPP) else {}
        self._dialect = known or self._recognise(cards, props)
        card = self._card(cards)
        self._separator = _mark(props)
        told = (
            _number(props.get("default_generation_settings"), "n_ctx")
            or _number(card, "max_model_len")
            or _number(card.get("meta"), "n_ctx")
        )
        return Engine(
            name=self._dialect.name,
            model=str(card["id"]),
            context=self._bounded(told) - self._reasoning,
            slots=_number(props, "total_slots") or self._slots or self._dialect.slots,
        )

    def _recognise(self, cards: _Cards, props: Mapping[str, Any]) -> Dialect:
        """The dialect of a server that goes by another owner's name, as behind a gateway."""
        if "default_generation_settings" in props:
            return LLAMA_CPP
        if any("max_model_len" in card for card in cards):
            return VLLM
        if self._wire.ask("GET", "/api/version").document().get("version"):
            # Its /v1 drops the oldest text without a word when a prompt is too long.
            raise EngineError(
                f"the server at {self._wire.url} is Ollama",
                remedy="Set SPARKY_LLM_KIND=ollama, so that its context can be pinned",
            )
        if self._wire.ask("GET", "/version").document().get("version"):
            # TensorRT-LLM alone refuses a request that is none with a bare text as the error.
            refusal = self._wire.ask("POST", "/v1/chat/completions", {})
            if refusal.status == 400 and isinstance(refusal.document().get("error"), str):
                return TENSORRT_LLM
        return OTHER

    def _card(self, cards: _Cards) -> Mapping[str, Any]:
        names = []
        if self._dialect is TENSORRT_LLM and self._wanted:  # it goes by its folder's name there
            names.append(self._wanted.rstrip("/").rpartition("/")[2])
        names += [str(c["id"]) for c in cards if self._wanted in (c.get("aliases") or ())]
        chosen = self._choose([str(card.get("id")) for card in cards], names)
        return next(card for card in cards if str(card.get("id")) == chosen)

    # ---- counting

    def count(self, text: str) -> int:
        if not text:
            return 0
        engine = self.engine()
        known = self._memory.get(text)
        if known is not None:
            return known
        tokens = self._tokenize(text, engine)
        if tokens is None:
            return self._estimator.estimate(text)
        self._memory.put(text, len(tokens))
        return len(tokens)

    def count_all(self, texts: Sequence[str]) -> list[int]:
        engine = self.engine()
        # llama.cpp cuts a text at its special tokens before it does anything else, so texts joined
        # by one have the counts that they have alone.
        if self._separator:
            mark = self._tokenize(self._separator, engine, special=True) or []
            for batch in _batches(self._fresh(texts)) if len(mark) == 1 else ():
                joined = self._tokenize(self._separator.join(batch), engine, special=True)
                counts = _split(joined or (), mark[0])
                if len(counts) == len(batch):
                    for text, count in zip(batch, counts, strict=True):
                        self._memory.put(text, count)
        return [self.count(text) for text in texts]

    def _fresh(self, texts: Sequence[str]) -> list[str]:
        """Texts without a count that can be joined: none that could hold a mark of its own."""
        return [
            text
            for text in dict.fromkeys(texts)
            if text and "<" not in text and "[" not in text and self._memory.get(text) is None
        ]

    def _tokenize(self, text: str, engine: Engine, *, special: bool = False) -> list[int] | None:
        dialect = self._dialect
        if not dialect.tokenize:
            return None
        body: dict[str, Any] = {dialect.tokenize: text}
        if dialect is VLLM:
            body |= {"model": engine.model, "add_special_tokens": False}
        else:
            body |= {"add_special": False, "parse_special": special}
        tokens = self._wire.expect(self._wire.ask("POST", "/tokenize", body)).get("tokens")
        return tokens if isinstance(tokens, list) else None

    def memory(self) -> str:
        if self._dialect is not VLLM:
            return ""
        text = self._wire.ask("GET", "/metrics").body.decode("utf-8", "replace")
        used = _CACHE_USED.search(text)
        return f"{float(used[1]):.0%} of the key-value cache used" if used else ""

    # ---- answering

    def _path(self, engine: Engine) -> str:
        return "/v1/chat/completions"

    def _body(self, prompt: Prompt, engine: Engine, limit: int) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": engine.model,
            "messages": messages(prompt),
            self._dialect.limit: limit,
            "temperature": prompt.temperature,
            "seed": prompt.seed,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if self._dialect.thinking and not self._reasoning:
            # A model that could would spend the answer's tokens; other templates do not ask.
            body["chat_template_kwargs"] = {"enable_thinking": False}
        if prompt.schema is not None:
            schema = dict(prompt.schema)
            if self._dialect.schema == "json":
                body["response_format"] = {"type": "json", "schema": schema}
            else:
                wrapped = {"name": "answer", "strict": True, "schema": schema}
                body["response_format"] = {"type": "json_schema", "json_schema": wrapped}
        return {name: value for name, value in body.items() if name in self._dialect.fields}

    def _add(self, draft: Draft, part: Mapping[str, Any]) -> None:
        draft.model = part.get("model") or draft.model
        if usage := part.get("usage"):
            details = usage.get("prompt_tokens_details") or {}
            draft.prompt_tokens = usage.get("prompt_tokens") or 0
            draft.completion_tokens = usage.get("completion_tokens") or 0
            draft.cached_tokens = details.get("cached_tokens") or 0
            written = usage.get("completion_tokens_details") or {}
            draft.reasoning_tokens = written.get("reasoning_tokens") or 0
            # No engine measures it; a gateway in front of one may.
            draft.joules = usage.get("energy_joules")
        for choice in part.get("choices") or ():
            said = choice.get("delta") or choice.get("message") or {}
            draft.text += said.get("content") or ""
            draft.reasoned |= bool(said.get("reasoning_content") or said.get("reasoning"))
            draft.finish = choice.get("finish_reason") or draft.finish


def _number(holder: object, name: str) -> int:
    """A positive count, or 0 where there is none."""
    value = holder.get(name) if isinstance(holder, Mapping) else None
    return value if isinstance(value, int) and value > 0 else 0


def _mark(props: Mapping[str, Any]) -> str:
    """The text of a special token, to set texts apart with."""
    token = props.get("eos_token")
    return token if isinstance(token, str) and token.strip() else ""


def _batches(texts: Sequence[str], size: int = 200_000) -> Iterator[list[str]]:
    """Texts in groups of at most `size` characters, or of one."""
    batch: list[str] = []
    room = size
    for text in texts:
        if batch and len(text) > room:
            yield batch
            batch, room = [], size
        batch.append(text)
        room -= len(text)
    if batch:
        yield batch


def _split(tokens: Sequence[int], mark: int) -> list[int]:
    """How many tokens there are between marks."""
    counts = [0]
    for token in tokens:
        if token == mark:
            counts.append(0)
        else:
            counts[-1] += 1
    return counts
