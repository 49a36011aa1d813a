"""Runs of the farm that a stack is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from tests.swarm.lab import eventually
from tests.swarm.stack import Stack


@dataclass(frozen=True)
class Run:
    """A run of the farm."""

    stack: Stack
    id: str

    def state(self) -> str:
        (row,) = self.stack.rows(f"SELECT state FROM runs WHERE id = '{self.id}'")
        return str(row["state"])

    def steps(self, *stages: str) -> list[dict[str, object]]:
        """Its steps of these stages."""
        return self.stack.rows(
            "SELECT s.* FROM steps s JOIN jobs j ON j.id = s.job_id"
            f" WHERE j.run_id = '{self.id}' AND s.stage IN ({','.join(map(repr, stages))})"
        )

    def until(
        self, condition: Callable[[], object], seconds: float = 300, *, pause: float = 1
    ) -> None:
        """Wait until something holds of it.

        Args:
            pause: each look starts a process in a container; less for what does not last.
        """
        shown = ("runs", "show", self.id)
        eventually(condition, seconds, lambda: self.stack.sparky(*shown), pause=pause)

    def ends(self, seconds: float = 1200) -> str:
        """Wait for it to end; its state then."""
        self.until(lambda: self.state() not in ("waiting", "running"), seconds)
        return self.state()

    def busy(self) -> bool:
        """Whether a question of its is being answered."""
        return any(step["state"] == "running" for step in self.steps("summarize"))

    def answered(self) -> bool:
        """Whether a chunk of it is summarized."""
        return any(step["state"] == "done" for step in self.steps("summarize"))


class Begin(Protocol):
    """Starts a run over so many commits, of all repositories or of the one of that name."""

    def __call__(self, first: int, count: int, only: str = "") -> Run: ...
