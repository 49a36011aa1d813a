"""What stand-ins say, and how they count it. It imports nothing, so that Triton can run it too."""

import json
import re
from collections.abc import Mapping
from typing import Any

SENTENCE = "The parser now accepts empty lines."


def words(text: str) -> list[str]:
    """A text in tokens: a word or a mark each, with the white space before it."""
    return re.findall(r"\s*(?:\w+|[^\w\s])|\s+", text)


def minimal(schema: Mapping[str, Any]) -> Any:
    """The smallest value that a JSON Schema of plain kinds allows."""
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type", "string")
    if kind == "object":
        properties = schema.get("properties", {})
        return {name: minimal(properties.get(name, {})) for name in schema.get("required", ())}
    if kind == "array":
        return [minimal(schema.get("items", {}))] * schema.get("minItems", 0)
    plain = {"string": "x" * schema.get("minLength", 1), "boolean": False, "null": None}
    return plain[kind] if kind in plain else schema.get("minimum", 0)


def obedient(schema: Mapping[str, Any] | None, asked: str = "") -> str:
    """The smallest answer to a schema; where there is none, what it knows, or SENTENCE."""
    if schema is not None:
        return json.dumps(minimal(schema))
    return "Paris." if "capital of France" in asked else SENTENCE
