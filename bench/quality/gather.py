"""From a clone and its changelog to a window of the test set."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from bench.quality.windows import Described, Entry
from sparky import claims, mentions
from sparky.claims.lexicon import FUNCTION

_BULLET = re.compile(r"^\s*[-*+]\s+")
_NUMBER = re.compile(
    r"(?<![\w/])#(\d{1,6})\b|:(?:pr|issue):`(\d+)`|\{(?:pr|issue)\}`(\d+)`|/(?:issues|pull)/(\d+)"
)
_NAME = re.compile(r"`{1,2}([^`\s]{2,40})`{1,2}|(?<!\w)(--?[a-z][\w-]+|\w+[_.]\w[\w.]*)")
_WORD = re.compile(r"[A-Za-z][A-Za-z-]{3,}")
_HEADING = re.compile(
    r"(?:#+ )?(?:Version |Redis [\w ]+ )?\[?v?(\d+\.\d+(?:\.\d+)*(?:[a-z]\w*)?)\]?"
    r"(?:\s*$|\s+\(|\s+(?:RC\d|GA)?\s*Released)",
    re.IGNORECASE,
)
_MANY = 5
"""Numbers from which a commit is a list of changes and not one of them."""
_BROUGHT = 20
"""Commits from which a merge brings a whole branch and not one change."""
_TERMS = 8


def gather(
    clone: Path,
    *,
    name: str,
    repository: str,
    licence: str,
    since: str,
    until: str,
    changelog: str,
    versions: Sequence[str],
    at: str = "HEAD",
) -> Described:
    """Read the entries of some versions, and find the window's commits that name the same numbers."""
    text = _git(clone, "show", f"{at}:{changelog}")
    named = dict(_commits(clone, since, until))
    entries = tuple(
        Entry(numbers, _terms(entry), tuple(o for o, n in named.items() if n & set(numbers)))
        for entry in _entries(text, versions)
        for numbers in [tuple(sorted(set(map(int, _found(entry)))))]
    )
    revision = _git(clone, "rev-parse", "--short=12", at).strip()
    return Described(
        name=name,
        repository=repository,
        since=f"{since}T00:00:00+00:00",
        until=f"{until}T00:00:00+00:00",
        changelog=f"{changelog} at {revision}",
        versions=tuple(versions),
        licence=licence,
        commits=len(named),
        entries=entries,
    )


def _git(clone: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(clone), *words], capture_output=True, check=True)
    return done.stdout.decode("utf-8", "replace")


def _commits(clone: Path, since: str, until: str) -> Iterator[tuple[str, set[int]]]:
    """The window's commits with the numbers that they are about; a release is about none.

    What a merge names, the commits that it brought in are about.
    """
    log = _git(
        clone, "log", f"--since-as-filter={since}T00:00:00Z", f"--until={until}T00:00:00Z",
        "--format=%H%x00%P%x00%s%x00%b%x01", "HEAD",
    )  # fmt: skip
    named: dict[str, set[int]] = {}
    brought: dict[str, list[str]] = {}
    for record in log.split("\x01")[:-1]:
        oid, parents, title, body = record.strip().split("\0")
        numbers = set(map(int, _found(f"{title}\n{body}")))
        whole = len(numbers) > _MANY or mentions.release_version(title) is not None
        named[oid] = set() if whole else numbers
        first, *others = parents.split()
        if others:
            brought[oid] = _git(clone, "rev-list", *others, f"^{first}").split()
    for merge, oids in brought.items():
        for oid in oids if len(oids) <= _BROUGHT else ():
            if oid in named:
                named[oid] |= named[merge]
    yield from named.items()


def _found(text: str) -> Iterator[str]:
    return (next(filter(None, match.groups())) for match in _NUMBER.finditer(text))


def _entries(text: str, versions: Iterable[str]) -> Iterator[str]:
    """The bullets below the headings of some versions, each on one line."""
    lines = text.splitlines()
    for version in versions:
        start = next(i for i, line in enumerate(lines) if _heading(line) == version)
        entry: list[str] = []
        for line in lines[start + 1 :]:
            if _heading(line):
                break
            if _BULLET.match(line):
                if entry:
                    yield " ".join(entry)
                entry = [_BULLET.sub("", line).strip()]
            elif not line.strip() or re.match(r"^\W*$|^#", line):
                if entry:
                    yield " ".join(entry)
                entry = []
            elif entry:
                entry.append(line.strip())
        if entry:
            yield " ".join(entry)


def _heading(line: str) -> str:
    """The version that a line is the heading of; "" if it is none."""
    match = _HEADING.match(line)
    return match[1] if match else ""


def _terms(entry: str) -> tuple[str, ...]:
    bare = re.sub(r"https?://\S+|\(@\S+\)|\{\w+\}", " ", _NUMBER.sub(" ", entry))
    names = [next(filter(None, match)).strip("`") for match in _NAME.findall(bare)]
    words = [
        word.casefold()
        for word in _WORD.findall(_NAME.sub(" ", bare))
        if word.casefold() not in FUNCTION and claims.telling(word)
    ]
    return tuple(sorted(list(dict.fromkeys([*names, *words]))[:_TERMS]))
