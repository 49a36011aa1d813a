"""A GitHub source over the local GitHub and a real Postgres, for tests and measurements."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import sqlalchemy as sa

from sparky.model import Activity, Repo, Window
from sparky.ports import Census, Source
from sparky.source.catchup import BY_GIT
from sparky.source.credentials import Holder, Keyring, Token
from sparky.source.github import GitHubSource
from sparky.source.githubwire import Wire
from sparky.source.gitrepo import GitSource
from sparky.store.budget import PostgresBudget
from sparky.store.connection import connect
from sparky.store.mirror import PostgresMirror
from tests.github import Server, World
from tests.github.repository import Repository


class Reader:
    """A worker's view: its own connections, the budget and mirror that all share."""

    def __init__(
        self,
        server: Server,
        engine: sa.Engine,
        tokens: list[str],
        *,
        reserve: float = 0.2,
        git: Path | None = None,
        by_git: int = BY_GIT,
        git_bytes: int = 1 << 40,
        holders: Callable[[Wire], list[Holder]] | None = None,
    ) -> None:
        self.budget = PostgresBudget(engine, reserve=reserve)
        self.mirror = PostgresMirror(engine)
        clock = server.world.clock.now
        self.wire = Wire(
            api=server.url,
            graphql=server.graphql_url,
            keyring=Keyring(
                lambda: holders(self.wire) if holders else [Token(value) for value in tokens]
            ),
            budget=self.budget,
            clock=clock,
        )
        own: Callable[[str], Source] | None = None
        if git is not None:
            own = lambda owner: GitSource(git)  # noqa: E731
        self.source = GitHubSource(
            self.wire,
            self.mirror,
            clock=clock,
            git=own,
            by_git=by_git,
            git_bytes=git_bytes,
            clone_url=lambda repo: server.world.get(repo.id).clone_url or "",
        )


@contextmanager
def reading(
    server: Server, database: str, *, tokens: int = 1, **options: object
) -> Iterator[Reader]:
    """A reader with as many fresh tokens."""
    engine = connect(database)
    reader = Reader(server, engine, [server.token() for _ in range(tokens)], **options)  # type: ignore[arg-type]
    try:
        yield reader
    finally:
        reader.wire.close()
        engine.dispose()


def repo_of(repository: Repository) -> Repo:
    """The value that `identify` would give."""
    url = f"https://github.com/{repository.full_name}"
    return Repo(repository.id, repository.full_name, "github", url, url)


DEEDS = ("opened", "merged", "closed")


def night(world: World, days: float = 60) -> Window:
    """The window of some days up to now."""
    now = world.clock.now()
    return Window(now - timedelta(days=days), now + timedelta(seconds=1))


def fetch(reader: Reader, repository: Repository, window: Window) -> tuple[Census, list[Activity]]:
    """What the pipeline does with a source."""
    repo = repo_of(repository)
    reader.source.refresh(repo)
    census = reader.source.census(repo, window)
    return census, list(reader.source.activities(repo, window))


def keys(reader: Reader, repository: Repository, window: Window) -> list[str]:
    return sorted(a.key for a in fetch(reader, repository, window)[1])


def true_keys(repository: Repository, window: Window) -> list[str]:
    truth = repository.world.truth(repository.id, window.since, window.until)
    return sorted(truth.keys_with(*DEEDS))


def busy(world: World, kind: str = "pull_requests") -> Repository:
    """The repository with the most of a kind among those that were pushed to lately."""
    recent = [r for r in world if r.pushed_at > world.clock.now() - timedelta(days=9)]
    return max(recent, key=lambda one: one.count(kind))
