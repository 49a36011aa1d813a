"""The settings themselves: a field each, with its meaning, default and example."""

from __future__ import annotations

from collections.abc import Mapping
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
    field_validator,
    model_validator,
)

from sparky.errors import UsageError
from sparky.settings.checks import AbsolutePath, EngineUrl, Word, lower, url_of, web_url, words
from sparky.settings.engines import EngineSettings, from_json

_DatabaseUrl = Annotated[
    SecretStr, AfterValidator(url_of("postgresql", "postgres", "postgresql+psycopg"))
]
_BrokerUrl = Annotated[SecretStr, AfterValidator(url_of("redis", "rediss", "redis+socket", "unix"))]


class Settings(BaseModel):
    """Everything that can be configured; frozen. Made by `load`, varied by `with_changes`.

    The two folders have no default here, so that nothing lands in somebody's home by accident;
    `load` gives them theirs.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    # Where things are
    state_dir: AbsolutePath = Field(
        description="Folder of the embedded database, sockets, locks and logs. Created with "
        "access for its owner alone.",
        examples=["/var/lib/sparky"],
        json_schema_extra={"shown": "$XDG_STATE_HOME/sparky, else ~/.local/state/sparky"},
    )
    cache_dir: AbsolutePath = Field(
        description="Folder of clones and model weights: big, and safe to delete.",
        examples=["/var/cache/sparky"],
        json_schema_extra={"shown": "$XDG_CACHE_HOME/sparky, else ~/.cache/sparky"},
    )
    config: AbsolutePath | None = Field(
        default=None,
        description="The settings file. Only the environment can name it; a file that is named "
        "must exist, and `/dev/null` means none.",
        examples=["/etc/sparky/sparky.toml"],
        json_schema_extra={
            "shown": "$XDG_CONFIG_HOME/sparky/sparky.toml, if it is there",
            "only": "environment",
        },
    )

    # The database
    database_url: _DatabaseUrl | None = Field(
        default=None,
        description="Postgres with pgvector. Not set: Sparky starts a Postgres of its own.",
        examples=["postgresql://sparky:…@db.example/sparky"],
    )

    # The farm
    broker_url: _BrokerUrl | None = Field(
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
        # With a sweep each 10 s, what a dead worker held is taken up again within a minute.
        default=20,
        ge=5,
        le=86_400,
        description="How long a worker that has gone silent keeps the right to its step.",
        examples=[120],
    )
    heartbeat_seconds: int = Field(
        default=5,
        ge=1,
        le=43_200,
        description="How often a worker renews its lease; at most half of `lease_seconds`.",
        examples=[30],
    )
    attempts: int = Field(
        default=6,
        ge=1,
        le=100,
        description="How often a step is tried before it counts as failed. Pauses grow from 2 s to "
        "some minutes: six attempts outlast an outage of two minutes.",
        examples=[8],
    )
    grace_seconds: int = Field(
        default=60,
        ge=0,
        le=86_400,
        description="How long a worker that is told to stop (TERM) may go on with what it has "
        "begun; then it hands that back. Give whoever stops it 10 s more.",
        examples=[300],
    )
    traces_url: Annotated[str, AfterValidator(web_url)] | None = Field(
        default=None,
        description="An OpenTelemetry collector that hears of each step and each question to an "
        "engine, by OTLP over HTTP. Needs `pip install 'sparky[traces]'`, which the image has. "
        "Not set: nobody hears of them.",
        examples=["http://collector.example:4318"],
    )
    flower_user: str = Field(
        default="sparky",
        pattern=r"^[A-Za-z0-9._-]{1,64}$",
        description="User name for Flower, the farm's monitor in the browser.",
        examples=["admin"],
    )
    flower_password: Word | None = Field(
        default=None,
        description="Password for Flower. Not set: `sparky up` makes one and prints it.",
        examples=["a long random word"],
    )
    flower_port: int = Field(
        default=5555,
        ge=1,
        le=65_535,
        description="Port of Flower.",
        examples=[5556],
    )
    flower_host: str = Field(
        default="127.0.0.1",
        pattern=r"^[0-9a-fA-F.:]+$",
        description="Address at which `sparky up` lets Flower listen; in a container, all of them.",
        examples=["192.0.2.7"],
    )

    # What is kept how long
    retain_activities_days: int = Field(
        default=180,
        ge=1,
        description="Days for which activities are kept; digests keep what they say of them.",
        examples=[365],
    )
    retain_runs_days: int = Field(
        default=60,
        ge=1,
        description="Days for which runs that have ended are kept, with their jobs and engine calls.",
        examples=[30],
    )
    retain_answers_days: int = Field(
        default=90,
        ge=1,
        description="Days for which chunks, summaries and answers are kept that nobody has "
        "used; at least `retain_runs_days`.",
        examples=[180],
    )
    retain_digests_days: int = Field(
        default=1095,
        ge=1,
        description="Days for which digests are kept.",
        examples=[3650],
    )
    retain_revisions: int = Field(
        default=5,
        ge=1,
        description="How many revisions of one window's digest are kept, the latest ones.",
        examples=[20],
    )

    # The engine
    llm_kind: Annotated[
        Literal["embedded", "openai", "ollama", "triton", "pool"], BeforeValidator(lower)
    ] = Field(
        default="embedded",
        description="Which engine writes: `embedded` (llama.cpp, started by Sparky), `openai` "
        "(any server that speaks its API: vLLM, TensorRT-LLM, llama.cpp, SGLang), `ollama`, "
        "`triton`, or the `pool` of `engines`.",
        examples=["openai"],
    )
    llm_url: EngineUrl | None = Field(
        default=None,
        description="Where the engine answers. Needed by each kind but `embedded`.",
        examples=["http://gpu.example:8000/v1"],
    )
    llm_model: str | None = Field(
        default=None,
        min_length=1,
        description="Which of the engine's models to ask. Not set: the only one that it serves; "
        "`embedded`: `qwen2.5-coder-1.5b-instruct`.",
        examples=["Qwen/Qwen2.5-Coder-7B-Instruct"],
    )
    llm_api_key: Word | None = Field(
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
    llm_reasoning_tokens: int = Field(
        default=0,
        ge=0,
        description="Room that each answer gets on top, for a model that reasons before it "
        "answers; taken from the context.",
        examples=[2048],
    )
    llm_template: AbsolutePath | None = Field(
        default=None,
        description="The model's `tokenizer_config.json`, whose chat template Sparky applies. "
        "For `triton`, which applies none.",
        examples=["/srv/models/llama/tokenizer_config.json"],
    )
    llm_in_flight: int | None = Field(
        default=None,
        ge=1,
        description="Most requests to the engine at once from one process. Not set: as many as "
        "make it faster.",
        examples=[32],
    )
    llm_escalation: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="Largest share of calls that may go to a higher tier of `engines` after a "
        "bad answer.",
        examples=[0.25],
    )
    engines: tuple[EngineSettings, ...] = Field(
        default=(),
        description="Many engines in place of one; a table of its own for each, as below. In the "
        "environment: JSON.",
        examples=['[{"url": "http://gpu1:8000", "model": "Qwen/Qwen3-8B"}]'],
        json_schema_extra={"shown": "none"},
    )
    engines_from: AbsolutePath | None = Field(
        default=None,
        description="A settings file whose `[[engines]]` are followed: what is added, taken out or "
        "changed there joins, leaves or changes while work goes on.",
        examples=["/etc/sparky/sparky.toml"],
        json_schema_extra={"shown": "the settings file, where it names engines"},
    )
    model_path: AbsolutePath | None = Field(
        default=None,
        description="Weights (GGUF) of the embedded engine. Not set: those of `llm_model`, "
        "downloaded once.",
        examples=["/srv/models/model.gguf"],
    )
    model_sha256: Annotated[str, BeforeValidator(lower)] | None = Field(
        default=None,
        pattern=r"^[0-9a-f]{64}$",
        description="What the file at `model_path` must hash to. Not set: the known hash of "
        "`llm_model`.",
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

    # The model hub
    hub_token: Word | None = Field(
        default=None,
        description="A token for the model hub, for `sparky models fetch` of models whose licence "
        "must be accepted there.",
        examples=["hf_…"],
    )

    # GitHub
    github_token: Word | None = Field(
        default=None,
        description="A user's token for GitHub's API; docs/github.md tells what it must be allowed. "
        "Without it and without an App, repositories on GitHub are read by git.",
        examples=["github_pat_…"],
    )
    github_tokens: SecretStr | None = Field(
        default=None,
        description="More tokens, of different users, with spaces, commas or line ends between.",
        examples=["github_pat_… github_pat_…"],
    )
    github_app_id: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9.]{1,64}$",
        description="Number or client id of a GitHub App whose installations read for Sparky.",
        examples=["123456"],
    )
    github_app_key: SecretStr | None = Field(
        default=None,
        description="The App's private key, as GitHub made it (PEM).",
        examples=["-----BEGIN RSA PRIVATE KEY-----…"],
    )
    github_app_installations: str | None = Field(
        default=None,
        description="Accounts or installation numbers, with commas between. Not set: all accounts "
        "that the App is installed on.",
        examples=["acme,umbrella"],
    )
    github_url: Annotated[str, AfterValidator(web_url)] | None = Field(
        default=None,
        description="A GitHub Enterprise Server in place of github.com.",
        examples=["https://github.example.com"],
        json_schema_extra={"shown": "https://github.com"},
    )
    github_reserve: float = Field(
        default=0.2,
        ge=0,
        lt=1,
        description="Part of each credential's hourly points that Sparky never touches, so that "
        "its owner can go on working.",
        examples=[0.5],
    )

    # Publishing
    publish_dir: AbsolutePath | None = Field(
        default=None,
        description="Folder that the farm writes each finished digest into. Not set: digests are "
        "kept in the database alone. `sparky run` has `--out` instead.",
        examples=["/srv/digests"],
    )
    publish_formats: Annotated[
        tuple[Literal["md", "json", "html"], ...], BeforeValidator(words)
    ] = Field(
        default=("md", "json", "html"),
        min_length=1,
        description="Forms in which a digest is written there.",
        examples=["md,json"],
        json_schema_extra={"shown": "md,json,html"},
    )

    # Logs
    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(lower)] = (
        Field(
            default="info",
            description="Least weight of what is logged: `debug`, `info`, `warning` or `error`.",
            examples=["debug"],
        )
    )
    log_format: Annotated[Literal["console", "json"], BeforeValidator(lower)] = Field(
        default="console",
        description="`console` for people, `json` (one object a line) for machines.",
        examples=["json"],
    )

    @field_validator("engines", mode="before")
    @classmethod
    def _from_json(cls, value: object) -> object:
        return from_json(value)

    @model_validator(mode="before")
    @classmethod
    def _pooled(cls, values: dict[str, Any]) -> dict[str, Any]:
        return {"llm_kind": "pool"} | values if values.get("engines") else values

    @model_validator(mode="after")
    def _consistent(self) -> Settings:
        if bool(self.engines) != (self.llm_kind == "pool"):
            raise ValueError("engines go with llm_kind pool, and with no other")
        if self.engines and self.llm_url is not None:
            raise ValueError("llm_url and engines are both set; list that engine with the others")
        if self.llm_kind not in ("embedded", "pool") and self.llm_url is None:
            raise ValueError(f"llm_kind is {self.llm_kind}, but llm_url is not set")
        if self.llm_kind == "embedded" and self.llm_url is not None:
            raise ValueError(
                "llm_url is set, but llm_kind is embedded; set llm_kind to openai, ollama or triton"
            )
        if self.model_sha256 is not None and self.model_path is None:
            raise ValueError("model_sha256 is set, but model_path is not")
        if self.heartbeat_seconds * 2 > self.lease_seconds:
            raise ValueError("heartbeat_seconds must be at most half of lease_seconds")
        if self.retain_answers_days < self.retain_runs_days:
            raise ValueError("retain_answers_days must be at least retain_runs_days")
        return self

    def with_changes(self, **changes: Any) -> Settings:
        """These settings with some replaced, checked as a whole; secrets may be plain strings.

        Raises:
            UsageError: the result is wrong.
        """
        given = {name: getattr(self, name) for name in self.model_fields_set}
        return checked(given | changes)


def _fields_of(kind: type) -> frozenset[str]:
    """Names of the settings whose annotation mentions `kind`."""

    def mentions(annotation: object) -> bool:
        return annotation is kind or any(mentions(part) for part in get_args(annotation))

    return frozenset(n for n, info in Settings.model_fields.items() if mentions(info.annotation))


SECRETS: Final = _fields_of(SecretStr)
"""Keys that may be given as a file, and that are never shown."""
PATHS: Final = _fields_of(Path)


def checked(values: Mapping[str, Any], origins: Mapping[str, str] | None = None) -> Settings:
    """Make settings of `values`.

    Args:
        values: key → value, as text or as what it stands for.
        origins: key → where it was given, in words for errors; the key itself if it has none.

    Raises:
        UsageError: a value is wrong; says the first one, and never repeats what was given.
    """
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    reason = first["msg"].removeprefix("Value error, ")
    if not first["loc"]:
        raise UsageError(
            f"the settings do not fit together: {reason}",
            remedy="docs/configuration.md tells what each needs.",
        )
    name, *inside = (str(part) for part in first["loc"])
    info = Settings.model_fields.get(name)
    example = info.examples[0] if info and info.examples else None
    raise UsageError(
        f"{(origins or {}).get(name, name)} is wrong: {_place(inside)}{reason[:1].lower()}{reason[1:]}",
        remedy="" if example is None else f"For example: {example}",
    )


def _place(inside: list[str]) -> str:
    """Where in a list of tables a value is, in words."""
    if not inside:
        return ""
    number, *names = inside
    return f"number {int(number) + 1}: " + (f"{names[0]}: " if names else "")
