"""The tags of a repository as releases."""

from __future__ import annotations

import re
from collections.abc import Generator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO

from sparky.model import Activity, Credit, Kind, Role, Window
from sparky.source.git import BLOCK, Git
from sparky.source.people import People
from sparky.source.references import references
from sparky.source.text import clean, decode

_FORMAT = (
    "%(objectname),%(objecttype),%(creatordate:unix)"
    " %(*objectname),%(*objecttype),%(*committerdate:unix)"
    " %(refname)"
)
# `tagger Ada <ada@example.org> 1767225600 +0000`
_TAGGER = re.compile(rb"^tagger (.*?) ?<([^>\n]*)>", re.MULTILINE)
_SIGNATURE = re.compile(rb"^-----BEGIN (?:PGP|SSH|SIGNED) [A-Z ]+-----$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag on a commit."""

    seconds: int
    """When it was made, or its commit's date where it does not say; since 1970."""
    name: str
    target: str
    """The commit's full oid."""
    annotation: bytes | None
    """The tag object's oid; None for a light tag."""


def tags(git: Git, window: Window) -> list[Tag]:
    """The tags in a window, newest first. A tag on anything but a commit is no release."""
    said = git.run("for-each-ref", f"--format={_FORMAT}", "refs/tags/")
    since, until = window.since.timestamp(), window.until.timestamp()
    found = (_tag(git, line) for line in said.splitlines())
    inside = (tag for tag in found if tag and since <= tag.seconds < until)
    return sorted(inside, key=lambda tag: (tag.seconds, tag.name), reverse=True)


def releases(git: Git, window: Window, people: People) -> Generator[Activity, None, None]:
    """The tags in a window as releases, newest first."""
    found = tags(git, window)
    oids = b"".join(tag.annotation + b"\n" for tag in found if tag.annotation)
    with git.process("cat-file", "--batch", given=oids) as pipes:
        for tag in found:
            content = _next(pipes.output, git.limits.text_bytes) if tag.annotation else b""
            yield _release(tag, content, people)


def _tag(git: Git, line: bytes) -> Tag | None:
    direct, peeled, ref = (decode(part) for part in line.split(b" ", 2))
    oid, kind, date = direct.split(",")
    target, target_kind, target_date = peeled.split(",")
    if kind == "commit":
        target, target_kind = oid, kind
    while target_kind == "tag":
        # A tag on a tag; git peels one layer at a time.
        target = git.run("cat-file", "tag", target).split(b"\n", 1)[0].split()[1].decode()
        target_kind = git.run("cat-file", "-t", target).decode().strip()
    date = date or target_date
    if target_kind != "commit" or not date:
        return None
    name = ref.removeprefix("refs/tags/")
    return Tag(int(date), name, target, oid.encode() if kind == "tag" else None)


def _next(batch: IO[bytes], most: int) -> bytes:
    """The next object of `git cat-file --batch`, cut to `most` bytes."""
    header = batch.readline().split()
    if len(header) != 3:
        return b""
    left = int(header[2])
    content = batch.read(min(left, most))
    left -= len(content)
    while left > 0 and (skipped := batch.read(min(left, BLOCK))):
        left -= len(skipped)
    batch.readline()
    return content


def _release(tag: Tag, content: bytes, people: People) -> Activity:
    headers, _, message = content.partition(b"\n\n")
    tagger = _TAGGER.search(headers)
    message = _SIGNATURE.split(message, maxsplit=1)[0]
    subject, _, body = clean(message).partition("\n\n")
    subject = " ".join(subject.split())
    named = subject and subject.casefold() != tag.name.casefold()
    makers = (Credit(people.mapped(*tagger.groups()), Role.AUTHOR),) if tagger else ()
    return Activity(
        key=f"release:{tag.name}",
        kind=Kind.RELEASE,
        at=datetime.fromtimestamp(tag.seconds, UTC),
        title=f"{tag.name}: {subject}" if named else tag.name,
        body=body.strip(),
        credits=makers,
        target=tag.target,
        references=references(subject, body),
    )
