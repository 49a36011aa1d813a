"""What GitHub answers as items, with the same people and references that git would give."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

from sparky.forge import Item
from sparky.model import Activity, Credit, Kind, Person, Role
from sparky.source.git import Pipes
from sparky.source.people import People
from sparky.source.references import references
from sparky.source.text import clean

Node = Mapping[str, Any]

_PARAGRAPH = re.compile(r"\n[ \t]*\n")
_BODY = 256 << 10
"""Characters kept of one text."""


class _AsWritten(People):
    """People as a message names them: GitHub's API knows no mailmap."""

    def __init__(self) -> None:
        super().__init__(Pipes(BytesIO(), BytesIO()), "GitHub")

    def mapped(self, name: bytes, email: bytes) -> Person:
        return self.person(name, email)


_people = _AsWritten()


def item(kind: Kind, node: Node) -> Item:
    """The item that a node of this kind shows."""
    return _PARSERS[kind](node)


def moment(text: str) -> datetime:
    """A time as GitHub writes it."""
    return datetime.fromisoformat(text).astimezone(UTC)


def updated(kind: Kind, node: Node) -> datetime:
    """When it last changed; commits never do."""
    return moment(node["committedDate"] if kind is Kind.COMMIT else node["updatedAt"])


def split(message: str) -> tuple[str, str]:
    """Subject and body as git tells them apart: at the first empty line."""
    subject, *body = _PARAGRAPH.split(message.strip("\n"), maxsplit=1)
    return _text(" ".join(line.strip() for line in subject.splitlines())), _text("".join(body))


def _commit(node: Node) -> Item:
    title, body = split(node["message"])
    parents = tuple(parent["oid"] for parent in node["parents"]["nodes"])
    pulls = [f"pull_request:{pull['number']}" for pull in node["associatedPullRequests"]["nodes"]]
    named = [
        key
        for key in references(title, body)
        if key.replace("issue:", "pull_request:") not in pulls or key in pulls
    ]
    author, committer = _hand(node["author"]), _hand(node["committer"])
    # What a merge brings was counted on its branch already, as git does it.
    counted = len(parents) < 2
    at = moment(node["committedDate"])
    return Item(
        Activity(
            key=f"commit:{node['oid']}",
            kind=Kind.COMMIT,
            at=at,
            title=title,
            body=body,
            credits=_people.of_commit(author, committer, body.encode("utf-8", "replace")),
            parents=parents,
            additions=node["additions"] if counted else 0,
            deletions=node["deletions"] if counted else 0,
            files_total=(node["changedFilesIfAvailable"] or 0) if counted else 0,
            references=tuple(dict.fromkeys((*pulls, *named))),
        ),
        at,
    )


def _pull_request(node: Node) -> Item:
    merged, closed = node["mergedAt"], node["closedAt"]
    opened, ended = moment(node["createdAt"]), merged or closed
    closes = [f"issue:{issue['number']}" for issue in node["closingIssuesReferences"]["nodes"]]
    author = _actor(node["author"])
    reviewers = dict.fromkeys(
        _actor(review["author"]) for review in node["reviews"]["nodes"] if review["author"]
    )
    parts = [
        Credit(author, Role.AUTHOR),
        *(Credit(who, Role.REVIEWER) for who in reviewers if who.key != author.key),
    ]
    if merged and node["mergedBy"]:
        parts.append(Credit(_actor(node["mergedBy"]), Role.MERGER))
    return Item(
        Activity(
            key=f"pull_request:{node['number']}",
            kind=Kind.PULL_REQUEST,
            at=moment(ended) if ended else opened,
            title=_text(node["title"]),
            body=_text(node["body"]),
            credits=tuple(parts),
            state="merged" if merged else "closed" if closed else "opened",
            additions=node["additions"],
            deletions=node["deletions"],
            files_total=node["changedFiles"],
            references=tuple(closes),
            labels=_labels(node),
        ),
        opened,
        moment(ended) if ended else None,
        moment(node["updatedAt"]),
    )


def _issue(node: Node) -> Item:
    opened, closed = moment(node["createdAt"]), node["closedAt"]
    return Item(
        Activity(
            key=f"issue:{node['number']}",
            kind=Kind.ISSUE,
            at=moment(closed) if closed else opened,
            title=_text(node["title"]),
            body=_text(node["body"]),
            credits=(Credit(_actor(node["author"]), Role.AUTHOR),),
            state="closed" if closed else "opened",
            labels=_labels(node),
        ),
        opened,
        moment(closed) if closed else None,
        moment(node["updatedAt"]),
    )


def _release(node: Node) -> Item:
    at = moment(node["publishedAt"] or node["createdAt"])
    return Item(
        Activity(
            key=f"release:{node['tagName']}",
            kind=Kind.RELEASE,
            at=at,
            title=_text(node["name"] or node["tagName"]),
            body=_text(node["description"] or ""),
            credits=(Credit(_actor(node["author"]), Role.AUTHOR),),
            target=(node["tagCommit"] or {}).get("oid"),
        ),
        at,
    )


_PARSERS = {
    Kind.COMMIT: _commit,
    Kind.PULL_REQUEST: _pull_request,
    Kind.ISSUE: _issue,
    Kind.RELEASE: _release,
}


def _labels(node: Node) -> tuple[str, ...]:
    # A repository without labels answers null here.
    found = (node["labels"] or {}).get("nodes") or ()
    return tuple(_text(label["name"]) for label in found)


def _hand(actor: Node | None) -> Person:
    """Who made a commit; with the login where GitHub knows whose address it is."""
    actor = actor or {}
    person = _people.person(_bytes(actor.get("name")), _bytes(actor.get("email")))
    login = (actor.get("user") or {}).get("login")
    return replace(person, login=login) if login and not person.login else person


def _actor(actor: Node | None) -> Person:
    """Somebody with an account; bots carry the login that git shows; deleted ones are `ghost`."""
    if actor is None:
        return Person("ghost", login="ghost")
    login = str(actor["login"])
    bot = actor["__typename"] == "Bot" or login.endswith("[bot]")
    if bot:
        login = login.removesuffix("[bot]") + "[bot]"
    return Person(_text(actor.get("name") or login), login=login, bot=bot)


def _bytes(text: str | None) -> bytes:
    return (text or "").encode("utf-8", "replace")


def _text(text: str | None) -> str:
    """Text for people, as `clean` makes it of bytes."""
    return clean((text or "")[:_BODY].replace("\r\n", "\n").encode("utf-8", "replace"))
