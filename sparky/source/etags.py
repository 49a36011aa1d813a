"""Asking by REST whether a repository is still what a probe saw of it, which costs no point.

GitHub gives an answer an ETag; a request that hands it back is answered 304 as long as the answer is
the same, and is not counted. Six answers together show all that a probe compares. The ETags of
GitHub hold for the token that was given them, so those of an App's installation, which lives for an
hour, are of no use the next night.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from sparky.facts import Facts
from sparky.forge import Probe
from sparky.model import Kind
from sparky.source.githubparse import Node, moment
from sparky.source.githubwire import Shown, Wire

_SETTLED: Final = timedelta(minutes=10)
"""What is younger may not yet look the same everywhere, and gets no ETags."""
_NEWEST: Final = "state=all&sort=updated&direction=desc&per_page=1"
_OLDEST: Final = "state=all&sort=created&direction=asc&per_page=1"


class ETags:
    """Errors: Transient, StoreError; what goes wrong at GitHub is no answer, and the probe asks."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def hold(self, probe: Probe, owner: str) -> bool:
        """Whether GitHub says that everything is still as the probe saw it."""
        if not probe.etags or not self._lasts(probe.by, owner):
            return False
        for path, etag in probe.etags.items():
            shown = self._wire.shown(path, probe.by, etag)
            if shown is None or not shown.is_same:
                return False
        return True

    def of(self, probe: Probe, owner: str) -> Mapping[str, str]:
        """The ETags of answers that show what the probe saw; none where one shows anything else."""
        paths = _paths(probe)
        if not paths or not self._lasts(probe.by, owner):
            return {}
        told: dict[str, Shown] = {}
        for what, path in paths.items():
            shown = self._wire.shown(path, probe.by)
            if shown is None or not shown.etag:
                return {}
            told[what] = shown
        if not _agree(probe, told):
            return {}
        return {path: told[what].etag for what, path in paths.items()}

    def _lasts(self, credential: str, owner: str) -> bool:
        """Whether it is a user's token, which is the same token the next night."""
        held = self._wire.keyring.for_owner(owner)
        return any(one.id == credential and one.owner is None for one in held)


def _paths(probe: Probe) -> Mapping[str, str]:
    """Where REST shows what the probe compares; nowhere, where that is too much or too new."""
    unknown = any(told.startswith("?") for told in probe.seen.values())
    if probe.facts is None or unknown or not probe.seen[Kind.COMMIT]:
        return {}
    release, *times = probe.seen[Kind.RELEASE].split(" ")
    times += [_updated(probe, kind) for kind in (Kind.PULL_REQUEST, Kind.ISSUE)]
    if any(moment(at) > probe.at - _SETTLED for at in times if at[:1].isdigit()):
        return {}
    base = f"/repos/{probe.name}"
    latest = "?per_page=1" if release == "None" else "/latest"
    return {
        # Deep pages are refused, so this comes first. It is another one, or none, as soon as one
        # of the pull requests and issues before it is gone.
        "last": f"{base}/issues?{_OLDEST}&page={max(1, _total(probe))}",
        "repository": base,
        "tip": f"{base}/commits?per_page=1",
        "pulls": f"{base}/pulls?{_NEWEST}",
        "threads": f"{base}/issues?{_NEWEST}",
        "release": f"{base}/releases{latest}",
    }


def _agree(probe: Probe, told: Mapping[str, Shown]) -> bool:
    """Whether REST shows just what the probe saw: neither need have seen the last change."""
    bodies = {what: shown.body for what, shown in told.items()}
    pulls, issues = _updated(probe, Kind.PULL_REQUEST), _updated(probe, Kind.ISSUE)
    _, released, _, updated = probe.seen[Kind.RELEASE].split(" ")
    repository, release = bodies["repository"], bodies["release"]
    return (
        (repository["full_name"], repository["html_url"]) == (probe.name, probe.url)
        and _facts(repository) == probe.facts
        and repository["updated_at"] == updated
        and [commit["sha"] for commit in bodies["tip"]] == [probe.seen[Kind.COMMIT]]
        and _newest(bodies["pulls"]) == pulls
        # This list has both of them.
        and _newest(bodies["threads"]) == max(pulls, issues)
        and (len(bodies["last"]), told["last"].more) == (min(1, _total(probe)), False)
        and (not release if released == "None" else release.get("updated_at") == released)
    )


def _total(probe: Probe) -> int:
    """How many pull requests and issues there are."""
    return sum(int(probe.seen[k].partition(" ")[0]) for k in (Kind.PULL_REQUEST, Kind.ISSUE))


def _updated(probe: Probe, kind: Kind) -> str:
    """When the newest of the kind was updated."""
    return probe.seen[kind].partition(" ")[2]


def _newest(rows: Sequence[Node]) -> str:
    return str(rows[0]["updated_at"]) if rows else ""


def _facts(row: Node) -> Facts:
    pushed = row["pushed_at"]
    return Facts(
        archived=row["archived"],
        fork=row["fork"],
        private=row["private"],
        kilobytes=row["size"],
        language=row["language"] or "",
        pushed_at=datetime.fromisoformat(pushed) if pushed else None,
    )
