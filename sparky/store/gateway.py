"""What is known: repositories, activities, chunks, summaries, digests. Values in, values out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from sparky.model import Activity, Digest, Repo, Window
from sparky.store import runs
from sparky.store import tables as t
from sparky.store.activities import replace_all
from sparky.store.codec import dump, read, write
from sparky.store.connection import SOON, connect
from sparky.store.content import Content

_ACTIVITIES = sa.text("""
    SELECT payload::text FROM activities
    WHERE repository_id = :repo AND at >= :since AND at < :until
    ORDER BY at, key
""")
_MEMBERS = sa.text("""
    SELECT payload::text FROM activities
    WHERE repository_id = :repo AND key = ANY(CAST(:keys AS text[]))
    ORDER BY at, key
""")
_LAST_DIGEST = sa.text("""
    SELECT payload::text AS payload, inputs FROM digests
    WHERE repository_id = :repo AND since = :since AND until = :until
    ORDER BY revision DESC LIMIT 1
""")
# The next revision, unless the last one says the same. Nothing, where somebody else wrote that
# revision in the same moment: then it is to be tried again.
_REVISE = sa.text(f"""
    WITH last AS (
        SELECT revision, content FROM digests
        WHERE repository_id = :repo AND since = :since AND until = :until
        ORDER BY revision DESC LIMIT 1
    ), next AS (
        SELECT coalesce((SELECT revision FROM last), 0) + 1 AS revision FROM {SOON}
    ), same AS (
        UPDATE digests SET inputs = :inputs FROM last
        WHERE digests.repository_id = :repo AND digests.since = :since AND digests.until = :until
          AND digests.revision = last.revision AND last.content = :content
        RETURNING digests.revision
    ), made AS (
        INSERT INTO digests (repository_id, since, until, revision, status, headline, content,
                             inputs, payload)
        SELECT :repo, :since, :until, next.revision, :status, :headline, :content, :inputs,
               jsonb_set(CAST(:payload AS jsonb), '{{revision}}', to_jsonb(next.revision))
        FROM next WHERE NOT EXISTS (SELECT FROM last WHERE content = :content)
        ON CONFLICT DO NOTHING
        RETURNING revision
    )
    SELECT revision FROM same UNION ALL SELECT revision FROM made
""")  # noqa: S608 (constants alone)


@dataclass(frozen=True, slots=True)
class DigestLine:
    """A stored digest as a line of a list."""

    repo: Repo
    window: Window
    revision: int
    status: str
    headline: str
    created_at: datetime


class Gateway(Content):
    """The Store of `sparky.ports`, on Postgres. Errors: Transient, StoreError."""

    @classmethod
    def open(cls, url: str) -> Gateway:
        """A gateway to the database at `url`; connects at its first use."""
        return cls(connect(url))

    def close(self) -> None:
        self.engine.dispose()

    # repositories

    def add_repo(self, repo: Repo, *, tracked: bool = True) -> None:
        """Record the repository; an id that is known takes the new name and place."""
        row = {
            "id": repo.id,
            "name": repo.name,
            "source": repo.source,
            "location": repo.location,
            "url": repo.url,
            "tracked": tracked,
        }
        wanted = insert(t.repositories).values(row)
        with self._begin() as connection:
            connection.execute(
                wanted.on_conflict_do_update(
                    index_elements=["id"],
                    set_={
                        "name": repo.name,
                        "location": repo.location,
                        "url": repo.url,
                        "tracked": t.repositories.c.tracked | wanted.excluded.tracked,
                    },
                )
            )

    def repos(self, tracked: bool | None = True) -> tuple[Repo, ...]:
        """Repositories by name: the tracked ones, the others, or (None) all."""
        query = sa.select(t.repositories).order_by(t.repositories.c.name)
        if tracked is not None:
            query = query.where(t.repositories.c.tracked.is_(tracked))
        with self._begin() as connection:
            return tuple(_repo(row) for row in connection.execute(query))

    def find_repo(self, name: str) -> Repo | None:
        """The repository of that id, name or location; if there is none, of that former name."""
        c, u = t.repositories.c, t.repository_turns.c
        now = sa.or_(c.id == name, c.name == name, c.location == name)
        former = sa.select(u.repository_id).where(u.was == name)
        query = (
            sa.select(t.repositories)
            .where(sa.or_(now, c.id.in_(former)))
            .order_by(now.desc(), (c.id == name).desc(), c.added_at.desc())
            .limit(1)
        )
        with self._begin() as connection:
            row = connection.execute(query).first()
        return _repo(row) if row else None

    def remove_repo(self, repo_id: str) -> bool:
        """Forget the repository and all that is known of it; whether it was there.

        Runs that have it open go on without it.
        """
        with self._begin() as connection:
            runs.leave(connection, repo_id)
            gone = connection.execute(
                sa.delete(t.repositories).where(t.repositories.c.id == repo_id)
            )
        return gone.rowcount > 0

    # activities

    def replace_activities(
        self, repo_id: str, window: Window, activities: Iterator[Activity]
    ) -> int:
        """Make the window's stored activities equal to these, in one transaction; how many.

        That something was opened stays stored although it was merged later in this window: a
        window that ends in between needs it. Streams in batches of 500: memory does not grow with
        the window, but for the keys of what is open.
        """
        with self._begin("activities") as connection:
            return replace_all(connection, repo_id, window, activities)

    def activities(self, repo_id: str, window: Window) -> tuple[Activity, ...]:
        """The window's activities, oldest first; each as it stood at the window's end."""
        given = {"repo": repo_id, "since": window.since, "until": window.until}
        found = self._activities(_ACTIVITIES, given)
        last = {one.key: one for one in found}
        return tuple(one for one in found if last[one.key] is one)

    def members(self, repo_id: str, keys: Collection[str]) -> tuple[Activity, ...]:
        """The activities of those keys, oldest first; one may come twice: opened, then merged."""
        return self._activities(_MEMBERS, {"repo": repo_id, "keys": list(keys)})

    def _activities(
        self, query: sa.TextClause, given: Mapping[str, object]
    ) -> tuple[Activity, ...]:
        found = self._once(query, given).scalars()
        return tuple(read(Activity, payload) for payload in found)

    # digests

    def composed(self, repo_id: str, window: Window, inputs: str) -> Digest | None:
        """The window's last revision, if it was made of exactly these inputs."""
        given = {"repo": repo_id, "since": window.since, "until": window.until}
        row = self._once(_LAST_DIGEST, given).first()
        return read(Digest, row.payload) if row and row.inputs == inputs else None

    def put_digest(self, digest: Digest, inputs: str | None = None) -> Digest:
        """Store it as the next revision, or find that the last revision says the same.

        Args:
            inputs: a hash of all that it was made of, for `composed`.

        Returns the digest with the revision it has in the database.
        """
        given = {
            "repo": digest.repo.id,
            "since": digest.window.since,
            "until": digest.window.until,
            "status": digest.status.value,
            "headline": digest.headline,
            "content": _content(digest),
            "inputs": inputs,
            "payload": write(digest),
        }
        revision: int | None = None
        while revision is None:
            revision = self._once(_REVISE, given, "digest").scalar()
        return replace(digest, revision=revision)

    def digests(self, repo_id: str | None = None, limit: int = 50) -> tuple[DigestLine, ...]:
        """The latest digests, newest first; of one repository or of all."""
        query = (
            sa.select(t.digests, *[column.label(f"r_{column.name}") for column in t.repositories.c])
            .join(t.repositories, t.repositories.c.id == t.digests.c.repository_id)
            .order_by(t.digests.c.created_at.desc())
            .limit(limit)
        )
        if repo_id is not None:
            query = query.where(t.digests.c.repository_id == repo_id)
        with self._begin() as connection:
            return tuple(
                DigestLine(
                    Repo(row.r_id, row.r_name, row.r_source, row.r_location, row.r_url),
                    Window(row.since, row.until),
                    row.revision,
                    row.status,
                    row.headline,
                    row.created_at,
                )
                for row in connection.execute(query)
            )

    def digest(
        self, repo_id: str, window: Window | None = None, revision: int | None = None
    ) -> Digest | None:
        """The repository's latest digest, or that of a window or a revision."""
        c = t.digests.c
        query = (
            sa.select(_text(c.payload).label("payload"))
            .order_by(c.created_at.desc(), c.revision.desc())
            .limit(1)
        )
        query = (
            query.where(*_of(repo_id, window))
            if window
            else query.where(c.repository_id == repo_id)
        )
        if revision is not None:
            query = query.where(c.revision == revision)
        with self._begin() as connection:
            row = connection.execute(query).first()
        return read(Digest, row.payload) if row else None


def _text(payload: sa.Column[Any]) -> sa.ColumnElement[str]:
    """A payload as text, which makes a value without a detour over dictionaries."""
    return sa.cast(payload, sa.Text)


def _of(repo_id: str, window: Window) -> tuple[sa.ColumnElement[bool], ...]:
    c = t.digests.c
    return (c.repository_id == repo_id, c.since == window.since, c.until == window.until)


def _repo(row: sa.Row[Any]) -> Repo:
    return Repo(row.id, row.name, row.source, row.location, row.url)


def _content(digest: Digest) -> str:
    """What a digest says, as a hash: without its revision and without what it cost."""
    said = dump(digest)
    del said["revision"], said["provenance"]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
