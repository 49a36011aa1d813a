"""Who did it: names and addresses after the repository's mailmap, bots told apart."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from sparky.errors import SourceError
from sparky.model import Credit, Person, Role
from sparky.source.git import Git, Pipes
from sparky.source.text import clean

_BOT = re.compile(
    r"\[bot\]$|^(?:.*[-_ ])?bot$"
    r"|^(?:dependabot|renovate|greenkeeper|github-actions|pyup|mergify|bors|homu)(?:[-_ ]|$)",
    re.IGNORECASE,
)
_BOT_MAIL = re.compile(r"\[bot\]@|^(?:[^@]*[-_+])?bot@|^no-?reply@", re.IGNORECASE)
_LOGIN = re.compile(
    r"(?:\d+\+)?([A-Za-z0-9-]+(?:\[bot\])?)@users\.noreply\.github\.com", re.IGNORECASE
)
_CO_AUTHOR = re.compile(
    rb"^co-authored-by:[ \t]*([^<>\r\n]*?)[ \t]*<([^<>\r\n]*)>", re.IGNORECASE | re.MULTILINE
)

_FORGE_MAILS = frozenset({"noreply@github.com", "noreply@gitlab.com"})
"""Committers that stand for a click in the browser."""

_MOST = 10_000
"""People remembered; a longer history starts over."""


class People:
    """Makes people and credits out of what git prints."""

    def __init__(self, mailmap: Pipes, subject: str) -> None:
        self._mailmap = mailmap
        self._subject = subject
        self._mapped: dict[tuple[bytes, bytes], Person] = {}
        self._known: dict[tuple[bytes, bytes], Person] = {}

    def person(self, name: bytes, email: bytes) -> Person:
        """Somebody whom git has looked up in the mailmap already."""
        found = self._known.get((name, email))
        if found is None:
            found = _remember(self._known, (name, email), _person(clean(name), clean(email)))
        return found

    def mapped(self, name: bytes, email: bytes) -> Person:
        """Somebody who stands in a text, as the mailmap knows them."""
        found = self._mapped.get((name, email))
        if found is None:
            found = _remember(self._mapped, (name, email), self.person(*self._ask(name, email)))
        return found

    def of_commit(self, author: Person, committer: Person, body: bytes) -> tuple[Credit, ...]:
        """The credits of a commit, a person and role once, the author first."""
        parts = {(author.key, Role.AUTHOR): Credit(author, Role.AUTHOR)}
        if b"co-authored-by:" in body.lower():
            for name, email in _CO_AUTHOR.findall(body):
                other = self.mapped(name, email)
                if not _same(other, author):
                    parts[other.key, Role.CO_AUTHOR] = Credit(other, Role.CO_AUTHOR)
        if not _same(committer, author) and committer.email not in _FORGE_MAILS:
            parts[committer.key, Role.COMMITTER] = Credit(committer, Role.COMMITTER)
        return tuple(parts.values())

    def _ask(self, name: bytes, email: bytes) -> tuple[bytes, bytes]:
        self._mailmap.input.write(b"%b <%b>\n" % (name, email))
        self._mailmap.input.flush()
        answer = self._mailmap.output.readline()
        if not answer:
            raise SourceError(
                f"git cannot read the mailmap of {self._subject}", remedy="Check its .mailmap"
            )
        name, _, email = answer.rstrip(b"\n").rpartition(b"<")
        return name.strip(), email.rstrip(b">")


@contextmanager
def people(git: Git, mailmap: str) -> Iterator[People]:
    """People as a mailmap knows them.

    Args:
        git: where the mailmap is read.
        mailmap: the object that holds it, such as `<commit>:.mailmap`; it need not exist.
    """
    look_up = ("-c", f"mailmap.blob={mailmap}", "check-mailmap", "--stdin")
    with git.process(*look_up, given=None) as pipes:
        yield People(pipes, git.subject)


def _same(one: Person, other: Person) -> bool:
    """Many people commit with one address at their desk and with another in the browser."""
    return one is other or one.key == other.key or one.name == other.name


def _remember(
    known: dict[tuple[bytes, bytes], Person], key: tuple[bytes, bytes], person: Person
) -> Person:
    if len(known) >= _MOST:
        known.clear()
    known[key] = person
    return person


def _person(name: str, email: str) -> Person:
    login = _LOGIN.fullmatch(email)
    return Person(
        name=name or email.partition("@")[0] or "unknown",
        email=email,
        login=login[1] if login else None,
        bot=bool(_BOT.search(name) or _BOT_MAIL.search(email)),
    )
