"""How far reading one repository may go."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds on time, disk and memory, with room for the largest repositories in daily use."""

    seconds: float = 900
    """For one git command, such as a clone."""
    bytes: int = 4 << 30
    """For what is kept of one remote repository."""
    blob_bytes: int = 16 << 20
    """A larger file is not compared line by line; it counts as binary."""
    text_bytes: int = 256 << 10
    """For one message; what is longer is cut."""
    files: int = 500
    """Named for one activity; all are counted."""
