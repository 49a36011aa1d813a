"""What is known: repositories, activities, chunks, summaries, digests. Values in, values out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from sparky.errors import StoreError
from sparky.model import Activity, Chunk, Digest, Repo, Summary, Window
from sparky.ports import Answer, Brief
from sparky.store import runs
from sparky.store import tables as t
from sparky.store.activities import BATCH, batches, replace_all
from sparky.store.calls import WRITE, Row
from sparky.store.codec import dump, read, write
from sparky.store.connection import SOON, connect, statement, transaction
from sparky.store.direct import Found, once

TOUCHED = timedelta(days=1)
"""How exactly it is known when content was last used; what is used often is written seldom."""
_STALE = f"used_at < now() - interval '{TOUCHED.total_seconds():.0f} s' AS stale"
T = TypeVar("T")

_CHUNKED = sa.text("""
    SELECT chunks.payload::text
    FROM steps JOIN chunks ON chunks.key = steps.key
    WHERE steps.stage = 'summarize' AND steps.job_id = (
        SELECT max(jobs.id) FROM jobs JOIN runs ON runs.id = jobs.run_id
        WHERE jobs.repository_id = :repo AND jobs.id < :job
          AND runs.since = :since AND runs.until = :until
          AND EXISTS (SELECT FROM steps WHERE job_id = jobs.id AND stage = 'summarize')
    )
    ORDER BY steps.position
""")
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
# Either the summary, or the chunk and then its activities in the order in which they happened.
_BRIEF = sa.text(f"""
    WITH told AS (
        SELECT key, payload, used_at FROM summaries
        WHERE (key = :summary OR chunk = :chunk)
          AND created_at >= coalesce(CAST(:fresh AS timestamptz), '-infinity')
        ORDER BY key = :summary DESC, created_at DESC LIMIT 1
    ), wanted AS (
        SELECT key, payload, used_at FROM chunks
        WHERE key = :chunk AND NOT EXISTS (SELECT FROM told)
    )
    SELECT 'summaries' AS of, key, payload::text, {_STALE}, NULL::timestamptz AS at FROM told
    UNION ALL SELECT 'chunks', key, payload::text, {_STALE}, NULL FROM wanted
    UNION ALL SELECT 'activities', activities.key, activities.payload::text, false, activities.at
    FROM wanted
    CROSS JOIN jsonb_array_elements(wanted.payload -> 'items') AS item
    JOIN activities ON activities.repository_id = :repo AND activities.key = item ->> 'key'
         AND activities.at >= :since AND activities.at < :until
    ORDER BY at NULLS FIRST
""")  # noqa: S608 (constants alone)
_PUT_SUMMARY = sa.text(f"""
    INSERT INTO summaries (key, chunk, payload)
    SELECT :key, :chunk, CAST(:payload AS jsonb) FROM {SOON}
    ON CONFLICT (key) DO UPDATE SET used_at = now()
    WHERE summaries.used_at < now() - interval '{TOUCHED.total_seconds():.0f} s'
""")  # noqa: S608 (constants alone)

_ANSWERED = sa.text(f"""
    WITH kept AS (
        INSERT INTO answers (key, payload) SELECT :key, CAST(:payload AS jsonb) FROM {SOON}
        ON CONFLICT (key) DO UPDATE SET used_at = now()
        WHERE answers.used_at < now() - interval '{TOUCHED.total_seconds():.0f} s'
    ) {WRITE}
""")  # noqa: S608 (constants alone)

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


class Gateway:
    """The Store of `sparky.ports`, on Postgres. Errors: Transient, StoreError."""

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine

    @classmethod
    def open(cls, url: str) -> Gateway:
        """A gateway to the database at `url`; connects at its first use."""
        return cls(connect(url))

    def close(self) -> None:
        self.engine.dispose()

    def _begin(self, name: str = "") -> AbstractContextManager[sa.Connection]:
        return transaction(self.engine, name)

    def _once(self, query: sa.TextClause, given: Mapping[str, Any], name: str = "") -> Found:
        return once(self.engine, query, given, name)

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

    # chunks, answers, summaries: content-addressed, written once

    def put_chunks(self, job_id: int, chunks: Sequence[Chunk]) -> None:
        """Keep the chunks; one whose key is known is the same chunk."""
        for batch in batches(chunks, BATCH):
            self._keep(t.chunks, {chunk.key: chunk for chunk in batch})

    def chunked(self, repo_id: str, window: Window, job_id: int) -> tuple[Chunk, ...]:
        """The chunks into which the last job before this one parted the same window."""
        given = {"repo": repo_id, "since": window.since, "until": window.until, "job": job_id}
        found = self._once(_CHUNKED, given).scalars()
        return tuple(read(Chunk, payload) for payload in found)

    def brief(self, chunk: str, summary: str, repo_id: str, window: Window) -> Brief:
        """What to summarise; StoreError if there is neither that summary nor that chunk."""
        return self._brief(chunk, summary, repo_id, window, None)

    def _brief(
        self, chunk: str, summary: str, repo_id: str, window: Window, fresh: datetime | None
    ) -> Brief:
        given = {
            "chunk": chunk,
            "summary": summary,
            "repo": repo_id,
            "since": window.since,
            "until": window.until,
            "fresh": fresh,
        }
        rows = self._once(_BRIEF, given).rows
        if not rows:
            raise StoreError(f"chunk {chunk[:12]} is not in the database", remedy="Run it again")
        first, *rest = rows
        table = t.metadata.tables[first.of]
        if first.stale:
            self._touch(table, [first.key])
        if table is t.summaries:
            return Brief(read(Summary, first.payload))
        members = {row.key: read(Activity, row.payload) for row in rest}
        return Brief(None, read(Chunk, first.payload), members)

    def summaries(self, keys: Sequence[str]) -> tuple[Summary, ...]:
        """Those of these summaries that are kept, in the order of the keys."""
        found = self._all_kept(t.summaries, Summary, keys)
        return tuple(found[key] for key in keys if key in found)

    def put_summary(self, summary: Summary, chunk: str) -> None:
        """Keep it as one of that chunk, unless its key is there already."""
        given = {"key": summary.key, "chunk": chunk, "payload": write(summary)}
        self._once(_PUT_SUMMARY, given, "summaries")

    def answer(self, key: str) -> Answer | None:
        """An engine's earlier answer to the same question, marked `cached`."""
        found = self._kept(t.answers, Answer, key)
        return replace(found, cached=True) if found else None

    def put_answer(self, key: str, answer: Answer, call: Row | None = None) -> None:
        """Keep an engine's answer under the hash of its question, and write down that call."""
        if call is None:
            self._keep(t.answers, {key: answer})
            return
        self._once(_ANSWERED, {"key": key, "payload": write(answer), **call}, "answers")

    def replaced(self, key: str) -> None:
        """Be told that the answer of that key is another one now."""

    def _keep(self, table: sa.Table, values: dict[str, Any]) -> None:
        if not values:
            return
        given = {"keys": sorted(values), "payloads": [write(values[key]) for key in sorted(values)]}
        self._once(_keeping(table.name), given, table.name)

    def _kept(
        self, table: sa.Table, kind: type[T], key: str, since: datetime | None = None
    ) -> T | None:
        return self._all_kept(table, kind, [key], since).get(key)

    def _all_kept(
        self, table: sa.Table, kind: type[T], keys: Sequence[str], since: datetime | None = None
    ) -> dict[str, T]:
        query, given = _finding(table.name), {"keys": list(keys), "since": since}
        rows = self._once(query, given).rows
        if old := [row.key for row in rows if row.stale]:
            self._touch(table, old)
        return {row.key: read(kind, row.payload) for row in rows}

    def _touch(self, table: sa.Table, keys: Sequence[str]) -> None:
        """What is still used is not pruned."""
        with statement(self.engine) as connection:
            connection.execute(
                sa.update(table).where(table.c.key.in_(keys)).values(used_at=sa.func.now())
            )

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


@cache
def _keeping(table: str) -> sa.TextClause:
    """The statement that keeps content, and notes that it is used where that is long ago."""
    return sa.text(f"""
        INSERT INTO {table} (key, payload)
        SELECT made.key, made.payload
        FROM unnest(CAST(:keys AS text[]), CAST(:payloads AS jsonb[])) AS made(key, payload), {SOON}
        ON CONFLICT (key) DO UPDATE SET used_at = now()
        WHERE {table}.used_at < now() - interval '{TOUCHED.total_seconds():.0f} s'
    """)  # noqa: S608 (constants alone)


@cache
def _finding(table: str) -> sa.TextClause:
    """The statement that finds content by its keys; what was made before `since` is not found."""
    return sa.text(f"""
        SELECT key, payload::text AS payload, {_STALE}
        FROM {table}
        WHERE key = ANY(CAST(:keys AS text[]))
          AND created_at >= coalesce(CAST(:since AS timestamptz), '-infinity')
    """)  # noqa: S608 (constants alone)


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
