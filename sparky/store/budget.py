"""Points that all workers share: the Budget of `sparky.forge`, on Postgres.

A lease is one UPDATE that chooses the credential with the most room and takes the points, so that
two workers never spend the same one. Times are the caller's: a forge speaks in its own clock.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from sparky.errors import Throttled
from sparky.forge import Lease, Standing
from sparky.store import tables as t
from sparky.store.connection import translated

PER_MINUTE = {"graphql": 1800, "core": 800}
"""Requests a minute and credential; GitHub allows 2000 and 900."""
IN_FLIGHT = {"graphql": 60, "core": 30}
"""Requests at once and credential; GitHub allows 100 of both, the rest is for its owner."""
_FORGOTTEN = timedelta(minutes=5)
"""After so long without a new lease, what is still out belongs to dead workers."""
_STRIKE = timedelta(minutes=1)
_LONGEST = timedelta(hours=1)

# What a credential has now: after its reset all of it, and nothing leased by the dead.
_NOW = """
    SELECT b.credential, b.allowed,
           CASE WHEN b.reset_at <= :now THEN b.allowed ELSE b.remaining END AS remaining,
           CASE WHEN b.leased_at < :forgotten OR b.reset_at <= :now THEN 0
                ELSE b.leased END AS leased,
           CASE WHEN b.leased_at < :forgotten THEN 0 ELSE b.in_flight END AS in_flight,
           CASE WHEN b.minute_at > :minute THEN b.minute_points ELSE 0 END AS minute_points,
           CASE WHEN b.minute_at > :minute THEN b.minute_at ELSE :now END AS minute_at,
           b.reset_at, b.blocked_until
    FROM forge_budgets AS b
    WHERE b.credential = ANY(CAST(:credentials AS text[])) AND b.resource = :resource
"""

_LEASE = sa.text(f"""
    WITH current AS ({_NOW} ORDER BY b.credential FOR UPDATE),
    chosen AS (
        SELECT * FROM current
        WHERE (blocked_until IS NULL OR blocked_until <= :now)
          AND in_flight < :most AND minute_points < :per_minute
          AND (allowed IS NULL
               OR remaining - leased - :points >= ceil(allowed * CAST(:reserve AS float)))
        ORDER BY allowed IS NOT NULL, remaining - leased DESC, credential
        LIMIT 1
    )
    UPDATE forge_budgets AS b
    SET remaining = coalesce(chosen.remaining, 0), leased = chosen.leased + :points,
        in_flight = chosen.in_flight + 1, leased_at = :now,
        minute_points = chosen.minute_points + 1, minute_at = chosen.minute_at,
        -- Until the forge tells the next reset, nobody may take this for a fresh hour again.
        reset_at = CASE WHEN b.reset_at <= :now THEN :now + interval '1 hour' ELSE b.reset_at END,
        blocked_until = NULL
    FROM chosen
    WHERE b.credential = chosen.credential AND b.resource = :resource
    RETURNING b.credential
""")  # noqa: S608  (constants of this file)

_ROOM = sa.text(f"""
    WITH current AS ({_NOW})
    SELECT min(greatest(
        coalesce(blocked_until, :now),
        CASE WHEN allowed IS NOT NULL
              AND remaining - leased - :points < ceil(allowed * CAST(:reserve AS float))
             THEN CASE WHEN remaining - :points < ceil(allowed * CAST(:reserve AS float))
                       THEN reset_at ELSE :now + interval '2 seconds' END
             ELSE :now END,
        CASE WHEN minute_points >= :per_minute THEN minute_at + interval '1 minute' ELSE :now END,
        CASE WHEN in_flight >= :most THEN :now + interval '2 seconds' ELSE :now END
    )) AS until
    FROM current
""")  # noqa: S608


_PACE = sa.text("""
    SELECT count(*) FILTER (WHERE s.state IN ('done', 'failed')) AS done,
           count(*) FILTER (WHERE s.state IN ('waiting', 'running')) AS waiting,
           min(s.started_at) AS started_at,
           max(s.not_before) FILTER (WHERE s.state = 'waiting') AS not_before
    FROM steps AS s
    JOIN jobs AS j ON j.id = s.job_id
    JOIN runs AS u ON u.id = j.run_id AND u.state = 'running'
    JOIN repositories AS r ON r.id = j.repository_id AND r.source = 'github'
    WHERE s.farm = :farm AND s.stage = 'fetch'
""")


@dataclass(frozen=True, slots=True)
class Pace:
    """The fetches of the runs that are open now."""

    done: int
    waiting: int
    started_at: datetime | None
    not_before: datetime | None
    """The latest moment until which one of them was told to wait."""

    def finished_at(self, now: datetime) -> datetime | None:
        """When the last will be done, if they go on as they did; None: nobody can say yet."""
        if not self.waiting:
            return now
        if not self.done or self.started_at is None:
            return self.not_before
        going_on = now + (now - self.started_at) / self.done * self.waiting
        return max(going_on, self.not_before or going_on)


class PostgresBudget:
    """Errors: Throttled, Transient, StoreError.

    Args:
        engine: the connections.
        reserve: the part of each credential's limit that is left to its owner, 0 to 1.
    """

    def __init__(self, engine: sa.Engine, *, reserve: float = 0.2) -> None:
        self.engine = engine
        self.reserve = reserve

    @contextmanager
    def _begin(self) -> Iterator[sa.Connection]:
        with translated(), self.engine.begin() as connection:
            yield connection

    def unknown(self, credentials: Sequence[str], resource: str) -> tuple[str, ...]:
        """Those of the credentials whose standing nobody has asked for yet."""
        c = t.forge_budgets.c
        query = sa.select(c.credential).where(c.credential.in_(credentials), c.resource == resource)
        with self._begin() as connection:
            known = set(connection.execute(query).scalars())
        return tuple(one for one in credentials if one not in known)

    def told(self, standing: Standing) -> None:
        """Write down what the forge says of a credential."""
        row = {
            "credential": standing.credential,
            "resource": standing.resource,
            "label": standing.label,
            **_account(standing),
        }
        wanted = insert(t.forge_budgets).values(row)
        c = t.forge_budgets.c
        with self._begin() as connection:
            connection.execute(
                wanted.on_conflict_do_update(
                    index_elements=["credential", "resource"],
                    set_={
                        "label": standing.label,
                        "allowed": wanted.excluded.allowed,
                        "reset_at": wanted.excluded.reset_at,
                        "told_at": sa.func.now(),
                        # Within an hour points only go: the lesser number is the later one.
                        "remaining": sa.case(
                            (
                                sa.func.abs(
                                    sa.extract("epoch", c.reset_at)
                                    - sa.extract("epoch", wanted.excluded.reset_at)
                                )
                                < 5,
                                sa.func.least(c.remaining, wanted.excluded.remaining),
                            ),
                            else_=wanted.excluded.remaining,
                        ),
                    },
                )
            )

    def lease(
        self, credentials: Sequence[str], resource: str, points: int, *, now: datetime
    ) -> Lease:
        """Take points from the credential with the most room above its reserve."""
        values: dict[str, Any] = {
            "credentials": list(credentials),
            "resource": resource,
            "points": points,
            "now": now,
            "minute": now - timedelta(minutes=1),
            "forgotten": now - _FORGOTTEN,
            "reserve": self.reserve,
            "most": IN_FLIGHT.get(resource, 30),
            "per_minute": PER_MINUTE.get(resource, 800),
        }
        times = [
            sa.bindparam(name, type_=sa.DateTime(timezone=True))
            for name in ("now", "minute", "forgotten")
        ]
        with self._begin() as connection:
            chosen = connection.execute(_LEASE.bindparams(*times), values).scalar_one_or_none()
            if chosen is not None:
                return Lease(chosen, resource, points)
            until = connection.execute(_ROOM.bindparams(*times), values).scalar_one_or_none()
        until = max(until or now, now + timedelta(seconds=1))
        raise Throttled(
            f"no credential may spend {resource} points of GitHub before {until:%H:%M:%S} UTC, "
            f"with a reserve of {self.reserve:.0%}",
            until=until,
            remedy="`sparky github budget` shows each credential",
        )

    def settle(self, lease: Lease, told: Standing | None, *, free: bool = False) -> None:
        """The request has ended; what the forge does not tell is taken for spent, unless `free`."""
        c = t.forge_budgets.c
        spent = 0 if free or told is not None else lease.points
        with self._begin() as connection:
            connection.execute(
                sa.update(t.forge_budgets)
                .where(c.credential == lease.credential, c.resource == lease.resource)
                .values(
                    leased=sa.func.greatest(c.leased - lease.points, 0),
                    in_flight=sa.func.greatest(c.in_flight - 1, 0),
                    remaining=sa.func.greatest(c.remaining - spent, 0),
                    strikes=0 if told is not None else c.strikes,
                )
            )
        if told is not None:
            self.told(told)

    def block(
        self, credential: str, resource: str, *, until: datetime | None, now: datetime
    ) -> None:
        """Leave a credential alone until then; None: for a minute, twice as long each time."""
        c = t.forge_budgets.c
        mine = (c.credential == credential, c.resource == resource)
        with self._begin() as connection:
            strikes = connection.execute(
                sa.update(t.forge_budgets)
                .where(*mine)
                .values(strikes=c.strikes + 1)
                .returning(c.strikes)
            ).scalar_one_or_none()
            pause = min(_STRIKE * math.pow(2, min((strikes or 1) - 1, 8)), _LONGEST)
            connection.execute(
                sa.update(t.forge_budgets)
                .where(*mine)
                .values(blocked_until=sa.func.greatest(c.blocked_until, until or now + pause))
            )

    def standings(self) -> tuple[Standing, ...]:
        """Every credential that was ever used, by its label."""
        c = t.forge_budgets.c
        with self._begin() as connection:
            rows = connection.execute(
                sa.select(t.forge_budgets).order_by(c.label, c.credential, c.resource)
            ).all()
        return tuple(
            Standing(
                row.credential,
                row.label,
                row.resource,
                row.allowed,
                row.remaining,
                row.reset_at,
                row.leased,
                row.blocked_until,
            )
            for row in rows
        )


def _account(standing: Standing) -> dict[str, Any]:
    return {
        "allowed": standing.limit,
        "remaining": standing.remaining if standing.limit is not None else 0,
        "reset_at": standing.reset_at if standing.limit is not None else None,
    }


def pace(engine: sa.Engine, farm: str) -> Pace:
    """How the farm's open runs come on with repositories on GitHub."""
    with translated(), engine.begin() as connection:
        row = connection.execute(_PACE, {"farm": farm}).one()
    return Pace(row.done, row.waiting, row.started_at, row.not_before)
