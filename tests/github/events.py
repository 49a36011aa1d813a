"""What can happen in the world, all of it at the time that the clock shows."""

from __future__ import annotations

from datetime import datetime
from random import Random
from typing import TYPE_CHECKING

from tests.github.accounts import Account
from tests.github.clock import Clock
from tests.github.history import Maker, oid
from tests.github.items import Commit, Issue, Label, PullRequest, Release, Review, Thread

if TYPE_CHECKING:
    from tests.github.repository import Repository


class Events:
    """The part of a `World` that changes it."""

    clock: Clock
    _names: dict[str, int]
    _former: dict[str, int]

    def _maker(self, repository: Repository) -> Maker:
        maker = Maker(
            repository,
            repository.size,
            repository.world.people_of(repository),
            repository.world.bots,
        )
        maker.random = Random(f"{repository.seed}/{repository.number}/{self.clock.now()}")
        return maker

    # ---- Git ---------------------------------------------------------------------------------------

    def push(
        self,
        repository: Repository,
        commits: int = 1,
        *,
        author: Account | None = None,
        message: str = "",
    ) -> list[Commit]:
        """New commits on the default branch."""
        if repository.git is not None:
            raise ValueError("commits of a real repository are made with git")
        history, now, made = repository.history, self.clock.now(), []
        maker = self._maker(repository)
        for _ in range(commits):
            parents = (history.commits[-1].oid,) if history.commits else ()
            name = oid(repository.id, "push", len(history.commits), parents, now)
            who = author or maker.random.choice(maker.people)
            commit = maker.commit(name, now, who, parents, message)
            history.positions[name] = len(history.commits)
            history.commits.append(commit)
            made.append(commit)
        repository.pushed_at = now
        repository.touch(now)
        return made

    def force_push(self, repository: Repository, drop: int = 1) -> list[Commit]:
        """The last `drop` commits are written anew: other oids, the same number."""
        history = repository.history
        del history.commits[-drop:]
        history.index()
        return self.push(repository, drop)

    def empty(self, repository: Repository) -> None:
        """The default branch is gone, and all commits and releases with it."""
        history = repository.history
        history.commits.clear()
        history.releases.clear()
        history.index()
        repository.pushed_at = self.clock.now()
        repository.touch(self.clock.now())

    # ---- Pull requests, issues, releases -----------------------------------------------------------

    def _open(self, repository: Repository, thread: Thread) -> None:
        history = repository.history
        thread.number = history.next_number
        history.next_number += 1
        if isinstance(thread, PullRequest):
            history.pulls[thread.number] = thread
        elif isinstance(thread, Issue):
            history.issues[thread.number] = thread
        repository.touch(thread.created_at)

    def open_pull_request(
        self, repository: Repository, title: str = "Add a thing", author: Account | None = None
    ) -> PullRequest:
        now, maker = self.clock.now(), self._maker(repository)
        who = author or maker.random.choice(maker.people)
        pull = PullRequest(
            repository=repository,
            title=title,
            author=who,
            created_at=now,
            updated_at=now,
            head="topic",
            additions=3,
            files=1,
        )
        self._open(repository, pull)
        pull.commits.append(maker.commit(oid(pull.id), now, who, (), title))
        return pull

    def open_issue(
        self, repository: Repository, title: str = "It breaks", author: Account | None = None
    ) -> Issue:
        now, maker = self.clock.now(), self._maker(repository)
        issue = Issue(
            repository=repository,
            title=title,
            author=author or maker.random.choice(maker.people),
            created_at=now,
            updated_at=now,
        )
        self._open(repository, issue)
        return issue

    def thread(self, repository: Repository, number: int) -> Thread:
        """The pull request or issue with a number."""
        history = repository.history
        return history.pulls[number] if number in history.pulls else history.issues[number]

    def edit_pull_request(
        self,
        repository: Repository,
        number: int,
        *,
        title: str | None = None,
        body: str | None = None,
    ) -> PullRequest:
        """A later change of its words; its other times stay."""
        pull, now = repository.history.pulls[number], self.clock.now()
        pull.title = pull.title if title is None else title
        pull.body = pull.body if body is None else body
        pull.updated_at = pull.last_edited_at = now
        repository.touch(now)
        return pull

    def merge(self, repository: Repository, number: int, by: Account | None = None) -> PullRequest:
        """Merge an open pull request, squashed into one commit that names it."""
        pull, now = repository.history.pulls[number], self.clock.now()
        if pull.closed_at is not None:
            raise ValueError(f"pull request {number} is {pull.state.lower()}")
        (commit,) = self.push(
            repository,
            author=pull.author,
            message=f"{pull.title} (#{number})\n\n{pull.body}".strip(),
        )
        commit.pull_request = number
        pull.merge_commit = commit.oid
        pull.merged_by = by or pull.author
        pull.merged_at = pull.closed_at = pull.updated_at = now
        return pull

    def late_close(self, repository: Repository, number: int) -> Thread:
        """Close an open pull request or issue without merging it, however old it is."""
        thread, now = self.thread(repository, number), self.clock.now()
        if thread.closed_at is not None:
            raise ValueError(f"number {number} is closed already")
        thread.closed_at = thread.updated_at = now
        if isinstance(thread, Issue):
            thread.state_reason = "COMPLETED"
        repository.touch(now)
        return thread

    def review(self, repository: Repository, number: int, author: Account) -> Review:
        """Somebody approves."""
        pull, now = repository.history.pulls[number], self.clock.now()
        index = len(pull.reviews)
        review = Review(
            pull_request=pull, index=index, author=author, state="APPROVED", submitted_at=now
        )
        pull.reviews.append(review)
        pull.updated_at = now
        repository.touch(now)
        return review

    def comment(self, repository: Repository, number: int) -> Thread:
        """Somebody says something about a pull request or issue."""
        thread = self.thread(repository, number)
        thread.comments += 1
        return self._updated(thread)

    def label(self, repository: Repository, number: int, name: str) -> Thread:
        """A pull request or issue gets a label."""
        thread = self.thread(repository, number)
        thread.labels.append(Label(repository.number, name))
        return self._updated(thread)

    def _updated(self, thread: Thread) -> Thread:
        thread.updated_at = self.clock.now()
        thread.repository.touch(thread.updated_at)
        return thread

    def delete_issue(self, repository: Repository, number: int) -> None:
        """Gone for good; a later one does not get its number."""
        del repository.history.issues[number]
        repository.touch(self.clock.now())

    def release(self, repository: Repository, tag: str) -> Release:
        """Publish a release of the newest commit."""
        now, newest = self.clock.now(), repository.history.commits[-1]
        release = Release(
            repository=repository,
            tag_name=tag,
            name=tag,
            description="",
            author=newest.author.user,
            created_at=newest.at,
            published_at=now,
            updated_at=now,
            target=newest.oid,
        )
        repository.history.releases.append(release)
        repository.touch(now)
        return release

    # ---- The repository itself ---------------------------------------------------------------------

    def _moved(self, repository: Repository, former: str) -> None:
        self._names.pop(former.casefold(), None)
        self._former[former.casefold()] = repository.number
        self._names[repository.full_name.casefold()] = repository.number
        self._former.pop(repository.full_name.casefold(), None)
        repository.updated_at = self.clock.now()

    def rename(self, repository: Repository, name: str) -> None:
        """A new name; the former one leads here until another repository takes it."""
        former = repository.full_name
        repository.name = name
        self._moved(repository, former)

    def transfer(self, repository: Repository, owner: Account) -> None:
        """A new owner; the former name leads here."""
        former = repository.full_name
        repository.owner = owner
        self._moved(repository, former)

    def delete(self, repository: Repository) -> None:
        repository.deleted = True
        self._names.pop(repository.full_name.casefold(), None)
        for former in [
            name for name, number in self._former.items() if number == repository.number
        ]:
            del self._former[former]

    def archive(self, repository: Repository) -> datetime:
        repository.archived_at = repository.updated_at = self.clock.now()
        return repository.archived_at

    def make_private(self, repository: Repository) -> None:
        repository.private = True
        repository.updated_at = self.clock.now()

    def make_public(self, repository: Repository) -> None:
        repository.private = False
        repository.updated_at = self.clock.now()
