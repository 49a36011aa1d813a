"""What a title says by its form: conventional prefixes, gitmoji, areas; or whether it says nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sparky.model import Change

TYPES: dict[str, Change] = {
    word: change
    for change, words in {
        Change.FEATURE: "feat feature features enhancement",
        Change.FIX: "fix fixes bug bugfix hotfix",
        Change.PERFORMANCE: "perf performance",
        Change.SECURITY: "security",
        Change.DOCUMENTATION: "doc docs documentation readme guide faq",
        Change.REFACTORING: "refactor refactoring cleanup",
        Change.TESTS: "test tests testing bench benchmark benchsuite",
        Change.BUILD: "build ci workflow workflows gha cmake docker makefile packaging pkg",
        Change.DEPENDENCY: "deps deps-dev dependencies dependency",
        Change.FORMATTING: "style fmt format lint typo typos",
        Change.RELEASE: "release",
        Change.REVERT: "revert",
        Change.OTHER: "chore misc l10n i18n",
    }.items()
    for word in words.split()
}
"""What the prefix of a title says, as in `feat(http): …`; `chore` says only that it is no other."""

_GITMOJI: dict[str, Change] = {
    sign: change
    for change, signs in {
        Change.FEATURE: "✨ :sparkles: 🚩 🚸 💄 :lipstick:",
        Change.FIX: "🐛 :bug: 🚑 :ambulance: 🩹 :adhesive_bandage: 🥅",
        Change.PERFORMANCE: "⚡ :zap:",
        Change.SECURITY: "🔒 :lock:",
        Change.DOCUMENTATION: "📝 :memo: 💡 :bulb: 📄 👥",
        Change.REFACTORING: "♻ :recycle: 🏗 🚚 :truck: ⚰ 🏷",
        Change.TESTS: "✅ :white_check_mark: 🧪 :test_tube: 📸",
        Change.BUILD: "👷 :construction_worker: 💚 :green_heart: 🔨 🔧 :wrench: 📦 :package: 🙈",
        Change.DEPENDENCY: "⬆ :arrow_up: ⬇ :arrow_down: 📌 :pushpin: ➕ ➖",
        Change.FORMATTING: "🎨 :art: 🚨 :rotating_light: ✏ :pencil2:",
        Change.RELEASE: "🔖 :bookmark:",
        Change.REVERT: "⏪ :rewind:",
    }.items()
    for sign in signs.split()
}
_BREAKING_SIGNS = ("💥", ":boom:")

# What can stand before the words themselves: a backport's branch, an area, an issue's number.
_LEADING = re.compile(
    r"(?:\[[^\]]{1,30}\]|\(\w{2,20}\)|(?:gh|bpo)-\d+:?|#\d+:?|[A-Z][A-Z0-9]+-\d+:?)\s+"
)
_SIGN = re.compile(r"(?P<sign>:\w+:|[^\w\s\x00-\x7f])\ufe0f?\s*")
_PREFIX = re.compile(
    r"(?P<type>[\w@./ &-]{1,60}?)(?:\((?P<scope>[^()]{1,60})\))?(?P<bang>!)?:\s+(?=\S)"
)
_TRAILING = re.compile(r"\s*\((?:[\w.-]+/[\w.-]+)?#\d+\)\s*$")


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


def parse(title: str) -> Subject:
    """Take a title apart. A prefix that is no known type (`src/http: …`) is an area only."""
    text = " ".join(title.split())
    breaking = text.startswith(_BREAKING_SIGNS)
    change: Change | None = None
    areas: list[str] = []
    while match := _LEADING.match(text):
        areas.append(match.group().strip(" []():").casefold())
        text = text[match.end() :]
    if match := _SIGN.match(text):
        change = _GITMOJI.get(match["sign"])
        text = text[match.end() :]
    text = _TRAILING.sub("", text)
    if match := _PREFIX.match(text):
        areas += re.split(
            r"\s*[/,&]\s*", f"{match['type']}/{match['scope'] or ''}".casefold().strip("/ ")
        )
        breaking = breaking or match["bang"] is not None
        text = text[match.end() :]
    known = (TYPES[area] for area in areas if area in TYPES)
    return Subject(text, tuple(areas), change or next(known, None), breaking)


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
