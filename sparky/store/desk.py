"""What the parts of the farm's view of Postgres share."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass

import sqlalchemy as sa

from sparky.store.connection import statement, transaction

OPEN = ("waiting", "running")


def run_state(states: set[str]) -> str:
    """A run's state, from those of its jobs when the last of them has ended."""
    if not states:
        return "cancelled"
    if states == {"failed"}:
        return "failed"
    return "done" if states <= {"done", "skipped"} else "partial"


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

    def _once(self, name: str = "") -> AbstractContextManager[sa.Connection]:
        return statement(self.engine, name)
