"""Writes a window's activities: afterwards it has exactly those that were given."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Any, TypeVar

import sqlalchemy as sa

from sparky.model import Activity, Window
from sparky.store.codec import write
from sparky.store.connection import SOON
from sparky.store.direct import execute

BATCH = 500
T = TypeVar("T")

_ALONE = sa.text(f"""
    SELECT set_config('idle_in_transaction_session_timeout', '0', true),
           pg_advisory_xact_lock(:lock)
    FROM {SOON}
""")  # noqa: S608 (constants alone)
# All that a window has now, at once: what is not among it goes, but what was opened and still
# counts, as below.
_REPLACE = sa.text("""
    WITH given AS (
        SELECT * FROM unnest(CAST(:keys AS text[]), CAST(:ats AS timestamptz[]),
                             CAST(:payloads AS jsonb[])) AS given(key, at, payload)
    ), gone AS (
        DELETE FROM activities AS a
        WHERE a.repository_id = :repo AND a.at >= :since AND a.at < :until
          AND NOT EXISTS (SELECT FROM given WHERE given.key = a.key AND given.at = a.at)
          AND (a.payload ->> 'state' <> 'opened' OR a.key <> ALL (CAST(:open AS text[]))
               AND NOT EXISTS (SELECT FROM given WHERE given.key = a.key AND given.at > a.at))
    )
    INSERT INTO activities (repository_id, key, at, payload)
    SELECT :repo, given.key, given.at, given.payload FROM given
    ON CONFLICT (repository_id, key, at) DO UPDATE SET payload = excluded.payload
""")

_CLEAR = sa.text("""
    DELETE FROM activities
    WHERE repository_id = :repo AND at >= :since AND at < :until AND payload ->> 'state' <> 'opened'
""")

# What was opened here, and neither still stands so nor ended later in the same window.
_CLEAR_OPENED = sa.text("""
    DELETE FROM activities AS a
    WHERE a.repository_id = :repo AND a.at >= :since AND a.at < :until
      AND a.payload ->> 'state' = 'opened' AND a.key <> ALL (CAST(:open AS text[]))
      AND NOT EXISTS (
          SELECT FROM activities AS later
          WHERE later.repository_id = a.repository_id AND later.key = a.key
            AND later.at > a.at AND later.at < :until
      )
""")

_INSERT = sa.text("""
    INSERT INTO activities (repository_id, key, at, payload)
    SELECT :repo, made.key, made.at, made.payload
    FROM unnest(CAST(:keys AS text[]), CAST(:ats AS timestamptz[]), CAST(:payloads AS jsonb[]))
         AS made(key, at, payload)
    ON CONFLICT (repository_id, key, at) DO UPDATE SET payload = excluded.payload
""")


def replace_all(
    connection: sa.Connection, repo_id: str, window: Window, activities: Iterator[Activity]
) -> int:
    """Make the window's stored activities equal to these, inside a transaction; how many."""
    inside = {"repo": repo_id, "since": window.since, "until": window.until}
    # A slow clone is not an idle client. And two fetches of one repository must not
    # interleave their deletes and inserts.
    execute(connection, _ALONE, {"lock": _lock_id(repo_id)})
    rest = batches(activities, BATCH)
    first = next(rest, [])
    if len(first) < BATCH:  # as nearly every window
        given = {**inside, **_given(first), "open": _opened(first)}
        return execute(connection, _REPLACE, given).count
    still_open: list[str] = []
    total = 0
    execute(connection, _CLEAR, inside)
    for batch in chain([first], rest):
        total += execute(connection, _INSERT, {"repo": repo_id, **_given(batch)}).count
        still_open += _opened(batch)
    execute(connection, _CLEAR_OPENED, {**inside, "open": still_open})
    return total


def _given(activities: Iterable[Activity]) -> dict[str, list[Any]]:
    """Activities as columns, each once."""
    made = {(one.key, one.at): one for one in activities}
    return {
        "keys": [key for key, _ in made],
        "ats": [at for _, at in made],
        "payloads": [write(one) for one in made.values()],
    }


def _opened(activities: Iterable[Activity]) -> list[str]:
    return [one.key for one in activities if one.state == "opened"]


def _lock_id(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big", signed=True)


def batches(values: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(values)
    while batch := list(islice(iterator, size)):
        yield batch
