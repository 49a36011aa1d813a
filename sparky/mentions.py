"""What a title and a body name: versions, updated dependencies, reverted commits."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sparky.words import LONGEST, parse

_LONGEST_BODY = 50_000

_NUMBER = r"v?\d+(?:\.\d+)+(?:[-.+]?[0-9A-Za-z]+)*"
_VERSION = re.compile(rf"(?<![\w.]){_NUMBER}(?!\w)", re.IGNORECASE)
# A dependency's version may also be one number, a commit, or a range such as `>=4.1,<5`.
_LOOSE = rf"(?:{_NUMBER}|v?\d+|[0-9a-f]{{7,40}})"
_RANGE = rf"[\^~=<>!]{{0,3}} ?{_LOOSE}(?:, ?[\^~=<>!]{{1,3}} ?{_LOOSE})*"
_NAME = r"(?P<name>@?[A-Za-z][\w.-]*(?:/[\w.-]+)*)"
_OLD, _NEW = rf"(?P<old>{_RANGE})", rf"(?P<new>{_RANGE})"
_UPDATE = r"\b(?:bump(?:s|ed|ing)?|(?:up|down)grade[sd]?|(?:up|down)grading|update[sd]?|updating)"
_WHAT = (
    r"(?:the )?(?:(?:dependency|module|crate|package|submodule|action) )?"
    rf"(?:https?://)?`?{_NAME}`?(?: (?:require\w+|action|digest|docker tag|monorepo|orb))?"
)


@dataclass(frozen=True, slots=True)
class Bump:
    """One dependency's update; a version that the text does not name is empty."""

    name: str
    old: str = ""
    new: str = ""

    def __str__(self) -> str:
        if self.old and self.new:
            return f"{self.name} {self.old} → {self.new}"
        return f"{self.name} to {self.new}" if self.new else self.name


def _all(*patterns: str) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(pattern, re.IGNORECASE | re.MULTILINE) for pattern in patterns)


# The first pattern that finds anything is believed.
_FROM_TO = _all(rf"{_UPDATE} {_WHAT} from {_OLD} to {_NEW}")
_LISTS = _all(
    # Dependabot: a line each for the updates of a group.
    rf"^\s*(?:Updates|Bumps) [\[`]?(?:https?://)?{_NAME}(?:`|\]\([^)\s]*\))? from {_OLD} to {_NEW}",
    # pre-commit.ci: [github.com/psf/black: 25.1.0 → 25.9.0](…)
    rf"\[(?:[\w-]+\.)+[a-z]+/{_NAME}: {_OLD} (?:→|->) {_NEW}\]",
    # Renovate: a table's rows.
    rf"^\| *\[?`?{_NAME}`?\]?[^|\n]*\|.*?`{_OLD}` *(?:→|->) *`{_NEW}`",
)
_TO = _all(
    rf"{_UPDATE} {_WHAT} to (?:(?P=name) ?)?{_NEW}(?![\w.]*\w)",
    rf"{_UPDATE} to {_NAME} {_NEW}(?![\w.]*\w)",
    rf"^{_UPDATE} {_NAME} {_NEW}$",
    rf"^{_NAME}(?:\[[\w,-]+\])? ?(?P<new>(?=[=<>~!]){_RANGE})$",
)
# What is brought "to 2.0" without being a dependency.
_OWN = frozenset(
    "version versions readme changelog changes docs documentation copyright license code tests"
    " news history release minimum msrv edition the".split()
)


def bumps(title: str, body: str = "") -> tuple[Bump, ...]:
    """The dependency updates that the title names, or else the body's list of them, in order."""
    text = parse(title).text
    for patterns, where in ((_FROM_TO, text), (_LISTS, body[:_LONGEST_BODY]), (_TO, text)):
        found = {
            match["name"]: Bump(
                match["name"], match.groupdict().get("old") or "", match["new"].strip()
            )
            for pattern in patterns
            for match in pattern.finditer(where)
            if match["name"].casefold() not in _OWN
        }
        if found:
            return tuple(found.values())
    return ()


# The title is a version and nothing else, perhaps with the name of what is released.
_ALONE = re.compile(
    r"(?:(?:releas(?:e|ed|ing)|version|tag|publish|bump(?: version)?(?: to)?|prepar(?:e|ing)(?: for)?"
    r"|start)[:\s]+)?(?:(?:release|version|next version)\s+)?"
    rf"(?:(?P<name>@?[A-Za-z][\w/.-]*?)[ @-])?(?P<version>{_NUMBER})(?:\s+release|\s+development)?[.!]?",
    re.IGNORECASE,
)
_ABOUT = re.compile(
    r"\b(?:releas\w+|prepar\w+|prep|bump\w*|set|updat\w+|cut|tag|start|finali[sz]e|add\w*"
    r"|begin|back|next)\b.*\b(?:releases?|version|change ?log|changes|history|release[ -]notes"
    r"|what'?s ?new|dev|development|cycle)\b",
    re.IGNORECASE,
)


_TOOLCHAINS = frozenset(
    "c++ clang cuda dart deno elixir erlang gcc go golang java jdk kotlin llvm msrv .net node nodejs"
    " node.js perl php python ruby rust rustc scala swift typescript zig".split()
)
"""What a project needs and does not release: `bump to Rust 1.96`."""


def release_version(title: str) -> str | None:
    """The version that a title is about (`1.2.3`, `globset@0.4.1`), or None if it is no release."""
    subject = parse(title)
    match = _ALONE.fullmatch(subject.text)
    if match and (match["name"] or "").casefold() not in _TOOLCHAINS:
        name = f"{match['name']}@" if match["name"] else ""
        return tag_version(name + match["version"])
    found = _VERSION.findall(subject.text)
    if len(found) == 1 and ("release" in subject.areas or _ABOUT.search(subject.text)):
        return tag_version(found[0])
    return None


_TAG = re.compile(
    rf"(?:(?P<name>@?[A-Za-z][\w/.-]*?)[-@/_ ])?(?P<version>{_NUMBER}|v?\d+)", re.IGNORECASE
)


def tag_version(tag: str) -> str:
    """One spelling for tags and titles: `v1.2.3` is `1.2.3`, `globset-0.4.1` is `globset@0.4.1`."""
    match = _TAG.fullmatch(tag[:LONGEST].strip())
    if match is None:
        return tag
    version = match["version"].lstrip("vV")
    name = match["name"] or ""
    return version if name.casefold() in {"", "v", "release", "version"} else f"{name}@{version}"


_REVERT = re.compile(
    r"(?:partial(?:ly)? )?(?:auto)?revert(?:s|ed|ing)?\b|back(?:s|ed|ing)? ?out\b", re.IGNORECASE
)
_OIDS = re.compile(
    r"\bThis reverts commits?\s+(?P<oids>[0-9a-f]{7,64}(?:(?:,|\s+and|,\s+and)?\s+[0-9a-f]{7,64})*)"
)
_QUOTED = re.compile(r"[\"“](?P<title>.+)[\"”]")
_PARTLY = re.compile(r"\b(?:partial(?:ly)?|in part|parts? of|some of)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Revert:
    """What a commit takes back, as far as its text says."""

    oids: tuple[str, ...] = ()
    """Full or shortened."""
    title: str = ""
    """The quoted title of what is taken back; empty if none is quoted."""
    whole: bool = True
    """False where the text says that only a part is taken back."""


def revert(title: str, body: str = "") -> Revert | None:
    """What a commit takes back; None where it is no revert.

    `revert: learn --edit` is about a command of that name: a prefix counts only before another
    prefix or a quote, or where the body names a commit.
    """
    text = " ".join(title[:LONGEST].split())
    named = _OIDS.search(body[:_LONGEST_BODY])
    subject = parse(text)
    prefixed = "revert" in subject.areas[:1]
    if prefixed:
        begins = parse(subject.text).change is not None or subject.text.startswith(('"', "“"))
    else:
        begins = _REVERT.match(subject.text) is not None
    if not begins and named is None:
        return None
    quoted = _QUOTED.search(text)
    return Revert(
        oids=tuple(re.findall(r"[0-9a-f]{7,64}", named["oids"])) if named else (),
        title=quoted["title"] if quoted else (subject.text if prefixed else ""),
        whole=_PARTLY.search(text) is None,
    )
