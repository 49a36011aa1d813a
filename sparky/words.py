"""What a title says by its form: conventional prefixes, gitmoji, areas; or whether it says nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from sparky import vocabulary
from sparky.model import Change

# What can stand before the words themselves: a backport's branch, an area, an issue's number.
_LEADING = re.compile(
    r"(?:\[[^\]]{1,30}\]|\(\w{2,20}\)|(?:gh|bpo)-\d+:?|#\d+:?|[A-Z][A-Z0-9]+-\d+:?)\s+"
)
_SIGN = re.compile(r"(?P<sign>:\w+:|[^\w\s\x00-\x7f])\ufe0f?\s*")
_PREFIX = re.compile(
    r"(?P<type>[\w@./*+-]+(?:(?:, ?| & | )[\w@./*+-]+){0,2})(?:\((?P<scope>[^()]{1,60})\))?(?P<bang>!)?:\s+(?=\S)"
)
_TRAILING = re.compile(r"\s*\((?:[\w.-]+/[\w.-]+)?#\d+\)\s*$")


LONGEST = 500
"""Characters of a title that are looked at: nobody's words, but the patterns' time."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A title taken apart: `feat(http)!: send two requests (#12)`."""

    text: str
    """What is left without prefix, sign and pull request number: `send two requests`."""
    areas: tuple[str, ...] = ()
    """The words of type and scope, in lower case: `feat`, `http`."""
    change: Change | None = None
    """What a known type or a gitmoji says."""
    breaking: bool = False
    """Whether a mark says that it breaks something."""


@lru_cache(maxsize=1024)
def parse(title: str) -> Subject:
    """Take a title apart. A prefix that is no known type (`src/http: …`) is an area only."""
    text = " ".join(title[:LONGEST].split())
    breaking = text.startswith(vocabulary.BREAKING_SIGNS)
    change: Change | None = None
    areas: list[str] = []
    while match := _LEADING.match(text):
        areas.append(match.group().strip(" []():").casefold())
        text = text[match.end() :]
    if match := _SIGN.match(text):
        change = vocabulary.GITMOJI.get(match["sign"])
        text = text[match.end() :]
    text = _TRAILING.sub("", text)
    match = _PREFIX.match(text)
    # "Fix the parser: no crash" has no prefix, "fix: no crash" has.
    if match and not (" " in match["type"] and verb(match["type"])):
        areas += re.split(
            r"\s*[/,&]\s*", f"{match['type']}/{match['scope'] or ''}".casefold().strip("/ ")
        )
        breaking = breaking or match["bang"] is not None
        text = text[match.end() :]
    known = (vocabulary.TYPES[area] for area in areas if area in vocabulary.TYPES)
    return Subject(text, tuple(areas), change or next(known, None), breaking)


def verb(text: str) -> Change | None:
    """What the verb says that a text begins with: `fixes` as `fix`, `dropped` as `drop`."""
    first = text.partition(" ")[0].casefold().strip("`*-:,.")
    forms = [first, *(first.removesuffix(end) for end in ("s", "es", "d", "ed", "ing"))]
    forms += [stem + "e" for stem in forms[-2:]] + [stem[:-1] for stem in forms[-2:]]
    return next((vocabulary.VERBS[form] for form in forms if form in vocabulary.VERBS), None)


_EMPTY = re.compile(
    r"(?:(?:small|minor|misc|some|more|various|few|a few|another|quick|tiny|final) )*"
    r"(?:wip|te?mp|test|testing|fix|fixes|fixed|bug ?fix(?:es)?|hot ?fix|updates?|updated|changes?"
    r"|improvements?|tweaks?|edits?|cleanup|clean up|refactor|stuff|work|progress|save|commit"
    r"|initial commit|init|oops|silly|done|again|merge|sync|minor|misc|more|todo|it works"
    r"|(?:implement|address|apply|fix)(?: \w+)?(?: after)?(?: code)? (?:review|feedback|comments)"
    r"(?: comments)?)",
    re.IGNORECASE,
)


def is_empty(title: str) -> bool:
    """Whether a title tells nothing: `wip`, `.`, `update`, `fix`, `address review comments`."""
    text = parse(title).text.strip(" .!:-_#*\"'…")
    return len(text) < 3 or _EMPTY.fullmatch(text) is not None
