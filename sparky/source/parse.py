"""The stream of `git log -z` as activities, a commit at a time.

Every field and path ends with NUL, which none can contain; so nothing that a message or a path
says can be taken for the beginning of something else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import NamedTuple

from sparky.model import Activity, FileChange, Kind
from sparky.source.limits import Limits
from sparky.source.people import People
from sparky.source.references import references
from sparky.source.text import clean, decode

FORMAT = "%x00".join(("%H", "%P", "%ct", "%aN", "%aE", "%cN", "%cE", "%s", "%b"))
"""What `commits` reads, as an argument of `git log --format`."""


def tokens(blocks: Iterable[bytes], most: int) -> Iterator[bytes]:
    """What stands between NULs; a token is cut when it exceeds `most` bytes by a block."""
    rest = b""
    for block in blocks:
        parts = block.split(b"\0")
        parts[0] = rest + parts[0]
        rest = parts.pop()[:most]
        yield from parts


def commits(
    blocks: Iterable[bytes], people: People, limits: Limits, cut: frozenset[str] = frozenset()
) -> Iterator[Activity]:
    """Commits, in the order of the stream.

    Args:
        blocks: the output of `git log -z --format=FORMAT` with `--numstat` or `--raw`.
        people: makes the credits.
        limits: how much of a message and of the files is kept.
        cut: oids whose parents are not here, so that nobody can say what they changed.
    """
    stream = tokens(blocks, limits.text_bytes)
    begin = next(stream, None)
    while begin is not None:
        oid = begin.decode()
        parents, date, name, email, name2, email2, subject, body = islice(stream, 8)
        changes, begin = _changes(stream, limits.files)
        if oid in cut:
            changes = _NONE
        title, text = clean(subject), clean(body)
        yield Activity(
            key="commit:" + oid,
            kind=Kind.COMMIT,
            at=datetime.fromtimestamp(int(date), UTC),
            title=title,
            body=text,
            credits=people.of_log(name, email, name2, email2, body),
            parents=tuple(parents.decode().split()),
            additions=changes.additions,
            deletions=changes.deletions,
            files=changes.files,
            files_total=changes.total,
            references=references(title, text),
        )


class _Changes(NamedTuple):
    files: tuple[FileChange, ...] = ()
    total: int = 0
    additions: int = 0
    deletions: int = 0


_NONE = _Changes()


def _changes(stream: Iterator[bytes], most: int) -> tuple[_Changes, bytes | None]:
    """The files of a commit, and the token after them: the next commit's oid, or None.

    `--numstat` gives `1\t2\tpath`, for a rename `1\t2\t`, old path, new path, and `-` for both
    counts of a binary file; `--raw` gives `:modes oids status`, path. Git puts a line feed before
    the first.
    """
    files: list[FileChange] = []
    total = additions = deletions = 0
    for token in stream:
        counts = token.split(b"\t", 2)
        if len(counts) == 3:
            more, less, path = counts
            old = None
            if not path:
                old, path = decode(next(stream)), next(stream)
            added = deleted = None
            if not more.endswith(b"-"):
                added, deleted = int(more), int(less)
                additions += added
                deletions += deleted
        elif token.lstrip(b"\n").startswith(b":"):
            added, deleted, old, path = None, None, None, next(stream)
        else:
            return _Changes(tuple(files), total, additions, deletions), token
        total += 1
        if total <= most:
            files.append(FileChange(decode(path), added, deleted, old))
    return _Changes(tuple(files), total, additions, deletions), None
