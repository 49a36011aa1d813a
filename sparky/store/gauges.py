"""How the farm stands at this moment, in figures for its watchers: a few queries, no history."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from sparky.store.connection import transaction

WINDOW = 60
"""Seconds over which rates are taken."""
LATEST = 50_000
"""Engine calls that are looked at for a rate, at most: their table is large, and has no index on time."""

# Which steps wait or run is written as their three indexes have it: most steps have ended long ago.
STEPS = """
SELECT stage,
       count(*) FILTER (WHERE state = 'waiting') AS waiting,
       count(*) FILTER (WHERE state = 'waiting' AND not_before > now()) AS later,
       count(*) FILTER (WHERE state = 'running') AS running,
       count(*) FILTER (WHERE state = 'running' AND lease_until < now()) AS expired,
       coalesce(extract(epoch FROM now() - min(greatest(order_at, not_before))
           FILTER (WHERE state = 'waiting')), 0) AS age
FROM steps
WHERE farm = :farm AND (state = 'waiting' AND rung_at IS NULL
                        OR state = 'waiting' AND rung_at IS NOT NULL
                        OR lease_until IS NOT NULL)
GROUP BY stage
"""

RUNS = """
WITH named AS (
    SELECT r.id, r.state, r.created_at, r.finished_at,
           coalesce(s.group_name, r.options ->> 'group', '') AS "group"
    FROM runs r LEFT JOIN schedules s ON s.id = r.schedule_id
    WHERE r.farm = :farm
), latest AS (
    SELECT DISTINCT ON ("group") id, "group", created_at, finished_at
    FROM named ORDER BY "group", created_at DESC
)
SELECT l."group", j.state, count(*) AS jobs,
       sum(coalesce(jsonb_array_length(j.census -> 'gaps'), 0)) AS gaps,
       extract(epoch FROM l.created_at) AS begun,
       extract(epoch FROM l.finished_at) AS ended
FROM latest l JOIN jobs j ON j.run_id = l.id GROUP BY l."group", j.state, l.created_at, l.finished_at
"""

FINISHED = """
SELECT coalesce(s.group_name, r.options ->> 'group', '') AS "group", r.state,
       extract(epoch FROM max(r.finished_at)) AS at
FROM runs r LEFT JOIN schedules s ON s.id = r.schedule_id
WHERE r.farm = :farm AND r.finished_at IS NOT NULL GROUP BY 1, 2
"""

CALLS = """
SELECT model, outcome, count(*) AS calls, sum(prompt_tokens) AS prompt,
       sum(cached_tokens) AS cached, sum(completion_tokens) AS completion,
       coalesce(sum(seconds), 0) AS seconds
FROM llm_calls
WHERE id > (SELECT coalesce(max(id), 0) FROM llm_calls) - :latest
  AND at > now() - make_interval(secs => :window)
GROUP BY model, outcome
"""

BUDGETS = """
SELECT label, resource, allowed, remaining, extract(epoch FROM reset_at) AS reset_at,
       greatest(extract(epoch FROM blocked_until - now()), 0) AS blocked
FROM forge_budgets
"""

WHOLE = """
SELECT (SELECT coalesce(greatest(extract(epoch FROM now() - min(next_due)), 0), 0)
        FROM schedules WHERE farm = :farm AND enabled) AS overdue,
       EXISTS (SELECT FROM paused WHERE farm = :farm) AS paused,
       pg_database_size(current_database()) AS bytes,
       (SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming') AS standbys
"""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Rows as the queries of this module name their columns."""

    steps: list[Mapping[str, Any]]
    runs: list[Mapping[str, Any]]
    """Jobs of the latest run of each group, by state, and what they could not read."""
    finished: list[Mapping[str, Any]]
    calls: list[Mapping[str, Any]]
    """Engine calls of the last WINDOW seconds."""
    budgets: list[Mapping[str, Any]]
    whole: Mapping[str, Any]


def snapshot(engine: sa.Engine, farm: str) -> Snapshot:
    """How the farm stands now. Raises Transient, StoreError."""
    values = {"farm": farm, "window": WINDOW, "latest": LATEST}
    with transaction(engine) as connection:

        def rows(query: str) -> list[Mapping[str, Any]]:
            wanted = {name: value for name, value in values.items() if f":{name}" in query}
            return [dict(row._mapping) for row in connection.execute(sa.text(query), wanted)]  # noqa: SLF001 — SQLAlchemy's public name for it

        return Snapshot(
            steps=rows(STEPS),
            runs=rows(RUNS),
            finished=rows(FINISHED),
            calls=rows(CALLS),
            budgets=rows(BUDGETS),
            whole=rows(WHOLE)[0],
        )
