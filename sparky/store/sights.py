"""Writes down what was just seen of repositories, and what has become of them since the last time.

A repository is its id: another name changes its row, and nothing else that hangs on it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from sparky.facts import Facts
from sparky.lifecycle import Event, Look, events
from sparky.store import tables as t
from sparky.store.codec import dump, load


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """A look at a repository: its name and facts, or why it cannot be read."""

    repo_id: str
    at: datetime
    name: str = ""
    url: str = ""
    facts: Facts | None = None
    """None: what was known stays."""
    missing: str = ""


def record(connection: sa.Connection, sights: Sequence[Sight]) -> Mapping[str, tuple[Event, ...]]:
    """Inside a transaction: bring the rows of known repositories up to date; what happened, by id.

    The rows are locked in the order of their ids, so two looks at once tell of nothing twice.
    """
    seen = {one.repo_id: one for one in sights if one.name or one.missing}
    r, f = t.repositories.c, t.forge_facts.c
    query = (
        sa.select(r.id, r.name, r.url, f.payload, f.missing)
        .join(t.forge_facts, f.repository_id == r.id, isouter=True)
        .where(r.id.in_(sorted(seen)))
        .order_by(r.id)
        .with_for_update(of=t.repositories, key_share=True)
    )
    happened: dict[str, tuple[Event, ...]] = {}
    named: list[dict[str, Any]] = []
    told: list[dict[str, Any]] = []
    lost: list[dict[str, Any]] = []
    turns: list[dict[str, Any]] = []
    for row in connection.execute(query).all():
        one = seen[row.id]
        known = load(Facts, row.payload) if row.payload else None
        before = Look(row.name, known, row.missing or "")
        after = Look(one.name or row.name, one.facts or known, one.missing)
        if one.missing:
            if one.missing != row.missing:
                lost.append(
                    {"repository_id": row.id, "missing": one.missing, "missing_since": one.at}
                )
        else:
            if (row.name, row.url) != (one.name, one.url):
                named.append({"wanted": row.id, "named": one.name, "page": one.url})
            if row.missing or after.facts != known:
                payload = dump(after.facts) if after.facts else None
                seen_at = one.at if payload else None
                told.append({"repository_id": row.id, "payload": payload, "seen_at": seen_at})
        happened[row.id] = events(before, after)
        turns += [
            {
                "repository_id": row.id,
                "at": one.at,
                "turn": event.turn.value,
                "was": event.was,
                "now": event.now,
            }
            for event in happened[row.id]
        ]
    _write(connection, named, told, lost, turns)
    return happened


def _write(
    connection: sa.Connection,
    named: list[dict[str, Any]],
    told: list[dict[str, Any]],
    lost: list[dict[str, Any]],
    turns: list[dict[str, Any]],
) -> None:
    wanted, f = insert(t.forge_facts), t.forge_facts.c
    if named:
        connection.execute(
            sa.update(t.repositories)
            .where(t.repositories.c.id == sa.bindparam("wanted"))
            .values(
                name=sa.bindparam("named"),
                url=sa.bindparam("page"),
                location=sa.bindparam("page"),
            ),
            named,
        )
    if told:
        values = {"payload": wanted.excluded.payload, "seen_at": wanted.excluded.seen_at}
        connection.execute(
            wanted.on_conflict_do_update(
                index_elements=["repository_id"],
                set_=values | {"missing": None, "missing_since": None},
            ),
            told,
        )
    if lost:
        connection.execute(
            wanted.on_conflict_do_update(
                index_elements=["repository_id"],
                set_={
                    "missing": wanted.excluded.missing,
                    # Since when it cannot be read, whatever the reason is now.
                    "missing_since": sa.func.coalesce(
                        f.missing_since, wanted.excluded.missing_since
                    ),
                },
            ),
            lost,
        )
    if turns:
        connection.execute(insert(t.repository_turns), turns)
