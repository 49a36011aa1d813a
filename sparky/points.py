"""Points that code makes of activities: their section, their weight, and the lines they write."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from sparky import claims, paths, plain, vocabulary, words
from sparky.model import Activity, Change, Omission, Origin, Point, Section, Traits, Usage
from sparky.ports import Answer

LONGEST = 160
"""Characters of a title that stands as a point."""
LARGE = 100
"""Lines from which a change is told even if nobody said what it is."""

NAMED = 3
"""Files that a change is told by, where nobody said what it is."""

PRIVATE = "Merged from a private fork, as GitHub makes them for security advisories"
MERGE = "merge commit; what it merged is told by itself"
SILENT = "its message says nothing, and it is small"

_SECTIONS: dict[Change, Section] = {
    Change.FEATURE: Section.FEATURES,
    Change.FIX: Section.FIXES,
    Change.PERFORMANCE: Section.PERFORMANCE,
    Change.SECURITY: Section.SECURITY,
    Change.DOCUMENTATION: Section.DOCUMENTATION,
    Change.DEPENDENCY: Section.DEPENDENCIES,
    Change.RELEASE: Section.RELEASES,
    Change.REFACTORING: Section.MAINTENANCE,
    Change.TESTS: Section.MAINTENANCE,
    Change.BUILD: Section.MAINTENANCE,
    Change.FORMATTING: Section.MAINTENANCE,
    Change.REVERT: Section.OTHER,
    Change.MERGE: Section.OTHER,
    Change.OTHER: Section.OTHER,
}


def section(traits: Sequence[Traits]) -> Section:
    """Where a point over activities with these traits stands.

    Breaking before security before what the most significant of them is.
    """
    if any(one.breaking for one in traits):
        return Section.BREAKING
    if any(one.change is Change.SECURITY for one in traits):
        return Section.SECURITY
    order = list(Section)
    best = max(one.significance for one in traits)
    return min(
        (_SECTIONS[one.change] for one in traits if one.significance == best), key=order.index
    )


_MERGED = re.compile(
    r"Merged? (?:pull request|branch|remote-tracking branch|tag|in|PR)\b|Merge [\w/.-]+ into "
    rf"|{vocabulary.PRIVATE_FORK.pattern}"
)
"""A title that a machine wrote; what people wrote stands below it."""


def make(
    text: str, cited: Sequence[Activity], traits: Mapping[str, Traits], origin: Origin
) -> Point:
    """A point as significant as the most significant activity that it cites."""
    known = [traits[one.key] for one in cited]
    return Point(
        text=text,
        section=section(known),
        cites=tuple(one.key for one in cited),
        origin=origin,
        significance=max(one.significance for one in known),
    )


def extract(activity: Activity, traits: Mapping[str, Traits]) -> Point | Omission:
    """The activity in its own words, or why it is left out.

    A title that tells nothing gives way to the first line below it, and that to what code knows of
    a large change, or of one that somebody merged without a word.
    """
    if activity.is_merge and not activity.body.strip():
        return Omission(activity.key, MERGE)
    if title(activity):
        return make(line(activity), [activity], traits, Origin.EXTRACTIVE)
    hidden = _MERGED.match(activity.title) and not activity.is_merge
    large = activity.additions + activity.deletions >= LARGE
    if hidden or large or traits[activity.key].breaking:
        return make(standing(activity, size(activity)), [activity], traits, Origin.RULE)
    return Omission(activity.key, SILENT)


def line(activity: Activity) -> str:
    """The title as it stands as a point: what is only proposed says so."""
    return standing(activity, _placed(title(activity), activity))


def standing(activity: Activity, text: str) -> str:
    """A title with `Proposed`, `Requested` or `Reported` before it, where nothing is done yet."""
    word = claims.standing(activity)
    return f"{word}: {text}" if word else text


def _placed(text: str, activity: Activity) -> str:
    """A title of one or two words with the place of the change behind it."""
    files = [file.path for file in activity.files]
    where = files[0] if len(files) == 1 else paths.directory(files)
    return f"{text} ({where})" if where and len(text.split()) < 3 else text


def title(activity: Activity) -> str:
    """The activity's own title without a conventional prefix and number; "" if it says nothing."""
    if words.is_empty(activity.title) or _MERGED.match(activity.title):
        lines = (line.strip(" *-#") for line in plain.body(activity.body).splitlines())
        first = next((line for line in lines if len(line.split()) > 1), "")
        return _line("" if words.is_empty(first) else first)
    subject = words.parse(activity.title)
    if subject.change is None and subject.areas:
        return _line(activity.title)
    areas = [area for area in subject.areas if area not in vocabulary.TYPES]
    return _line(f"{', '.join(areas)}: {subject.text}" if areas else subject.text)


def _line(text: str) -> str:
    text = plain.line(text, most=LONGEST).rstrip(" .")
    first = text.partition(" ")[0]
    return text[:1].upper() + text[1:] if first.isalpha() and first.islower() else text


def size(activity: Activity) -> str:
    """What code knows of a change that nobody described."""
    total = max(activity.files_total, len(activity.files))
    where = paths.directory([file.path for file in activity.files])
    named = f" in {where}" if where else ""
    files = "1 file" if total == 1 else f"{total} files"
    lines = f"(+{activity.additions} -{activity.deletions})"
    if not vocabulary.PRIVATE_FORK.match(activity.title):
        return f"Changed {files}{named} {lines}"
    heaviest = sorted(activity.files, key=lambda file: (-paths.lines(file), file.path))[:NAMED]
    listed = ", ".join(plain.line(file.path, most=120) for file in heaviest)
    listed += f" and {total - NAMED} more" if listed and total > NAMED else ""
    return f"{PRIVATE}: changed {listed or files} {lines}"


def spent(answer: Answer) -> Usage:
    """What an answer cost; one from the cache costs nothing now."""
    if answer.cached:
        return Usage(cache_hits=1)
    return Usage(answer.prompt_tokens, answer.completion_tokens, calls=1, seconds=answer.seconds)
