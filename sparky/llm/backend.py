"""What all adapters share: the probe is made once, and an answer is asked for in one way."""

from __future__ import annotations

import ssl
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, ClassVar, TypedDict, Unpack

from sparky.errors import EngineError, StoreError, Transient
from sparky.llm.answers import Draft
from sparky.llm.deadline import Deadline
from sparky.llm.faults import SchemaRefused
from sparky.llm.tokens import Estimator, Ratios
from sparky.llm.wire import Timeouts, Wire, utcnow
from sparky.ports import Answer, Clock, Engine, Prompt

DEFAULT_CONTEXT = 8192
"""Tokens of prompt and answer together, where neither the server nor a setting tells."""


class Options(TypedDict, total=False):
    """What every adapter can be told besides the server, the model and the key.

    timeouts: seconds for each part of a call.
    context: tokens of prompt and answer together. Where the server tells, the smaller counts.
    slots: requests that the server works on at once, where it does not tell.
    reasoning_tokens: room that each answer gets on top, for models that reason before they answer.
    clock, now: the time of day, and seconds that never go back.
    tls: what to trust; the system's certificates when left out.
    ratios: where what is learned of tokens is kept between runs.
    """

    timeouts: Timeouts
    context: int | None
    slots: int | None
    reasoning_tokens: int
    clock: Clock
    now: Callable[[], float]
    tls: ssl.SSLContext | None
    ratios: Ratios | None


class HttpBackend(ABC):
    """A server over HTTP as a `Backend`. Safe to share between threads.

    Args:
        url: `http(s)://host[:port][/prefix]`.
        model: the model that must answer; may be left out where there is no choice.
        api_key: sent as a bearer token, shown nowhere.
    """

    SCHEMA: ClassVar[frozenset[str]] = frozenset()
    """The fields of a request that hold its answer to a schema."""

    def __init__(
        self,
        url: str,
        model: str | None = None,
        api_key: str | None = None,
        **options: Unpack[Options],
    ) -> None:
        self._wire = self._way(url)(
            url,
            api_key=api_key,
            timeouts=options.get("timeouts", Timeouts()),
            clock=options.get("clock", utcnow),
            now=options.get("now", time.monotonic),
            tls=options.get("tls"),
        )
        self._wanted = model
        self._context = options.get("context")
        self._slots = options.get("slots")
        self._reasoning = options.get("reasoning_tokens", 0)
        self._ratios = options.get("ratios")
        self._estimator = Estimator()
        self._schemas = True
        self._lock = threading.Lock()
        self._engine: Engine | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._wire.url!r}, {self._wanted!r})"

    def _way(self, url: str) -> type[Wire]:
        """What goes to such a URL."""
        return Wire

    def close(self) -> None:
        """Close the connections."""
        self._wire.close()

    def engine(self) -> Engine:
        """What answers here; asked once, then remembered.

        Raises:
            Transient, Throttled: nothing answers, or it is not ready yet.
            EngineError: wrong key, wrong model, or another kind of server.
        """
        with self._lock:
            if self._engine is None:
                self._engine = self._probed()
                self._remember(self._engine)
            return self._engine

    def _probed(self) -> Engine:
        try:
            return self._probe()
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise EngineError(
                f"the server at {self._wire.url} says of itself what no engine says",
                remedy="Check SPARKY_LLM_URL and SPARKY_LLM_KIND (openai, ollama or triton)",
            ) from error

    def memory(self) -> str:
        """What the server tells of its memory, in words; empty where it tells nothing.

        Raises:
            Transient, Throttled, EngineError: the server could not be asked.
        """
        return ""

    def forget(self) -> None:
        """Ask the server anew what it is, the next time: it may be another one by then."""
        with self._lock:
            self._engine = None

    def count(self, text: str) -> int:
        """Tokens of `text`, without any template around it; estimated from bytes.

        Raises:
            Transient, Throttled, EngineError: the server could not be asked.
        """
        return self._estimator.estimate(text)

    def count_all(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, as `count` gives them, in fewer round trips where that is possible."""
        return [self.count(text) for text in texts]

    def complete(self, prompt: Prompt) -> Answer:
        """Ask once. The answer is streamed, so that deadlines hold.

        Raises:
            Transient: no connection, a reset, a timeout, a 5xx, a stream that broke off.
            Throttled: the server said how long to wait.
            ContextExceeded: prompt and answer do not fit.
            BadAnswer: an answer came that is cut, empty or only reasoning.
            EngineError: wrong key, wrong model, refused request.
        """
        engine = self.engine()
        started, deadline = self._wire.now(), self._wire.deadline()
        limit = prompt.max_tokens + self._reasoning
        body = self._body(prompt, engine, limit)
        if not self._schemas:
            body = self._free(body)
        try:
            draft = self._ask(Draft(limit), engine, body, deadline)
        except SchemaRefused:
            if not self.SCHEMA & body.keys():
                raise
            draft = self._ask(Draft(limit), engine, self._free(body), deadline)
            self._schemas = False  # it answers without one, so it is the schema that it cannot do
        answer = draft.finished(
            prompt,
            server=self._wire.url,
            engine=engine,
            seconds=self._wire.now() - started,
            estimator=self._estimator,
        )
        self._keep(engine)
        return answer

    def _remember(self, engine: Engine) -> None:
        """Begin with what was learned of this model before."""
        if self._ratios is not None:
            with suppress(Transient, StoreError):  # it is learned again
                known = self._ratios.ratio(engine.model)
                if known:
                    self._estimator.begin(known)

    def _keep(self, engine: Engine) -> None:
        if self._ratios is not None and (ratio := self._estimator.news()):
            with suppress(Transient, StoreError):
                self._ratios.put_ratio(engine.model, ratio)

    def _free(self, body: Mapping[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in body.items() if name not in self.SCHEMA}

    def _ask(
        self, draft: Draft, engine: Engine, body: Mapping[str, Any], deadline: Deadline
    ) -> Draft:
        started = self._wire.now()
        with self._wire.stream(self._path(engine), body, deadline) as parts:
            for part in parts:
                try:
                    self._add(draft, part)
                except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
                    raise Transient(
                        f"the engine at {self._wire.url} sent something that is no part of an answer"
                    ) from error
                if not draft.first_token_seconds and (draft.text or draft.reasoned):
                    draft.first_token_seconds = self._wire.now() - started
        return draft

    def _bounded(self, told: int) -> int:
        """The context: what the server tells (0: nothing), made smaller by a setting."""
        return min(
            told or self._context or DEFAULT_CONTEXT, self._context or told or DEFAULT_CONTEXT
        )

    def _choose(self, served: Sequence[str], names: Iterable[str] = ()) -> str:
        """The model that answers, of those that are served.

        Args:
            names: other names by which the wanted model may go here.

        Raises:
            EngineError: it is not served, or there is more than one and none was asked for.
        """
        wanted = self._wanted
        for name in served:
            if name == wanted or name in names or (wanted is None and len(served) == 1):
                return name
        listed = ", ".join(served) or "none"
        if wanted is None:
            raise EngineError(
                f"the engine at {self._wire.url} does not serve exactly one model, but: {listed}",
                remedy="Set SPARKY_LLM_MODEL to one that it serves",
            )
        raise EngineError(
            f"the engine at {self._wire.url} does not serve {wanted}, but: {listed}",
            remedy="Set SPARKY_LLM_MODEL to a model that it serves, or serve this one",
        )

    @abstractmethod
    def _probe(self) -> Engine:
        """Ask the server what it is; any lookup error means that it is no engine."""

    @abstractmethod
    def _path(self, engine: Engine) -> str:
        """Where prompts go."""

    @abstractmethod
    def _body(self, prompt: Prompt, engine: Engine, limit: int) -> dict[str, Any]:
        """The request for an answer of at most `limit` tokens, reasoning included."""

    @abstractmethod
    def _add(self, draft: Draft, part: Mapping[str, Any]) -> None:
        """Take in one part of an answer; any lookup error means that it is none."""


def messages(prompt: Prompt) -> list[dict[str, str]]:
    """The prompt as chat messages."""
    system = [{"role": "system", "content": prompt.system}] if prompt.system else []
    return [*system, {"role": "user", "content": prompt.user}]
