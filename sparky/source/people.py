"""Who did it: names and addresses after the repository's mailmap, bots told apart."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

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
"""People remembered at once."""


class People:
    """Makes people and credits out of what git prints."""

    def __init__(self, mailmap: Pipes, subject: str) -> None:
        self._mailmap = mailmap
        self._subject = subject
        # A long history names the same people over and over.
        self._person = lru_cache(_MOST)(_person)
        self._asked = lru_cache(_MOST)(self._ask)
        self._alone = lru_cache(_MOST)(self._without_co_authors)

    def person(self, name: bytes, email: bytes) -> Person:
        """Somebody whom git has looked up in the mailmap already."""
        return self._person(name, email)

    def mapped(self, name: bytes, email: bytes) -> Person:
        """Somebody who stands in a text, as the mailmap knows them."""
        return self.person(*self._asked(name, email))

    def of_commit(self, author: Person, committer: Person, body: bytes) -> tuple[Credit, ...]:
        """The credits of a commit, a person and role once, the author first."""
        parts = {(author.key, Role.AUTHOR): Credit(author, Role.AUTHOR)}
        for name, email in _CO_AUTHOR.findall(body):
            other = self.mapped(name, email)
            if not _same(other, author):
                parts[other.key, Role.CO_AUTHOR] = Credit(other, Role.CO_AUTHOR)
        if not _same(committer, author) and committer.email not in _FORGE_MAILS:
            parts[committer.key, Role.COMMITTER] = Credit(committer, Role.COMMITTER)
        return tuple(parts.values())

    def of_log(
        self, author: bytes, email: bytes, committer: bytes, committer_email: bytes, body: bytes
    ) -> tuple[Credit, ...]:
        """The same from what `git log` prints, made once for each pair of people."""
        if b"uthored-" not in body and b"UTHORED-" not in body:
            return self._alone(author, email, committer, committer_email)
        return self.of_commit(
            self.person(author, email), self.person(committer, committer_email), body
        )

    def _without_co_authors(self, *pair: bytes) -> tuple[Credit, ...]:
        return self.of_commit(self.person(*pair[:2]), self.person(*pair[2:]), b"")

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


def _person(raw_name: bytes, raw_email: bytes) -> Person:
    name, email = clean(raw_name), clean(raw_email)
    login = _LOGIN.fullmatch(email)
    return Person(
        name=name or email.partition("@")[0] or "unknown",
        email=email,
        login=login[1] if login else None,
        bot=bool(_BOT.search(name) or _BOT_MAIL.search(email)),
    )
