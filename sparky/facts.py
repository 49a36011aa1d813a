"""What a forge says of a repository as a whole, whatever happens inside."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sparky.model import Repo


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a forge says of a repository as a whole."""

    archived: bool = False
    fork: bool = False
    private: bool = False
    empty: bool = False
    """Whether it has no commit on any branch."""
    kilobytes: int = 0
    """What it takes on the forge's disks, by the forge's own count."""
    language: str = ""
    """The main one."""
    pushed_at: datetime | None = None

    @property
    def bytes(self) -> int:
        return 1024 * self.kilobytes


@dataclass(frozen=True, slots=True)
class Listed:
    """A repository as a list of a forge shows it."""

    repo: Repo
    facts: Facts | None = None
    """None: it is not on a forge, or nobody has asked there."""


@dataclass(frozen=True, slots=True)
class Missing:
    """An id or a name that leads to nothing."""

    why: str
    denied: bool = False
    """It is there, but may not be read."""
