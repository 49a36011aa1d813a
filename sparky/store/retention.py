"""Forgets what is old, by policy, in small batches."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime, timedelta

import sqlalchemy as sa

from sparky.store.connection import translated

BATCH = 1000
"""Rows that one transaction deletes, at most; what hangs on them goes with them."""
MOST_BATCHES = 5000
"""Batches of one table in one night, so that a first pruning of years ends before the day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How long what is kept: days since it was made or last used, at least 1."""

    activities_days: int = 180
    """What happened in repositories, also as a forge showed it; a digest keeps what it says."""
    runs_days: int = 60
    """Runs that have ended, with their jobs, steps and engine calls."""
    answers_days: int = 90
    """Chunks, summaries and engines' answers that nobody has used."""
    digests_days: int = 1095
    revisions: int = 5
    """Revisions of one window's digest, the latest ones."""

    def __post_init__(self) -> None:
        if any(getattr(self, item.name) < 1 for item in fields(self)):
            raise ValueError("everything is kept for a day, and one revision, at least")
        if self.answers_days < self.runs_days:
            raise ValueError("answers must be kept as long as runs, which refer to them")


# Each deletes up to :batch rows older than :before. What is locked is left to the next night.
# Repositories are walked one by one, as activities are indexed by them. One that is being worked on
# may be read for an old window just now, and is left to the next night.
_ACTIVITIES = """
    DELETE FROM activities USING (
        SELECT old.repository_id, old.key FROM repositories
        CROSS JOIN LATERAL (
            SELECT repository_id, key FROM activities
            WHERE repository_id = repositories.id AND at < :before
            LIMIT :batch
        ) AS old
        WHERE NOT EXISTS (
            SELECT FROM jobs
            WHERE jobs.repository_id = repositories.id AND jobs.state IN ('waiting', 'running')
        )
        LIMIT :batch
    ) AS old
    WHERE activities.repository_id = old.repository_id AND activities.key = old.key
"""
# What the mirror keeps of a forge is as old as the activities made of it. First the marks move, so
# that an earlier window is read anew; then goes what no mark speaks for any more. A repository that
# is being read, or whose reading was interrupted, is left to the next night. Releases stay: they
# are few, and are always read whole.
_MARKS = """
    UPDATE forge_marks
    SET since = :before,
        payload = payload || jsonb_build_object(
            'since', to_jsonb(CAST(:before AS timestamptz)), 'bottom', '')
    WHERE (repository_id, kind) IN (
        SELECT repository_id, kind FROM forge_marks
        WHERE since < :before AND kind <> 'release'
          AND jsonb_typeof(payload -> 'resume') = 'null'
          AND pg_try_advisory_xact_lock(hashtextextended('sparky mirror ' || repository_id, 0))
        LIMIT :batch
    )
"""
_ITEMS = """
    DELETE FROM forge_items USING (
        SELECT old.repository_id, old.key FROM forge_marks
        CROSS JOIN LATERAL (
            SELECT repository_id, key FROM forge_items
            WHERE repository_id = forge_marks.repository_id AND kind = forge_marks.kind
              AND opened_at < least(:before, forge_marks.since)
              AND coalesce(ended_at, opened_at) < least(:before, forge_marks.since)
            LIMIT :batch
        ) AS old
        WHERE kind <> 'release' AND jsonb_typeof(payload -> 'resume') = 'null'
        LIMIT :batch
    ) AS old
    WHERE forge_items.repository_id = old.repository_id AND forge_items.key = old.key
"""
_JOBS = """
    DELETE FROM jobs WHERE id IN (
        SELECT jobs.id FROM runs JOIN jobs ON jobs.run_id = runs.id
        WHERE runs.finished_at < :before
        LIMIT :batch FOR UPDATE OF jobs SKIP LOCKED
    )
"""
_RUNS = """
    DELETE FROM runs WHERE id IN (
        SELECT id FROM runs
        WHERE finished_at < :before AND NOT EXISTS (SELECT FROM jobs WHERE jobs.run_id = runs.id)
        LIMIT :batch FOR UPDATE SKIP LOCKED
    )
"""
_CONTENT = """
    DELETE FROM {table} WHERE key IN (
        SELECT key FROM {table} WHERE used_at < :before
        ORDER BY used_at LIMIT :batch FOR UPDATE SKIP LOCKED
    )
"""
_DIGESTS = """
    DELETE FROM digests USING (
        SELECT repository_id, since, until, revision FROM digests
        WHERE created_at < :before
        ORDER BY created_at LIMIT :batch FOR UPDATE SKIP LOCKED
    ) AS old
    WHERE (digests.repository_id, digests.since, digests.until, digests.revision)
        = (old.repository_id, old.since, old.until, old.revision)
"""
_REVISIONS = """
    DELETE FROM digests USING (
        SELECT repository_id, since, until, max(revision) AS last FROM digests
        GROUP BY repository_id, since, until HAVING count(*) > :revisions LIMIT :batch
    ) AS many
    WHERE (digests.repository_id, digests.since, digests.until)
        = (many.repository_id, many.since, many.until)
      AND digests.revision <= many.last - :revisions
"""


class Retention:
    """Deletes by policy. Errors: Transient, StoreError."""

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine

    def prune(self, policy: Policy, *, now: datetime | None = None) -> dict[str, int]:
        """Delete what is older than the policy keeps; how many rows of each table.

        Args:
            now: the present; Postgres' clock if not given.
        """
        if now is None:
            with translated(), self.engine.connect() as connection:
                now = connection.execute(sa.select(sa.func.now())).scalar_one()

        def before(days: int) -> datetime:
            return now - timedelta(days=days)

        ended = before(policy.runs_days)
        happened = before(policy.activities_days)
        self._all(_MARKS, before=happened)
        gone = {
            "activities": self._all(_ACTIVITIES, before=happened),
            "forge items": self._all(_ITEMS, before=happened),
            "jobs": self._all(_JOBS, before=ended),
            "runs": self._all(_RUNS, before=ended),
        }
        for table in ("answers", "summaries", "chunks"):
            gone[table] = self._all(
                _CONTENT.format(table=table), before=before(policy.answers_days)
            )
        gone["digests"] = self._all(_DIGESTS, before=before(policy.digests_days))
        gone["revisions"] = self._all(_REVISIONS, revisions=policy.revisions)
        return gone

    def _all(self, statement: str, **values: datetime | int) -> int:
        """Run the statement, a transaction each, until it finds nothing more."""
        total = 0
        for _ in range(MOST_BATCHES):
            with translated(), self.engine.begin() as connection:
                gone = connection.execute(sa.text(statement), {**values, "batch": BATCH}).rowcount
            total += gone
            if not gone:
                break
        return total
