"""Turning the pages of one repository: as many kinds at once as lack something, for a point.

Pages shrink until GitHub bears them, and grow again; what size it bears is part of the marks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from sparky.errors import SourceError, Transient
from sparky.forge import BEGINNING
from sparky.model import Kind, Repo, Window
from sparky.source import queries
from sparky.source.githubparse import Node
from sparky.source.githubwire import Said, TooHeavy, Wire
from sparky.source.nested import Nested
from sparky.source.walk import SECOND, Phase, Walk

Walks = Mapping[Kind, Walk]
FIELDS: Final = {
    Kind.COMMIT: "commits",
    Kind.PULL_REQUEST: "pullRequests",
    Kind.ISSUE: "issues",
    Kind.RELEASE: "releases",
}
NAMES: Final = {"defaultBranchRef": Kind.COMMIT, **{field: kind for kind, field in FIELDS.items()}}
"""Fields of a repository, and whose they are."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of one kind, as it came."""

    nodes: Sequence[Node | None]
    more: bool
    cursor: str | None
    head: str = ""
    total: int | None = None
    """Commits: how many lie in the window; issues: how many were updated since the mark."""


@dataclass(frozen=True, slots=True)
class Turned:
    """What one request brought: a page of each kind, or the reason why there is none."""

    pages: Mapping[Kind, Page]
    lost: Mapping[Kind, str]


def owner_of(repo: Repo) -> str:
    """The account that it belongs to."""
    return repo.name.partition("/")[0]


def first_seen(
    wire: Wire, name: str, variables: Mapping[str, Any], field: str, *, owner: str, points: int = 1
) -> Said:
    """The answer of the first credential that sees the thing, or of the last one asked."""
    tried = frozenset[str]()
    while True:
        said = wire.ask(name, variables, points=points, owner=owner, without=tried)
        tried |= {said.credential}
        left = [c for c in wire.keyring.for_owner(owner) if c.id not in tried]
        if said.data.get(field) or not left:
            return said


def turn(wire: Wire, repo: Repo, walks: Walks, window: Window) -> Turned:
    """Ask for the next page of every walk that is not at its end.

    Raises SourceError when the repository is gone, Transient when GitHub does not get over it.
    """
    asked_again = False
    while phases := {kind: one.phase for kind, one in walks.items() if one.phase is not None}:
        said = _borne(wire, repo, walks, phases, window)
        denied = {kind: str(e.get("message", "")) for e in said.errors if (kind := _kind_of(e))}
        if not said.data.get("node") and not denied:
            raise SourceError(
                f"{repo.name} cannot be read any more", remedy="`sparky repos remove` forgets it"
            )
        if stale := {_kind_of(error) for error in said.errors if _stale(error)}:
            if not all(walks[kind].restart() for kind in phases if kind in stale):
                raise Transient(f"GitHub forgets its cursors of {repo.name}")
            continue
        if said.errors and not asked_again and not _all_denied(said):
            asked_again = True  # it may have been a moment's weakness
            continue
        if not said.data.get("node"):
            # A list that may not be null takes the whole repository with it: go on without it.
            return Turned({}, {kind: why for kind, why in denied.items() if kind in phases})
        for kind in phases:
            _grow(walks[kind])
        return _split(said, phases, Nested(wire, owner_of(repo), said))
    return Turned({}, {})


def _borne(
    wire: Wire, repo: Repo, walks: Walks, phases: Mapping[Kind, Phase], window: Window
) -> Said:
    """The answer to pages of the largest size that GitHub bears."""
    count = Kind.COMMIT in phases
    while True:
        largest = queries.page_sizes(frozenset(phases))
        sizes = {kind: min(size, walks[kind].mark.page or 100) for kind, size in largest.items()}
        points = queries.points(queries.activity_requests(sizes, count=count))
        asked = _variables(repo.id, walks, sizes, window)
        owner = owner_of(repo)
        try:
            said = first_seen(wire, "activity", asked, "node", owner=owner, points=points)
        except TooHeavy as error:
            if max(sizes.values()) == 1:
                raise Transient(f"GitHub gives up on {repo.name}: {error.message}") from error
        else:
            if not _heavy(said) or max(sizes.values()) == 1:
                return said
        for kind, size in sizes.items():
            walks[kind].mark = replace(walks[kind].mark, page=max(1, size // 2))


def _grow(one: Walk) -> None:
    if (page := one.mark.page) is not None:
        grown = page + page // 2 + 1
        one.mark = replace(one.mark, page=None if grown >= 100 else grown)


def _variables(
    repo_id: str, walks: Walks, sizes: Mapping[Kind, int], window: Window
) -> dict[str, Any]:
    values: dict[str, Any] = {"id": repo_id, "count": Kind.COMMIT in sizes}
    for kind, field in FIELDS.items():
        phase = walks[kind].phase
        values |= {field: phase is not None, f"{field}First": sizes.get(kind, 0)}
        if phase is not None and phase.cursor:
            values[f"{field}After"] = phase.cursor
    if Kind.ISSUE in sizes:
        values["issuesSince"] = (walks[Kind.ISSUE].mark.since or BEGINNING).isoformat()
    if phase := walks[Kind.COMMIT].phase:
        values["commitsSince"] = phase.floor.isoformat()
        if phase.until is not None:
            values["commitsUntil"] = phase.until.isoformat()
        values["countSince"] = window.since.isoformat()
        # Both bounds are inclusive, and git's dates are whole seconds.
        values["countUntil"] = (window.until - SECOND).isoformat()
    return values


def _split(said: Said, phases: Mapping[Kind, Phase], nested: Nested) -> Turned:
    """An answer as a page of each kind, or the reason why there is none."""
    pages, lost = dict[Kind, Page](), dict[Kind, str]()
    node = said.data["node"]
    for kind in phases:
        head, total = "", None
        connection = node.get(FIELDS[kind])
        if kind is Kind.COMMIT:
            target = (node.get("defaultBranchRef") or {}).get("target") or {}
            connection, head = target.get("history"), target.get("oid", "")
            total = (target.get("counted") or {}).get("totalCount")
        elif kind is Kind.ISSUE:
            total = (node.get("issuesCounted") or {}).get("totalCount")
        if connection is None:
            reasons = [e for e in said.errors if _kind_of(e) is kind]
            if kind is Kind.COMMIT and not reasons:
                pages[kind] = Page((), False, None, "", 0)  # emptied since the probe
            else:
                lost[kind] = str(reasons[0].get("message", "")) if reasons else "GitHub fails on it"
            continue
        nodes = [nested.whole(kind, one) if one else None for one in connection["nodes"]]
        info = connection["pageInfo"]
        pages[kind] = Page(nodes, info["hasNextPage"], info["endCursor"], head, total)
    return Turned(pages, lost)


def _kind_of(error: Mapping[str, Any]) -> Kind | None:
    path: Sequence[Any] = error.get("path") or ()
    return NAMES.get(str(path[1])) if len(path) > 1 else None


def _stale(error: Mapping[str, Any]) -> bool:
    """Whether a cursor is not valid any more."""
    return error.get("type") == "INVALID_CURSOR_ARGUMENTS" and _kind_of(error) is not None


def _heavy(said: Said) -> bool:
    return any(error.get("type") == "RESOURCE_LIMITS_EXCEEDED" for error in said.errors)


def _all_denied(said: Said) -> bool:
    return all(error.get("type") == "FORBIDDEN" for error in said.errors)
