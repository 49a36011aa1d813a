"""What is published about Sparks: `spark.toml`, read once."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """A published measurement of one server."""

    model: str
    engine: str
    nodes: int
    """Sparks that the server spans."""
    at: tuple[tuple[int, float], ...]
    """Sequences at once, and tokens written in a second by all of them together; ascending."""
    source: str
    format: str = ""
    """Empty: whatever the model is published in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extra:
    """A file that some models need beside their own."""

    models: tuple[str, ...]
    folder: str
    name: str
    url: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Release:
    """A version of TensorRT-LLM that somebody is known to have run on Sparks."""

    version: str
    said: str


@dataclass(frozen=True, slots=True)
class Facts:
    """All of it."""

    memory: int
    """Bytes of one Spark."""
    bandwidth: int
    """Bytes that its memory gives in a second."""
    releases: tuple[Release, ...]
    checkpoints: dict[str, dict[str, str]]
    """Hub names, by model and format."""
    speeds: tuple[Speed, ...]
    extras: tuple[Extra, ...]


@cache
def facts() -> Facts:
    """The published facts."""
    document = tomllib.loads(files("sparky.stack").joinpath("spark.toml").read_text("utf-8"))
    return Facts(
        memory=document["node"]["memory"],
        bandwidth=document["node"]["bandwidth"],
        releases=tuple(Release(**entry) for entry in document["releases"]),
        checkpoints=document["checkpoints"],
        speeds=tuple(
            Speed(**entry | {"at": tuple((int(n), float(v)) for n, v in entry["at"].items())})
            for entry in document["speeds"]
        ),
        extras=tuple(
            Extra(**entry | {"models": tuple(entry["models"])}) for entry in document["extras"]
        ),
    )
