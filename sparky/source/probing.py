"""A cheap look at many repositories at once: has anything changed?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sparky.errors import SourceError
from sparky.forge import Mirror, Probe
from sparky.model import Kind, Repo
from sparky.ports import Clock
from sparky.source import queries
from sparky.source.githubparse import Node
from sparky.source.githubwire import Wire
from sparky.source.pages import NAMES, owner_of

FRESH: Final = timedelta(minutes=10)
"""So long a probe holds."""


class Prober:
    """Looks at a repository, and for the same point at others that wait for theirs."""

    def __init__(self, wire: Wire, mirror: Mirror, clock: Clock) -> None:
        self._wire = wire
        self._mirror = mirror
        self._clock = clock
        self._last: Probe | None = None
        """A fetch asks twice in a row."""

    def probed(self, repo: Repo) -> Probe:
        """What a fresh look says of the repository; SourceError when it is gone."""
        fresh = self._clock() - FRESH
        last = self._last
        if last is None or last.repo_id != repo.id or last.at < fresh:
            last = self._mirror.probe(repo.id)
        probe = last
        if probe is None or probe.at < fresh:
            owner = owner_of(repo)
            self._mirror.meet([repo])
            installed = next((c.owner for c in self._wire.keyring.for_owner(owner)), None)
            others = self._mirror.companions(
                repo.id, installed, before=fresh, limit=queries.PROBED - 1
            )
            probes = self._look([repo, *others], owner)
            self._mirror.put_probes(probes)
            probe = probes[0]
        self._last = probe
        if probe.gone:
            raise SourceError(
                f"{repo.name} {probe.gone}", remedy="`sparky repos remove` forgets it"
            )
        return probe

    def _look(self, repos: Sequence[Repo], owner: str) -> list[Probe]:
        """Ask as everybody who may see some of them, until all are found or nobody is left."""
        now, tried = self._clock(), frozenset[str]()
        ids, found = [repo.id for repo in repos], dict[str, Probe]()
        while ids:
            points = queries.points(2 * len(ids))
            said = self._wire.ask("probe", {"ids": ids}, points=points, owner=owner, without=tried)
            wrong = _by_node(said.errors)
            for index, (repo_id, row) in enumerate(zip(ids, said.data["nodes"], strict=True)):
                found[repo_id] = _probe(repo_id, row, wrong.get(index, ()), now)
            tried |= {said.credential}
            ids = [one for one in ids if found[one].gone]
            if all(c.id in tried for c in self._wire.keyring.for_owner(owner)):
                break
        return [found[repo.id] for repo in repos]


def _by_node(errors: Sequence[Mapping[str, Any]]) -> dict[int, list[Mapping[str, Any]]]:
    found: dict[int, list[Mapping[str, Any]]] = {}
    for error in errors:
        path: Sequence[Any] = error.get("path") or ()
        if len(path) > 1 and path[0] == "nodes":
            found.setdefault(int(path[1]), []).append(error)
    return found


def _probe(
    repo_id: str, row: Node | None, errors: Sequence[Mapping[str, Any]], now: datetime
) -> Probe:
    """What a row of a probe says; a field that is denied never looks unchanged."""
    if not row:
        within = any(len(error["path"]) > 2 for error in errors)
        if within or (errors and errors[0].get("type") not in {"NOT_FOUND", "FORBIDDEN"}):
            # GitHub stumbled over it, or a part of it is denied: look at everything.
            return Probe(repo_id, now, seen={kind: f"? {now.isoformat()}" for kind in Kind})
        why = "is not there any more, or no credential may read it"
        if errors and errors[0].get("type") == "FORBIDDEN":
            why = f"may not be read: {errors[0].get('message', '')}"
        return Probe(repo_id, now, gone=why)
    wrong = {str(error["path"][2]) for error in errors if len(error["path"]) > 2}
    head = ((row["defaultBranchRef"] or {}).get("target") or {}).get("oid", "")
    release = row["latestRelease"] or {}
    seen = {
        Kind.COMMIT: head,
        Kind.PULL_REQUEST: _newest(row["pullRequests"]),
        Kind.ISSUE: _newest(row["issues"]),
        Kind.RELEASE: " ".join(
            str(part)
            for part in (
                release.get("id"),
                release.get("updatedAt"),
                row["pushedAt"],
                row["updatedAt"],
            )
        ),
    }
    for field, kind in (*NAMES.items(), ("latestRelease", Kind.RELEASE)):
        if field in wrong:
            seen[kind] = f"? {now.isoformat()}"
    return Probe(repo_id, now, row["nameWithOwner"], row["url"], seen)


def _newest(connection: Node | None) -> str:
    connection = connection or {"totalCount": 0, "nodes": []}
    first: Node = next(filter(None, connection["nodes"]), {})
    return f"{connection['totalCount']} {first.get('updatedAt', '')}"
