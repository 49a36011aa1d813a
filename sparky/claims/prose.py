"""Is a text plain prose? What can be said of a text by its form alone, before it is compared."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from functools import cache

from sparky import prompts
from sparky.claims.lexicon import DANGLING

SHORTEST, LONGEST = 3, 36
"""Words of a sentence."""
LETTERS = 320
"""Most characters of a text."""

_TOO_SHORT = "is empty or too short"
_OF_ITSELF = "speaks of the change instead of saying it"
_QUOTABLE = frozenset({"names an id of the prompt", "holds what may be Markdown"})
"""What is no fault where the source has the same, such as `__init__`."""
SHORT = frozenset({_TOO_SHORT, _OF_ITSELF})
"""What is no fault of a title in its own past tense: `Removed colorama`, `Moved the changes`."""

_WORD = re.compile(r"\w+(?:['’.-]\w+)*")
_FORMS = (
    (re.compile(r"https?:|www\.|\]\(|\[[^\]]*\]\["), "holds a link"),
    (re.compile(r"</?[a-z!][^>]*>|&(?:\w+|#\d+);", re.IGNORECASE), "holds HTML"),
    (
        re.compile(r"\*\*|^\s*(?:#+\s|[-*+]\s|\d+[.)]\s|>\s)|```|^\||\n"),
        "holds Markdown",
    ),
    (re.compile(r"__\w[^_]*__(?!\w)"), "holds what may be Markdown"),
    (
        re.compile(r"<\s?[|\uff5c]|[|\uff5c]\s?>|\[/?INST\]|</?s>|<<SYS|(?:start|end)_of_turn"),
        "holds a token of a chat template",
    ),
    (re.compile(r"(?<![\w-])\[?a\d{1,2}\]?(?![\w-])"), "names an id of the prompt"),
    (
        re.compile(
            r"(?i:\bas an ai\b|\blanguage model\b|\bsorry\b|\bi(?:'\w+)?(?= )|\bm(?:e|y|ine|yself)\b)"
            r"|\bwe(?:'\w+)?\b|\bours?\b|\bus\b"
        ),
        "speaks of itself",
    ),
    (
        re.compile(
            r"\b(?:this|the|these) (?:commit|change|activit(?:y|ies)|patch|item)s?\b(?!(?: |-)?logs?\b)"
            r"|^(?:added|made|created|introduced|submitted|pushed|merged|opened|applied) (?:an? )?(?:new )?"
            r"(?:commit|pull request|activity) (?:for|in|that|to|which|with)\b",
            re.IGNORECASE,
        ),
        _OF_ITSELF,
    ),
    (
        re.compile(r"[{}]|\\[nt\"]|\"(?:text|cites|about)\"|\.\.\.|…"),
        "holds what is no prose",
    ),
)


def problems(text: str, source: str) -> list[str]:
    """What is wrong with the form of a text; `source` is what it was made from."""
    said = _WORD.findall(text)
    found = []
    if len(said) < SHORTEST:
        return [_TOO_SHORT]
    if len(said) > LONGEST or len(text) > LETTERS:
        return [f"is too long: at most {LONGEST} words"]
    if said[-1].casefold() in DANGLING and not text.endswith((")", "`", '"')):
        found.append("breaks off")
    if _loops([word.casefold() for word in said]):
        found.append("repeats itself")
    for pattern, reason in _FORMS:
        match = pattern.search(text)
        if match and (reason not in _QUOTABLE or match.group().casefold() not in source):
            found.append(reason)
    if not _plain(text) and any(
        unicodedata.category(char) in {"Cc", "Cf", "Co", "Cs", "Zl", "Zp"} for char in text
    ):
        found.append("holds hidden characters")
    foreign = set() if _plain(text) else _scripts(text) - {"LATIN"}
    if foreign and (foreign := foreign - _scripts(source)):
        found.append(f"is written in {', '.join(sorted(foreign)).lower()} letters")
    leaked = _shingles(text) & _prompt_shingles()
    if leaked and leaked - _shingles(source):
        found.append("repeats the prompt")
    return found


def _loops(said: list[str]) -> bool:
    """A word three times in a row, three words twice in a row, or four words anywhere again."""
    runs = [tuple(said[i : i + 4]) for i in range(len(said) - 3)]
    return (
        any(said[i] == said[i + 1] == said[i + 2] for i in range(len(said) - 2))
        or any(said[i : i + 3] == said[i + 3 : i + 6] for i in range(len(said) - 5))
        or any(times > 1 for times in Counter(runs).values())
    )


def _plain(text: str) -> bool:
    """Whether it is ASCII that can be printed, as most texts are."""
    return text.isascii() and text.isprintable()


def _scripts(text: str) -> set[str]:
    """Scripts of the letters: LATIN, CYRILLIC, CJK."""
    return {
        unicodedata.name(char, "UNKNOWN").partition(" ")[0]
        for char in text
        if char.isalpha() and char not in "ªºµ"
    }


def _shingles(text: str) -> set[tuple[str, ...]]:
    said = [word.casefold() for word in _WORD.findall(text)]
    return {tuple(said[i : i + 6]) for i in range(len(said) - 5)}


@cache
def _prompt_shingles() -> frozenset[tuple[str, ...]]:
    return frozenset(_shingles(prompts.wording()))
