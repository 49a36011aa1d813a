"""One engine of many: a table of `[[engines]]`."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from sparky.settings.checks import AbsolutePath, EngineUrl, Word, lower


class EngineSettings(BaseModel):
    """Where an engine is, and what it may be used for; frozen."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    url: EngineUrl = Field(
        description="Where it answers.",
        examples=["http://gpu1.example:8000"],
    )
    model: str = Field(
        min_length=1,
        description="The model that it must serve. Engines of one tier that name the same model "
        "share what they have answered.",
        examples=["Qwen/Qwen3-8B"],
    )
    kind: Annotated[Literal["openai", "ollama", "triton"], BeforeValidator(lower)] = Field(
        default="openai",
        description="What it speaks, as in `llm_kind`.",
        examples=["ollama"],
    )
    tier: int = Field(
        default=0,
        ge=0,
        le=9,
        description="Prompts go to the lowest tier. One that it fails at goes to the next, within "
        "`llm_escalation`.",
        examples=[1],
    )
    weight: float = Field(
        default=1.0,
        gt=0,
        le=1000,
        description="How large a part of the work it gets, compared with others of its tier.",
        examples=[2.5],
    )
    max_in_flight: int | None = Field(
        default=None,
        ge=1,
        description="Most requests at once from one process. Not set: as many as make it faster.",
        examples=[32],
    )
    api_key: Word | None = Field(
        default=None,
        description="**Secret.** Key that it asks for; in the settings file also as "
        "`api_key_file`.",
        examples=["the engine's key"],
    )
    context: int | None = Field(
        default=None,
        ge=1024,
        description="Tokens that it reads and writes in one request, where it does not say so.",
        examples=[32768],
    )
    reasoning_tokens: int = Field(
        default=0,
        ge=0,
        description="Room for a model that reasons, as `llm_reasoning_tokens`.",
        examples=[2048],
    )
    every_address: bool = Field(
        default=False,
        description="Whether each address behind the URL's name is an engine of its own, looked up "
        "all the time; for `tasks.NAME` of a Swarm. Needs `http://`.",
        examples=[True],
    )
    template: AbsolutePath | None = Field(
        default=None,
        description="The model's `tokenizer_config.json`, for `triton`.",
        examples=["/srv/models/llama/tokenizer_config.json"],
    )

    @model_validator(mode="after")
    def _by_name(self) -> EngineSettings:
        if self.every_address and not self.url.startswith("http://"):
            raise ValueError("every_address needs a URL that begins with http://")
        return self

    def revealed(self) -> dict[str, Any]:
        """As plain data, with the secret in it: for another process, never for a log."""
        key = self.api_key.get_secret_value() if self.api_key else None
        return self.model_dump(mode="json", exclude_none=True) | ({"api_key": key} if key else {})


def from_json(value: object) -> object:
    """What JSON text says; anything else as it is."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise ValueError("is not JSON") from None
