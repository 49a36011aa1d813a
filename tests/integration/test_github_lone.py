"""A repository that is looked at alone: for nothing while it stays as it is, and never blindly."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from sparky.source.credentials import App, Holder
from sparky.source.githubwire import Wire
from sparky.store.gateway import Gateway
from sparky.store.runs import Runs
from tests.github import Fault, Limits, Server, What, World, restrepositories
from tests.github.faults import Incoming
from tests.github.fixture import Serving, serving
from tests.github.repository import Repository
from tests.integration.github_world import Reader, fetch, keys, night, reading, repo_of, true_keys

__all__ = ["serving"]

SIX = 6
"""Answers that together show all that a probe compares."""


@pytest.fixture
def world() -> World:
    """One repository with a release that is not of its newest commit."""
    world = World(seed=9, repositories=1, commits=40, private=0)
    (one,) = world
    one.archived_at = None
    world.release(one, "v1")
    for number in (world.open_issue(one, "It hangs").number, world.open_issue(one).number):
        world.late_close(one, number)
    world.clock.advance(hours=1)
    world.push(one)
    world.open_issue(one, "It is slow")
    world.clock.advance(hours=1)
    return world


@pytest.fixture
def one(world: World) -> Repository:
    return next(iter(world))


@pytest.fixture
def github(world: World, serving: Serving) -> Server:
    return serving(world)


def nightly(reader: Reader, repository: Repository) -> list[str]:
    """A day later: what there is now, and what must be there."""
    world = repository.world
    world.clock.advance(hours=24)
    window = night(world, 400)
    found = keys(reader, repository, window)
    assert found == true_keys(repository, window)
    return found


def cost(github: Server) -> tuple[int, int, int]:
    """Points, REST requests that count, and all requests, since the last look."""
    counted = github.accounting
    spent = counted.points(resource="graphql"), counted.points(resource="core")
    total = counted.requests()
    counted.reset()
    return *spent, total


@pytest.mark.parametrize("enterprise", [False, True], ids=["github.com", "server without limits"])
@pytest.mark.parametrize("releases", [True, False], ids=["releases", "no release"])
def test_the_second_of_two_lone_nights_costs_no_point_and_no_request_of_the_limit(
    world: World,
    one: Repository,
    serving: Serving,
    database: str,
    enterprise: bool,
    releases: bool,
) -> None:
    if not releases:
        one.history.releases.clear()
    limits = Limits.off() if enterprise else Limits.primary_only()
    github = serving(world, limits=limits, enterprise=enterprise)
    with reading(github, database) as reader:
        first = nightly(reader, one)
        points, requests, _ = cost(github)
        assert (points >= 2, requests) == (True, SIX)
        assert enterprise or left(reader)["core"] == 5000 - SIX
        assert nightly(reader, one) == first
        assert cost(github) == (0, 0, SIX)
        assert enterprise or left(reader)["core"] == 5000


def left(reader: Reader) -> dict[str, int]:
    """Requests and points that the account says are there, less what is leased."""
    return {one.resource: one.remaining - one.leased for one in reader.budget.standings()}


def quietly(repository: Repository, deed: Callable[[], object]) -> None:
    """Do something that GitHub does not count as an update of the repository as a whole."""
    before = repository.updated_at
    deed()
    repository.updated_at = before


def edit_release(one: Repository) -> None:
    (release,) = one.history.releases
    release.description, release.updated_at = "More words.", one.world.clock.now()


def issue(one: Repository, title: str) -> int:
    return next(each.number for each in one.history.issues.values() if each.title == title)


DEEDS: dict[str, Callable[[World, Repository], object]] = {
    "push": lambda world, one: world.push(one),
    "forced push of as many commits": lambda world, one: world.force_push(one, 2),
    "emptied": lambda world, one: world.empty(one),
    "comment on an issue": lambda world, one: world.comment(one, issue(one, "It hangs")),
    "label of an issue": lambda world, one: world.label(one, issue(one, "It hangs"), "later"),
    "issue opened": lambda world, one: world.open_issue(one, "It creaks"),
    "issue closed": lambda world, one: world.late_close(one, issue(one, "It is slow")),
    "old closed issue deleted": lambda world, one: world.delete_issue(one, issue(one, "It hangs")),
    "pull request opened": lambda world, one: world.open_pull_request(one),
    "old pull request gone": lambda world, one: (
        one.history.pulls.pop(min(one.history.pulls)),
        one.touch(world.clock.now()),
    ),
    "label of a pull request": lambda world, one: world.label(one, min(one.history.pulls), "late"),
    "review": lambda world, one: world.review(one, min(one.history.pulls), world.people[0]),
    "release": lambda world, one: world.release(one, "v2"),
    "words of a release": lambda _, one: edit_release(one),
    "renamed": lambda world, one: world.rename(one, "another"),
    "transferred": lambda world, one: world.transfer(one, world.people[0]),
    "made private": lambda world, one: world.make_private(one),
    "archived": lambda world, one: world.archive(one),
    "another main language": lambda _, one: setattr(one, "language", "Ada"),
}


@pytest.mark.parametrize("deed", DEEDS)
def test_a_change_of_each_kind_is_seen_in_the_night_after_it(
    world: World, one: Repository, github: Server, database: str, deed: str
) -> None:
    """What there is now is told, the probe says something else than before, and the next night is
    for nothing again, unless there is nothing left."""
    with reading(github, database) as reader:
        nightly(reader, one)
        before = reader.mirror.probe(one.id)
        quietly(one, lambda: DEEDS[deed](world, one))
        cost(github)
        nightly(reader, one)
        after = reader.mirror.probe(one.id)
        points, *_ = cost(github)
        nightly(reader, one)
        again, *_ = cost(github)
    assert before is not None
    assert after is not None
    assert points >= 1
    told = [(p.name, dict(p.seen), p.facts) for p in (before, after)]
    assert told[0] != told[1]
    assert again == (0 if after.etags else 1)
    assert bool(after.etags) == (deed != "emptied")


def test_a_token_that_does_not_last_is_not_given_etags(
    world: World, one: Repository, github: Server, database: str
) -> None:
    """An installation has another token each night, for which GitHub has other ETags."""
    world.transfer(one, world.organizations[0])
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    registered = github.credentials.app(public.decode())
    github.credentials.install(registered, one.owner)

    def holders(wire: Wire) -> list[Holder]:
        app = App(str(registered.id), pem, clock=world.clock.now, post=wire.post, get=wire.get)
        return list(app.installations())

    with reading(github, database, holders=holders) as reader:
        nightly(reader, one)
        cost(github)
        nightly(reader, one)
    assert github.accounting.points(resource="graphql") == 1
    assert github.accounting.requests(resource="core") == 0


@pytest.mark.parametrize("path", ["issues", "pulls", "commits", "releases/latest"])
def test_what_changes_between_the_two_looks_is_not_taken_for_seen(
    world: World, one: Repository, github: Server, database: str, path: str
) -> None:
    """The repository changes after the probe and before its ETags are asked for: the next night
    sees it."""
    done = list[str]()

    def changing(request: Incoming) -> bool:
        if not done and request.name.endswith(path):
            done.append(request.name)
            world.clock.advance(seconds=1)
            quietly(one, lambda: world.comment(one, issue(one, "It hangs")))
            quietly(one, lambda: world.review(one, min(one.history.pulls), world.people[0]))
            quietly(one, lambda: world.push(one))
        return False

    github.faults.add(Fault(what=What.BAD_GATEWAY, when=changing))
    with reading(github, database) as reader:
        world.clock.advance(hours=24)
        fetch(reader, one, night(world, 400))
        assert done
        cost(github)
        nightly(reader, one)
        assert cost(github)[0] > 1


def test_what_is_only_minutes_old_is_looked_at_again(
    world: World, one: Repository, github: Server, database: str
) -> None:
    """A replica may not show it yet: for that night there are no ETags."""
    with reading(github, database) as reader:
        nightly(reader, one)
        world.clock.advance(hours=24)
        world.push(one)
        world.clock.advance(minutes=9)
        fetch(reader, one, night(world, 400))
        cost(github)
        nightly(reader, one)
        assert cost(github)[:2] == (1, SIX)


def test_one_that_is_looked_at_with_others_costs_no_rest_request(
    world: World, one: Repository, github: Server, database: str
) -> None:
    """The first night of its own does not pay for ETags either; the second does, the third is for
    nothing."""
    other = world.add(one.owner, "another", replace(one.size, commits=3))
    window = night(world, 400)
    with reading(github, database) as reader, closing(Gateway.open(database)) as store:
        for repository in (one, other):
            store.add_repo(repo_of(repository))
        runs = Runs(store.engine, farm="test")
        runs.start("both", window, [one.id, other.id], {})
        fetch(reader, one, window)
        fetch(reader, other, window)
        assert github.accounting.requests(name="Probe") == 1
        assert cost(github)[1] == 0
        runs.cancel("both")
        nights = []
        for _ in range(3):
            nightly(reader, one)
            nights.append(cost(github)[:2])
    assert nights == [(1, 0), (1, SIX), (0, 0)]


def test_pages_that_are_too_deep_make_the_night_cost_a_point_and_two_requests_at_most(
    one: Repository, github: Server, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where GitHub does not turn to the last issue, nothing would tell that an older one is gone."""
    monkeypatch.setattr(restrepositories, "DEEPEST", 3)
    with reading(github, database) as reader:
        nightly(reader, one)
        cost(github)
        nightly(reader, one)
    assert cost(github) == (1, 1, 2)


@pytest.mark.parametrize("what", [What.GARBAGE, What.RESET, What.TIMEOUT, What.UNAUTHORIZED])
def test_what_goes_wrong_with_rest_is_no_answer(
    world: World, one: Repository, github: Server, database: str, what: What
) -> None:
    """The night is not lost, and what has changed is seen."""
    github.faults.add(Fault(what=what, match={"resource": "core"}, times=None, skip=9))
    with reading(github, database) as reader:
        nightly(reader, one)
        world.push(one)
        for _ in range(3):
            nightly(reader, one)
    assert any(fault.hits for fault in github.faults.script)


def test_when_rest_is_to_wait_the_probe_is_asked_and_rest_left_alone(
    world: World, one: Repository, github: Server, database: str
) -> None:
    with reading(github, database) as reader:
        nightly(reader, one)
        github.faults.add(
            Fault(what=What.SECONDARY_LIMIT, match={"resource": "core"}, retry_after=3600)
        )
        cost(github)
        nightly(reader, one)
        assert cost(github) == (1, 0, 2)
        world.clock.advance(minutes=20)
        keys(reader, one, night(world, 400))
        assert cost(github) == (1, 0, 1)


def test_the_reserve_of_rest_requests_is_left_alone(
    one: Repository, github: Server, database: str
) -> None:
    """Its owner has used the token's REST requests elsewhere: the probe is asked."""
    with reading(github, database) as reader:
        (token,) = github.credentials.tokens
        nightly(reader, one)
        for standing in reader.budget.standings():
            if standing.resource == "core":
                reader.budget.told(replace(standing, remaining=1000))
        github.drain(token, remaining=1000, resource="core")
        cost(github)
        one.world.clock.advance(minutes=20)
        keys(reader, one, night(one.world, 400))
    assert cost(github) == (1, 0, 1)
