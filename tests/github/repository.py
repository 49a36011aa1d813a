"""A repository: what identifies it, what anybody sees of it, and what is inside on demand."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.github import gitlog, ids
from tests.github.history import History, Maker
from tests.github.sizes import Size

if TYPE_CHECKING:
    from tests.github.accounts import Account
    from tests.github.items import Release
    from tests.github.world import World


@dataclass(slots=True, kw_only=True, eq=False)
class Repository:
    """The history is made on first use; until then only counts and times are known."""

    typename = "Repository"
    world: World
    number: int
    """Its database id, which survives renames and moves."""
    owner: Account
    name: str
    size: Size
    private: bool = False
    archived_at: datetime | None = None
    fork: bool = False
    language: str = "Python"
    topics: tuple[str, ...] = ()
    git: Path | None = None
    """A real repository on disk that it stands for."""
    default_branch: str = "main"
    pushed_at: datetime
    updated_at: datetime
    deleted: bool = False
    changed: bool = False
    """Whether an event has touched the history, so that it can no longer be made anew."""
    broken: set[str] = field(default_factory=set)
    """Keys such as `pull_request:3` that the server fails to read, always."""
    forbidden: set[str] = field(default_factory=set)
    """Connections such as `issues` that no token may read."""
    _history: History | None = None
    _ordered: dict[Any, list[Any]] = field(default_factory=dict)
    _lock: Any = field(default_factory=threading.RLock)

    @property
    def seed(self) -> int:
        return self.world.seed

    @property
    def id(self) -> str:
        return ids.encode("Repository", self.number)

    @property
    def full_name(self) -> str:
        return f"{self.owner.login}/{self.name}"

    @property
    def history(self) -> History:
        """Everything inside; made now if it is not there."""
        history = self._history
        if history is None:
            with self._lock:
                history = self._history or self._make()
                self._history = history
                self.world.keep(self, history)
        return history

    def _make(self) -> History:
        maker = Maker(self, self.size, self.world.people_of(self), self.world.bots)
        return maker.make(gitlog.read(self, self.git) if self.git is not None else None)

    @property
    def clone_url(self) -> str | None:
        """Where git reads the real repository that this one stands for."""
        return self.git.resolve().as_uri() if self.git is not None else None

    def let_go(self) -> None:
        """Forget what can be made anew."""
        if not self.changed:
            self._history = None
            self._ordered.clear()

    def touch(self, at: datetime) -> None:
        """An event has changed what is inside."""
        self.changed = True
        self._ordered.clear()
        self.updated_at = max(self.updated_at, at)

    def ordered(self, key: Any, make: Callable[[], Sequence[Any]]) -> list[Any]:
        """A list that is made once for each key and kept until the next event."""
        if key not in self._ordered:
            self._ordered[key] = list(make())
        return self._ordered[key]

    @property
    def is_empty(self) -> bool:
        if self._history is None:
            return self.git is None and self.size.commits == 0
        return not self._history.commits

    def count(self, kind: str) -> int:
        """How many `commits`, `pull_requests`, `issues` or `releases`, without making them."""
        if self._history is None and self.git is None:
            return int(getattr(self.size, kind))
        history = self.history
        return len(history.pulls if kind == "pull_requests" else getattr(history, kind))

    @property
    def latest_release(self) -> Release | None:
        """The last full release, by the time of its commit."""
        full = [one for one in self.history.releases if not (one.is_prerelease or one.is_draft)]
        return max(full, key=lambda one: one.created_at, default=None)

    @property
    def kilobytes(self) -> int:
        """What it takes on GitHub's disks."""
        return self.count("commits") * 4

    @property
    def weight(self) -> float:
        """How slow it is to read, from 1 for a small one to 8 for the largest."""
        total = sum(self.count(kind) for kind in ("commits", "pull_requests", "issues"))
        return min(8.0, 1.0 + total / 6000)
