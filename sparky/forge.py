"""What is kept between two visits to a forge, and the budget that all workers share.

A mirror holds what a forge has shown, with marks that say how far it reaches; it is to GitHub what
a clone is to git. The implementations are in `sparky.store`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Protocol

from sparky.facts import Facts
from sparky.model import Activity, Kind, Repo, Role, Window

BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
END = datetime(9999, 1, 1, tzinfo=UTC)
ALWAYS = Window(BEGINNING, END)


@dataclass(frozen=True, slots=True)
class Item:
    """An activity as the forge shows it now, with the times that place it in a window."""

    activity: Activity
    """As it stands at its end, if it has one, else as it was opened."""
    opened_at: datetime
    ended_at: datetime | None = None
    """When it was merged or closed."""
    updated_at: datetime | None = None
    """When it last changed, where the forge tells."""

    def within(self, window: Window) -> Activity:
        """What of it lies in the window: its end, or else that it was opened.

        So a window's activities stay what they are when a pull request is merged after it.
        """
        if self.ended_at is None or window.since <= self.ended_at < window.until:
            return self.activity
        return replace(
            self.activity,
            at=self.opened_at,
            state="opened",
            credits=tuple(c for c in self.activity.credits if c.role is not Role.MERGER),
        )


@dataclass(frozen=True, slots=True)
class Gap:
    """Something that the forge would not show."""

    text: str
    newest: datetime
    """It was not updated after this; what happened in later windows is all there."""
    met: datetime | None = None
    """When it could not be read for the first time."""


@dataclass(frozen=True, slots=True)
class Resume:
    """A walk over pages that was interrupted."""

    mode: str
    cursor: str
    floor: datetime
    started: datetime
    seen: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """How far the mirror reaches for one kind of one repository."""

    kind: Kind
    since: datetime | None = None
    """All that was updated (commits: committed) from here on is kept; None: nothing yet."""
    until: datetime | None = None
    """The start of the last walk that reached its end."""
    seen: str = ""
    """What a probe said of this kind then."""
    bottom: str = ""
    """The cursor below which nothing is kept."""
    page: int | None = None
    """The page size that the forge bore; None: any."""
    way: str = ""
    """`git` where commits come by git, with the reason after a colon."""
    gaps: tuple[Gap, ...] = ()
    resume: Resume | None = None
    reading: int = 0
    """Counts the readings of all there is; what the last one did not see leaves the mirror."""


@dataclass(frozen=True, slots=True)
class State:
    """What the mirror has at one moment: its marks, and what lies in a window."""

    marks: Mapping[Kind, Mark]
    counts: Mapping[Kind, int]


@dataclass(frozen=True, slots=True)
class Probe:
    """What one cheap look at a repository said."""

    repo_id: str
    at: datetime
    name: str = ""
    url: str = ""
    seen: Mapping[Kind, str] = field(default_factory=dict)
    """Changes whenever anything of the kind has; commits: the oid of the default branch."""
    gone: str = ""
    """Why it cannot be read any more, in words."""
    facts: Facts | None = None
    by: str = ""
    """The credential that saw it."""
    alone: bool = False
    """Whether no other repository was looked at with it."""
    etags: Mapping[str, str] = field(default_factory=dict)
    """By path: what the forge calls its answers to that credential while nothing here changes."""


class Mirror(Protocol):
    """What was seen of repositories. Errors: Transient, StoreError."""

    def exclusive(self, repo: Repo) -> AbstractContextManager[None]:
        """Keep others from bringing the repository up to date; Throttled when somebody does."""
        ...

    def meet(self, repos: Sequence[Repo]) -> None:
        """Let repositories be known, so that they may be probed with others."""
        ...

    def probe(self, repo_id: str) -> Probe | None: ...

    def companions(
        self, repo_id: str, owner: str | None, *, before: datetime, limit: int
    ) -> tuple[Repo, ...]:
        """Others that wait for a fetch and were not probed since `before`, of an owner or of all;
        nobody else gets them for a minute."""
        ...

    def put_probes(self, probes: Sequence[Probe]) -> None:
        """Keep what was seen, and what has become of the repositories since the last look."""
        ...

    def state(self, repo_id: str, window: Window) -> State:
        """The marks, and how many of each kind were opened or ended in the window, at once."""
        ...

    def keep(
        self, repo_id: str, mark: Mark, items: Sequence[Item] = (), drop: Window | None = None
    ) -> None:
        """In one transaction: keep these, move the mark, and forget the kind's items in `drop`
        that the mark's reading has not seen."""
        ...

    def known(self, repo_id: str, keys: Collection[str]) -> frozenset[str]:
        """Which of the keys are kept."""
        ...

    def updated(self, repo_id: str, kind: Kind, since: datetime) -> int:
        """How many of the kind were last updated at `since` or later."""
        ...

    def items(self, repo_id: str, window: Window) -> Iterator[Item]:
        """What was opened or ended in the window, newest first; streams."""
        ...


@dataclass(frozen=True, slots=True)
class Lease:
    """Points of one credential that one request may spend."""

    credential: str
    resource: str
    points: int


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a credential stands with one resource (`graphql`, `core`)."""

    credential: str
    label: str
    """How people know it; masked."""
    resource: str
    limit: int | None
    """None: unlimited."""
    remaining: int
    reset_at: datetime | None = None
    leased: int = 0
    blocked_until: datetime | None = None


class Budget(Protocol):
    """Points that all workers share. Errors: Throttled, Transient, StoreError."""

    def unknown(self, credentials: Sequence[str], resource: str) -> tuple[str, ...]:
        """Those of the credentials whose standing nobody has asked for yet."""
        ...

    def told(self, standing: Standing) -> None:
        """Write down what the forge says of a credential."""
        ...

    def lease(
        self, credentials: Sequence[str], resource: str, points: int, *, now: datetime
    ) -> Lease:
        """Take points from the credential with the most room above its reserve.

        Raises Throttled, with the moment at which there will be room, when none has any.
        """
        ...

    def settle(self, lease: Lease, told: Standing | None, *, free: bool = False) -> None:
        """The request has ended; correct the account by what the forge told, if it did.

        What a `free` request took is given back.
        """
        ...

    def block(
        self, credential: str, resource: str, *, until: datetime | None, now: datetime
    ) -> None:
        """Leave a credential alone until then; None: for a minute, twice as long each time."""
        ...

    def standings(self) -> tuple[Standing, ...]: ...
