"""The world that the server shows: who is in it, what there is, and what happens."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

from tests.github import gitlog, ids, sizes
from tests.github.accounts import BOTS, Account, Bot, Organization, Team, User, make_user
from tests.github.clock import Clock
from tests.github.events import Events
from tests.github.history import History
from tests.github.repository import Repository
from tests.github.sizes import Size
from tests.github.truth import Truth

LANGUAGES = "Python Go Rust TypeScript Java C".split()
TOPICS = "http database cli machine-learning kubernetes testing".split()
NOUNS = "anchor beacon cedar delta ember falcon garnet harbor island juniper kernel lantern".split()
KEPT_ITEMS = 150_000
"""So many commits, pull requests and so on stay in memory, of histories that can be made anew."""


class World(Events):
    """Owners, people and repositories drawn from a seed.

    `repositories` of them are generated, with sizes drawn from `tests.github.sizes`, or all of
    `commits` commits; `git` names real repositories on disk, which come after them.
    """

    def __init__(
        self,
        seed: int = 0,
        repositories: int = 10,
        *,
        commits: int | None = None,
        git: Iterable[Path] = (),
        organizations: int | None = None,
        private: float = 0.1,
        clock: Clock | None = None,
    ) -> None:
        self.seed = seed
        self.clock = clock or Clock()
        self.lock = threading.RLock()
        random = Random(f"{seed}/world")
        self.bots = [Bot(number=900 + n, login=login) for n, login in enumerate(BOTS)]
        self.people = [make_user(1000 + n, random) for n in range(min(400, 20 + repositories // 4))]
        count = organizations or max(1, repositories // 250)
        self.organizations = [
            Organization(number=100 + n, login=f"org-{n}", name=f"Organization {n}")
            for n in range(count)
        ]
        self.accounts: dict[str, Account] = {
            account.login.casefold(): account
            for account in (*self.bots, *self.people, *self.organizations)
        }
        self.repositories: dict[int, Repository] = {}
        self._names: dict[str, int] = {}
        self._former: dict[str, int] = {}
        self._kept: OrderedDict[int, int] = OrderedDict()
        self._kept_items = 0
        for _ in range(repositories):
            owner: Account = random.choice(self.organizations)
            if random.random() < 0.1:
                owner = random.choice(self.people)
            size = sizes.draw(random, self.clock.now(), commits)
            repository = self.add(owner, f"{random.choice(NOUNS)}-{self._next}", size)
            repository.private = random.random() < private
            repository.fork = random.random() < 0.08
            repository.language = random.choice(LANGUAGES)
            repository.topics = tuple(random.sample(TOPICS, random.choice((0, 1, 2))))
            if random.random() < 0.05:
                repository.archived_at = size.pushed_at
        for path in git:
            self.add_git(path)
        self._make_teams(random)

    # ---- What there is -----------------------------------------------------------------------------

    @property
    def _next(self) -> int:
        return len(self.repositories) + 1

    def add(self, owner: Account, name: str, size: Size, git: Path | None = None) -> Repository:
        """A new repository; its number is the next one."""
        repository = Repository(
            world=self,
            number=self._next,
            owner=owner,
            name=name,
            size=size,
            git=git,
            pushed_at=size.pushed_at,
            updated_at=size.pushed_at + timedelta(seconds=2),
        )
        self.repositories[repository.number] = repository
        self._names[repository.full_name.casefold()] = repository.number
        self._former.pop(repository.full_name.casefold(), None)
        return repository

    def add_git(self, path: Path, owner: Account | None = None) -> Repository:
        """A repository whose commits are those of a real one on disk."""
        first, last, commits = gitlog.extent(path)
        size = Size(
            commits=commits,
            pull_requests=commits // 4,
            issues=commits // 6,
            releases=min(3, commits),
            created_at=first,
            pushed_at=last,
        )
        name = path.name.removesuffix(".git")
        return self.add(owner or self.organizations[0], name, size, path)

    def _make_teams(self, random: Random) -> None:
        for organization in self.organizations:
            own = [one.number for one in self.repositories.values() if one.owner is organization]
            for index, name in enumerate(("Platform", "Product")):
                organization.teams.append(
                    Team(
                        number=organization.number * 10 + index,
                        name=name,
                        slug=name.lower(),
                        organization=organization,
                        members=random.sample(self.people, min(5, len(self.people))),
                        repositories=own[index::2],
                    )
                )

    def people_of(self, repository: Repository) -> Sequence[User]:
        """Those who work on it: between 2 and 40, the same each time."""
        random = Random(f"{self.seed}/{repository.number}/people")
        most = 2 + int(repository.size.commits**0.5)
        return random.sample(self.people, min(most, 40, len(self.people)))

    def find(self, full_name: str, *, follow: bool = True) -> Repository | None:
        """A repository by `owner/name`, by a former one as well if it may be followed."""
        key = full_name.casefold()
        number = self._names.get(key)
        if number is None and follow:
            number = self._former.get(key)
        repository = self.repositories.get(number) if number is not None else None
        return repository if repository and not repository.deleted else None

    def get(self, node_id: str) -> Repository:
        """A repository by its node id; KeyError when there has never been one."""
        decoded = ids.decode(node_id)
        if decoded is None or decoded[0] != "Repository":
            raise KeyError(node_id)
        return self.repositories[int(decoded[1][0])]

    def owned(self, owner: Account) -> list[Repository]:
        return [one for one in self.repositories.values() if one.owner is owner and not one.deleted]

    def __iter__(self) -> Iterator[Repository]:
        return (one for one in self.repositories.values() if not one.deleted)

    # ---- What is kept in memory --------------------------------------------------------------------

    def keep(self, repository: Repository, history: History) -> None:
        """Note that a history has been made, and let the oldest go when there are too many."""
        with self.lock:
            self._kept_items += history.items - self._kept.pop(repository.number, 0)
            self._kept[repository.number] = history.items
            while self._kept_items > KEPT_ITEMS and len(self._kept) > 1:
                number, items = self._kept.popitem(last=False)
                self._kept_items -= items
                self.repositories[number].let_go()

    # ---- What there was to be found ----------------------------------------------------------------

    def truth(self, repository_id: str, since: datetime, until: datetime) -> Truth:
        """What happened in a repository in [since, until), by kind."""
        return Truth.of(self.get(repository_id), since, until)
