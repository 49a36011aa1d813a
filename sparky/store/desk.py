"""What the parts of the farm's view of Postgres share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import sqlalchemy as sa

from sparky.settings import failpoints
from sparky.store.connection import translated

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

    @contextmanager
    def _begin(self, name: str = "") -> Iterator[sa.Connection]:
        """A transaction; with a name, tests can have the process die right before its commit."""
        with translated(), self.engine.begin() as connection:
            yield connection
            if name:
                failpoints.reach(f"{name}.before-commit")
