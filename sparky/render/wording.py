"""What Markdown and HTML say alike, in words for a person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, timedelta

from sparky.model import (
    Contribution,
    Digest,
    LedgerEntry,
    Origin,
    Point,
    Provenance,
    Section,
    Stats,
    Window,
)

TITLES = {
    Section.BREAKING: "Breaking changes",
    Section.SECURITY: "Security",
    Section.FEATURES: "Features",
    Section.FIXES: "Fixes",
    Section.PERFORMANCE: "Performance",
    Section.RELEASES: "Releases",
    Section.DOCUMENTATION: "Documentation",
    Section.DEPENDENCIES: "Dependencies",
    Section.MAINTENANCE: "Maintenance",
    Section.OTHER: "Other",
}
ROLES = {
    "author": "authored",
    "co_author": "co-authored",
    "reviewer": "reviewed",
    "merger": "merged",
    "committer": "committed",
}
MONTHS = (
    "January February March April May June July August September October November December"
).split()
MINUS, TIMES = "\N{MINUS SIGN}", "\N{MULTIPLICATION SIGN}"
REASONS = 4
"""Reasons for omissions that are told apart."""
OWN_WORDS = "The activity's own title, word for word."
"""What the mark † means."""


def period(window: Window) -> str:
    """The window in words: `2–8 March 2026`, `March 2026`, `2 March 2026, 9:00–17:30 UTC`."""
    since, until = window.since, window.until
    if until - since < timedelta(days=1):
        day, end = _day(since.date()), f"{until:%H:%M} {_zone(until)}"
        if since.date() == until.date():
            return f"{day}, {since:%H:%M}–{end}"
        return f"{day}, {since:%H:%M} – {_day(until.date())}, {end}"
    first, last = since.date(), (until - timedelta(microseconds=1)).date()
    if since.time() == until.time() == datetime.min.time() and first.day == until.day == 1:
        if (until.year, until.month) == (since.year + since.month // 12, since.month % 12 + 1):
            return f"{MONTHS[first.month - 1]} {first.year}"
        if first.month == until.month == 1 and until.year == since.year + 1:
            return str(first.year)
    if first == last:
        return _day(first)
    if first.year != last.year:
        return f"{_day(first)} – {_day(last)}"
    if first.month != last.month:
        return f"{first.day} {MONTHS[first.month - 1]} – {_day(last)}"
    return f"{first.day}–{_day(last)}"


def span(window: Window) -> str:
    """The window to the minute: `2026-03-02 00:00 to 2026-03-09 00:00 UTC`."""
    since, until = (f"{at:%Y-%m-%d %H:%M}" for at in (window.since, window.until))
    zones = _zone(window.since), _zone(window.until)
    return f"{since}{f' {zones[0]}' if zones[0] != zones[1] else ''} to {until} {zones[1]}"


def _day(day: date) -> str:
    return f"{day.day} {MONTHS[day.month - 1]} {day.year}"


def _zone(at: datetime) -> str:
    return f"UTC{at.isoformat(timespec='minutes')[16:]}" if at.utcoffset() else "UTC"


def count(number: int, noun: str, nouns: str = "") -> str:
    """`1 commit`, `1,204 commits`."""
    return f"{number:,} {noun if number == 1 else nouns or noun + 's'}"


def facts(stats: Stats) -> str:
    """What happened, counted: `42 commits, 7 authors, +1,204 -310 in 96 files`.

    Authors are people. Bots commit, too, so nothing is said to be by them.
    """
    told = [
        count(number, noun)
        for number, noun in (
            (stats.commits, "commit"),
            (stats.pull_requests, "pull request"),
            (stats.issues, "issue"),
            (stats.releases, "release"),
        )
        if number
    ]
    if not told:
        return "No activity"
    if stats.merges:
        told[0] += f" ({count(stats.merges, 'merge')})"
    if stats.authors:
        told.append(count(stats.authors, "author"))
    if stats.files:
        lines = f"+{stats.additions:,} {MINUS}{stats.deletions:,}"
        told.append(f"{lines} in {count(stats.files, 'file')}")
    return ", ".join(told)


def sections(points: Iterable[Point]) -> Iterator[tuple[str, list[Point]]]:
    """The points by section, in a reader's order, the most significant first."""
    ranked = sorted(points, key=lambda point: -point.significance)
    for section in Section:
        if found := [point for point in ranked if point.section is section]:
            yield TITLES[section], found


def is_quoted(points: Iterable[Point]) -> bool:
    """Whether some point needs the mark † explained."""
    return any(point.origin is Origin.EXTRACTIVE for point in points)


def parts(person: Contribution) -> str:
    """What a person did: `12 authored, 3 reviewed`. A commit's author mostly committed it, too."""
    roles = {role: number for role, number in person.roles.items() if number}
    if len(roles) > 1:
        roles.pop("committer", None)
    known = [f"{roles[role]:,} {word}" for role, word in ROLES.items() if role in roles]
    return ", ".join(known)


def accounts(ledger: Sequence[LedgerEntry]) -> Iterator[str]:
    """Where everything went: a sentence for all that adds up, one for each kind that does not."""
    told = [entry for entry in ledger if entry.expected or entry.fetched or entry.summarized]
    whole = [entry for entry in told if _adds_up(entry)]
    if whole:
        kinds = _listed([_counted(entry.expected, entry) for entry in whole])
        one = sum(entry.expected for entry in whole) == 1
        yield f"{'The' if one else 'All'} {kinds} {'is' if one else 'are'} accounted for: {_fate(whole)}."
    for entry in told:
        if entry not in whole:
            fetched = f"{entry.fetched:,} {'was' if entry.fetched == 1 else 'were'} read"
            yield f"Of {_counted(entry.expected, entry)} {fetched}: {_fate([entry])}."
    if redacted := sum(entry.redacted for entry in ledger):
        verb = "was" if redacted == 1 else "were"
        yield f"{count(redacted, 'secret')} {verb} taken out of the text."


def _adds_up(entry: LedgerEntry) -> bool:
    return entry.expected == entry.fetched == entry.summarized + len(entry.omitted)


def _counted(number: int, entry: LedgerEntry) -> str:
    return count(number, str(entry.kind).replace("_", " "))


def _fate(entries: Sequence[LedgerEntry]) -> str:
    """`39 summarised, 3 omitted`."""
    summarized = sum(entry.summarized for entry in entries)
    omitted = [omission for entry in entries for omission in entry.omitted]
    told = [f"{summarized:,} summarised"]
    if omitted:
        reasons = Counter(omission.reason.partition(";")[0] for omission in omitted)
        listed = [f"{number:,} {TIMES} {reason}" for reason, number in reasons.most_common(REASONS)]
        if len(reasons) > REASONS:
            listed.append("…")
        told.append(f"{len(omitted):,} omitted ({', '.join(listed)})")
    unsaid = sum(entry.fetched for entry in entries) - summarized - len(omitted)
    if unsaid > 0:
        told.append(f"{unsaid:,} not summarised")
    return ", ".join(told)


def _listed(words: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def provenance(made: Provenance) -> str:
    """How it was made, in one sentence."""
    if not made.engine_calls and not made.cache_hits:
        return "Written by rules alone; no model was asked."
    asked = count(made.engine_calls, "call")
    if made.cache_hits:
        asked += f", {count(made.cache_hits, 'answer')} from the cache"
    read = count(made.prompt_tokens, "token")
    return (
        f"Written by {made.model} on {made.engine}, prompt {made.prompt_version}: {asked}, "
        f"{read} read, {made.completion_tokens:,} written."
    )


def incomplete(digest: Digest) -> str:
    """Why a digest is partial."""
    return " ".join(digest.notes) or "Something of this window is missing; the ledger says what."
