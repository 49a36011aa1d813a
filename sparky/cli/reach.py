"""What `sparky doctor` looks at beyond this process: database, broker, weights, engine."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, suppress
from urllib.parse import parse_qs, unquote, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from sparky import wiring
from sparky.errors import BadAnswer, SparkyError
from sparky.findings import Finding, fail, failed, ok, warn
from sparky.ports import Backend, Prompt
from sparky.services import Wanted, attach
from sparky.services.catalogue import CATALOGUE, DEFAULT
from sparky.services.progress import Progress
from sparky.services.weights import ensure
from sparky.settings import Settings
from sparky.store import schema
from sparky.store.cache import for_client

PATIENCE_SECONDS = 5.0
SAFE_REDIS = {(6, 2): 20, (7, 2): 11, (7, 4): 6, (8, 0): 4, (8, 2): 2}
"""The first release of each series in which a script cannot take over the server."""

OnEvent = Callable[[str], None]
OnProgress = Callable[[Progress], None]


def services(
    settings: Settings, *, start: bool, engine: bool, on_event: OnEvent, on_progress: OnProgress
) -> Iterator[Finding]:
    """Check database, broker and engine.

    Args:
        start: whether those that are not configured are started for this.
        engine: whether the engine has to write something, which may mean to fetch weights.
    """
    with ExitStack() as stack:
        wanted = Wanted(
            postgres=start and settings.database_url is None,
            valkey=start and settings.broker_url is None,
            llama=None,
        )
        try:
            ends = stack.enter_context(attach(settings.state_dir, wanted, on_event=on_event))
        except SparkyError as error:
            yield failed("services", error)
        else:
            if wanted.postgres and ends.database_url:
                settings = settings.with_changes(database_url=ends.database_url)
                # As every command does with Sparky's own database; the check tells if it failed.
                with suppress(SparkyError):
                    schema.upgrade(ends.database_url)
            if wanted.valkey and ends.broker_url:
                settings = settings.with_changes(broker_url=ends.broker_url)
        yield database(settings)
        yield broker(settings)
    if settings.llm_kind == "embedded":
        yield from embedded_engine(settings, engine, on_event, on_progress)
    else:
        yield from server(settings, write=engine)


def database(settings: Settings) -> Finding:
    """Whether Postgres answers, and has this version's schema."""
    if settings.database_url is None:
        return ok("database", "not configured: Sparky starts its own when it needs one")
    url = settings.database_url.get_secret_value()
    try:
        schema.check(url)
    except SparkyError as error:
        return failed("database", error)
    return ok("database", f"Postgres at {place(url)}, schema {schema.head()}")


def broker(settings: Settings) -> Finding:
    """Whether Redis or Valkey answers, and is none with a known hole."""
    if settings.broker_url is None:
        return ok("broker", "not configured: Sparky starts its own when it needs one")
    url = settings.broker_url.get_secret_value()
    remedy = "Check that it runs, and SPARKY_BROKER_URL."
    try:
        client = redis.Redis.from_url(
            for_client(url),
            socket_timeout=PATIENCE_SECONDS,
            socket_connect_timeout=PATIENCE_SECONDS,
            retry=Retry(NoBackoff(), retries=0),
        )
        with closing(client):
            client.ping()
            try:
                info = client.info("server")
            except redis.exceptions.NoPermissionError:
                info = {}
    except (redis.exceptions.AuthenticationError, redis.exceptions.NoPermissionError):
        return fail("broker", f"{place(url)} refuses our user or password", remedy)
    except redis.exceptions.RedisError as error:
        return fail("broker", f"{place(url)} does not answer: {type(error).__name__}", remedy)
    return version_of_broker(place(url), info)


def version_of_broker(where: str, info: Mapping[str, object]) -> Finding:
    if "valkey_version" in info:
        return ok("broker", f"Valkey {info['valkey_version']} at {where}")
    version = str(info.get("redis_version", ""))
    numbers = [int(number) for number in re.findall(r"\d+", version)[:3]]
    if len(numbers) < 3:
        return ok("broker", f"answers at {where}; its version is not told")
    series = (numbers[0], numbers[1])
    first_safe = SAFE_REDIS.get(series)
    old = series < max(SAFE_REDIS) if first_safe is None else numbers[2] < first_safe
    if old:
        return warn(
            "broker",
            f"Redis {version} at {where} has a known hole (CVE-2025-49844)",
            "Upgrade it to the last release of its series.",
        )
    return ok("broker", f"Redis {version} at {where}")


def embedded_engine(
    settings: Settings, write: bool, on_event: OnEvent, on_progress: OnProgress
) -> Iterator[Finding]:
    """The weights, and, if it has to write, the engine on them."""
    name = settings.llm_model or DEFAULT
    known = CATALOGUE.get(name)
    cached = settings.cache_dir / "models" / known.file if known else None
    if not write and cached and known and not settings.model_path and not cached.exists():
        yield warn(
            "weights",
            f"{name} is not here yet ({known.size / 1e6:.0f} MB)",
            "The first run fetches it; `sparky doctor --engine` does so now.",
        )
        return
    try:
        path = ensure(
            name,
            cache=settings.cache_dir,
            path=settings.model_path,
            sha256=settings.model_sha256,
            on_progress=on_progress,
        )
    except SparkyError as error:
        yield failed("weights", error)
        return
    yield ok("weights", f"{path}, with the right hash")
    if not write:
        yield ok("engine", f"llama.cpp with {name}; `--engine` lets it write something")
        return
    try:
        wanted = Wanted(postgres=False, valkey=False, llama=path)
        with attach(settings.state_dir, wanted, model_name=name, on_event=on_event) as ends:
            started = settings.with_changes(
                llm_kind="openai",
                llm_url=ends.llm_url,
                llm_api_key=ends.llm_api_key,
                llm_model=name,
                model_path=None,
                model_sha256=None,
            )
            yield from server(started, write=True)
    except SparkyError as error:
        yield failed("engine", error)


def server(settings: Settings, *, write: bool) -> Iterator[Finding]:
    """A configured engine: whether it answers, with the model that is wanted, and writes."""
    try:
        with closing(wiring.backend(settings)) as backend:
            found = backend.engine()
            yield ok(
                "engine",
                f"{found.name} with {found.model}, {found.context} tokens of context, "
                f"{found.slots} at once",
            )
            if write:
                yield writing(backend)
    except SparkyError as error:
        yield failed("engine", error)


def writing(backend: Backend) -> Finding:
    """Whether the engine writes what a schema asks for, and how quickly."""
    answer_schema = {
        "type": "object",
        "properties": {"word": {"enum": ["ready"]}},
        "required": ["word"],
        "additionalProperties": False,
    }
    prompt = Prompt(
        system="Answer with JSON.",
        user='Write {"word": "ready"}.',
        max_tokens=64,
        schema=answer_schema,
    )
    try:
        answer = backend.complete(prompt)
    except BadAnswer as error:
        return warn("writing", error.message, "It runs, but this model will not write well.")
    except SparkyError as error:
        return failed("writing", error)
    return ok("writing", f"{answer.completion_tokens} tokens in {answer.seconds:.1f} s")


def place(url: str) -> str:
    """Where a URL points, for people: without user, password and parameters."""
    scheme, _, rest = url.partition("://")
    if "socket" in scheme or scheme == "unix":
        return unquote(rest.partition("?")[0].rpartition("@")[2])
    try:
        parts = urlsplit(url)
        host, port, path = parts.hostname, parts.port, parts.path
        folder = parse_qs(parts.query).get("host", [""])[0]
    except ValueError:
        return "its URL"
    return f"{host or folder or 'localhost'}{f':{port}' if port else ''}{path}"
