"""Digest ⇄ `sparky.digest/1`, the document that docs/digest.schema.json describes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sparky.errors import UsageError
from sparky.model import (
    DIGEST_SCHEMA,
    Contribution,
    Digest,
    Kind,
    LedgerEntry,
    Omission,
    Origin,
    Point,
    Provenance,
    Repo,
    Section,
    Stats,
    Status,
    Window,
)
from sparky.render.links import web_page


def as_json(digest: Digest) -> str:
    """The document as JSON, indented, with a newline at its end; always valid UTF-8."""
    text = json.dumps(to_document(digest), ensure_ascii=False, indent=2)
    # What a broken encoding left behind has no UTF-8 form, and a terminal obeys control characters.
    text = re.sub("[\ud800-\udfff]", "\N{REPLACEMENT CHARACTER}", text)
    return re.sub("[\x7f-\x9f]", lambda sign: f"\\u{ord(sign[0]):04x}", text) + "\n"


def to_document(digest: Digest) -> dict[str, Any]:
    """The digest as plain values. Left out: where the repository is read from, and e-mails."""
    repo, window = digest.repo, digest.window
    return {
        "schema": DIGEST_SCHEMA,
        "repo": {
            "id": repo.id,
            "name": repo.name,
            "source": repo.source,
            "url": web_page(repo.url),
        },
        "window": {"since": window.since.isoformat(), "until": window.until.isoformat()},
        "revision": digest.revision,
        "status": str(digest.status),
        "notes": list(digest.notes),
        "headline": digest.headline,
        "headline_cites": list(digest.headline_cites),
        "points": [
            {
                "text": point.text,
                "section": str(point.section),
                "cites": list(point.cites),
                "origin": str(point.origin),
                "significance": point.significance,
            }
            for point in digest.points
        ],
        "stats": asdict(digest.stats),
        "people": [
            {
                "name": person.name,
                "login": person.login,
                "bot": person.bot,
                "roles": {str(role): count for role, count in person.roles.items()},
            }
            for person in digest.people
        ],
        "ledger": [
            {
                "kind": str(entry.kind),
                "expected": entry.expected,
                "fetched": entry.fetched,
                "summarized": entry.summarized,
                "omitted": [asdict(omission) for omission in entry.omitted],
                "redacted": entry.redacted,
            }
            for entry in digest.ledger
        ],
        "provenance": asdict(digest.provenance),
    }


def from_document(doc: Mapping[str, Any]) -> Digest:
    """The digest of a document; its repository has no location, for a document names none.

    Raises UsageError for anything but a whole `sparky.digest/1`.
    """
    if doc.get("schema") != DIGEST_SCHEMA:
        raise UsageError(
            f"this is no digest of the schema {DIGEST_SCHEMA}, but {doc.get('schema')!r}",
            remedy="Make it again with this version of Sparky",
        )
    try:
        return _digest(doc)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UsageError(
            f"this {DIGEST_SCHEMA} is broken: {type(error).__name__} {error}",
            remedy="Compare it with docs/digest.schema.json",
        ) from error


def _digest(doc: Mapping[str, Any]) -> Digest:
    return Digest(
        repo=Repo(**doc["repo"], location=""),
        window=Window(
            since=datetime.fromisoformat(doc["window"]["since"]),
            until=datetime.fromisoformat(doc["window"]["until"]),
        ),
        revision=doc["revision"],
        status=Status(doc["status"]),
        notes=tuple(doc["notes"]),
        headline=doc["headline"],
        headline_cites=tuple(doc["headline_cites"]),
        points=tuple(
            Point(
                text=point["text"],
                section=Section(point["section"]),
                cites=tuple(point["cites"]),
                origin=Origin(point["origin"]),
                significance=point["significance"],
            )
            for point in doc["points"]
        ),
        stats=Stats(**doc["stats"]),
        people=tuple(Contribution(**person) for person in doc["people"]),
        ledger=tuple(
            LedgerEntry(
                **entry
                | {
                    "kind": Kind(entry["kind"]),
                    "omitted": tuple(Omission(**omission) for omission in entry["omitted"]),
                }
            )
            for entry in doc["ledger"]
        ),
        provenance=Provenance(**doc["provenance"]),
    )
