"""A cheap look at many repositories at once: has anything changed?"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from sparky.errors import SourceError, Throttled
from sparky.forge import Mirror, Probe
from sparky.model import Kind, Repo
from sparky.ports import Clock
from sparky.source import queries
from sparky.source.etags import ETags
from sparky.source.githubparse import Node
from sparky.source.githubwire import Said, Wire
from sparky.source.listing import NOT_THERE, facts, missing
from sparky.source.pages import NAMES, owner_of

FRESH: Final = timedelta(minutes=10)
"""So long a probe holds."""


class Prober:
    """Looks at a repository, and for the same point at others that wait for theirs."""

    def __init__(self, wire: Wire, mirror: Mirror, clock: Clock) -> None:
        self._wire = wire
        self._mirror = mirror
        self._clock = clock
        self._etags = ETags(wire)
        self._here = threading.local()
        """What each thread saw last: a fetch asks twice in a row."""

    def probed(self, repo: Repo) -> Probe:
        """What a fresh look says of the repository; SourceError when it is gone."""
        fresh = self._clock() - FRESH
        last: Probe | None = getattr(self._here, "last", None)
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
            if others:
                probes = self._look([repo, *others], owner)
            else:
                probes = [self._alone(repo, owner, last=probe)]
            self._mirror.put_probes(probes)
            probe = probes[0]
        self._here.last = probe
        if probe.gone:
            ends = "`sparky repos discover --prune` follows it no longer"
            if probe.gone != NOT_THERE:
                ends = "docs/github.md tells what a credential needs"
            raise SourceError(
                f"{repo.name} {probe.gone}",
                remedy=f"`sparky repos show {repo.name}` tells since when; {ends}",
            )
        return probe

    def _alone(self, repo: Repo, owner: str, *, last: Probe | None) -> Probe:
        """Ask about one repository: for nothing, as long as it is what it was."""
        if last is not None and self._etags.hold(last, owner):
            return replace(last, at=self._clock())
        (probe,) = self._look([repo], owner)
        # Who was looked at with others will be so again: asking for ETags would be for nothing.
        lonely = last is None or last.alone
        etags = self._etags.of(probe, owner) if lonely else {}
        return replace(probe, alone=True, etags=etags)

    def _look(self, repos: Sequence[Repo], owner: str) -> list[Probe]:
        """Ask as everybody who may see some of them, until all are found or nobody is left."""
        now, keyring = self._clock(), self._wire.keyring
        found: dict[str, Probe] = {}
        left = [repo.id for repo in repos]
        everybody = frozenset(who.id for who in keyring.everybody())
        tried = frozenset[str]()
        while left and not (tried and all(who.id in tried for who in keyring.for_owner(owner))):
            said, probes = self._ask(left, owner, tried, now)
            found |= probes
            tried |= {said.credential}
            left = [one for one in left if found[one].gone]
        # What has moved to another account is there for its installation.
        for who in [one for one in keyring.everybody() if one.id not in tried]:
            if not left:
                break
            try:
                probes = self._ask(left, who.owner or owner, everybody - {who.id}, now)[1]
            except (SourceError, Throttled):
                continue  # it does not concern the owner's own credentials
            found |= {key: one for key, one in probes.items() if not one.gone}
            left = [one for one in left if found[one].gone]
        return [found[repo.id] for repo in repos]

    def _ask(
        self, ids: Sequence[str], owner: str, without: frozenset[str], now: datetime
    ) -> tuple[Said, dict[str, Probe]]:
        """One look at them as one credential."""
        points = queries.points(2 * len(ids))
        said = self._wire.ask("probe", {"ids": ids}, points=points, owner=owner, without=without)
        wrong = _by_node(said.errors)
        return said, {
            repo_id: replace(_probe(repo_id, row, wrong.get(index, ()), now), by=said.credential)
            for index, (repo_id, row) in enumerate(zip(ids, said.data["nodes"], strict=True))
        }


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
        lost = missing(errors)
        if lost is None or any(len(error["path"]) > 2 for error in errors):
            # GitHub stumbled over it, or a part of it is denied: look at everything.
            return Probe(repo_id, now, seen={kind: f"? {now.isoformat()}" for kind in Kind})
        return Probe(repo_id, now, gone=lost.why)
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
    return Probe(repo_id, now, row["nameWithOwner"], row["url"], seen, facts=facts(row))


def _newest(connection: Node | None) -> str:
    connection = connection or {"totalCount": 0, "nodes": []}
    first: Node = next(filter(None, connection["nodes"]), {})
    return f"{connection['totalCount']} {first.get('updatedAt', '')}"
