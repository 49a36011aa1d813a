"""What the parts of the farm's view of Postgres share."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from sparky.store import tables as t
from sparky.store.connection import transaction
from sparky.store.direct import Found, once

OPEN = ("waiting", "running")


def run_state(states: set[str]) -> str:
    """A run's state, from those of its jobs when the last of them has ended."""
    if not states:
        return "cancelled"
    if states == {"failed"}:
        return "failed"
    return "done" if states <= {"done", "skipped"} else "partial"


def finish(connection: sa.Connection, run_id: str) -> None:
    """End the run whose jobs have all ended, unless somebody has opened one again.

    Not in the statement that ended the last of them: one of its own sees the states of all.
    """
    j, r = t.jobs.c, t.runs.c
    states = connection.execute(sa.select(j.state).where(j.run_id == run_id).distinct()).scalars()
    connection.execute(
        sa.update(t.runs)
        .where(r.id == run_id, r.state == "running", r.pending == 0)
        .values(state=run_state(set(states)), finished_at=sa.func.now())
    )


@dataclass(frozen=True, slots=True)
class Bell:
    """A message to send: which step waits, and what a person calls it."""

    step_id: int
    stage: str
    label: str


class Desk:
    """A farm's place at the database. Errors: Transient, StoreError.

    Args:
        engine: the connections.
        farm: whose steps these are; a farm never touches another's.
    """

    def __init__(self, engine: sa.Engine, *, farm: str) -> None:
        self.engine = engine
        self.farm = farm

    def _begin(self, name: str = "") -> AbstractContextManager[sa.Connection]:
        return transaction(self.engine, name)

    def _once(self, query: sa.TextClause, given: Mapping[str, Any], name: str = "") -> Found:
        return once(self.engine, query, given, name)
