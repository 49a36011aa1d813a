"""Deadlines that hold: each operation on a connection gets at most the time that its call has left."""

from __future__ import annotations

from collections.abc import Callable


class Late(Exception):
    """The time of a call is over."""


class Deadline:
    """When a call must be over, and until when it may be silent."""

    def __init__(self, total: float, silence: float, now: Callable[[], float]) -> None:
        self._now = now
        self._end = now() + total
        self._silence_ends = now() + silence
        self.total = total
        self.silence = silence

    def heard(self, silence: float) -> None:
        """A token came: from here the server may be silent for `silence` seconds."""
        self.silence = silence
        self._silence_ends = self._now() + silence

    def left(self) -> float:
        """Seconds that the next operation may take. Raises Late when there are none."""
        left = min(self._end, self._silence_ends) - self._now()
        if left <= 0:
            raise Late
        return left

    def explain(self) -> str:
        """What ran out, in words."""
        if self._now() >= self._end:
            return f"gave no complete answer within {self.total:g} s"
        return f"was silent for {self.silence:g} s"
