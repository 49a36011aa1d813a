"""Settings: the only reader of the environment and of `sparky.toml`.

The environment (`SPARKY_LLM_URL`) beats the file (`llm_url`, or `url` under `[llm]`), and the
file beats the defaults. A secret may stand in a file of its own that `SPARKY_…_FILE` names.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ByteSize,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)

from sparky.errors import UsageError

PREFIX: Final = "SPARKY_"
TEST_PREFIX: Final = "SPARKY_TEST_"
"""Names that belong to the tests; they are neither read nor refused."""
MAX_SECRET_BYTES: Final = 64 * 1024

_INHERITED = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|TERM|TZ|LANG|LANGUAGE|LC_\w+|TMPDIR|XDG_\w+"
    r"|SSH_AUTH_SOCK|SSH_AGENT_PID|KRB5\w*|SSL_CERT_FILE|SSL_CERT_DIR|REQUESTS_CA_BUNDLE"
    r"|(?:https?|no|all|ftp)_proxy|(?:HTTPS?|NO|ALL|FTP)_PROXY"
    r"|LD_LIBRARY_PATH|VIRTUAL_ENV|PYTHON\w+|COVERAGE_\w+|CUDA_\w+|OMP_\w+"
    rf"|{TEST_PREFIX}\w+"
)
"""What a child process gets from our own environment; anything else may be somebody's secret."""


def _home(env: Mapping[str, str], variable: str, otherwise: str) -> Path:
    """Sparky's folder under an XDG base directory, which counts only if it is absolute."""
    base = Path(env.get(variable, ""))
    if base.is_absolute():
        return base / "sparky"
    try:
        home = Path(env["HOME"]) if env.get("HOME") else Path.home()
    except RuntimeError:
        raise UsageError(
            "this user has no home folder to keep files in",
            remedy="Set SPARKY_STATE_DIR and SPARKY_CACHE_DIR to folders that it may write to.",
        ) from None
    return home / otherwise / "sparky"


def _begins_with(*schemes: str) -> Callable[[SecretStr], SecretStr]:
    """A check of a secret URL's scheme whose message never repeats the URL."""

    def check(secret: SecretStr) -> SecretStr:
        scheme, found, rest = secret.get_secret_value().partition("://")
        if not found or not rest or scheme not in schemes:
            raise ValueError("must begin with " + " or ".join(f"{s}://" for s in schemes))
        return secret

    return check


def _engine_url(url: str) -> str:
    scheme, _, rest = url.partition("://")
    authority = rest.partition("/")[0]
    if not authority or scheme not in ("http", "https", "grpc", "grpcs"):
        raise ValueError("must begin with http://, https://, grpc:// or grpcs://")
    if "@" in authority:
        raise ValueError("must not carry a user or password; use SPARKY_LLM_API_KEY")
    return url.rstrip("/")


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


_AbsolutePath = Annotated[Path, AfterValidator(lambda path: path.expanduser().absolute())]


class Settings(BaseModel):
    """Everything that can be configured; frozen. Made by `load`, varied by `with_changes`."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=False
    )

    # Where things are
    state_dir: _AbsolutePath = Field(
        default_factory=lambda: _home(os.environ, "XDG_STATE_HOME", ".local/state"),
        description="Folder of the embedded database, sockets, locks and logs. Created with "
        "access for its owner alone.",
        examples=["/var/lib/sparky"],
        json_schema_extra={"shown": "$XDG_STATE_HOME/sparky, else ~/.local/state/sparky"},
    )
    cache_dir: _AbsolutePath = Field(
        default_factory=lambda: _home(os.environ, "XDG_CACHE_HOME", ".cache"),
        description="Folder of clones and model weights: big, and safe to delete.",
        examples=["/var/cache/sparky"],
        json_schema_extra={"shown": "$XDG_CACHE_HOME/sparky, else ~/.cache/sparky"},
    )
    config: _AbsolutePath | None = Field(
        default=None,
        description="The settings file. Only the environment can name it; a file that is named "
        "must exist, and `/dev/null` means none.",
        examples=["/etc/sparky/sparky.toml"],
        json_schema_extra={
            "shown": "./sparky.toml, else $XDG_CONFIG_HOME/sparky/sparky.toml",
            "only": "environment",
        },
    )

    # The database
    database_url: (
        Annotated[
            SecretStr,
            AfterValidator(_begins_with("postgresql", "postgres", "postgresql+psycopg")),
        ]
        | None
    ) = Field(
        default=None,
        description="Postgres with pgvector. Not set: Sparky starts a Postgres of its own.",
        examples=["postgresql://sparky:…@db.example/sparky"],
    )

    # The farm
    broker_url: (
        Annotated[
            SecretStr,
            AfterValidator(_begins_with("redis", "rediss", "redis+socket", "unix")),
        ]
        | None
    ) = Field(
        default=None,
        description="Redis or Valkey. Not set: Sparky starts a Valkey of its own.",
        examples=["rediss://sparky:…@broker.example:6379/0"],
    )
    farm: str = Field(
        default="main",
        pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$",
        description="Name of the set of workers that a message is for; farms that share a broker "
        "differ in it. Small letters, digits, `-` and `_`.",
        examples=["nightly"],
    )
    lease_seconds: int = Field(
        default=60,
        ge=5,
        le=86_400,
        description="How long a worker that has gone silent keeps the right to its step.",
        examples=[120],
    )
    heartbeat_seconds: int = Field(
        default=15,
        ge=1,
        le=43_200,
        description="How often a worker renews its lease; at most half of `lease_seconds`.",
        examples=[30],
    )
    attempts: int = Field(
        default=4,
        ge=1,
        le=100,
        description="How often a step is tried before it counts as failed.",
        examples=[6],
    )
    flower_user: str = Field(
        default="sparky",
        pattern=r"^[A-Za-z0-9._-]{1,64}$",
        description="User name for Flower, the farm's monitor in the browser.",
        examples=["admin"],
    )
    flower_password: SecretStr | None = Field(
        default=None,
        description="Password for Flower. Not set: `sparky up` makes one and prints it.",
        examples=["a long random word"],
    )
    flower_port: int = Field(
        default=5555,
        ge=1,
        le=65_535,
        description="Port of Flower, on the loopback address.",
        examples=[5556],
    )

    # The engine
    llm_kind: Annotated[
        Literal["embedded", "openai", "ollama", "triton"], BeforeValidator(_lower)
    ] = Field(
        default="embedded",
        description="Which engine writes: `embedded` (llama.cpp, started by Sparky), `openai` "
        "(any server that speaks its API: vLLM, TensorRT-LLM, llama.cpp, SGLang), `ollama` or "
        "`triton`.",
        examples=["openai"],
    )
    llm_url: Annotated[str, AfterValidator(_engine_url)] | None = Field(
        default=None,
        description="Where the engine answers. Needed by each kind but `embedded`.",
        examples=["http://gpu.example:8000/v1"],
    )
    llm_model: str | None = Field(
        default=None,
        min_length=1,
        description="Which of the engine's models to ask. Not set: the only one that it serves.",
        examples=["Qwen/Qwen2.5-Coder-7B-Instruct"],
    )
    llm_api_key: SecretStr | None = Field(
        default=None,
        description="Key that the engine asks for.",
        examples=["the engine's key"],
    )
    llm_context: int | None = Field(
        default=None,
        ge=1024,
        description="Tokens that the engine reads and writes in one request, where it does not "
        "say so itself.",
        examples=[32768],
    )
    llm_timeout_seconds: float = Field(
        default=600,
        gt=0,
        le=86_400,
        description="Longest time for one request to the engine, from first byte to last.",
        examples=[120],
    )
    model_path: _AbsolutePath | None = Field(
        default=None,
        description="Weights (GGUF) for the embedded engine. Not set: Qwen2.5-Coder-1.5B-Instruct, "
        "downloaded once.",
        examples=["/srv/models/model.gguf"],
    )
    model_sha256: Annotated[str, BeforeValidator(_lower)] | None = Field(
        default=None,
        pattern=r"^[0-9a-f]{64}$",
        description="What the file at `model_path` must hash to. Not set: the hash of "
        "Qwen2.5-Coder-1.5B-Instruct Q4_K_M.",
        examples=["cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046"],
    )

    # Git
    git_timeout_seconds: float = Field(
        default=900,
        gt=0,
        le=86_400,
        description="Longest time for one git command, such as a clone.",
        examples=[3600],
    )
    git_max_bytes: ByteSize = Field(
        default=ByteSize(4 * 1024**3),
        gt=0,
        description="Largest clone to keep, in bytes or with a unit.",
        examples=["10GiB"],
        json_schema_extra={"shown": "4GiB"},
    )

    # Logs
    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)] = (
        Field(
            default="info",
            description="Least weight of what is logged: `debug`, `info`, `warning` or `error`.",
            examples=["debug"],
        )
    )
    log_format: Annotated[Literal["console", "json"], BeforeValidator(_lower)] = Field(
        default="console",
        description="`console` for people, `json` (one object a line) for machines.",
        examples=["json"],
    )

    @model_validator(mode="after")
    def _consistent(self) -> Settings:
        if self.llm_kind != "embedded" and self.llm_url is None:
            raise ValueError(f"llm_kind is {self.llm_kind}, but llm_url is not set")
        if self.llm_kind == "embedded" and self.llm_url is not None:
            raise ValueError(
                "llm_url is set, but llm_kind is embedded; set llm_kind to openai, ollama or triton"
            )
        if self.model_sha256 is not None and self.model_path is None:
            raise ValueError("model_sha256 is set, but model_path is not")
        if self.heartbeat_seconds * 2 > self.lease_seconds:
            raise ValueError("heartbeat_seconds must be at most half of lease_seconds")
        return self

    def with_changes(self, **changes: Any) -> Settings:
        """These settings with some replaced, checked as a whole; secrets may be plain strings.

        Raises:
            UsageError: the result is wrong.
        """
        given = {name: getattr(self, name) for name in self.model_fields_set}
        return _validated(
            {name: _Given(value, name) for name, value in {**given, **changes}.items()}
        )


def _fields_of(kind: type) -> frozenset[str]:
    """Names of the settings whose annotation mentions `kind`."""

    def mentions(annotation: object) -> bool:
        return annotation is kind or any(mentions(part) for part in get_args(annotation))

    return frozenset(n for n, info in Settings.model_fields.items() if mentions(info.annotation))


SECRETS: Final = _fields_of(SecretStr)
"""Keys that may be given as a file, and that are never shown."""
_PATHS: Final = _fields_of(Path)


@dataclass(frozen=True, slots=True)
class _Given:
    """A value, and where it was given, in words for errors."""

    value: Any
    origin: str


def load(env: Mapping[str, str] | None = None, toml: Path | None = None) -> Settings:
    """Read the settings.

    Args:
        env: the environment; the process's own if None.
        toml: the settings file; if None, the one that the environment names or the default places.

    Raises:
        UsageError: a key is unknown or its value wrong; one line that names it and the remedy.
    """
    env = os.environ if env is None else env
    given = dict(_from_environment(env))
    path = _settings_file(env, toml)
    from_file = dict(_from_file(path)) if path else {}
    # Defaults follow the environment that was passed in, not the process's own.
    defaults = {
        "state_dir": ("XDG_STATE_HOME", ".local/state"),
        "cache_dir": ("XDG_CACHE_HOME", ".cache"),
    }
    values = from_file | given
    for name, (variable, otherwise) in defaults.items():
        if name not in values:
            values[name] = _Given(_home(env, variable, otherwise), name)
    values.pop("config", None)
    if path:
        values["config"] = _Given(path, f"{PREFIX}CONFIG")
    return _validated(values)


def base_env(env: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment for processes that need no settings, such as git and the services.

    It holds what programs need (PATH, HOME, locale, proxies, …) and none of Sparky's settings.
    """
    env = os.environ if env is None else env
    return {name: value for name, value in env.items() if _INHERITED.fullmatch(name)}


def child_env(settings: Settings, **overrides: Any) -> dict[str, str]:
    """The environment for Sparky's own processes: `load` there gives `settings` with `overrides`.

    Secrets are in it, so hand it to a process and never to a log.

    Raises:
        UsageError: the overridden settings are wrong.
    """
    changed = settings.with_changes(**overrides) if overrides else settings
    env = base_env()
    for name in Settings.model_fields:
        value = getattr(changed, name)
        if value is not None:
            text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
            env[PREFIX + name.upper()] = text
    # Everything is in the environment already; a file could only add what was taken out.
    env[f"{PREFIX}CONFIG"] = os.devnull
    return env


def _settings_file(env: Mapping[str, str], toml: Path | None) -> Path | None:
    named = toml or (Path(env[f"{PREFIX}CONFIG"]) if env.get(f"{PREFIX}CONFIG") else None)
    if named is not None:
        named = named.expanduser().absolute()
        if not named.exists():
            raise UsageError(
                f"the settings file {named} does not exist",
                remedy=f"Create it, or correct {PREFIX}CONFIG.",
            )
        return named
    base = Path(env.get("XDG_CONFIG_HOME", ""))
    if not base.is_absolute():
        base = Path(env.get("HOME", "/nonexistent")) / ".config"
    places = (Path("sparky.toml").absolute(), base / "sparky" / "sparky.toml")
    return next((place for place in places if place.is_file()), None)


def _from_environment(env: Mapping[str, str]) -> Iterator[tuple[str, _Given]]:
    """What the environment sets. An empty value is no value, as in compose files."""
    flat: dict[str, _Given] = {}
    for variable, value in sorted(env.items()):
        if not variable.startswith(PREFIX) or variable.startswith(TEST_PREFIX):
            continue
        name = variable.removeprefix(PREFIX).lower()
        if variable.isupper() and _is_key(name):
            if value:
                flat[name] = _Given(value, variable)
            continue
        raise _unknown(variable, (PREFIX + key.upper() for key in _keys()), "the environment")
    return _without_files(flat, Path.cwd())


def _from_file(path: Path) -> Iterator[tuple[str, _Given]]:
    try:
        with path.open("rb") as stream:
            tables = tomllib.load(stream)
    except OSError as error:
        raise UsageError(
            f"the settings file {path} cannot be read: {error.strerror}",
            remedy="Correct its access rights.",
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(
            f"the settings file {path} is not TOML: {error}",
            remedy="Correct that line.",
        ) from None
    flat: dict[str, _Given] = {}
    for dotted, value in _leaves(tables):
        name = dotted.replace(".", "_")
        if not _is_key(name) or name == "config":
            raise _unknown(dotted, (key for key in _keys() if key != "config"), str(path))
        if name in flat:
            raise UsageError(f"{path} sets {name} twice", remedy="Delete one of them.")
        if name in _PATHS and isinstance(value, str):
            value = str(path.parent / Path(value).expanduser())
        flat[name] = _Given(value, f"{dotted} in {path}")
    return _without_files(flat, path.parent)


def _leaves(table: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """The values of nested tables, each with its dotted name."""
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{above}{key}.")
        else:
            yield above + key, value


def _without_files(flat: Mapping[str, _Given], base: Path) -> Iterator[tuple[str, _Given]]:
    """Read the secrets that are given as files, whose paths count from `base`."""
    for name, given in flat.items():
        secret = name.removesuffix("_file")
        if secret == name or secret not in SECRETS:
            yield name, given
        elif secret in flat:
            raise UsageError(
                f"{flat[secret].origin} and {given.origin} are both set",
                remedy="Keep the one that is meant and delete the other.",
            )
        else:
            yield secret, _Given(_read_secret(given, base), given.origin)


def _read_secret(given: _Given, base: Path) -> str:
    path = base / Path(str(given.value)).expanduser()
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_SECRET_BYTES + 1)
        text = content.decode().removesuffix("\n").removesuffix("\r")
    except OSError as error:
        raise UsageError(
            f"{given.origin} names {path}, which cannot be read: {error.strerror}",
            remedy="Correct the path or its access rights.",
        ) from None
    except UnicodeDecodeError:
        text = ""
    if not text or len(content) > MAX_SECRET_BYTES:
        raise UsageError(
            f"{given.origin} names {path}, which holds no secret",
            remedy=f"Write the secret into it: UTF-8 text of at most {MAX_SECRET_BYTES} bytes.",
        )
    return text


def _keys() -> Iterator[str]:
    for name in Settings.model_fields:
        yield name
        if name in SECRETS:
            yield f"{name}_file"


def _is_key(name: str) -> bool:
    return name in Settings.model_fields or (
        name.endswith("_file") and name.removesuffix("_file") in SECRETS
    )


def _unknown(name: str, known: Iterator[str], where: str) -> UsageError:
    candidates = list(known)
    upper = name.isupper() or name.startswith(PREFIX)
    wanted = name.upper() if upper else name.replace(".", "_").lower()
    nearest = get_close_matches(wanted, candidates, n=1, cutoff=0.6)
    return UsageError(
        f"unknown setting {name} in {where}",
        remedy=f"Did you mean {nearest[0]}?"
        if nearest
        else "docs/configuration.md lists the settings.",
    )


def _validated(given: Mapping[str, _Given]) -> Settings:
    try:
        return Settings.model_validate({name: item.value for name, item in given.items()})
    except ValidationError as error:
        # Only the first one, and never its input: it may be a secret.
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    reason = first["msg"].removeprefix("Value error, ")
    if not first["loc"]:
        raise UsageError(
            f"the settings do not fit together: {reason}",
            remedy="docs/configuration.md tells what each needs.",
        )
    name = str(first["loc"][0])
    origin = given[name].origin if name in given else name
    info = Settings.model_fields.get(name)
    example = info.examples[0] if info and info.examples else None
    raise UsageError(
        f"{origin} is wrong: {reason[:1].lower()}{reason[1:]}",
        remedy=f"For example: {example}." if example is not None else "",
    )
