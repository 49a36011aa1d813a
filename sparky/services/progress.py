"""How far the fetching of weights has come, for a progress bar."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """One report.

    Args:
        step: what is being done, for people, such as "downloading from the model hub".
        done: bytes so far.
        total: bytes in all.
    """

    step: str
    done: int
    total: int


Report = Callable[[Progress], None]
