"""Settings → Source, Backend, Store: the only place that picks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from sparky import render
from sparky.errors import EngineError, UsageError
from sparky.llm.backend import Options
from sparky.llm.ollama import OllamaBackend
from sparky.llm.openai import OpenAIBackend
from sparky.llm.router import Router
from sparky.llm.seat import Member
from sparky.llm.tokens import Ratios
from sparky.llm.triton import TritonBackend
from sparky.llm.wire import Timeouts
from sparky.model import Digest
from sparky.ports import Backend, Prompt, Publisher, Source
from sparky.publish.files import Files
from sparky.services import Wanted, attach, weights
from sparky.settings import EngineSettings, Settings
from sparky.source.gitrepo import GitSource, Limits
from sparky.store import schema
from sparky.store.calls import Calls
from sparky.store.gateway import Gateway

Progress = Callable[[weights.Progress], None]

RENDERERS: dict[str, Callable[[Digest], str]] = {
    "md": render.as_markdown,
    "json": render.as_json,
    "html": render.as_html,
}
"""How a digest is written, by the ending of its file."""

TRIAL_SECONDS = 60.0
"""How long a canary may take: long enough for a queue, short enough for an engine that hangs."""

DEFAULT_MODEL = "qwen2.5-coder-1.5b-instruct"
"""What the embedded engine runs unless SPARKY_LLM_MODEL says otherwise."""


@dataclass(frozen=True, slots=True)
class Wired:
    """Everything that a command or a worker works with."""

    settings: Settings
    """With the real URLs in it, also where Sparky started the services itself."""
    store: Gateway
    source: Source
    backend: Backend


@contextmanager
def open(  # noqa: A001 — read as `wiring.open`
    settings: Settings,
    *,
    need_engine: bool = True,
    on_event: Callable[[str], None] = lambda text: None,
    on_progress: Progress = lambda progress: None,
) -> Iterator[Wired]:
    """Start what is not configured, and connect to all of it until the block ends.

    Args:
        need_engine: whether a language model must be there; else none is started.
        on_event: told in a few words what is being waited for.
        on_progress: told how far the weights' download is.
    """
    settings.cache_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with ExitStack() as stack:
        embedded = settings.llm_kind == "embedded" and settings.llm_url is None
        model = model_name(settings)
        gguf: Path | None = None
        if embedded and need_engine:
            gguf = weights.ensure(
                model,
                cache=settings.cache_dir,
                path=settings.model_path,
                sha256=settings.model_sha256,
                on_progress=on_progress,
            )
        wanted = Wanted(
            postgres=settings.database_url is None,
            valkey=settings.broker_url is None,
            llama=gguf,
        )
        concrete = settings
        if wanted.postgres or wanted.valkey or wanted.llama:
            ends = stack.enter_context(
                attach(settings.state_dir, wanted, model_name=model, on_event=on_event)
            )
            changes: dict[str, object] = {}
            if ends.database_url:
                changes["database_url"] = ends.database_url
            if ends.broker_url:
                changes["broker_url"] = ends.broker_url
            if ends.llm_url:
                changes |= {
                    "llm_kind": "openai",
                    "llm_url": ends.llm_url,
                    "llm_api_key": ends.llm_api_key,
                    "llm_model": model,
                    "model_path": None,
                    "model_sha256": None,
                }
            concrete = settings.with_changes(**changes)
        if wanted.postgres:
            on_event("checking the database's schema")
            schema.upgrade(database_url(concrete))
        yield stack.enter_context(connected(concrete))


@contextmanager
def connected(settings: Settings) -> Iterator[Wired]:
    """Connect to services that all have their URLs; starts nothing and migrates nothing."""
    with ExitStack() as stack:
        store = Gateway.open(database_url(settings))
        stack.callback(store.close)
        engine = backend(settings, Calls(store.engine))
        stack.callback(engine.close)
        yield Wired(settings, store, source(settings), engine)


def model_name(settings: Settings) -> str:
    """The embedded model that the settings ask for."""
    return settings.llm_model or DEFAULT_MODEL


def database_url(settings: Settings) -> str:
    """The database's URL; UsageError when there is none."""
    if settings.database_url is None:
        raise UsageError(
            "no database is configured",
            remedy="Set SPARKY_DATABASE_URL, or use `sparky run` or `sparky up`, which start one",
        )
    return settings.database_url.get_secret_value()


def source(settings: Settings) -> Source:
    """What reads repositories."""
    return GitSource(
        settings.cache_dir / "repositories",
        limits=Limits(seconds=settings.git_timeout_seconds, bytes=int(settings.git_max_bytes)),
    )


def publishers(settings: Settings) -> tuple[Publisher, ...]:
    """Where finished digests go; nowhere unless the settings say so."""
    if settings.publish_dir is None:
        return ()
    return tuple(
        Files(settings.publish_dir, form, RENDERERS[form]) for form in settings.publish_formats
    )


class NoEngine:
    """A Backend where none is configured: whoever asks it is told so."""

    def engine(self) -> NoReturn:
        raise EngineError(
            "no engine is configured",
            remedy="Set SPARKY_LLM_KIND and SPARKY_LLM_URL, or use `sparky run` or `sparky up`, "
            "which start one",
        )

    def count(self, text: str) -> NoReturn:
        self.engine()

    def count_all(self, texts: Sequence[str]) -> NoReturn:
        self.engine()

    def complete(self, prompt: Prompt) -> NoReturn:
        self.engine()

    def forget(self) -> None: ...

    def close(self) -> None: ...


def backend(settings: Settings, ratios: Ratios | None = None) -> Backend:
    """What answers prompts: a pool of one engine or of many.

    Args:
        ratios: where learned ratios of bytes to tokens are kept between runs.
    """
    if settings.llm_kind != "pool" and settings.llm_url is None:
        return NoEngine()
    return Router(
        [_member(engine, settings, ratios) for engine in _engines(settings)],
        escalate=settings.llm_escalation,
        patience=settings.llm_timeout_seconds / 4,
    )


def _engines(settings: Settings) -> Sequence[EngineSettings]:
    if settings.engines:
        return settings.engines
    kind = settings.llm_kind
    if kind == "embedded" or kind == "pool":
        kind = "openai"
    return [
        EngineSettings.model_construct(
            url=settings.llm_url or "",
            model=settings.llm_model or "",
            kind=kind,
            max_in_flight=settings.llm_in_flight,
            api_key=settings.llm_api_key,
            context=settings.llm_context,
            reasoning_tokens=settings.llm_reasoning_tokens,
            template=settings.llm_template,
        )
    ]


def _member(engine: EngineSettings, settings: Settings, ratios: Ratios | None) -> Member:
    def adapter(seconds: float) -> Backend:
        key = engine.api_key.get_secret_value() if engine.api_key else None
        options = Options(
            timeouts=Timeouts(first=seconds, total=seconds),
            context=engine.context,
            slots=engine.max_in_flight,
            reasoning_tokens=engine.reasoning_tokens,
            ratios=ratios,
        )
        given = (engine.url, engine.model or None, key)
        if engine.kind == "triton":
            return TritonBackend(*given, template=engine.template, **options)
        if engine.kind == "ollama":
            return OllamaBackend(*given, **options)
        return OpenAIBackend(*given, **options)

    return Member(
        name=engine.url,
        backend=adapter(settings.llm_timeout_seconds),
        trial=adapter(min(TRIAL_SECONDS, settings.llm_timeout_seconds)),
        model=engine.model,
        tier=engine.tier,
        weight=engine.weight,
        max_in_flight=engine.max_in_flight,
    )
