"""What a repository holds: commits, pull requests with their reviews, issues, releases, labels."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from tests.github import ids
from tests.github.accounts import Account, Team

if TYPE_CHECKING:
    from tests.github.repository import Repository


@dataclass(slots=True, frozen=True)
class GitActor:
    """Somebody as git names them; `user` when the e-mail belongs to an account."""

    name: str
    email: str
    date: datetime
    user: Account | None = None


@dataclass(slots=True, kw_only=True, eq=False)
class Commit:
    typename = "Commit"
    repository: Repository
    oid: str
    message: str
    author: GitActor
    committer: GitActor
    parents: tuple[str, ...] = ()
    co_authors: tuple[GitActor, ...] = ()
    additions: int = 0
    deletions: int = 0
    files: int = 0
    pull_request: int | None = None
    """Number of the pull request that brought it to the default branch."""

    @property
    def id(self) -> str:
        return ids.encode("Commit", self.repository.number, self.oid)

    @property
    def at(self) -> datetime:
        return self.committer.date

    @property
    def headline(self) -> str:
        return self.message.partition("\n")[0]

    @property
    def body(self) -> str:
        return self.message.partition("\n")[2].strip("\n")


@dataclass(slots=True, frozen=True)
class Label:
    typename = "Label"
    repository_number: int
    name: str
    color: str = "ededed"

    @property
    def id(self) -> str:
        return ids.encode("Label", self.repository_number, self.name)


@dataclass(slots=True, kw_only=True, eq=False)
class Review:
    typename = "PullRequestReview"
    pull_request: PullRequest
    index: int
    author: Account | None
    state: str
    submitted_at: datetime
    body: str = ""

    @property
    def id(self) -> str:
        pull = self.pull_request
        return ids.encode("PullRequestReview", pull.repository.number, pull.number, self.index)


@dataclass(slots=True, kw_only=True, eq=False)
class ReviewRequest:
    """A review that was asked for and has not been given."""

    typename = "ReviewRequest"
    pull_request: PullRequest
    requested_reviewer: Account | Team

    @property
    def id(self) -> str:
        pull, reviewer = self.pull_request, self.requested_reviewer
        return ids.encode("ReviewRequest", pull.repository.number, pull.number, reviewer.number)


@dataclass(slots=True, kw_only=True, eq=False)
class Thread:
    """What an issue and a pull request share."""

    repository: Repository
    number: int = 0
    title: str
    body: str = ""
    author: Account | None
    created_at: datetime
    updated_at: datetime
    closed_at: datetime | None = None
    labels: list[Label] = field(default_factory=list)
    last_edited_at: datetime | None = None
    comments: int = 0

    @property
    def closed(self) -> bool:
        return self.closed_at is not None


@dataclass(slots=True, kw_only=True, eq=False)
class Issue(Thread):
    typename = "Issue"
    state_reason: str | None = None

    @property
    def id(self) -> str:
        return ids.encode("Issue", self.repository.number, self.number)

    @property
    def state(self) -> str:
        return "CLOSED" if self.closed_at else "OPEN"


@dataclass(slots=True, kw_only=True, eq=False)
class PullRequest(Thread):
    typename = "PullRequest"
    merged_at: datetime | None = None
    merged_by: Account | None = None
    merge_commit: str | None = None
    is_draft: bool = False
    additions: int = 0
    deletions: int = 0
    files: int = 0
    head: str = ""
    """Name of its branch."""
    base: str = "main"
    reviews: list[Review] = field(default_factory=list)
    requests: list[ReviewRequest] = field(default_factory=list)
    closes: list[Issue] = field(default_factory=list)
    commits: list[Commit] = field(default_factory=list)

    @property
    def id(self) -> str:
        return ids.encode("PullRequest", self.repository.number, self.number)

    @property
    def merged(self) -> bool:
        return self.merged_at is not None

    @property
    def state(self) -> str:
        return "MERGED" if self.merged_at else "CLOSED" if self.closed_at else "OPEN"


@dataclass(slots=True, kw_only=True, eq=False)
class Release:
    typename = "Release"
    repository: Repository
    tag_name: str
    name: str
    description: str
    author: Account | None
    created_at: datetime
    published_at: datetime | None
    updated_at: datetime
    target: str
    """The full oid that its tag points at."""
    is_prerelease: bool = False
    is_draft: bool = False

    @property
    def id(self) -> str:
        return ids.encode("Release", self.repository.number, self.tag_name)
