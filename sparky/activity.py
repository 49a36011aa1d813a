"""What code knows of activities by itself: order, traits, counts, and who did what."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from math import log1p

from sparky import changes, paths, vocabulary, words
from sparky.model import (
    Activity,
    Change,
    Contribution,
    Kind,
    Person,
    Role,
    Stats,
    Traits,
)
from sparky.paths import Sort


def arrange(activities: Iterable[Activity]) -> tuple[Activity, ...]:
    """One activity per key, oldest first, whatever the order of the input.

    Of two with the same key the later one is kept: it was read after an update.
    """
    kept: dict[str, Activity] = {}
    for activity in activities:
        other = kept.get(activity.key)
        if other is None or _version(activity) > _version(other):
            kept[activity.key] = activity
    return tuple(sorted(kept.values(), key=lambda activity: (activity.at, activity.key)))


def _version(activity: Activity) -> tuple[float, str]:
    return activity.at.timestamp(), repr(activity)


# Where the significance of each kind begins, and what evidence can lift it to.
_RANGES: dict[Change, tuple[float, float]] = {
    Change.SECURITY: (0.70, 0.95),
    Change.RELEASE: (0.60, 0.80),
    Change.FEATURE: (0.45, 0.85),
    Change.PERFORMANCE: (0.40, 0.75),
    Change.FIX: (0.35, 0.75),
    Change.REVERT: (0.30, 0.60),
    Change.OTHER: (0.20, 0.60),
    Change.REFACTORING: (0.12, 0.50),
    Change.BUILD: (0.12, 0.40),
    Change.DOCUMENTATION: (0.12, 0.40),
    Change.MERGE: (0.10, 0.50),
    Change.TESTS: (0.08, 0.30),
    Change.DEPENDENCY: (0.08, 0.20),
    Change.FORMATTING: (0.02, 0.10),
}


@lru_cache(maxsize=512)
def traits(activity: Activity) -> Traits:
    """Kind of change, whether it breaks something, significance, and the reasons.

    Significance is `low + (high - low) · e`, with the range of the kind of change and the evidence
    `e = 1 - Π(1 - wᵢ·xᵢ)` of size (lines, on a log scale up to 5000), breadth (files, up to 100),
    public surface, people (up to five) and references (up to three). A breaking change then goes
    half of the way that is left to 1. Lock files and vendored code count for nothing. More of
    anything never lowers it.
    """
    change, why = changes.change(activity)
    breaking = _breaking(activity)
    evidence = _evidence(activity)
    low, high = _RANGES[change]
    if change is Change.RELEASE and activity.kind is Kind.COMMIT:
        low, high = low / 2, high / 2  # the tag is the news
    missing = 1.0
    for share, _ in evidence:
        missing *= 1 - share
    significance = low + (high - low) * (1 - missing)
    if breaking:
        significance += (1 - significance) / 2
    reasons = [f"{change}: {why}"]
    reasons += [f"breaking: {breaking}"] if breaking else []
    reasons += [reason for share, reason in evidence if share]
    return Traits(change, breaking is not None, round(significance, 4), tuple(reasons))


def _evidence(activity: Activity) -> tuple[tuple[float, str], ...]:
    """Shares of evidence in [0, 1), each with its reason."""
    own = [file for file in activity.files if paths.sort(file.path) is not Sort.LOCK]
    foreign = sum(map(paths.lines, activity.files)) - sum(map(paths.lines, own))
    known = max(activity.additions + activity.deletions, sum(map(paths.lines, activity.files)))
    lines = max(0, known - foreign)
    files = max(activity.files_total, len(activity.files)) - len(activity.files) + len(own)
    public = next((file.path for file in own if paths.is_public(file.path)), None)
    people = len({credit.person.key for credit in activity.credits if not credit.person.bot})
    references = len(activity.references)
    return (
        (0.35 * min(1.0, log1p(lines) / log1p(5000)), f"size: {lines} lines"),
        (0.20 * min(1.0, log1p(files) / log1p(100)), f"breadth: {files} files"),
        (0.15 * (public is not None), f"public surface: {public}"),
        (0.15 * min(1.0, max(0, people - 1) / 4), f"people: {people}"),
        (0.10 * min(1.0, references / 3), f"references: {references}"),
    )


_FOOTER = re.compile(r"^BREAKING[ -]CHANGES?\s*:", re.MULTILINE)
_BREAKING = re.compile(
    r"\bbackwards?[- ]incompatib\w+|\bbreaking change|\b(?:drop|remov)\w* support (?:for|of)\b"
    r"|\b(?:drop|remov)\w* deprecated\b",
    re.IGNORECASE,
)


def _breaking(activity: Activity) -> str | None:
    """Why it breaks something for those who build on it, or None."""
    if activity.kind in (Kind.ISSUE, Kind.RELEASE):
        return None
    if words.parse(activity.title).breaking:
        return "its title is marked so"
    if _FOOTER.search(activity.body):
        return "a BREAKING CHANGE footer"
    for label in activity.labels:
        bare = vocabulary.LABEL_PREFIX.sub("", label.casefold())
        bare = bare.replace(": ", "-").replace(" ", "-")
        if bare in vocabulary.BREAKING_LABELS:
            return f"label {label!r}"
    sorts = {paths.sort(file.path) for file in activity.files}
    if sorts and sorts <= {Sort.DOCUMENTATION, Sort.CHANGELOG, Sort.TESTS, Sort.LOCK}:
        return None
    found = _BREAKING.search(words.parse(activity.title).text)
    return f"its title says {found.group()!r}" if found else None


def stats(activities: Iterable[Activity]) -> Stats:
    """Counts of a window.

    `commits` counts all commits, merges included; `merges` those with two or more parents.
    `authors` are the people, bots excepted, who wrote a commit or a pull request, alone or with
    others. `additions`, `deletions` and `files` are of commits that are no merges; `files` counts
    paths once, and what a source left out beyond its cap once for each commit.
    """
    arranged = arrange(activities)
    kinds = Counter(activity.kind for activity in arranged)
    commits = [activity for activity in arranged if activity.kind is Kind.COMMIT]
    own = [commit for commit in commits if not commit.is_merge]
    authors = {
        credit.person.key
        for activity in arranged
        if activity.kind in (Kind.COMMIT, Kind.PULL_REQUEST)
        for credit in activity.credits
        if credit.role in _AUTHORS and not credit.person.bot
    }
    named = {file.path for commit in own for file in commit.files}
    return Stats(
        commits=len(commits),
        merges=len(commits) - len(own),
        pull_requests=kinds[Kind.PULL_REQUEST],
        issues=kinds[Kind.ISSUE],
        releases=kinds[Kind.RELEASE],
        authors=len(authors),
        additions=sum(commit.additions for commit in own),
        deletions=sum(commit.deletions for commit in own),
        files=len(named) + sum(max(0, commit.files_total - len(commit.files)) for commit in own),
    )


_AUTHORS = (Role.AUTHOR, Role.CO_AUTHOR)


def contributions(activities: Iterable[Activity]) -> tuple[Contribution, ...]:
    """What each person did: role → number of activities. Most active first, bots last.

    What somebody wrote comes before what they merged, reviewed or committed for others. A person
    goes by the name of their latest activity.
    """
    people: dict[str, Person] = {}
    roles: dict[str, Counter[Role]] = {}
    for activity in arrange(activities):
        seen = {(credit.person.key, credit.role): credit.person for credit in activity.credits}
        for (key, role), person in sorted(seen.items()):
            people[key] = person
            roles.setdefault(key, Counter())[role] += 1

    def rank(key: str) -> tuple[bool, int, int, str, str]:
        written = sum(roles[key][role] for role in _AUTHORS)
        name = people[key].name.casefold()
        return people[key].bot, -written, -roles[key].total(), name, key

    return tuple(
        Contribution(
            name=people[key].name,
            login=people[key].login,
            bot=people[key].bot,
            roles={role.value: roles[key][role] for role in Role if roles[key][role]},
        )
        for key in sorted(people, key=rank)
    )
