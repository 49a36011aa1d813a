"""Builders of model values with sane defaults; the same call gives the same value.

Every builder takes the fields to change as keywords. Full oids come from `oid(n)`, so that
tests can speak of "commit 3" and still have forty digits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sparky.model import (
    Activity,
    Change,
    Chunk,
    Contribution,
    Credit,
    Digest,
    FileChange,
    Item,
    Kind,
    LedgerEntry,
    Omission,
    Origin,
    Person,
    Point,
    Provenance,
    Repo,
    Role,
    Section,
    Stats,
    Status,
    Summary,
    Traits,
    Usage,
    Window,
)

START = datetime(2026, 3, 2, tzinfo=UTC)
"""A Monday; every default time counts from here."""


def oid(n: int) -> str:
    """The full oid of "commit n": forty hexadecimal digits, different for each n."""
    return hashlib.sha1(f"commit {n}".encode(), usedforsecurity=False).hexdigest()


def at(hours: float = 0) -> datetime:
    """A zone-aware time, `hours` after the start of the default window."""
    return START + timedelta(hours=hours)


def repo(**changes: Any) -> Repo:
    """A repository with a web page on GitHub."""
    fields: dict[str, Any] = {
        "id": "git:" + oid(0),
        "name": "acme/rocket",
        "source": "git",
        "location": "https://github.com/acme/rocket.git",
        "url": "https://github.com/acme/rocket",
    }
    return Repo(**(fields | changes))


def window(days: float = 7, since: datetime = START) -> Window:
    """A window of some days from the start."""
    return Window(since=since, until=since + timedelta(days=days))


def person(name: str = "Ada Byron", **changes: Any) -> Person:
    """A person with an e-mail made from the name."""
    fields: dict[str, Any] = {
        "name": name,
        "email": name.casefold().replace(" ", ".") + "@example.org",
    }
    return Person(**(fields | changes))


def bot(name: str = "dependabot[bot]") -> Person:
    """A machine that commits."""
    return person(name, email="bot@example.org", login=name, bot=True)


def credit(who: Person | None = None, role: Role = Role.AUTHOR) -> Credit:
    """A person's part; by default the default person's as an author."""
    return Credit(person=who or person(), role=role)


def file_change(
    path: str = "src/engine.py", additions: int | None = 3, deletions: int | None = 1
) -> FileChange:
    """A small change of one file."""
    return FileChange(path=path, additions=additions, deletions=deletions)


def commit(n: int = 1, title: str = "Fix the fuel gauge", **changes: Any) -> Activity:
    """Commit number `n`, `n` hours after the start, touching one file.

    `additions`, `deletions` and `files_total` follow from `files` unless they are given.
    """
    files = tuple(changes.get("files", (file_change(),)))
    fields: dict[str, Any] = {
        "key": f"commit:{oid(n)}",
        "kind": Kind.COMMIT,
        "at": at(n),
        "title": title,
        "credits": (credit(),),
        "parents": (oid(n - 1),),
        "files": files,
        "files_total": len(files),
        "additions": sum(file.additions or 0 for file in files),
        "deletions": sum(file.deletions or 0 for file in files),
    }
    return Activity(**(fields | changes))


def merge(n: int = 2, title: str = "Merge branch 'fuel'", **changes: Any) -> Activity:
    """Commit number `n` with two parents and no files of its own."""
    fields: dict[str, Any] = {"parents": (oid(n - 1), oid(n + 1000)), "files": ()}
    return commit(n, title, **(fields | changes))


def pull_request(n: int = 12, title: str = "Add a fuel gauge", **changes: Any) -> Activity:
    """Pull request number `n`, merged."""
    fields: dict[str, Any] = {
        "key": f"pull_request:{n}",
        "kind": Kind.PULL_REQUEST,
        "at": at(n),
        "title": title,
        "credits": (credit(),),
        "state": "merged",
    }
    return Activity(**(fields | changes))


def issue(n: int = 7, title: str = "The fuel gauge shows nothing", **changes: Any) -> Activity:
    """Issue number `n`, closed."""
    fields: dict[str, Any] = {
        "key": f"issue:{n}",
        "kind": Kind.ISSUE,
        "at": at(n),
        "title": title,
        "credits": (credit(),),
        "state": "closed",
    }
    return Activity(**(fields | changes))


def release(tag: str = "v1.2.0", **changes: Any) -> Activity:
    """A release whose tag points at commit 1."""
    fields: dict[str, Any] = {
        "key": f"release:{tag}",
        "kind": Kind.RELEASE,
        "at": at(1),
        "title": tag,
        "target": oid(1),
        "credits": (credit(),),
    }
    return Activity(**(fields | changes))


def history(count: int = 20, start: int = 1) -> tuple[Activity, ...]:
    """`count` commits, oldest first, over four files and three people."""
    paths = ("src/engine.py", "src/http/client.py", "docs/guide.md", "tests/test_engine.py")
    people = (person("Ada Byron"), person("Lin Chen"), person("Max Weber"))
    return tuple(
        commit(
            n,
            f"Change part {n} of {paths[n % 4]}",
            files=(file_change(paths[n % 4], additions=n % 7 + 1, deletions=n % 3),),
            credits=(credit(people[n % 3]),),
        )
        for n in range(start, start + count)
    )


def traits(change: Change = Change.OTHER, **changes: Any) -> Traits:
    """Traits of middling significance."""
    fields: dict[str, Any] = {"change": change, "breaking": False, "significance": 0.5}
    return Traits(**(fields | changes))


def chunk(activities: Sequence[Activity] = (), **changes: Any) -> Chunk:
    """A chunk over the activities; by default over commits 1 to 3."""
    items = tuple(
        Item(id=f"a{index}", key=activity.key, text=activity.title)
        for index, activity in enumerate(activities or history(3), start=1)
    )
    text = "\n".join(f"{item.key} {item.text}" for item in items)
    fields: dict[str, Any] = {
        "key": hashlib.sha256(text.encode()).hexdigest(),
        "subject": "dir:src",
        "items": items,
        "tokens": len(text) // 4,
    }
    return Chunk(**(fields | changes))


def point(text: str = "The fuel gauge shows the right level.", **changes: Any) -> Point:
    """A point that an engine wrote about commit 1."""
    fields: dict[str, Any] = {
        "text": text,
        "section": Section.FIXES,
        "cites": (f"commit:{oid(1)}",),
        "origin": Origin.ENGINE,
        "significance": 0.5,
    }
    return Point(**(fields | changes))


def omission(n: int = 2, reason: str = "merge") -> Omission:
    """Commit `n` is left out."""
    return Omission(key=f"commit:{oid(n)}", reason=reason)


def usage(**changes: Any) -> Usage:
    """The cost of one call."""
    fields: dict[str, Any] = {
        "prompt_tokens": 800,
        "completion_tokens": 200,
        "calls": 1,
        "seconds": 2.5,
    }
    return Usage(**(fields | changes))


def summary(**changes: Any) -> Summary:
    """A summary with one point."""
    fields: dict[str, Any] = {
        "key": hashlib.sha256(b"summary").hexdigest(),
        "points": (point(),),
        "omitted": (),
        "usage": usage(),
        "engine": "llama.cpp",
        "model": "test-model",
    }
    return Summary(**(fields | changes))


def stats(**changes: Any) -> Stats:
    """Counts that fit `digest()`: two commits, one of them a merge, by one author."""
    fields: dict[str, Any] = {
        "commits": 2,
        "merges": 1,
        "authors": 1,
        "additions": 3,
        "deletions": 1,
        "files": 1,
    }
    return Stats(**(fields | changes))


def contribution(
    name: str = "Ada Byron",
    *,
    login: str | None = None,
    bot: bool = False,
    roles: Mapping[str, int] | None = None,
) -> Contribution:
    """One person's part; by default the author of two commits."""
    return Contribution(name=name, login=login, bot=bot, roles=dict(roles or {"author": 2}))


def ledger_entry(kind: Kind = Kind.COMMIT, **changes: Any) -> LedgerEntry:
    """Two commits: one summarised, one omitted."""
    fields: dict[str, Any] = {
        "kind": kind,
        "expected": 2,
        "fetched": 2,
        "summarized": 1,
        "omitted": (omission(2),),
    }
    return LedgerEntry(**(fields | changes))


def provenance(**changes: Any) -> Provenance:
    """One call to a test model."""
    fields: dict[str, Any] = {
        "engine": "llama.cpp",
        "model": "test-model",
        "prompt_version": "1",
        "prompt_tokens": 800,
        "completion_tokens": 200,
        "engine_calls": 1,
        "cache_hits": 0,
    }
    return Provenance(**(fields | changes))


def digest(**changes: Any) -> Digest:
    """A done digest of two commits: one point, one omitted merge, a ledger that adds up."""
    fields: dict[str, Any] = {
        "repo": repo(),
        "window": window(),
        "revision": 1,
        "status": Status.DONE,
        "headline": "The fuel gauge shows the right level.",
        "headline_cites": (f"commit:{oid(1)}",),
        "points": (point(),),
        "stats": stats(),
        "people": (contribution(),),
        "ledger": (ledger_entry(),),
        "provenance": provenance(),
    }
    return Digest(**(fields | changes))
