"""The judge: what Postgres' rows say at the end of a run, whatever the farm says of itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

WRONG = {
    "runs that are not done": "SELECT count(*) FROM runs WHERE state <> 'done'",
    "jobs that are not done": "SELECT count(*) FROM jobs WHERE state NOT IN ('done', 'skipped')",
    "steps that are not done": "SELECT count(*) FROM steps WHERE state <> 'done'",
    "leases that are held": "SELECT count(*) FROM steps WHERE lease_until IS NOT NULL",
    "runs or jobs that count what is not there": """
        SELECT (SELECT count(*) FROM runs WHERE pending <> 0)
             + (SELECT count(*) FROM jobs WHERE pending <> 0)""",
    "repositories without exactly one digest of the window": """
        SELECT count(*) FROM (
            SELECT FROM jobs j JOIN runs r ON r.id = j.run_id
            LEFT JOIN digests d ON d.repository_id = j.repository_id
                               AND d.since = r.since AND d.until = r.until
            WHERE j.state <> 'skipped'
            GROUP BY j.id HAVING count(d.revision) <> 1
        ) AS odd""",
    "digests of nobody's job": """
        SELECT count(*) FROM digests d WHERE NOT EXISTS (
            SELECT FROM jobs j WHERE j.repository_id = d.repository_id)""",
    "jobs without each stage exactly once": """
        SELECT count(*) FROM jobs j WHERE j.state = 'done' AND (
            SELECT array_agg(s.stage ORDER BY s.stage) FROM steps s
            WHERE s.job_id = j.id AND s.stage <> 'summarize'
        ) <> ARRAY['chunk', 'fetch', 'publish', 'rollup']""",
    "jobs with another number of summaries than of chunks": """
        SELECT count(*) FROM jobs j WHERE j.chunks <> (
            SELECT count(DISTINCT s.result) FROM steps s
            JOIN summaries m ON m.key = s.result
            WHERE s.job_id = j.id AND s.stage = 'summarize')""",
    "constraints that are switched off or not checked": """
        SELECT (SELECT count(*) FROM pg_constraint WHERE NOT convalidated)
             + (SELECT count(*) FROM pg_trigger WHERE tgenabled = 'D')""",
}
"""What may not be, and a query that counts it."""

DIGESTS = "SELECT repository_id, content, payload FROM digests ORDER BY 1"


def wrongs(engine: sa.Engine) -> dict[str, int]:
    """What is wrong, and how often; empty when nothing is."""
    with engine.begin() as connection:
        counts = {
            what: int(connection.execute(sa.text(query)).scalar_one())
            for what, query in WRONG.items()
        }
    return {what: count for what, count in counts.items() if count}


@dataclass(frozen=True, slots=True)
class Said:
    """What a digest says: as the hash that the farm keeps of it, and as values."""

    content: str
    values: dict[str, Any]


def digests(engine: sa.Engine) -> dict[str, Said]:
    """Each repository's digest."""
    with engine.begin() as connection:
        return {row[0]: Said(row[1], row[2]) for row in connection.execute(sa.text(DIGESTS))}


def differences(clean: dict[str, Said], stormy: dict[str, Said]) -> dict[str, list[str]]:
    """The repositories whose digests are not the same, and in what."""
    return {
        name: _differences(clean.get(name), stormy.get(name))
        for name in sorted(clean.keys() | stormy.keys())
        if name not in clean or name not in stormy or clean[name].content != stormy[name].content
    }


def _differences(one: Said | None, other: Said | None) -> list[str]:
    if one is None or other is None:
        return ["there is only one"]
    return [
        f"{key}: {str(value)[:300]} became {str(other.values.get(key))[:300]}"
        for key, value in one.values.items()
        if value != other.values.get(key) and key != "provenance"
    ]
