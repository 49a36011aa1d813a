"""What came of a discovery or an import, as it is told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sparky.cli import output

if TYPE_CHECKING:
    from sparky.facts import Facts, Listed
    from sparky.lifecycle import Event
    from sparky.store.followed import Taken
    from sparky.store.gateway import Gateway


@dataclass(slots=True)
class Report:
    """What came of a discovery or an import."""

    taken: list[Taken] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    """Reason → how many."""
    turned: list[tuple[str, str, str]] = field(default_factory=list)
    """Id, name and fate of those that are followed, and were not chosen now."""
    gaps: list[str] = field(default_factory=list)
    failed: int = 0
    """Accounts and topics of which nothing came."""

    @property
    def new(self) -> int:
        return sum(one.new for one in self.taken)


def put_into(known: Gateway, groups: Mapping[str, Sequence[str]]) -> None:
    """Put repositories into groups, which are made if need be."""
    from sparky.store.groups import Groups as Store

    store = Store(known.engine)
    for name, ids in groups.items():
        store.add(name, ids)


def in_words(events: Sequence[Event]) -> str:
    """What became of a repository."""
    return ", ".join(str(event) for event in events)


def show(report: Report, *, as_json: bool, dry: bool) -> None:
    """Print what came of it: a repository a line, and the sum of it on stderr."""
    taken = sorted(report.taken, key=lambda one: one.listed.repo.name.casefold())
    if as_json:
        output.as_json(
            {
                "dry_run": dry,
                "repositories": [_json(one) for one in taken],
                "others": [
                    {"id": key, "name": name, "outcome": fate} for key, name, fate in report.turned
                ],
                "left_out": dict(report.left_out),
                "gaps": report.gaps,
            }
        )
    else:
        rows = [(one.listed.repo.name, _outcome(one), *_facts(one.listed)) for one in taken]
        rows += [(name, fate, "", "", "") for _, name, fate in report.turned]
        if rows:
            output.table(("name", "outcome", "language", "pushed", "size"), rows)
    for gap in report.gaps:
        output.say(f"not complete: {gap}")
    output.say(_sum(report, dry=dry))


def _sum(report: Report, *, dry: bool) -> str:
    known = len(report.taken) - report.new
    text = f"{report.new:,} new, {known:,} followed already"
    if report.left_out:
        told = (f"{count:,} {why}" for why, count in report.left_out.most_common())
        text += f"; left out: {', '.join(told)}"
    return f"{text}; dry run, nothing was changed" if dry else text


def _outcome(one: Taken) -> str:
    if one.events:
        return f"{in_words(one.events)}{'; new' if one.new else ''}"
    return "new" if one.new else "known"


def _facts(one: Listed) -> tuple[str, str, str]:
    if one.facts is None:
        return "", "", ""
    pushed = f"{one.facts.pushed_at:%Y-%m-%d}" if one.facts.pushed_at else ""
    return one.facts.language, pushed, size(one.facts.bytes)


def size(count: int) -> str:
    """Bytes for people: `12 KB`, `3.4 GB`."""
    amount, unit = float(count) / 1000, "KB"
    for larger in ("MB", "GB", "TB"):
        if amount < 1000:
            break
        amount, unit = amount / 1000, larger
    return f"{amount:.0f} {unit}" if amount >= 10 or unit == "KB" else f"{amount:.1f} {unit}"


def _json(one: Taken) -> dict[str, Any]:
    repo, facts = one.listed.repo, one.listed.facts
    row: dict[str, Any] = {
        "id": repo.id,
        "name": repo.name,
        "location": repo.location,
        "new": one.new,
        "events": [str(event) for event in one.events],
    }
    return row | (facts_json(facts) if facts else {})


def facts_json(facts: Facts) -> dict[str, Any]:
    """What a forge says of a repository, for programs."""
    return {
        "archived": facts.archived,
        "fork": facts.fork,
        "private": facts.private,
        "empty": facts.empty,
        "bytes": facts.bytes,
        "language": facts.language,
        "pushed_at": facts.pushed_at.isoformat() if facts.pushed_at else None,
    }
