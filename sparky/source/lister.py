"""Turns the pages of GitHub's lists of repositories, as one credential."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sparky.errors import Transient
from sparky.facts import Listed
from sparky.retries import Policy, Retry, decide
from sparky.source import queries
from sparky.source.credentials import Credential
from sparky.source.githubparse import Node
from sparky.source.githubwire import Said, TooHeavy, Wire
from sparky.source.listing import listed

Pause = Callable[[float], None]
"""Lets so many seconds pass."""
Tell = Callable[[int, int], None]
"""Told how many have been seen, of how many."""
_RESTARTS: Final = 3
"""So often a list is begun anew when GitHub forgets its cursors."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a list as it came."""

    nodes: Sequence[Node]
    """Those that could be read."""
    lost: Sequence[str]
    """Why the others could not."""
    total: int
    """How many there are in the whole list, as GitHub counts."""


@dataclass(slots=True)
class Found:
    """What lists brought."""

    listed: dict[str, Listed] = field(default_factory=dict)
    """By id."""
    gaps: list[str] = field(default_factory=list)
    """What could not be had, and why."""

    def take(self, pages: Iterable[Page], tell: Tell, whose: str) -> tuple[int, int]:
        """Keep what a list shows; how many different ones, of how many that GitHub counts."""
        seen, lost, total = set[str](), list[str](), 0
        for page in pages:
            some = [listed(node) for node in page.nodes]
            self.listed |= {one.repo.id: one for one in some}
            seen |= {one.repo.id for one in some}
            lost += page.lost
            total = page.total
            tell(len(self.listed), max(total, len(self.listed)))
        self.gaps += [f"a repository {whose} could not be read: {why}" for why in lost]
        return len(seen) + len(lost), total


class Lister:
    """Asks as one credential. Errors: SourceError, Throttled, Transient.

    Args:
        wire: the way to GitHub.
        who: as whom.
        pause: waits before another attempt.
    """

    def __init__(self, wire: Wire, who: Credential, *, pause: Pause) -> None:
        self._wire = wire
        self._owner = who.owner or ""
        self._others = frozenset(c.id for c in wire.keyring.everybody()) - {who.id}
        self._pause = pause

    def ask(self, name: str, variables: Mapping[str, Any]) -> Said:
        """One answer; what may work at the next attempt is tried some more times."""
        failures = 0
        while True:
            try:
                return self._wire.ask(
                    name, variables, points=1, owner=self._owner, without=self._others
                )
            except TooHeavy:
                raise
            except Transient as error:
                step = decide(error, failures, policy=Policy(), seed=name)
                if not isinstance(step, Retry):
                    raise
                failures += 1
                self._pause(step.delay.total_seconds())

    def in_parts(
        self, name: str, values: Sequence[Any], variables: Callable[[Sequence[Any]], dict[str, Any]]
    ) -> Iterator[tuple[Sequence[Any], Said]]:
        """Answers for all of the values: at once, or for fewer where GitHub gives up on so many."""
        try:
            said = self.ask(name, variables(values))
        except TooHeavy:
            if len(values) == 1:
                raise
            half = len(values) // 2
            yield from self.in_parts(name, values[:half], variables)
            yield from self.in_parts(name, values[half:], variables)
        else:
            yield values, said

    def pages(
        self, name: str, variables: Mapping[str, Any], connection: Callable[[Said], Node]
    ) -> Iterator[Page]:
        """A list from its first page to its last; pages shrink until GitHub bears them.

        Args:
            connection: finds the list in an answer, or raises what its absence means.

        When GitHub forgets its cursors, the list comes once more from its beginning.
        """
        size, cursor, restarts, again = queries.LISTED, None, 0, False
        while True:
            try:
                said = self.ask(name, {**variables, "first": size, "after": cursor})
            except TooHeavy:
                if size == 1:
                    raise
                size = max(1, size // 2)
                continue
            if any(error.get("type") == "INVALID_CURSOR_ARGUMENTS" for error in said.errors):
                restarts += 1
                if restarts > _RESTARTS:
                    raise Transient("GitHub forgets the cursors of a list again and again")
                cursor = None
                continue
            found = connection(said)
            nodes = [node for node in found["nodes"] if node]
            lost = len(found["nodes"]) - len(nodes)
            if lost and not again:
                again = True  # it may have been a moment's weakness
                continue
            again = False
            total = found["totalCount"] if "totalCount" in found else found["repositoryCount"]
            reasons = [str(error.get("message", "")) for error in said.errors][:lost]
            yield Page(nodes, reasons + ["GitHub does not say why"] * (lost - len(reasons)), total)
            if not found["pageInfo"]["hasNextPage"]:
                return
            cursor = found["pageInfo"]["endCursor"]
            size = min(queries.LISTED, size + size // 2 + 1)
