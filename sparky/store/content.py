"""What is addressed by its content: chunks, answers, summaries. Written once, and kept while used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any, TypeVar

import sqlalchemy as sa

from sparky.errors import StoreError
from sparky.model import Activity, Chunk, Summary, Window
from sparky.ports import Answer, Brief
from sparky.store import tables as t
from sparky.store.activities import BATCH, batches
from sparky.store.calls import WRITE, Row
from sparky.store.codec import read, write
from sparky.store.connection import SOON, statement, transaction
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


class Content:
    """A part of the Store of `sparky.ports`, on Postgres. Errors: Transient, StoreError."""

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine

    def _begin(self, name: str = "") -> AbstractContextManager[sa.Connection]:
        return transaction(self.engine, name)

    def _once(self, query: sa.TextClause, given: Mapping[str, Any], name: str = "") -> Found:
        return once(self.engine, query, given, name)

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
