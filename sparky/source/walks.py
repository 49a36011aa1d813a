"""Which walk goes over which kind."""

from __future__ import annotations

from datetime import datetime

from sparky.forge import Mark
from sparky.model import Kind, Window
from sparky.source.commitwalk import CommitWalk, Known
from sparky.source.releasewalk import ReleaseWalk
from sparky.source.threadwalk import ThreadWalk
from sparky.source.walk import Walk


def walk(kind: Kind, mark: Mark, window: Window, seen: str, *, now: datetime, known: Known) -> Walk:
    """What is to be done for a kind, from its mark and what a probe says."""
    if kind is Kind.COMMIT:
        return CommitWalk(mark, window, seen, now, known=known)
    if kind is Kind.RELEASE:
        return ReleaseWalk(mark, window, seen, now)
    return ThreadWalk(mark, window, seen, now)
