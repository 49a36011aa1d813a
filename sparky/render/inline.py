"""Text from activities, cut into pieces that a renderer can show without bringing it to life."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

LONGEST = 600
"""Characters of one text that Markdown and HTML show."""


class Form(Enum):
    """How a piece is shown."""

    TEXT = auto()
    CODE = auto()
    GUARDED = auto()
    """Text that Markdown or a forge would make a link, a mention or markup of."""
    REFERENCE = auto()
    """`#` and a number."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a text and its form."""

    text: str
    form: Form


SPAN = re.compile(r"(?<!`)(`{1,3})(?!`)([^`]+)\1(?!`)")
"""Code in backticks."""
REFERENCE = re.compile(r"#[0-9]{1,12}")
HASH = r"(?:(?=[a-f]*[0-9])(?=[0-9]*[a-f])[0-9a-f]{7,64}|[0-9]{40})"
"""A whole or shortened oid: digits and letters mixed, for a number is none."""
OPENING = "([{\"'\u2018\u201c"
CLOSING = ".,:!?)]}\"'\u2019\u201d\u2026"
"""Punctuation around a word, which is no part of it."""
PAIRS = {")": "(", "]": "[", "}": "{"}
ACTIVE = re.compile(
    rf"""[`<*~\\|$@^#\[\]]          # signs of markup, mentions and references
      | ://|www\.                  # addresses
      | &\#?\w+;                   # entities
      | (?<![^\W_])_|_(?![^\W_])   # an underscore that is not within a word
      | [!&]\d|(?<!\w)%\w|\bGH-\d|\b{HASH}\b  # references of forges
    """,
    re.VERBOSE | re.IGNORECASE,
)
INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
JOINERS = "\N{ZERO WIDTH JOINER}\N{ZERO WIDTH NON-JOINER}"
"""What some scripts and emoji are written with."""


def plain(text: str) -> str:
    """The text on one line, without signs that hide or turn what a reader sees, and not too long."""
    spaced = re.sub(r"\s+", " ", text).strip()
    seen = "".join(
        sign
        for sign in spaced
        if sign in JOINERS or sign == " " or unicodedata.category(sign) not in INVISIBLE
    ).strip()
    return seen if len(seen) <= LONGEST else seen[: LONGEST - 1].rstrip() + "…"


def pieces(text: str) -> Iterator[Piece]:
    """The text in pieces, in order; joined they are `plain(text)` without backticks around code."""
    at = 0
    text = plain(text)
    for span in SPAN.finditer(text):
        yield from _words(text[at : span.start()])
        yield Piece(span[2].strip() or span[2], Form.CODE)
        at = span.end()
    yield from _words(text[at:])


def _words(text: str) -> Iterator[Piece]:
    for word in re.split(r"( )", text):
        rest = word.lstrip(OPENING)
        # A semicolon may end an entity, which is to stay whole.
        core = rest.rstrip(CLOSING if "&" in rest else f"{CLOSING};")
        # A bracket that opens within the word closes within it: `main()`, `names[0]`.
        while rest != core and core.count(PAIRS.get(rest[len(core)], "\0")) > core.count(
            rest[len(core)]
        ):
            core = rest[: len(core) + 1]
        before, after = word[: len(word) - len(rest)], rest[len(core) :]
        for part, form in ((before, Form.TEXT), (core, _form(core)), (after, Form.TEXT)):
            if part:
                yield Piece(part, form)


def _form(core: str) -> Form:
    if REFERENCE.fullmatch(core):
        return Form.REFERENCE
    if re.fullmatch(HASH, core):
        return Form.CODE
    return Form.GUARDED if is_active(core) else Form.TEXT


def is_active(word: str) -> bool:
    """Whether Markdown or a forge would make something of the word."""
    return ACTIVE.search(word) is not None
