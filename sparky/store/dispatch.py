"""Which steps to ring for: fair among repositories, bounded in the broker, and never lost.

A step that waits has been rung for (`rung_at`) or not. At most `most` steps of a stage are rung
for at a time; the rest waits here. The sweeper compares the steps that were rung for with those
whose messages are in the broker's queues, and rings again for the difference.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from sparky.store import tables as t
from sparky.store.desk import Bell, Desk, finish
from sparky.store.direct import Found, execute, once

MOST = 200
"""Messages of one stage in the broker, at most."""
SETTLING = timedelta(seconds=5)
"""A message that was sent less than this long ago may not have arrived yet."""

# Of the stage that is wanted, in the order of an index, and no more of them than count: so many that
# are rung for already leave so much room.
ROOM = """
    :most - (
        SELECT count(*) FROM (
            SELECT FROM steps AS rung
            WHERE rung.farm = :farm AND rung.stage = wanted.stage
              AND rung.state = 'waiting' AND rung.rung_at IS NOT NULL
            ORDER BY rung.rung_at LIMIT :most
        ) AS taken
    )"""

# One statement: the oldest waiting steps of each stage, as many as there is room for. Their ids are an
# array, whose rows are fetched one by one: of a limit that it does not know, Postgres thinks that a
# tenth of the table may come of it, and reads the whole table instead.
_WAKE = f"""
    UPDATE steps SET rung_at = now()
    WHERE id = ANY (ARRAY(
        SELECT chosen.id
        FROM unnest(CAST(:stages AS text[])) AS wanted(stage)
        CROSS JOIN LATERAL (
            SELECT waiting.id FROM steps AS waiting
            WHERE waiting.farm = :farm AND waiting.stage = wanted.stage
              AND waiting.state = 'waiting' AND waiting.rung_at IS NULL
              AND (waiting.not_before IS NULL OR waiting.not_before <= now())
            ORDER BY waiting.order_at, waiting.id
            LIMIT {ROOM}
            FOR UPDATE SKIP LOCKED
        ) AS chosen
    ))
    AND NOT EXISTS (SELECT FROM paused WHERE paused.farm = :farm)
    RETURNING id, job_id, stage, position, order_at
"""  # noqa: S608 (constants alone)

_LOST = """
    UPDATE steps SET rung_at = now()
    WHERE id = ANY (ARRAY(
        SELECT id FROM steps
        WHERE farm = :farm AND stage = ANY(CAST(:stages AS text[]))
          AND state = 'waiting' AND rung_at IS NOT NULL
          AND rung_at < now() - CAST(:settling AS interval)
          AND (not_before IS NULL OR not_before <= now())
          AND id <> ALL(CAST(:held AS bigint[]))
        FOR UPDATE SKIP LOCKED
    ))
    AND NOT EXISTS (SELECT FROM paused WHERE paused.farm = :farm)
    RETURNING id, job_id, stage, position, order_at
"""


def _told(update: str) -> sa.TextClause:
    """That update of steps, with what to send for them in the order in which they should be done."""
    return sa.text(f"""
        WITH rung AS ({update})
        SELECT rung.id, rung.stage, rung.position, jobs.chunks, repositories.name
        FROM rung
        JOIN jobs ON jobs.id = rung.job_id
        JOIN repositories ON repositories.id = jobs.repository_id
        ORDER BY rung.order_at, rung.id
    """)  # noqa: S608 (constants alone)


_RING = _told(_WAKE)
_RING_AGAIN = _told(_LOST)


class Dispatch(Desk):
    """Chooses the steps that workers are told of."""

    def wake(self, *, most: int = MOST) -> tuple[Bell, ...]:
        """Steps of any stage to ring for now; up to `most` of each stage are rung for at a time."""
        return wake_alone(self.engine, self.farm, t.STAGES, most=most)

    def sweep(self, held: Collection[int], *, attempts: int, most: int = MOST) -> tuple[Bell, ...]:
        """Find what was lost and ring for it.

        Leases that ran out go back to waiting and burn an attempt; messages that the broker no
        longer holds are sent again; waits that are over and room that is free are used; runs of
        which nothing is left have ended.

        Args:
            held: the steps whose messages wait in the broker. A message that a worker took and did
                not claim at once is as good as lost: if it comes after all, it changes nothing.
            attempts: after so many a step whose workers die is left to `dead`.
        """
        c = t.steps.c
        with self._begin("sweep") as connection:
            expired = (
                sa.select(c.id)
                .where(
                    c.farm == self.farm,
                    c.state == "running",
                    c.lease_until < sa.func.now(),
                    c.failures + 1 < attempts,
                )
                .with_for_update(skip_locked=True)
            )
            connection.execute(
                sa.update(t.steps)
                .where(c.id.in_(expired))
                .values(
                    state="waiting",
                    failures=c.failures + 1,
                    lease_until=None,
                    rung_at=None,
                    error=sa.func.concat("worker ", c.worker, " went silent"),
                    worker=None,
                )
            )
            given = {
                "farm": self.farm,
                "stages": list(t.STAGES),
                "settling": SETTLING,
                "held": list(held),
            }
            again = _bells(execute(connection, _RING_AGAIN, given))
            bells = again + wake(connection, self.farm, t.STAGES, most=most)
        self._finish_runs()
        return bells

    def _finish_runs(self) -> None:
        """End the runs whose last job has ended, where the worker of it died before it did so."""
        r = t.runs.c
        ended = sa.select(r.id).where(r.farm == self.farm, r.state == "running", r.pending == 0)
        with self._begin() as connection:
            for run_id in connection.execute(ended).scalars().all():
                finish(connection, run_id)

    def hand_back(self, worker: str) -> tuple[Bell, ...]:
        """Put back what this worker, which is about to end, has in work; burns no attempt.

        Returns: the bells to ring, so that others take it up at once.
        """
        c = t.steps.c
        with self._begin("hand_back") as connection:
            mine = (
                sa.select(c.id)
                .where(c.farm == self.farm, c.lease_until.is_not(None), c.worker == worker)
                # What it is just completing is not put back.
                .with_for_update(skip_locked=True)
            )
            stages = connection.execute(
                sa.update(t.steps)
                .where(c.id.in_(mine))
                .values(state="waiting", lease_until=None, worker=None, rung_at=None)
                .returning(c.stage)
            ).scalars()
            return wake(connection, self.farm, sorted(set(stages)))

    def dead(self, *, attempts: int) -> tuple[tuple[int, int], ...]:
        """Steps (id, attempt) whose last attempt's worker went silent: they must be stopped."""
        c = t.steps.c
        query = sa.select(c.id, c.attempt).where(
            c.farm == self.farm,
            c.state == "running",
            c.lease_until < sa.func.now(),
            c.failures + 1 >= attempts,
        )
        with self._begin() as connection:
            return tuple((row.id, row.attempt) for row in connection.execute(query))

    def pause(self, reason: str) -> None:
        """Start nothing more until `resume`; what runs now ends well."""
        with self._begin() as connection:
            connection.execute(
                sa.text(
                    "INSERT INTO paused (farm, reason) VALUES (:farm, :reason)"
                    " ON CONFLICT (farm) DO UPDATE SET reason = excluded.reason"
                ),
                {"farm": self.farm, "reason": reason},
            )

    def resume(self) -> None:
        """Go on after `pause`."""
        with self._begin() as connection:
            connection.execute(sa.delete(t.paused).where(t.paused.c.farm == self.farm))

    def paused(self) -> str | None:
        """Why the farm is paused, or None when it is not."""
        query = sa.select(t.paused.c.reason).where(t.paused.c.farm == self.farm)
        with self._begin() as connection:
            return connection.execute(query).scalar_one_or_none()


def wake(
    connection: sa.Connection, farm: str, stages: Sequence[str], *, most: int = MOST
) -> tuple[Bell, ...]:
    """Choose steps of these stages to ring for after the commit: one statement."""
    return _bells(execute(connection, _RING, _waking(farm, stages, most)))


def wake_alone(
    engine: sa.Engine, farm: str, stages: Sequence[str], *, most: int = MOST
) -> tuple[Bell, ...]:
    """As `wake`, in a transaction of its own."""
    return _bells(once(engine, _RING, _waking(farm, stages, most)))


def _waking(farm: str, stages: Sequence[str], most: int) -> dict[str, Any]:
    return {"farm": farm, "stages": list(stages), "most": most}


def _bells(found: Found) -> tuple[Bell, ...]:
    return tuple(
        Bell(row.id, row.stage, label(row.name, row.stage, row.position, row.chunks))
        for row in found.rows
    )


def label(repository: str, stage: str, position: int, chunks: int) -> str:
    """What a person calls a step."""
    return f"{repository} chunk {position + 1} of {chunks}" if stage == "summarize" else repository
