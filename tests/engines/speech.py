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


_PAST = {
    "Add": "Added", "Fix": "Fixed", "Drop": "Dropped", "Rework": "Reworked", "Retry": "Retried",
    "Simplify": "Simplified", "Guard": "Guarded", "Document": "Documented", "Test": "Tested",
    "Rename": "Renamed", "Split": "Split", "Cache": "Cached",
}  # fmt: skip


def told(schema: Mapping[str, Any] | None, asked: str) -> str | None:
    """What a good engine answers Sparky: each subject, or the first points, in the past tense; what is
    open as proposed, requested or reported.

    None where the schema asks for something else.
    """
    wanted = (schema or {}).get("properties", {})
    if "prefixItems" in wanted.get("points", {}):
        said = []
        for entry in wanted["points"]["prefixItems"]:
            known = {name: value.get("const") for name, value in entry["properties"].items()}
            titles = [_past(title) for title in str(known["about"]).split(" / ")]
            said.append({**known, "text": f"{_joined(titles)}."})
        return json.dumps({"points": said})
    if set(wanted) == {"text"}:
        points = re.findall(r"^\[p\d+\]\n(.*)\.$", asked, re.MULTILINE)
        own = points[3:] if len(points) > 3 else points  # the first three are the prompt's example
        return json.dumps({"text": f"{_joined(own[:3])}."}) if own else None
    return None


_OPEN = {"Proposed": "Proposed to", "Requested": "Requested to", "Reported": "Reported that"}


def _past(title: str) -> str:
    standing, _, asked = title.partition(": ")
    if standing in _OPEN:
        return f"{_OPEN[standing]} {asked[:1].lower()}{asked[1:]}"
    verb, _, rest = title.partition(" ")
    return f"{_PAST.get(verb, verb)} {rest}"


def _joined(parts: list[str]) -> str:
    """`Added a, fixed b and dropped c`."""
    low = [parts[0], *(part[:1].lower() + part[1:] for part in parts[1:])]
    return " and ".join(filter(None, (", ".join(low[:-1]), low[-1])))
