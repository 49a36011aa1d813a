"""What an engine's answer says, as far as it has the form that was asked for."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from dataclasses import dataclass

_FENCE = re.compile(r"^\s*```\w*\s*|\s*```\s*$")
_ENDS = (".", "!", "?")


@dataclass(frozen=True, slots=True)
class Reply:
    """One point of an answer: ids that exist, at least one, and a text."""

    cites: tuple[str, ...]
    text: str


def points(answer: str, ids: Collection[str]) -> tuple[tuple[Reply, ...], tuple[str, ...]]:
    """The points of an answer, and why others were refused.

    A point that cites an unknown id, or none, is refused: what it speaks of nobody knows.
    """
    found = _load(answer)
    entries = found.get("points") if isinstance(found, dict) else found
    if not isinstance(entries, list):
        return (), ("the answer is not JSON with points",)
    if not entries:
        return (), ("the answer has no points",)
    good: list[Reply] = []
    refused: list[str] = []
    for entry in entries:
        cites = entry.get("cites") if isinstance(entry, dict) else None
        text = entry.get("text") if isinstance(entry, dict) else None
        if not isinstance(cites, list) or not isinstance(text, str):
            refused.append("a point has no cites or no text")
        elif not cites or any(not isinstance(one, str) or one not in ids for one in cites):
            refused.append(f"a point cites what is not there: {_short(json.dumps(cites))}")
        else:
            good.append(Reply(tuple(dict.fromkeys(cites)), sentence(text)))
    return tuple(good), tuple(refused)


def text(answer: str) -> str | None:
    """The text of an answer of one sentence; None if it has none."""
    found = _load(answer)
    said = found.get("text") if isinstance(found, dict) else None
    return sentence(said) if isinstance(said, str) else None


def sentence(text: str) -> str:
    """A text with single spaces, a capital letter and a full stop. Code keeps its case.

    What JSON can spell and nobody can see (NUL, half a character, a zero-width space) is left out.
    """
    seen = "".join(sign for sign in text if sign.isprintable() or sign.isspace())
    text = " ".join(seen.split())
    first = text.partition(" ")[0]
    if first.isalpha() and first.islower():
        text = text[:1].upper() + text[1:]
    return f"{text}." if text and not text.endswith(_ENDS) else text


def _load(answer: str) -> object:
    bare = _FENCE.sub("", answer)
    for candidate in (bare, bare[bare.find("{") : bare.rfind("}") + 1]):
        try:
            return json.loads(candidate)
        except ValueError:
            continue
    return None


def _short(text: str, most: int = 80) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


_MOST_WORDS = 32
_OPENINGS = frozenset(
    "a after although an and as at because before but by currently during for from he her his i if"
    " in it its not now of on once or our she since so some that the their there these they this"
    " those to we when where which while with you your".split()
)
"""Words that no sentence on what was done begins with: what does was copied out of a message."""
_NEXT_SENTENCE = re.compile(r"[.!?]\)?\s+`?\w")


def first_sentence(text: str) -> str:
    """The first sentence of a text, as long as it is one."""
    match = _NEXT_SENTENCE.search(text)
    first = text[: match.end() - 1].rstrip() if match else text
    return first if len(first.split()) > 2 else text


def style(text: str) -> list[str]:
    """What keeps a text from being one short sentence on what was done; empty if it is one."""
    said = text.split()
    found = []
    if len(said) > _MOST_WORDS:
        found.append(f"is too long: at most {_MOST_WORDS} words")
    if said and (said[0][0] == "`" or said[0].strip("'\"*(").casefold() in _OPENINGS):
        found.append("does not begin with what was done, such as Added or Fixed")
    if _NEXT_SENTENCE.search(text):
        found.append("is more than one sentence")
    return found
