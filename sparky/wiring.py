"""Settings → Source, Backend, Store: the only place that picks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

from sparky import render
from sparky.errors import EngineError, UsageError
from sparky.llm.backend import HttpBackend, Options
from sparky.llm.following import Addresses, Changes, Following, Roster
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
from sparky.services.catalogue import DEFAULT
from sparky.settings import EngineSettings, Settings, base_env, load
from sparky.source.askpass import askpass
from sparky.source.credentials import App, Holder, Keyring, Token
from sparky.source.directory import Directory
from sparky.source.either import EitherSource
from sparky.source.git import utc_now
from sparky.source.github import GitHubSource
from sparky.source.githubwire import Wire
from sparky.source.gitrepo import GitSource, Limits
from sparky.store import schema
from sparky.store.budget import PostgresBudget
from sparky.store.cache import CachedGateway, Hot
from sparky.store.calls import Calls
from sparky.store.gateway import Gateway
from sparky.store.mirror import PostgresMirror

Progress = Callable[[weights.Progress], None]

RENDERERS: dict[str, Callable[[Digest], str]] = {
    "md": render.as_markdown,
    "json": render.as_json,
    "html": render.as_html,
}
"""How a digest is written, by the ending of its file."""

TRIAL_SECONDS = 60.0
"""How long a canary may take: long enough for a queue, short enough for an engine that hangs."""


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
        held = store(settings)
        stack.callback(held.close)
        engine = backend(settings, Calls(held.engine))
        stack.callback(engine.close)
        yield Wired(settings, held, source(settings, held), engine)


def model_name(settings: Settings) -> str:
    """The embedded model that the settings ask for."""
    return settings.llm_model or DEFAULT


def database_url(settings: Settings) -> str:
    """The database's URL; UsageError when there is none."""
    if settings.database_url is None:
        raise UsageError(
            "no database is configured",
            remedy="Set SPARKY_DATABASE_URL, or use `sparky run` or `sparky up`, which start one",
        )
    return settings.database_url.get_secret_value()


def store(settings: Settings) -> Gateway:
    """What is known, with the latest answers in Redis where there is one."""
    url = database_url(settings)
    if settings.broker_url is None:
        return Gateway.open(url)
    broker = settings.broker_url.get_secret_value()
    return CachedGateway.over(url, Hot(broker, f"sparky:{settings.farm}:"))


def source(settings: Settings, known: Gateway) -> Source:
    """What reads repositories: GitHub's API where there are credentials for it, else git."""
    by_git = GitSource(settings.cache_dir / "repositories", limits=_limits(settings))
    if not has_github(settings):
        return by_git
    return EitherSource(by_git, github(settings, known), host=_github_host(settings))


def has_github(settings: Settings) -> bool:
    """Whether there are credentials for GitHub's API."""
    given = (settings.github_token, settings.github_tokens, settings.github_app_id)
    return any(one is not None for one in given)


def github(settings: Settings, known: Gateway) -> GitHubSource:
    """What reads GitHub's API; the budget and what was seen are in the database."""
    host = _github_host(settings)
    root = settings.github_url or "https://github.com"
    own = host != "github.com"
    wire: Wire = Wire(
        api=f"{root}/api/v3" if own else "https://api.github.com",
        graphql=f"{root}/api/graphql" if own else "https://api.github.com/graphql",
        keyring=Keyring(lambda: _holders(settings, wire)),
        budget=PostgresBudget(known.engine, reserve=settings.github_reserve),
        clock=utc_now,
    )

    def by_git(owner: str) -> GitSource:
        credential = wire.keyring.for_owner(owner)[0]
        return GitSource(
            settings.cache_dir / "repositories",
            limits=_limits(settings),
            credentials=askpass(settings.cache_dir, wire.keyring.secret(credential.id), host),
        )

    return GitHubSource(
        wire,
        PostgresMirror(known.engine),
        clock=utc_now,
        host=host,
        git=by_git,
        git_bytes=int(settings.git_max_bytes),
    )


def directory(settings: Settings, known: Gateway) -> Directory:
    """What finds repositories on GitHub; UsageError when nobody may ask there."""
    if not has_github(settings):
        raise UsageError(
            "no credential for GitHub is configured",
            remedy="Set SPARKY_GITHUB_TOKEN_FILE, or an App; docs/github.md tells how",
        )
    wire = github(settings, known).wire
    return Directory(wire, clock=utc_now, root=settings.github_url or "https://github.com")


def _github_host(settings: Settings) -> str:
    root = settings.github_url or "https://github.com"
    return urlsplit(root).hostname or ""


def _holders(settings: Settings, wire: Wire) -> list[Holder]:
    """Every credential that the settings name; asks GitHub for the App's installations."""
    words = [settings.github_token, settings.github_tokens]
    text = " ".join(word.get_secret_value() for word in words if word is not None)
    found: list[Holder] = [Token(one) for one in dict.fromkeys(text.replace(",", " ").split())]
    if (settings.github_app_id is None) != (settings.github_app_key is None):
        raise UsageError(
            "a GitHub App needs its number and its key",
            remedy="Set both SPARKY_GITHUB_APP_ID and SPARKY_GITHUB_APP_KEY_FILE, or neither",
        )
    if settings.github_app_id and settings.github_app_key:
        app = App(
            settings.github_app_id,
            settings.github_app_key.get_secret_value(),
            clock=utc_now,
            post=wire.post,
            get=wire.get,
        )
        wanted = (settings.github_app_installations or "").replace(",", " ").split()
        found += app.installations(wanted)
    return found


def _limits(settings: Settings) -> Limits:
    return Limits(seconds=settings.git_timeout_seconds, bytes=int(settings.git_max_bytes))


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

    def make(name: str, engine: EngineSettings) -> Member:
        return _member(name, engine, settings, ratios)

    configured = engines(settings)
    share, patience = settings.llm_escalation, settings.llm_timeout_seconds / 4
    if settings.engines_from or any(engine.every_address for engine in configured):
        return Following(roster(settings), make, escalate=share, patience=patience)
    members = [make(engine.url, engine) for engine in configured]
    return Router(members, escalate=share, patience=patience)


def roster(settings: Settings) -> Callable[[], Roster]:
    """Tells which engines there are at the moment: by the file and by the names' addresses."""
    configured, addresses = engines(settings), Addresses()
    changed = Changes(settings.engines_from) if settings.engines_from else None

    def look() -> Roster:
        nonlocal configured
        if changed is not None and changed():
            found = load(base_env(), settings.engines_from).engines
            if not found:
                raise UsageError(f"{settings.engines_from} names no engines any more")
            configured = found
        return {
            url: engine
            for engine in configured
            for url in (addresses(engine.url) if engine.every_address else (engine.url,))
        }

    return look


def engines(settings: Settings) -> Sequence[EngineSettings]:
    """The engines that are configured: those of the pool, or the one."""
    if settings.engines or settings.llm_url is None:
        return settings.engines
    kind = settings.llm_kind
    if kind == "embedded" or kind == "pool":
        kind = "openai"
    return [
        EngineSettings.model_construct(
            url=settings.llm_url,
            model=settings.llm_model or "",
            kind=kind,
            max_in_flight=settings.llm_in_flight,
            api_key=settings.llm_api_key,
            context=settings.llm_context,
            reasoning_tokens=settings.llm_reasoning_tokens,
            template=settings.llm_template,
        )
    ]


def adapter(
    engine: EngineSettings,
    *,
    seconds: float,
    url: str | None = None,
    ratios: Ratios | None = None,
) -> HttpBackend:
    """The way to one engine, without the router's limits.

    Args:
        url: one of its addresses; what is configured when left out.
        seconds: what a call may take, in all and until the first token.
        ratios: where learned ratios of bytes to tokens are kept between runs.
    """
    key = engine.api_key.get_secret_value() if engine.api_key else None
    options = Options(
        timeouts=Timeouts(first=seconds, total=seconds),
        context=engine.context,
        slots=engine.max_in_flight,
        reasoning_tokens=engine.reasoning_tokens,
        ratios=ratios,
    )
    given = (url or engine.url, engine.model or None, key)
    if engine.kind == "triton":
        return TritonBackend(*given, template=engine.template, **options)
    if engine.kind == "ollama":
        return OllamaBackend(*given, **options)
    return OpenAIBackend(*given, **options)


def _member(url: str, engine: EngineSettings, settings: Settings, ratios: Ratios | None) -> Member:
    seconds = settings.llm_timeout_seconds
    return Member(
        name=url,
        backend=adapter(engine, url=url, seconds=seconds, ratios=ratios),
        trial=adapter(engine, url=url, seconds=min(TRIAL_SECONDS, seconds)),
        model=engine.model,
        tier=engine.tier,
        weight=engine.weight,
        max_in_flight=engine.max_in_flight,
    )
