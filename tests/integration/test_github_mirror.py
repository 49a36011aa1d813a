"""What the mirror of GitHub keeps: nothing that is gone, nothing that is old, nobody's rows lost."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta

import pytest
import sqlalchemy as sa

from sparky import pipeline
from sparky.activity import arrange
from sparky.errors import Throttled
from sparky.model import Activity, Kind, Window
from sparky.store.gateway import Gateway
from sparky.store.retention import Policy, Retention
from tests.github import Fault, Server, What, World
from tests.github.fixture import Serving, serving
from tests.github.repository import Repository
from tests.integration.github_world import (
    Reader,
    busy,
    fetch,
    keys,
    night,
    reading,
    repo_of,
    true_keys,
)

__all__ = ["serving"]


@pytest.fixture
def world() -> World:
    return World(seed=4, repositories=40, private=0)


@pytest.fixture
def github(world: World, serving: Serving) -> Server:
    return serving(world)


def asked(github: Server) -> list[str]:
    """The queries since the last look."""
    names = [one.name for one in github.accounting.log if one.resource == "graphql"]
    github.accounting.reset()
    return names


def test_a_deleted_issue_leaves_the_mirror_although_others_were_opened(
    world: World, github: Server, database: str
) -> None:
    """Their number grows, so only counting what was updated tells; commits are not read again."""
    repository, window = busy(world, "issues"), night(world)
    with reading(github, database) as reader:
        before = keys(reader, repository, window)
        issue = next(key for key in before if key.startswith("issue:"))
        world.clock.advance(hours=24)
        world.delete_issue(repository, int(issue.partition(":")[2]))
        for _ in range(3):
            world.open_issue(repository)
        later = night(world, 61)
        after = keys(reader, repository, later)
    assert after == true_keys(repository, later)
    assert issue not in after
    assert len(after) > len(before)


def test_a_pull_request_that_is_gone_leaves_the_mirror(
    world: World, github: Server, database: str
) -> None:
    """GitHub itself removes one; there are fewer than before, and all are read once more."""
    repository, window = busy(world), night(world)
    with reading(github, database) as reader:
        before = keys(reader, repository, window)
        pull = next(key for key in before if key.startswith("pull_request:"))
        world.clock.advance(hours=24)
        del repository.history.pulls[int(pull.partition(":")[2])]
        repository.touch(world.clock.now())
        later = night(world, 61)
        assert keys(reader, repository, later) == true_keys(repository, later)


def released(world: World) -> Repository:
    """A repository with several releases, and a push of the last days."""
    recent = [r for r in world if r.pushed_at > world.clock.now() - timedelta(days=9)]
    return max(recent, key=lambda one: one.count("releases"))


def test_an_unreadable_release_makes_only_the_windows_partial_that_it_may_lie_in(
    world: World, github: Server, database: str
) -> None:
    """It was published before it was met: later windows are whole, also when it stays broken; the
    first is whole as soon as it can be read."""
    repository, first = released(world), night(world)
    broken = repository.history.releases[1]
    repository.broken.add(f"release:{broken.tag_name}")
    older = repository.history.releases[0].tag_name
    with reading(github, database) as reader:
        census, _ = fetch(reader, repository, first)
        assert census.gaps == (
            f"a release just after {older} could not be read: GitHub fails on it",
        )
        world.clock.advance(hours=24)
        world.release(repository, "v99")
        second = Window(first.until + timedelta(minutes=1), world.clock.now() + timedelta(1))
        census, found = fetch(reader, repository, second)
        assert census.gaps == ()
        assert [a.key for a in found if a.kind is Kind.RELEASE] == ["release:v99"]
        assert fetch(reader, repository, first)[0].gaps
        repository.broken.clear()
        repository.touch(world.clock.now())
        census, found = fetch(reader, repository, first)
        assert census.gaps == ()
        assert sorted(a.key for a in found) == true_keys(repository, first)


@pytest.mark.parametrize("kind", ["pull_request", "release"])
def test_what_stays_broken_is_asked_for_every_night_of_a_week_and_no_longer(
    world: World, github: Server, database: str, kind: str
) -> None:
    """After that, a quiet night costs a probe, and the window it lies in is still partial."""
    repository, window = (busy if kind == "pull_request" else released)(world), night(world, 60)
    truth = world.truth(repository.id, window.since, window.until)
    one = max(truth.pull_requests) if kind == "pull_request" else None
    key = f"{kind}:{one or repository.history.releases[-1].tag_name}"
    repository.broken.add(key)
    with reading(github, database) as reader:
        fetch(reader, repository, window)
        nights = []
        for _ in range(12):
            world.clock.advance(hours=24)
            asked(github)
            quiet = Window(world.clock.now() - timedelta(hours=12), world.clock.now())
            assert fetch(reader, repository, quiet)[0].gaps == ()
            nights.append("Activity" in asked(github))
        assert nights == [True] * 7 + [False] * 5
        assert fetch(reader, repository, window)[0].gaps


def test_pruning_takes_what_is_old_and_an_earlier_window_is_read_anew(
    world: World, github: Server, database: str
) -> None:
    repository, window = busy(world), night(world, 400)
    recent = Window(window.until - timedelta(days=30), window.until)
    with reading(github, database) as reader:
        assert keys(reader, repository, window) == true_keys(repository, window)
        policy = Policy(activities_days=30)
        gone = Retention(reader.mirror.engine).prune(policy, now=world.clock.now())
        assert gone["forge items"] > 0
        with reader.mirror.engine.connect() as connection:
            left = connection.execute(
                sa.text("SELECT min(coalesce(ended_at, opened_at)) FROM forge_items"
                        " WHERE kind <> 'release'")
            ).scalar_one()  # fmt: skip
        assert left >= recent.since - timedelta(seconds=1)
        asked(github)
        assert keys(reader, repository, recent) == true_keys(repository, recent)
        assert asked(github) == []
        assert keys(reader, repository, window) == true_keys(repository, window)
        assert "Activity" in asked(github)
        again = Retention(reader.mirror.engine).prune(policy, now=world.clock.now())
        assert again["forge items"] > 0


def test_pruning_leaves_a_repository_alone_that_is_being_read(
    world: World, github: Server, database: str
) -> None:
    """Its marks stay where they are, and what they speak for is there without a request."""
    repository, window = busy(world), night(world, 400)
    policy = Policy(activities_days=30)
    with reading(github, database) as reader:
        fetch(reader, repository, window)
        with reader.mirror.exclusive(repo_of(repository)):
            Retention(reader.mirror.engine).prune(policy, now=world.clock.now())
        asked(github)
        assert keys(reader, repository, window) == true_keys(repository, window)
        assert asked(github) == []


def test_two_workers_read_overlapping_windows_of_one_repository_whole(
    world: World, github: Server, database: str
) -> None:
    """Over real connections at the same time, with faults: each ends with the truth of its window,
    also in what is stored for the digest."""
    repository = busy(world)
    repo, now = repo_of(repository), world.clock.now()
    windows = [
        Window(now - timedelta(days=60), now - timedelta(days=3)),
        Window(now - timedelta(days=20), now + timedelta(seconds=1)),
        Window(now - timedelta(days=90), now - timedelta(days=10)),
    ]
    first = Gateway.open(database)
    first.add_repo(repo)
    first.close()
    start = threading.Barrier(len(windows))

    def one(window: Window) -> None:
        store = Gateway.open(database)
        with reading(github, database) as reader:
            start.wait()
            while True:
                try:
                    pipeline.fetch(repo, window, source=reader.source, store=store)
                    break
                except Throttled:
                    continue
        store.close()

    with ThreadPoolExecutor(len(windows)) as pool:
        list(pool.map(one, windows))
    store = Gateway.open(database)
    for window in windows:
        stored = arrange(store.activities(repo.id, window))
        assert sorted(a.key for a in stored) == true_keys(repository, window)
    store.close()


def test_a_second_worker_waits_while_the_first_one_reads(
    world: World, github: Server, database: str
) -> None:
    """The one that comes second is told so, asks for nothing, and finds all of it afterwards."""
    repository, window = busy(world), night(world)
    hold = github.faults.add(Fault(what=What.HOLD, match={"name": "Activity"}))
    with (
        reading(github, database) as first,
        reading(github, database) as second,
        ThreadPoolExecutor(1) as pool,
    ):
        going = pool.submit(fetch, first, repository, window)
        until(lambda: hold.hits == 1)
        with pytest.raises(Throttled, match="is being read by another worker"):
            fetch(second, repository, window)
        hold.release.set()
        assert sorted(a.key for a in going.result()[1]) == true_keys(repository, window)
        github.accounting.reset()
        assert keys(second, repository, window) == true_keys(repository, window)
        assert github.accounting.log == []


def test_more_threads_than_the_pool_has_connections_read_at_once(
    world: World, github: Server, database: str
) -> None:
    """Twelve repositories, each in the middle of its reading and of its storing, and a pool of ten:
    none waits for a connection that another one holds."""
    threads = 12
    recent = sorted(world, key=lambda one: one.pushed_at)[-threads:]
    window = night(world, 400)
    hold = github.faults.add(Fault(what=What.HOLD, times=threads, match={"name": "Activity"}))
    with closing(Gateway.open(database)) as store, reading(github, database) as reader:
        for repository in recent:
            store.add_repo(repo_of(repository))
        storing, full = list[str](), threading.Event()

        def one(repository: Repository) -> list[str]:
            repo = repo_of(repository)
            reader.source.refresh(repo)
            reader.source.census(repo, window)

            def together() -> Iterator[Activity]:
                storing.append(repo.id)
                if len(storing) == 10:
                    full.set()
                assert full.wait(60), "ten at once hold a connection of the pool"
                yield from reader.source.activities(repo, window)

            gateway.replace_activities(repo.id, window, together())
            return sorted(a.key for a in store.activities(repo.id, window))

        # One pool for all, as in a worker's process.
        gateway = Gateway(reader.mirror.engine)
        with ThreadPoolExecutor(threads) as pool:
            going = [pool.submit(one, repository) for repository in recent]
            until(lambda: hold.hits == threads)
            hold.release.set()
            for repository, found in zip(recent, going, strict=True):
                assert found.result() == true_keys(repository, window)


def test_what_another_worker_changes_between_count_and_reading_is_read_again(
    world: World, github: Server, database: str
) -> None:
    """History is written anew in between: neither is anything cut, nor is old mixed with new."""
    repository, window = busy(world), night(world)
    repo = repo_of(repository)
    with reading(github, database) as first, reading(github, database) as second:
        fetch(first, repository, window)
        first.source.refresh(repo)
        census = first.source.census(repo, window)
        world.clock.advance(hours=1)
        drop_commits(repository, 3)
        keys(second, repository, window)
        with pytest.raises(Throttled, match="was changed by another worker"):
            list(first.source.activities(repo, window))
        found = keys(first, repository, window)
    assert found == true_keys(repository, window)
    assert len(found) == sum(census.expected.values()) - 3


def drop_commits(repository: Repository, count: int) -> None:
    """A push that takes the last commits away."""
    history = repository.history
    del history.commits[-count:]
    history.index()
    repository.pushed_at = repository.world.clock.now()
    repository.touch(repository.world.clock.now())


def until(condition: object) -> None:
    """Look again and again, for a minute at most."""
    event = threading.Event()
    for _ in range(6000):
        if condition():  # type: ignore[operator]
            return
        event.wait(0.01)
    raise AssertionError("it did not happen")


class Watched:
    """The keys of what is kept, in the order in which it came."""

    def __init__(self, reader: Reader) -> None:
        self.kept: list[str] = []
        self._keep = reader.mirror.keep
        reader.mirror.keep = self.keep  # type: ignore[method-assign]

    def keep(self, repo_id: str, mark: object, items: object = (), drop: object = None) -> None:
        self.kept += [item.activity.key for item in items]  # type: ignore[attr-defined]
        self._keep(repo_id, mark, items, drop)  # type: ignore[arg-type]


def test_a_late_change_makes_only_its_own_page_come_again(
    world: World, github: Server, database: str
) -> None:
    """One old pull request is closed: it comes, with what was updated in the last minutes; no
    commit, no issue, no release comes twice."""
    repository, window = busy(world), night(world)
    pulls = repository.history.pulls.values()
    old = next(p for p in pulls if p.closed_at is None and p.created_at < window.since)
    with reading(github, database) as reader:
        keys(reader, repository, window)
        world.clock.advance(hours=24)
        world.late_close(repository, old.number)
        seen, later = Watched(reader), night(world, 61)
        asked(github)
        assert keys(reader, repository, later) == true_keys(repository, later)
        assert asked(github) == ["Probe", "Activity"]
    assert f"pull_request:{old.number}" in seen.kept
    assert {key.partition(":")[0] for key in seen.kept} <= {"pull_request", "release"}


def test_a_wider_setting_fetches_the_days_that_are_missing_and_those_alone(
    world: World, github: Server, database: str
) -> None:
    """A window of 20 days, then one of 60 over the same end: nothing of the 20 days comes again,
    not one commit, pull request or issue but those at the seam."""
    repository = busy(world)
    with reading(github, database) as reader:
        keys(reader, repository, night(world, 20))
        seen = Watched(reader)
        wide = night(world, 60)
        assert keys(reader, repository, wide) == true_keys(repository, wide)
        twice = len(seen.kept) - len(set(seen.kept))
        inside = set(true_keys(repository, night(world, 19)))
        commits = {key for key in seen.kept if key.startswith("commit:")}
    assert seen.kept
    assert twice == 0
    assert commits.isdisjoint(inside)
