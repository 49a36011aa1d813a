"""Ollama, by its own API: the OpenAI form of it can neither pin the context nor refuse to cut."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sparky.errors import EngineError, Transient
from sparky.llm.answers import Draft
from sparky.llm.faults import SchemaRefused
from sparky.llm.tokens import Estimator
from sparky.llm.wire import Deadline, Timeouts, Wire, utcnow
from sparky.ports import Answer, Clock, Engine, Prompt

CONTEXT = 8192
"""Tokens that are pinned where no setting says otherwise. Ollama's own default depends on the
machine's memory, and each change of it loads the model anew."""
KEEP_ALIVE = "30m"
"""How long the model stays loaded after an answer."""


class OllamaBackend:
    """An Ollama server as a `Backend`.

    Args:
        url: `http(s)://host[:port]`.
        model: a pulled model; `:latest` may be left out.
        api_key: for a gateway in front of it; Ollama itself has none.
        context: tokens of prompt and answer together, pinned as `num_ctx`; bounded by the model's.
        slots: OLLAMA_NUM_PARALLEL of the server, which it does not tell.
        reasoning_tokens: above 0, the model may reason, and each answer gets that room on top.
    """

    def __init__(
        self,
        url: str,
        model: str | None = None,
        api_key: str | None = None,
        *,
        timeouts: Timeouts | None = None,
        context: int | None = None,
        slots: int = 1,
        reasoning_tokens: int = 0,
        clock: Clock = utcnow,
        now: Callable[[], float] = time.monotonic,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._wire = Wire(url, api_key=api_key, timeouts=timeouts, clock=clock, now=now, tls=tls)
        self._wanted = model
        self._context = context or CONTEXT
        self._slots = slots
        self._reasoning = reasoning_tokens
        self._lock = threading.Lock()
        self._engine: Engine | None = None
        self._estimator = Estimator()

    def __repr__(self) -> str:
        return f"OllamaBackend({self._wire.url!r}, {self._wanted!r})"

    def close(self) -> None:
        self._wire.close()

    def engine(self) -> Engine:
        """What answers here; asked once, then remembered.

        Raises:
            Transient: nothing answers.
            EngineError: not Ollama, or the model was not pulled.
        """
        with self._lock:
            if self._engine is None:
                self._engine = self._probe()
            return self._engine

    def _probe(self) -> Engine:
        if not self._wire.get("/api/version").get("version"):
            raise EngineError(
                f"the server at {self._wire.url} is not Ollama",
                remedy="Check SPARKY_LLM_URL and SPARKY_LLM_KIND (openai, ollama or triton)",
            )
        models = self._wire.get("/api/tags").get("models") or ()
        model = self._choose([str(m.get("name")) for m in models if isinstance(m, dict)])
        shown = self._wire.expect(self._wire.ask("POST", "/api/show", {"model": model}))
        longest = _context(shown.get("model_info") or {})
        context = min(self._context, longest) if longest else self._context
        # The pinned size is what every request sends; what reasoning may take is not offered.
        self._context = context
        return Engine("ollama", model, context - self._reasoning, self._slots)

    def _choose(self, pulled: Sequence[str]) -> str:
        wanted = self._wanted
        if not wanted and len(pulled) == 1:
            return pulled[0]
        for name in pulled:
            if wanted and name in (wanted, f"{wanted}:latest"):
                return name
        served = ", ".join(pulled) or "no model"
        if not wanted:
            raise EngineError(
                f"the engine at {self._wire.url} has {served}",
                remedy="Set SPARKY_LLM_MODEL to one that it has; `ollama pull` gets more",
            )
        raise EngineError(
            f"the engine at {self._wire.url} does not have {wanted}, but: {served}",
            remedy=f"Run `ollama pull {wanted}` there, or set SPARKY_LLM_MODEL to one that it has",
        )

    def count(self, text: str) -> int:
        """Tokens of `text`, estimated: Ollama counts none without answering."""
        return self._estimator.estimate(text)

    def count_all(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, estimated."""
        return [self.count(text) for text in texts]

    def complete(self, prompt: Prompt) -> Answer:
        """Ask once; the answer is streamed, so that deadlines hold.

        Raises:
            Transient: no connection, a reset, a timeout, a full queue, a stream that broke off.
            ContextExceeded: prompt and answer do not fit into the pinned context.
            BadAnswer: an answer came that is cut, empty or only reasoning.
            EngineError: wrong model, refused request.
        """
        engine = self.engine()
        started, deadline = self._wire.now(), self._wire.deadline()
        body = self._body(prompt, engine)
        try:
            draft = self._ask(body, deadline)
        except SchemaRefused:
            if "format" not in body:
                raise
            draft = self._ask({k: v for k, v in body.items() if k != "format"}, deadline)
        return draft.finished(
            prompt,
            server=self._wire.url,
            model=engine.model,
            seconds=self._wire.now() - started,
            estimator=self._estimator,
        )

    def _body(self, prompt: Prompt, engine: Engine) -> dict[str, Any]:
        messages = [{"role": "system", "content": prompt.system}] if prompt.system else []
        messages.append({"role": "user", "content": prompt.user})
        body: dict[str, Any] = {
            "model": engine.model,
            "messages": messages,
            "stream": True,
            "keep_alive": KEEP_ALIVE,
            # Too long a prompt is to fail: by default the oldest text is dropped without a word.
            "truncate": False,
            "shift": False,
            "options": {
                "num_ctx": self._context,
                "num_predict": prompt.max_tokens + self._reasoning,
                "temperature": prompt.temperature,
                "seed": prompt.seed,
            },
        }
        if not self._reasoning:
            body["think"] = False  # left out, a model that can reason does; `true` may be refused
        if prompt.schema is not None:
            body["format"] = dict(prompt.schema)
        return body

    def _ask(self, body: Mapping[str, Any], deadline: Deadline) -> Draft:
        draft = Draft()
        with self._wire.stream("/api/chat", body, deadline) as parts:
            for part in parts:
                try:
                    _add(draft, part)
                except (AttributeError, TypeError) as error:
                    raise Transient(
                        f"the engine at {self._wire.url} sent a part of an answer that is none"
                    ) from error
        return draft


def _add(draft: Draft, part: Mapping[str, Any]) -> None:
    draft.model = part.get("model") or draft.model
    said = part.get("message") or {}
    draft.text.append("" + (said.get("content") or ""))
    if said.get("thinking"):
        draft.reasoned = True
    if part.get("done"):
        draft.finish = part.get("done_reason") or "stop"
        draft.prompt_tokens = part.get("prompt_eval_count") or 0
        draft.completion_tokens = part.get("eval_count") or 0


def _context(info: Mapping[str, Any]) -> int:
    """The longest context that a model was made for; 0 where it is not told."""
    length = info.get(f"{info.get('general.architecture')}.context_length")
    return length if isinstance(length, int) else 0
