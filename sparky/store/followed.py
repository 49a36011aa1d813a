"""The repositories that Sparky follows: found on a forge or in a file, and what became of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from sparky.errors import StoreError
from sparky.facts import Facts, Listed
from sparky.lifecycle import Event, Turn
from sparky.model import Repo
from sparky.store import tables as t
from sparky.store.codec import load
from sparky.store.connection import translated
from sparky.store.sights import Sight, record

BATCH = 500


@dataclass(frozen=True, slots=True)
class Taken:
    """What following a repository came to."""

    listed: Listed
    new: bool
    """Nobody followed it before."""
    events: tuple[Event, ...] = ()
    """What has become of it since it was seen last."""


@dataclass(frozen=True, slots=True)
class RepoLine:
    """A repository as a line of a list."""

    repo: Repo
    tracked: bool
    added_at: datetime
    groups: tuple[str, ...]
    facts: Facts | None
    missing: str | None
    """Why it cannot be read."""
    missing_since: datetime | None
    probed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Past:
    """Something that became of a repository, and when Sparky saw it."""

    at: datetime
    event: Event


@dataclass(frozen=True, slots=True)
class LastJob:
    """How the last job of a repository went."""

    run_id: str
    state: str
    error: str | None
    at: datetime


_LINES = """
    SELECT r.*, f.payload AS facts, f.missing, f.missing_since, p.probed_at,
           coalesce(g.names, '{{}}') AS groups
    FROM repositories AS r
    LEFT JOIN forge_facts AS f ON f.repository_id = r.id
    LEFT JOIN forge_probes AS p ON p.repository_id = r.id
    LEFT JOIN (
        SELECT repository_id, array_agg(group_name ORDER BY group_name) AS names
        FROM group_members GROUP BY repository_id
    ) AS g ON g.repository_id = r.id
    WHERE {which}
    ORDER BY lower(r.name), r.name, r.id
"""

_LAST = sa.text("""
    SELECT jobs.run_id, jobs.state, jobs.error, coalesce(jobs.finished_at, runs.created_at) AS at
    FROM jobs JOIN runs ON runs.id = jobs.run_id
    WHERE jobs.repository_id = :id ORDER BY jobs.id DESC LIMIT 1
""")


class Followed:
    """Errors: Transient, StoreError."""

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine

    @contextmanager
    def _begin(self, *, dry: bool = False) -> Iterator[sa.Connection]:
        """A transaction; a dry one is undone at its end."""
        with translated(), self.engine.connect() as connection, connection.begin() as transaction:
            yield connection
            if dry:
                transaction.rollback()

    def follow(
        self, found: Sequence[Listed], *, at: datetime, dry: bool = False
    ) -> tuple[Taken, ...]:
        """Follow repositories, by their ids; what was known of them is brought up to date.

        Args:
            dry: only say what would come of it.
        """
        taken: list[Taken] = []
        for start in range(0, len(found), BATCH):
            batch = sorted(found[start : start + BATCH], key=lambda one: one.repo.id)
            with self._begin(dry=dry) as connection:
                taken += self._follow(connection, batch, at)
        return tuple(taken)

    def _follow(
        self, connection: sa.Connection, batch: Sequence[Listed], at: datetime
    ) -> Iterator[Taken]:
        ids = [one.repo.id for one in batch]
        r = t.repositories.c
        wanted = insert(t.repositories)
        connection.execute(
            wanted.on_conflict_do_update(
                index_elements=["id"],
                set_={name: wanted.excluded[name] for name in ("name", "location", "url")},
                # What a forge has renamed is told of below.
                where=r.source != "github",
            ),
            [asdict(one.repo) for one in batch],
        )
        happened = record(
            connection,
            [
                Sight(
                    repo_id=one.repo.id,
                    at=at,
                    name=one.repo.name,
                    url=one.repo.url or one.repo.location,
                    facts=one.facts,
                )
                for one in batch
                if one.repo.source == "github"
            ],
        )
        begun = connection.execute(
            sa.update(t.repositories)
            .where(r.id.in_(ids), ~r.tracked)
            .values(tracked=True)
            .returning(r.id)
        )
        new = set(begun.scalars())
        # So that the first night's probe takes them together.
        probes = [{"repository_id": one.repo.id} for one in batch if one.repo.source == "github"]
        if probes:
            connection.execute(insert(t.forge_probes).on_conflict_do_nothing(), probes)
        for one in batch:
            yield Taken(one, one.repo.id in new, happened.get(one.repo.id, ()))

    def saw(self, sights: Sequence[Sight], *, dry: bool = False) -> Mapping[str, tuple[Event, ...]]:
        """Write down looks at known repositories; what became of them, by id."""
        with self._begin(dry=dry) as connection:
            return record(connection, sights)

    def unfollow(self, ids: Sequence[str]) -> None:
        """Follow them no longer, in no group either; what was read and written of them stays."""
        with self._begin() as connection:
            connection.execute(
                sa.delete(t.group_members).where(t.group_members.c.repository_id.in_(ids))
            )
            connection.execute(
                sa.update(t.repositories).where(t.repositories.c.id.in_(ids)).values(tracked=False)
            )

    # what people ask

    def lines(
        self, *, tracked: bool | None = True, group: str | None = None
    ) -> tuple[RepoLine, ...]:
        """Repositories by name: the tracked ones, or (None) all; of a group, or of any and none."""
        which = "r.tracked = coalesce(CAST(:tracked AS boolean), r.tracked)"
        if group is not None:
            which += " AND :group = ANY(g.names)"
        return self._lines(which, {"tracked": tracked, "group": group})

    def of_owner(self, login: str) -> tuple[RepoLine, ...]:
        """Those of an account on GitHub that are followed."""
        which = "r.tracked AND r.source = 'github' AND lower(split_part(r.name, '/', 1)) = :owner"
        return self._lines(which, {"owner": login.casefold()})

    def line(self, repo_id: str) -> RepoLine:
        """One repository; StoreError if it is not there."""
        found = self._lines("r.id = :id", {"id": repo_id})
        if not found:
            raise StoreError(f"{repo_id} is not there any more", remedy="List them again")
        return found[0]

    def past(self, repo_id: str) -> tuple[Past, ...]:
        """What became of a repository, in the order in which it was seen."""
        c = t.repository_turns.c
        query = sa.select(t.repository_turns).where(c.repository_id == repo_id).order_by(c.id)
        with self._begin() as connection:
            return tuple(
                Past(row.at, Event(Turn(row.turn), row.was, row.now))
                for row in connection.execute(query)
            )

    def last_job(self, repo_id: str) -> LastJob | None:
        """How its last job went, in whichever farm."""
        with self._begin() as connection:
            row = connection.execute(_LAST, {"id": repo_id}).first()
        return LastJob(row.run_id, row.state, row.error, row.at) if row else None

    def _lines(self, which: str, values: Mapping[str, Any]) -> tuple[RepoLine, ...]:
        with self._begin() as connection:
            rows = connection.execute(sa.text(_LINES.format(which=which)), values).all()
        return tuple(
            RepoLine(
                Repo(row.id, row.name, row.source, row.location, row.url),
                row.tracked,
                row.added_at,
                tuple(row.groups),
                load(Facts, row.facts) if row.facts else None,
                row.missing,
                row.missing_since,
                row.probed_at,
            )
            for row in rows
        )
