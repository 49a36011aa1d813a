"""The prompts: one Markdown file each, whose first line is its version, and the fence around data."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

NAMES = ("points", "repair", "merge", "headline")
_VERSION = re.compile(r"<!-- version: (\d+) -->\n")
_MARK = re.compile(r"^(\s*)\[([a-z]\d+)\]", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Template:
    """A prompt as it stands in its file."""

    version: int
    text: str


@cache
def template(name: str) -> Template:
    """The prompt `sparky/prompts/<name>.md`; raises ValueError if it begins with no version."""
    source = (files(__name__) / f"{name}.md").read_text(encoding="utf-8")
    match = _VERSION.match(source)
    if match is None:
        raise ValueError(f"the prompt {name}.md must begin with <!-- version: N -->")
    return Template(int(match[1]), source[match.end() :].strip())


@cache
def version() -> str:
    """The versions of all prompts in one: `points.repair.merge.headline`."""
    return ".".join(str(template(name).version) for name in NAMES)


@cache
def wording() -> str:
    """The text of all prompts, to find it again in an answer."""
    return "\n".join(template(name).text for name in NAMES)


def fenced(what: str, items: Iterable[tuple[str, str]]) -> str:
    """Data under short ids, between two lines of a delimiter that does not occur in it.

    The delimiter is a hash of the data, so no text can hold its own, and the same data gives the
    same prompt. A text's own lines that look like an id are made to look otherwise.
    """
    plain = ((name, _MARK.sub(r"\1(\2)", text)) for name, text in items)
    data = "\n".join(f"[{name}]\n{text}" for name, text in plain)
    fence = hashlib.sha256(data.encode()).hexdigest()[:16]
    while fence in data:
        fence = hashlib.sha256((fence + data).encode()).hexdigest()[:16]
    return f"The {what} stand between the two lines {fence}.\n{fence}\n{data}\n{fence}"
