"""GitHub's published schema, read once."""

from __future__ import annotations

import hashlib
import lzma
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from graphql import GraphQLError, GraphQLScalarType, GraphQLSchema, build_schema

FILE = Path(__file__).parents[1] / "data" / "github" / "schema.graphql.xz"
VERSION = "15.26.1"
SHA256 = "3c62d0526d133cee53221c89de9b455ade24db78b9e7ad56d642c4c15bce2654"


def text() -> str:
    """The schema as published; ValueError when the file is not the one that is named here."""
    raw = lzma.decompress(FILE.read_bytes())
    if hashlib.sha256(raw).hexdigest() != SHA256:
        raise ValueError(f"{FILE} is not @octokit/graphql-schema {VERSION}; take it anew")
    return raw.decode()


@cache
def published() -> GraphQLSchema:
    """The schema, to validate queries against; one for all, as reading it takes a second."""
    # It repeats some fields, which a strict reader would refuse.
    return build_schema(text(), assume_valid_sdl=True, assume_valid=True)


def to_text(at: Any) -> str:
    """A time as GitHub writes it: UTC, whole seconds, `Z`."""
    if not isinstance(at, datetime):
        raise GraphQLError(f"{at!r} is not a time")
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def to_time(text: Any) -> datetime:
    """A time as clients send it, with a zone."""
    try:
        at = datetime.fromisoformat(text)
    except (TypeError, ValueError) as error:
        raise GraphQLError(f"{text!r} is not a valid ISO 8601 time") from error
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def with_times(schema: GraphQLSchema) -> None:
    """Let the schema's scalars read and write datetimes."""
    for name in ("DateTime", "GitTimestamp", "PreciseDateTime"):
        scalar = schema.type_map.get(name)
        if isinstance(scalar, GraphQLScalarType):
            scalar.coerce_output_value = to_text
            scalar.coerce_input_value = to_time
            scalar.coerce_input_literal = lambda node: to_time(getattr(node, "value", None))
