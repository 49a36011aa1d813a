"""Makes what is inside one repository: all of it, the same each time, when somebody first looks."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import TYPE_CHECKING

from tests.github import words
from tests.github.accounts import Account, Bot, User, git_name
from tests.github.items import (
    Commit,
    GitActor,
    Issue,
    Label,
    PullRequest,
    Release,
    Review,
    ReviewRequest,
    Thread,
)
from tests.github.sizes import Size

if TYPE_CHECKING:
    from tests.github.repository import Repository

LABELS = "bug feature docs dependencies security performance question tests api build".split()
CROWDED = 200
"""From so many pull requests on, the first one is crowded: more of everything than one page."""


@dataclass(slots=True)
class History:
    """Everything that a repository holds; commits oldest first."""

    commits: list[Commit] = field(default_factory=list)
    pulls: dict[int, PullRequest] = field(default_factory=dict)
    issues: dict[int, Issue] = field(default_factory=dict)
    releases: list[Release] = field(default_factory=list)
    next_number: int = 1
    positions: dict[str, int] = field(default_factory=dict)
    """Where each commit of the default branch stands in `commits`."""

    def index(self) -> None:
        self.positions = {commit.oid: position for position, commit in enumerate(self.commits)}

    @property
    def items(self) -> int:
        return len(self.commits) + len(self.pulls) + len(self.issues) + len(self.releases)


def oid(*parts: object) -> str:
    """Forty hexadecimal digits that belong to these words."""
    return hashlib.sha1(repr(parts).encode(), usedforsecurity=False).hexdigest()


class Maker:
    """Draws one repository's history from its seed, its size and its people."""

    def __init__(
        self, repository: Repository, size: Size, people: Sequence[User], bots: Sequence[Bot]
    ):
        self.repository = repository
        self.size = size
        self.people = people
        self.bots = bots
        self.random = Random(f"{repository.seed}/{repository.number}/history")
        self.labels = [Label(repository.number, name) for name in LABELS]
        self.squashed: list[PullRequest] = []
        self.real = False

    def make(self, real: History | None = None) -> History:
        """All of it; `real` commits are kept as they are, and the rest is drawn around them."""
        history, self.real = real or History(), real is not None
        if real is None:
            self._commits(history)
        history.index()
        pulls = self._pull_requests(history)
        issues = self._issues()
        threads: list[Thread] = sorted([*pulls, *issues], key=lambda one: one.created_at)
        for number, thread in enumerate(threads, 1):
            thread.number = number
            if isinstance(thread, PullRequest):
                history.pulls[number] = thread
            elif isinstance(thread, Issue):
                history.issues[number] = thread
        history.next_number = len(threads) + 1
        self._link(history)
        self._releases(history)
        return history

    # ---- Commits -----------------------------------------------------------------------------------

    def _times(self, count: int) -> list[datetime]:
        """Ascending, denser towards the end; the last one is the last push."""
        span = (self.size.pushed_at - self.size.created_at).total_seconds()
        ages = sorted(
            (int(span * self.random.random() ** 3) for _ in range(count - 1)), reverse=True
        )
        return [self.size.pushed_at - timedelta(seconds=age) for age in [*ages, 0]]

    def _commits(self, history: History) -> None:
        for position, at in enumerate(self._times(self.size.commits) if self.size.commits else []):
            parents = (history.commits[-1].oid,) if history.commits else ()
            who = self._somebody(bots=0.08)
            history.commits.append(
                self.commit(
                    oid(self.repository.seed, self.repository.number, position), at, who, parents
                )
            )

    def commit(
        self, name: str, at: datetime, who: Account, parents: tuple[str, ...], message: str = ""
    ) -> Commit:
        random = self.random
        bot = isinstance(who, Bot)
        text = message or (words.bump(random) if bot else words.title(random))
        if not message and random.random() < 0.4:
            text += f"\n\n{words.body(random)}".rstrip()
        draw = random.random()
        authored = at if draw < 0.6 else at - timedelta(seconds=90 if draw < 0.8 else 7200)
        author = GitActor(*git_name(who), authored, None if bot else who)
        co_authors: tuple[GitActor, ...] = ()
        if not bot and not message and random.random() < 0.06:
            other = random.choice(self.people)
            if other is not who:
                co_authors = (GitActor(*git_name(other), authored, other),)
                text += f"\n\nCo-authored-by: {other.name} <{other.email}>"
        return Commit(
            repository=self.repository,
            oid=name,
            message=text,
            author=author,
            committer=(
                author if authored == at else GitActor(author.name, author.email, at, author.user)
            ),
            parents=parents,
            co_authors=co_authors,
            additions=1 + int(draw * 10_000) % 200,
            deletions=int(draw * 100_000) % 80,
            files=1 + int(draw * 1_000_000) % 9,
        )

    # ---- Pull requests and issues ------------------------------------------------------------------

    def _pull_requests(self, history: History) -> list[PullRequest]:
        count, commits = self.size.pull_requests, history.commits
        merged = min(int(count * 0.75), len(commits) - 1) if len(commits) > 1 else 0
        ends = sorted(self.random.sample(range(1, len(commits)), merged))
        pulls, previous = [], 0
        for end in ends:
            pulls.append(self._merged(commits, previous, end))
            previous = end
        pulls += [self._unmerged(closed=index % 5 < 3) for index in range(count - merged)]
        return pulls

    def _merged(self, commits: list[Commit], previous: int, end: int) -> PullRequest:
        """A pull request whose last commit on the default branch is commits[end]."""
        random, last = self.random, commits[end]
        own = 0 if self.real else min(random.choice((0, 0, 1, 2, 3)), end - previous - 1)
        method = random.choice(("merge", "rebase")) if own else "rebase" if self.real else "squash"
        created = self._before(last.at)
        author = last.author.user or random.choice(self.bots)
        pull = self._pull(author, created, last.at)
        pull.title = last.headline
        pull.closed_at = pull.merged_at = last.at
        pull.merged_by = self._somebody(bots=0.05)
        pull.merge_commit = last.oid
        branch = commits[end - own : end] if method == "merge" else commits[end - own : end + 1]
        if method == "squash":
            self.squashed.append(pull)
        if method == "merge":
            last.parents = (commits[end - own - 1].oid, commits[end - 1].oid)
            pull.commits = list(branch)
        else:
            # What was on the branch was written anew on the default branch.
            pull.commits = [
                self.commit(oid(one.oid, "branch", n), created, author, (one.oid,), one.message)
                for one in branch
                for n in range(random.randint(1, 3) if method == "squash" else 1)
            ]
        for one in commits[end - own : end + 1]:
            one.pull_request = id(pull)  # the number follows when all of them are known
        self._discuss(pull, last.at)
        return pull

    def _unmerged(self, *, closed: bool) -> PullRequest:
        created = self._between(self.size.created_at, self.size.pushed_at)
        pull = self._pull(self._author(), created, created)
        if closed:
            pull.closed_at = self._between(created, self.size.pushed_at)
        pull.is_draft = not closed and self.random.random() < 0.2
        pull.commits = [
            self.commit(oid(self.repository.id, created, n), created, self._somebody(), ())
            for n in range(self.random.randint(1, 3))
        ]
        self._discuss(pull, pull.closed_at or self.size.pushed_at)
        return pull

    def _pull(self, author: Account | None, created: datetime, updated: datetime) -> PullRequest:
        random = self.random
        return PullRequest(
            repository=self.repository,
            title=words.title(random),
            body=words.body(random),
            author=author,
            created_at=created,
            updated_at=updated,
            labels=self._labels(),
            additions=random.randint(1, 500),
            deletions=random.randint(0, 200),
            files=random.randint(1, 20),
            head=f"topic-{random.randint(1, 99999)}",
        )

    def _discuss(self, pull: PullRequest, end: datetime, reviews: int | None = None) -> None:
        random = self.random
        for index in range(random.choice((0, 0, 1, 1, 2, 3)) if reviews is None else reviews):
            pull.reviews.append(
                Review(
                    pull_request=pull,
                    index=len(pull.reviews),
                    author=random.choice(self.people) if index % 20 != 19 else None,
                    state=random.choice(("APPROVED", "APPROVED", "COMMENTED", "CHANGES_REQUESTED")),
                    submitted_at=self._between(pull.created_at, end),
                )
            )
        if random.random() < 0.2:
            request = ReviewRequest(
                pull_request=pull, requested_reviewer=random.choice(self.people)
            )
            pull.requests.append(request)
        pull.comments = random.randint(0, 6)
        moments = [
            pull.updated_at,
            pull.closed_at or pull.created_at,
            *(review.submitted_at for review in pull.reviews),
        ]
        pull.updated_at = max(moments)

    def _issues(self) -> list[Issue]:
        random, issues = self.random, []
        for _ in range(self.size.issues):
            created = self._between(self.size.created_at, self.size.pushed_at)
            closed = self._between(created, self.size.pushed_at) if random.random() < 0.7 else None
            issues.append(
                Issue(
                    repository=self.repository,
                    title=words.title(random),
                    body=words.body(random),
                    author=self._author(),
                    created_at=created,
                    updated_at=closed or created,
                    closed_at=closed,
                    state_reason=random.choice(("COMPLETED", "NOT_PLANNED")) if closed else None,
                    labels=self._labels(),
                    comments=random.randint(0, 8),
                )
            )
        return issues

    def _link(self, history: History) -> None:
        """Numbers go where they belong, and some pull requests close issues."""
        numbers = {id(pull): number for number, pull in history.pulls.items()}
        for commit in history.commits:
            if commit.pull_request is not None:
                commit.pull_request = numbers[commit.pull_request]
        for pull in self.squashed:
            commit = history.commits[history.positions[pull.merge_commit or ""]]
            headline, line, rest = commit.message.partition("\n")
            commit.message = f"{headline} (#{pull.number}){line}{rest}"
        closed = [issue for issue in history.issues.values() if issue.state_reason == "COMPLETED"]
        merged = [pull for pull in history.pulls.values() if pull.merged]
        for issue in closed[: len(merged) // 2]:
            self.random.choice(merged).closes.append(issue)
        for pull in history.pulls.values():
            if pull.closes:
                text = ", ".join(f"Closes #{issue.number}" for issue in pull.closes)
                pull.body = f"{pull.body}\n\n{text}".strip()
        if len(history.pulls) >= CROWDED:
            self._crowd(next(iter(history.pulls.values())))

    def _crowd(self, pull: PullRequest) -> None:
        """More reviews, commits and labels than one page holds."""
        self._discuss(pull, pull.closed_at or pull.updated_at, reviews=130)
        number = self.repository.number
        pull.labels = [*pull.labels, *(Label(number, f"area/{n}") for n in range(105))]
        pull.commits = [
            *pull.commits,
            *(
                self.commit(oid(pull.id, "crowd", n), pull.created_at, self._somebody(), ())
                for n in range(120)
            ),
        ]

    # ---- Releases ----------------------------------------------------------------------------------

    def _releases(self, history: History) -> None:
        if not history.commits:
            return
        positions = sorted(self.random.sample(range(len(history.commits)), self.size.releases))
        for index, position in enumerate(positions):
            commit, version = history.commits[position], f"{index // 8}.{index % 8}.0"
            history.releases.append(
                Release(
                    repository=self.repository,
                    tag_name=f"v{version}",
                    name=f"Version {version}",
                    description=words.body(self.random),
                    author=self.random.choice(self.people),
                    created_at=commit.at,
                    published_at=commit.at + timedelta(minutes=5),
                    updated_at=commit.at + timedelta(minutes=5),
                    target=commit.oid,
                    is_prerelease=self.random.random() < 0.1,
                )
            )

    # ---- Draws -------------------------------------------------------------------------------------

    def _somebody(self, bots: float = 0.0) -> Account:
        if self.random.random() < bots:
            return self.random.choice(self.bots)
        # A few do most of the work.
        return self.people[int(len(self.people) * self.random.random() ** 2)]

    def _author(self) -> Account | None:
        """Who opened something; None when the account has been deleted since."""
        return None if self.random.random() < 0.02 else self._somebody(bots=0.1)

    def _labels(self) -> list[Label]:
        """None, one or two of them."""
        draw = self.random.random()
        first = int(draw * 1000) % len(self.labels)
        return [] if draw < 0.35 else self.labels[first : first + 1 + (draw > 0.85)]

    def _before(self, at: datetime) -> datetime:
        return max(
            self.size.created_at, at - timedelta(minutes=int(self.random.expovariate(1 / 2000)))
        )

    def _between(self, start: datetime, end: datetime) -> datetime:
        span = int((end - start).total_seconds())
        return start + timedelta(seconds=self.random.randint(0, span)) if span > 0 else start
