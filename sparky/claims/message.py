"""What of a message says what was done: not a word to its reader, and nothing that is no prose."""

from __future__ import annotations

import re

# What a special token of a model looks like once it was broken up: `< seed:bos>`, `[ unused9]`.
_TOKEN = re.compile(r"[<\uff1c\[] (?:[|\uff5c]\S{1,40} |[^\s<>\[\]]{1,40})[>\uff1e\]]")
_ROLES = "system|user|assistant|developer|human|model|tool"
_SPEECH = re.compile(rf"(?:{_TOKEN.pattern})\s*(?:{_ROLES})\b[^<\uff1c\[\n]*", re.IGNORECASE)
"""A turn of a conversation, of which the token before its role was broken up."""
_LINK = re.compile(r"\b(?:\w+://|www\.)\w\S*", re.IGNORECASE)
# A semicolon with a mark at its side, and no space, is no sentence's: `';DROP`.
_CODE = re.compile(r"(?<!\S)\S*(?:[^\w\s];\S|;[^\w\s])\S*")
_SENTENCE = r"[^.!?\n]*"
_ADDRESS = re.compile(
    r"(?:^|(?<=[.!?] ))[^\w\n]*(?:(?:note|message|memo|reminder|instructions?|orders?) )?"
    rf"to (?:the|all|any|every|whoever|whatever|my|our)\b[^:.!?\n]{{1,60}}: {_SENTENCE}",
    re.IGNORECASE | re.MULTILINE,
)
_ORDER = re.compile(
    r"\bi (?:\w+ly )?(?:order|ask|tell|want|command|instruct|urge|expect|advise|need) you to\b"
    rf"{_SENTENCE}",
    re.IGNORECASE,
)
_TURN = re.compile(
    r"^[^\w\n]*(?:x\] )?(?:ai|llm|assistant|language model)[:,] .*", re.IGNORECASE | re.MULTILINE
)
# A title that speaks to somebody, or of what is written about it, tells nothing that was done.
_SPOKEN = re.compile(
    r"^you(?:r|'re)?\b.*"
    r"|^(?:say|write|tell|answer|reply|repeat|claim|announce)\b[^:\n]{0,60}: .*"
    r"|^(?:\S+ ){1,8}(?:reader|summari[sz]er|assistant|llm)s?\b[^:\n]{0,40}: .*"
    r"|^.*\b(?:each|every|next|any|all) (?:\w+ )?(?:points?|digests?)\b.*",
    re.IGNORECASE,
)
_PLEA = re.compile(rf"(?<!to )\bplease\b{_SENTENCE}", re.IGNORECASE)

# What must stand somewhere for a pattern to find anything: looking for it is much quicker.
_EVERYWHERE = (
    (": ", _ADDRESS),
    (" you to ", _ORDER),
    ("://", _LINK),
    ("www.", _LINK),
    (";", _CODE),
    ("< ", _SPEECH),
    ("[ ", _SPEECH),
    ("< ", _TOKEN),
    ("\uff1c ", _TOKEN),
    ("[ ", _TOKEN),
)


def of_title(text: str) -> str:
    """A title without what it asks of its reader."""
    return _prose(_PLEA.sub(" ", _SPOKEN.sub(" ", text)))


def unaddressed(title: str, text: str) -> str:
    """What is made of a title, without the name that it calls first: `@crew fix the pump`."""
    return text.partition(" ")[2] if title.startswith(("@", "\uff20")) else text


def of_body(text: str) -> str:
    """A body without the turns of a conversation with whoever, or whatever, reads it."""
    return _prose(_TURN.sub(" ", text))


def _prose(text: str) -> str:
    """A text without links, code, broken tokens, and what is said to somebody."""
    for hint, pattern in _EVERYWHERE:
        if hint in text:
            text = pattern.sub(" ", text)
    return text
