"""What there is on GitHub: whole lists, by every credential, and the truth about what is missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from sparky.errors import SourceError, Throttled, UsageError
from sparky.facts import Listed, Missing
from sparky.model import Window
from sparky.selection import Keep, Selection
from sparky.source import topics
from sparky.source.credentials import App, Holder, Token
from sparky.source.directory import Directory
from sparky.source.githubwire import Wire
from tests.github import Fault, Server, What, World
from tests.github.fixture import Serving, serving
from tests.github.repository import Repository
from tests.github.resolvers import query
from tests.integration.github_world import Reader, reading, repo_of

__all__ = ["serving"]

ORG = "org-0"


@contextmanager
def asking(
    github: Server, database: str, *tokens: str, holders: Any = None
) -> Iterator[tuple[Directory, Reader]]:
    """A directory with these tokens, or one that may see everything; pauses move the clock."""
    values = [Token(value) for value in tokens or (github.token(),)]
    with reading(github, database, holders=holders or (lambda wire: values)) as reader:
        world = github.world
        yield (
            Directory(
                reader.wire,
                clock=world.clock.now,
                root=github.web,
                pause=lambda seconds: world.clock.advance(seconds=seconds),
            ),
            reader,
        )


def quiet(seen: int, total: int) -> None:
    """Nobody watches."""


def owned(world: World, login: str = ORG) -> set[str]:
    """The ids of all repositories of an account."""
    return {one.id for one in world.owned(world.accounts[login])}


@pytest.fixture
def world() -> World:
    return World(seed=6, repositories=260, organizations=1)


@pytest.fixture
def github(world: World, serving: Serving) -> Server:
    return serving(world)


def test_an_organization_is_listed_to_its_end_for_a_point_a_hundred(
    serving: Serving, database: str
) -> None:
    """1,200 repositories: every one once, with its facts; progress counts up to their number."""
    world = World(seed=2, repositories=1340, organizations=1)
    github, told = serving(world), list[tuple[int, int]]()
    truth = owned(world)
    with asking(github, database) as (directory, _):
        found = directory.account(ORG, "Organization", lambda *seen: told.append(seen))
    assert len(truth) > 1000
    assert set(found.listed) == truth
    assert found.gaps == []
    assert github.accounting.points() == len(told) == -(-len(truth) // 100)
    assert told[-1] == (len(truth), len(truth))
    for repository in world.owned(world.accounts[ORG])[::50]:
        facts = found.listed[repository.id].facts
        assert facts is not None
        assert found.listed[repository.id].repo == repo_of(repository)
        assert (facts.private, facts.fork, facts.language, facts.pushed_at) == (
            repository.private,
            repository.fork,
            repository.language,
            repository.pushed_at,
        )


def test_faults_lose_and_double_nothing(world: World, github: Server, database: str) -> None:
    """Timeouts, resets, garbage and lost nodes at a fifth of the requests; heavy pages always."""
    github.faults.add(Fault(what=What.BAD_GATEWAY, above=30, times=None))
    for what in (What.TIMEOUT, What.RESET, What.TRUNCATE, What.GARBAGE, What.PARTIAL):
        github.faults.add(Fault(what=what, times=None, rate=0.04))
    with asking(github, database) as (directory, _):
        found = directory.account(ORG, "Organization", quiet)
        names = directory.of_names([_name(one) for one in world])
        ids = directory.of_ids([one.id for one in world])
    assert all(fault.hits for fault in github.faults.script)
    assert (set(found.listed), found.gaps) == (owned(world), [])
    assert {one.repo.id for one in names.values() if isinstance(one, Listed)} == set(ids)
    assert set(ids) == {one.id for one in world}


def _name(repository: Repository) -> tuple[str, str]:
    owner, _, name = repository.full_name.partition("/")
    return owner, name


def test_what_cannot_be_read_of_a_list_is_told(world: World, github: Server, database: str) -> None:
    """A node that is null again and again is a gap, and the rest is there."""
    github.faults.add(Fault(what=What.PARTIAL, times=2, match={"name": "Owned"}))
    with asking(github, database) as (directory, _):
        found = directory.account(ORG, "Organization", quiet)
    assert len(found.listed) == len(owned(world)) - 1
    (gap,) = found.gaps
    assert gap.startswith("a repository of org-0 could not be read: ")


def test_a_list_whose_cursors_expire_begins_anew(
    world: World, github: Server, database: str
) -> None:
    """Nothing is lost or doubled by it; and it ends when GitHub never remembers."""
    with asking(github, database) as (directory, _):
        turned: list[int] = []

        def tell(seen: int, total: int) -> None:
            turned.append(seen)
            if len(turned) == 1:
                world.clock.advance(days=30)

        found = directory.account(ORG, "Organization", tell)
        assert set(found.listed) == owned(world)
        found = directory.account(ORG, "Organization", lambda *_: world.clock.advance(days=30))
        assert ["forgets the cursors" in gap for gap in found.gaps] == [True]


def test_each_credential_adds_what_it_alone_may_see(
    world: World, github: Server, database: str
) -> None:
    """The second one is asked for what is private only."""
    outsider = github.token(owners=frozenset())
    with asking(github, database, outsider) as (directory, _):
        public = set(directory.account(ORG, "Organization", quiet).listed)
    points = github.accounting.points()
    with asking(github, database, outsider, github.token()) as (directory, _):
        everything = directory.account(ORG, "Organization", quiet)
    assert public == {key for key in owned(world) if not world.get(key).private}
    assert set(everything.listed) == owned(world)
    assert github.accounting.points() - points == points + 1


def test_a_refused_credential_is_told_of_and_the_others_go_on(
    world: World, github: Server, database: str
) -> None:
    revoked = github.token()
    github.credentials.revoke(github.credentials.check(revoked))
    with asking(github, database, revoked, github.token()) as (directory, _):
        found = directory.account(ORG, "Organization", quiet)
        assert set(found.listed) == owned(world)
        assert [gap.partition(" saw less: ")[0] for gap in found.gaps] == ["github_…k3"]
    with asking(github, database, revoked) as (directory, _), pytest.raises(SourceError):
        directory.account(ORG, "Organization", quiet)


def test_single_sign_on_is_told_in_the_words_of_github(
    world: World, github: Server, database: str
) -> None:
    world.organizations[0].saml = True
    with (
        asking(github, database, github.token(sso=False)) as (directory, _),
        pytest.raises(SourceError, match="does not show org-0: Resource protected by org"),
    ):
        directory.account(ORG, "Organization", quiet)


def test_a_list_that_meets_the_reserve_is_kept_so_far_and_says_until_when(
    world: World, github: Server, database: str
) -> None:
    """The human's fifth is not touched; with nothing to show for it, it is an error."""
    token = github.token()
    github.drain(token, remaining=1001)
    with asking(github, database, token) as (directory, reader):
        found = directory.account(ORG, "Organization", quiet)
        assert len(found.listed) == 100
        assert len(found.gaps) == 1
        with pytest.raises(Throttled):
            directory.account(ORG, "Organization", quiet)
        (standing,) = [one for one in reader.budget.standings() if one.resource == "graphql"]
    assert standing.remaining == 1000


def test_a_users_repositories_are_not_an_organizations(
    world: World, github: Server, database: str
) -> None:
    user = next(one.owner.login for one in world if one.owner.typename == "User")
    with asking(github, database) as (directory, _):
        assert set(directory.account(user, "User", quiet).listed) == owned(world, user.casefold())
        with pytest.raises(UsageError, match=r"is a user\. Use --user"):
            directory.account(user, "Organization", quiet)
        with pytest.raises(SourceError, match="no account nobody"):
            directory.account("nobody", "User", quiet)
        with pytest.raises(UsageError):
            directory.account("a/b", "User", quiet)


# topics: GitHub's search shows 1,000 results of however many there are


def tagged(world: World, topic: str = "http") -> set[str]:
    return {one.id for one in world if topic in one.topics}


@pytest.fixture(scope="module")
def crowded() -> World:
    """A topic with 2,300 repositories, most of them of one year, 40 of one day."""
    world = World(seed=8, repositories=2300)
    begin = datetime(2024, 1, 1, tzinfo=UTC)
    for number, one in enumerate(world):
        one.topics = ("http",)
        if number % 4:
            one.size = replace(one.size, created_at=begin + timedelta(minutes=200 * number))
    return world


def test_a_topic_of_more_than_a_thousand_is_found_whole(
    crowded: World, serving: Serving, database: str
) -> None:
    """By cutting it into times of creation; most requests bring something."""
    github = serving(crowded)
    with asking(github, database) as (directory, _):
        found = directory.topic("http", Selection(), quiet)
    assert set(found.listed) == tagged(crowded)
    assert found.gaps == []
    assert github.accounting.points() < 60


def test_what_a_topic_has_of_one_second_and_is_not_shown_is_told(
    serving: Serving, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is nothing left to cut; here a search shows a hundred, to be quick."""
    monkeypatch.setattr(topics, "SHOWN", 100)
    monkeypatch.setattr(query, "MOST_FOUND", 100)
    world = World(seed=8, repositories=110, private=0)
    for one in world:
        one.topics = ("http",)
        one.size = replace(one.size, created_at=datetime(2024, 1, 1, tzinfo=UTC))
    with asking(serving(world), database) as (directory, _):
        found = directory.topic("http", Selection(), quiet)
    assert len(found.listed) == 100
    (gap,) = found.gaps
    assert "GitHub's search counts 110 for 'topic:http fork:true created:2024-01-01" in gap
    assert gap.endswith("shows 100")


@pytest.mark.parametrize(
    "wanted",
    [
        Selection(archived=Keep.EXCLUDE, forks=Keep.EXCLUDE),
        Selection(archived=Keep.ONLY),
        Selection(forks=Keep.ONLY, private=Keep.EXCLUDE),
        Selection(private=Keep.ONLY),
        Selection(languages=("Go",), pushed_since=datetime(2025, 6, 1, tzinfo=UTC)),
        Selection(languages=("Go", "Rust")),
    ],
)
def test_what_github_leaves_out_of_a_search_would_not_pass(
    world: World, github: Server, database: str, wanted: Selection
) -> None:
    """Filters that GitHub applies give the same as those that Sparky applies."""
    with asking(github, database, github.token(), github.token()) as (directory, _):
        found = directory.topic("http", wanted, quiet).listed.values()
        everything = directory.account(ORG, "Organization", quiet).listed.values()
    passed = {one.repo.id for one in found if not wanted.refuses(one)} & owned(world)
    assert passed == {one.repo.id for one in everything if not wanted.refuses(one)} & tagged(world)
    assert passed


@pytest.mark.parametrize("topic", ["Http", "http stars:>1", "", "a" * 51, "-x"])
def test_nothing_but_a_topic_gets_into_a_search(github: Server, database: str, topic: str) -> None:
    with asking(github, database) as (directory, _), pytest.raises(UsageError):
        directory.topic(topic, Selection(), quiet)
    assert github.accounting.log == []


# lookups


def test_ids_and_names_lead_to_where_repositories_are_now(
    world: World, github: Server, database: str
) -> None:
    """A former name leads on; what is gone or denied says which; others are not disturbed."""
    moved, gone, hidden, *rest = list(world)[:70]
    names = [_name(one) for one in (moved, gone, hidden, *rest)]
    world.rename(moved, "another")
    world.delete(gone)
    world.make_private(hidden)
    with asking(github, database, github.token(owners=frozenset({ORG}))) as (directory, _):
        by_name = directory.of_names(names)
        by_id = directory.of_ids([one.id for one in (moved, gone, hidden, *rest)])
    found = by_name[names[0]]
    assert isinstance(found, Listed)
    assert (found.repo.id, found.repo.name) == (moved.id, moved.full_name)
    assert by_id[moved.id] == found
    nothing = Missing("is not there any more, or no credential may read it")
    assert by_id[gone.id] == by_name[names[1]] == nothing
    seen = {one.id for one in rest if one.owner.login == ORG or not one.private}
    assert {key for key, one in by_id.items() if isinstance(one, Listed)} >= seen
    assert len(by_id) == len(by_name) == 70
    assert github.accounting.points() == 3


def test_an_installation_that_saw_it_is_not_the_last_to_be_asked(
    world: World, serving: Serving, database: str
) -> None:
    """A private repository that moves to another account is found by that account's installation,
    by the nightly probe as well as by a lookup."""
    world = World(seed=6, repositories=12, organizations=2, private=1)
    github = serving(world)
    one = world.owned(world.organizations[0])[0]
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    app = github.credentials.app(public.decode())
    for organization in world.organizations:
        github.credentials.install(app, organization)

    def holders(wire: Wire) -> list[Holder]:
        made = App(str(app.id), private, clock=world.clock.now, post=wire.post, get=wire.get)
        return list(made.installations())

    repo = repo_of(one)
    with asking(github, database, holders=holders) as (directory, reader):
        reader.source.refresh(repo)
        world.transfer(one, world.organizations[1])
        world.clock.advance(hours=24)
        world.push(one)
        now = world.clock.now()
        window = Window(now - timedelta(days=1), now + timedelta(seconds=1))
        assert sum(reader.source.census(repo, window).expected.values()) == 1
        assert len(list(reader.source.activities(repo, window))) == 1
        probe = reader.mirror.probe(one.id)
        found = directory.of_ids([one.id], ORG)[one.id]
    assert probe is not None
    assert (probe.name, probe.gone) == (one.full_name, "")
    assert isinstance(found, Listed)
    assert found.repo.name == one.full_name
