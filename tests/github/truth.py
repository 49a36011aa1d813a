"""What really happened in a window, for tests to compare with what was fetched."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.github.items import Thread
    from tests.github.repository import Repository


@dataclass(frozen=True, slots=True)
class Truth:
    """What exists of each kind in [since, until).

    Commits are oids, releases tag names. Of pull requests and issues it says, by number, what
    was done in the window: `opened`, `merged`, `closed`, `updated`; a merged one is not closed too.
    """

    commits: tuple[str, ...]
    """Oldest first, by committer date."""
    pull_requests: dict[int, frozenset[str]]
    issues: dict[int, frozenset[str]]
    releases: tuple[str, ...]

    @property
    def keys(self) -> frozenset[str]:
        """Natural keys of everything in it, such as `pull_request:12`."""
        return frozenset(
            [f"commit:{oid}" for oid in self.commits]
            + [f"pull_request:{number}" for number in self.pull_requests]
            + [f"issue:{number}" for number in self.issues]
            + [f"release:{tag}" for tag in self.releases]
        )

    def keys_with(self, *deeds: str) -> frozenset[str]:
        """As `keys`, of pull requests and issues only those to which one of the deeds was done."""
        wanted = frozenset(deeds)
        return frozenset(
            [f"commit:{oid}" for oid in self.commits]
            + [f"pull_request:{n}" for n, done in self.pull_requests.items() if done & wanted]
            + [f"issue:{n}" for n, done in self.issues.items() if done & wanted]
            + [f"release:{tag}" for tag in self.releases]
        )

    @classmethod
    def of(cls, repository: Repository, since: datetime, until: datetime) -> Truth:
        def inside(at: datetime | None) -> bool:
            return at is not None and since <= at < until

        def deeds(thread: Thread, merged_at: datetime | None = None) -> frozenset[str]:
            ended = {"merged": merged_at} if merged_at else {"closed": thread.closed_at}
            moments = {"opened": thread.created_at, "updated": thread.updated_at, **ended}
            return frozenset(deed for deed, at in moments.items() if inside(at))

        history = repository.history
        pulls = {n: deeds(pull, pull.merged_at) for n, pull in history.pulls.items()}
        issues = {n: deeds(issue) for n, issue in history.issues.items()}
        return cls(
            commits=tuple(commit.oid for commit in history.commits if inside(commit.at)),
            pull_requests={n: done for n, done in pulls.items() if done},
            issues={n: done for n, done in issues.items() if done},
            releases=tuple(
                release.tag_name
                for release in history.releases
                if inside(release.published_at) and not release.is_draft
            ),
        )
