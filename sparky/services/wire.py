"""What a client and the keeper say to each other: one JSON object a line over a Unix socket.

    keeper  {"hello": 1}
    client  {"postgres": true, "valkey": true, "llama": "/path/model.gguf", "model_name": "…"}
    keeper  {"event": "…"}          any number of times
    keeper  {"endpoints": {…}}      or {"error": {"message": "…", "remedy": "…"}}

The open connection is the client's lease.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sparky.errors import ServiceError

LIMIT = 65536
"""The longest line, in bytes."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which services a client needs.

    Args:
        postgres: a database.
        valkey: a broker.
        llama: the checked GGUF weights that llama.cpp shall serve; None for no engine.
    """

    postgres: bool
    valkey: bool
    llama: Path | None


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where the wanted services listen; None for what was not wanted.

    Args:
        database_url: for SQLAlchemy with psycopg, through a Unix socket; no secret in it.
        broker_url: for Celery, through a Unix socket; no secret in it.
        llm_url: an OpenAI-compatible server on loopback, without `/v1`.
        llm_api_key: its bearer token, valid until that server stops.
    """

    database_url: str | None = None
    broker_url: str | None = None
    llm_url: str | None = None
    llm_api_key: str | None = field(default=None, repr=False)


def line(**message: Any) -> bytes:
    """Encode one message."""
    return json.dumps(message).encode() + b"\n"


def wanted_line(wanted: Wanted, model_name: str) -> bytes:
    """Encode what the client asks for."""
    llama = str(wanted.llama) if wanted.llama else None
    return line(postgres=wanted.postgres, valkey=wanted.valkey, llama=llama, model_name=model_name)


def read_wanted(raw: bytes) -> tuple[Wanted, str]:
    """Decode what the client asks for.

    Raises:
        ValueError, KeyError: the line is not such a request.
    """
    asked = json.loads(raw)
    llama = Path(asked["llama"]) if asked["llama"] else None
    wanted = Wanted(postgres=bool(asked["postgres"]), valkey=bool(asked["valkey"]), llama=llama)
    return wanted, str(asked["model_name"])


def endpoints_line(endpoints: Endpoints) -> bytes:
    """Encode the answer."""
    return line(endpoints=asdict(endpoints))


def error_line(error: ServiceError) -> bytes:
    """Encode why there is no answer."""
    return line(error={"message": error.message, "remedy": error.remedy})
