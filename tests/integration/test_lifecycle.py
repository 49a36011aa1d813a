"""What becomes of a repository: each turn has one outcome, met by the nightly probe or by discovery.

The table of docs/github.md, line by line, against the local GitHub: its rules of renames, permissions
and deletions are told in tests/unit/github_server/test_access.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from sparky import pipeline
from sparky.cli import main
from sparky.farm import context
from sparky.farm.context import Context
from sparky.farm.step import Outcome, perform
from sparky.model import Window
from sparky.ports import Claim
from sparky.settings import Settings
from sparky.source.credentials import Token
from sparky.store.codec import dump
from sparky.store.runs import Runs
from tests.github import Limits, Server, World
from tests.github.fixture import Serving, serving
from tests.github.repository import Repository
from tests.integration.github_world import Reader, reading
from tests.servers import Servers

__all__ = ["serving"]

ORG = "org-0"


class Said(NamedTuple):
    """What a user sees of a command that has ended."""

    code: int
    out: str
    err: str


class Job(NamedTuple):
    """What a job came to."""

    state: str
    error: str | None
    activities: int


Sparky = Callable[..., Said]


@pytest.fixture
def world() -> World:
    """Two organizations; the first has ten repositories with forty commits each."""
    world = World(seed=9, repositories=10, commits=40, organizations=2, private=0)
    for repository in world:
        world.transfer(repository, world.organizations[0])
        repository.archived_at, repository.fork = None, False
    world._former.clear()
    return world


@pytest.fixture
def github(world: World, serving: Serving) -> Server:
    return serving(world, enterprise=True, limits=Limits.off())


@pytest.fixture
def sparky(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    servers: Servers,
    database: str,
    github: Server,
) -> Sparky:
    """Runs `sparky` with a token for the local GitHub, on an empty database."""
    for name, value in {
        "SPARKY_CONFIG": "/dev/null",
        "SPARKY_STATE_DIR": str(tmp_path / "state"),
        "SPARKY_CACHE_DIR": str(tmp_path / "cache"),
        "SPARKY_DATABASE_URL": database,
        "SPARKY_BROKER_URL": servers.broker_url,
        "SPARKY_GITHUB_URL": github.host,
        "SPARKY_GITHUB_TOKEN": github.token(),
    }.items():
        monkeypatch.setenv(name, value)

    def call(*arguments: str) -> Said:
        code = main.run(arguments)
        captured = capsys.readouterr()
        return Said(code, captured.out, captured.err)

    return call


@dataclass(frozen=True, slots=True)
class Farm:
    """A worker that fetches what a run wants, at the world's time."""

    world: World
    reader: Reader
    context: Context

    def night(self, *repositories: Repository) -> list[Job]:
        """A day later: a run over the last two days of the repositories; what its jobs came to."""
        self.world.clock.advance(hours=24)
        now = self.world.clock.now()
        window = Window(now - timedelta(days=2), now + timedelta(seconds=1))
        run_id = f"night-{now:%Y%m%d}"
        engine = self.context.store.engine
        Runs(engine, farm="main").start(run_id, window, [one.id for one in repositories], {})
        query = sa.text(
            "SELECT steps.id FROM steps JOIN jobs ON jobs.id = steps.job_id WHERE run_id = :run"
        )
        with engine.connect() as connection:
            steps = connection.execute(query, {"run": run_id}).scalars().all()
        with capture_logs():
            for step in steps:
                perform(step, _fetch, self.context, worker="test")
        done = {job.repo.id: job for job in self.context.reports.progress(run_id)}
        jobs = [done[one.id] for one in repositories]
        return [Job(job.state, job.error, job.activities) for job in jobs]


def _fetch(claim: Claim, at: Context) -> Outcome:
    """The first stage, and the end of it."""
    got = pipeline.fetch(claim.repo, claim.window, source=at.source, store=at.store)
    job = {"activities": got.activities, "census": dump(got.census)}
    return Outcome(job=job, state="partial" if got.census.gaps else "done")


@contextmanager
def farming(github: Server, servers: Servers, folder: Path, **options: Any) -> Iterator[Farm]:
    settings = Settings(
        state_dir=folder / "state",
        cache_dir=folder / "cache",
        database_url=servers.database_url,  # type: ignore[arg-type]
        broker_url=servers.broker_url,  # type: ignore[arg-type]
    )
    made = context.of(settings)
    with closing(made.store), reading(github, servers.database_url, **options) as reader:
        yield Farm(github.world, reader, replace(made, source=reader.source))


@pytest.fixture
def farm(github: Server, servers: Servers, tmp_path: Path) -> Iterator[Farm]:
    with farming(github, servers, tmp_path) as one:
        yield one


@pytest.fixture
def one(world: World, sparky: Sparky) -> Repository:
    """A repository that is followed, as all of its organization are."""
    assert sparky("repos", "discover", "--org", ORG, "--group", "core").code == 0
    return next(iter(world))


def shown(sparky: Sparky, name: str) -> dict[str, Any]:
    """What `sparky repos show` tells a program."""
    found: dict[str, Any] = json.loads(sparky("repos", "show", name, "--json").out)
    return found


def listed(sparky: Sparky, repository: Repository) -> list[str]:
    """The repository's line of `sparky repos list`."""
    lines = [line.split("\t") for line in sparky("repos", "list").out.splitlines()]
    (line,) = [line for line in lines if line[3] == repository.id]
    return line


def past(sparky: Sparky, repository: Repository) -> list[str]:
    """What `sparky repos show` says has become of it."""
    return [one["event"] for one in shown(sparky, repository.id)["past"]]


def again(sparky: Sparky, *options: str) -> dict[str, str]:
    """Discovers once more: what came of each repository of which there was something to tell."""
    found = json.loads(sparky("repos", "discover", "--org", ORG, "--json", *options).out)
    told = {one["id"]: ", ".join(one["events"]) for one in found["repositories"] if one["events"]}
    return told | {one["id"]: one["outcome"] for one in found["others"]}


@pytest.mark.parametrize("met_by", ["probe", "discovery"])
def test_one_that_was_renamed_is_the_same_under_its_new_name(
    sparky: Sparky, world: World, farm: Farm, one: Repository, met_by: str
) -> None:
    """Its row, marks and groups stay; its former name leads to it; its commits come once."""
    farm.night(one)
    former = one.full_name
    world.rename(one, "another")
    world.push(one)
    story = f"renamed from {former} to {ORG}/another"
    if met_by == "discovery":
        assert again(sparky) == {one.id: story}
    assert farm.night(one)[0] == Job("done", None, 1)
    assert listed(sparky, one)[0] == f"{ORG}/another"
    assert shown(sparky, former)["name"] == f"{ORG}/another"
    assert shown(sparky, former)["groups"] == ["core"]
    assert past(sparky, one) == [story]
    assert again(sparky) == {}


@pytest.mark.parametrize("met_by", ["probe", "discovery"])
def test_one_that_was_transferred_is_followed_where_it_is_now(
    sparky: Sparky, world: World, farm: Farm, one: Repository, met_by: str
) -> None:
    farm.night(one)
    former = one.full_name
    world.transfer(one, world.organizations[1])
    story = f"transferred from {former} to {one.full_name}"
    if met_by == "discovery":
        assert again(sparky) == {one.id: f"{story}; still followed"}
    assert farm.night(one)[0].state == "done"
    assert listed(sparky, one)[0] == one.full_name
    assert past(sparky, one) == [story]
    assert again(sparky) == {}


def test_a_new_one_that_takes_a_former_name_is_another_one(
    sparky: Sparky, world: World, farm: Farm, one: Repository
) -> None:
    """Deleted and made again under its name: two ids, two stories; the name means the new one."""
    world.delete(one)
    new = world.add(one.owner, one.name, one.size)
    assert again(sparky)[one.id].startswith("unreadable: ")
    assert [job.state for job in farm.night(one, new)] == ["failed", "done"]
    assert shown(sparky, new.full_name)["id"] == new.id
    assert past(sparky, new) == []


@pytest.mark.parametrize("met_by", ["probe", "discovery"])
def test_one_that_was_deleted_fails_every_night_until_somebody_prunes_it(
    sparky: Sparky, world: World, farm: Farm, one: Repository, met_by: str
) -> None:
    """The reason is in the job, the list and the story; what was read of it stays."""
    farm.night(*world)
    name, reason = one.full_name, "is not there any more, or no credential may read it"
    world.delete(one)
    if met_by == "discovery":
        assert again(sparky) == {one.id: f"unreadable: it {reason}; still followed"}
    others = list(world)
    for _ in range(2):
        job, *rest = farm.night(one, *others)
        assert job.state == "failed"
        assert str(job.error).startswith(f"{name} {reason}. `sparky repos show {name}` tells")
        assert {other.state for other in rest} == {"done"}
    assert listed(sparky, one)[4] == "unreadable"
    assert past(sparky, one) == [f"unreadable: it {reason}"]
    assert shown(sparky, name)["unreadable"]["why"] == reason
    assert shown(sparky, name)["last_job"]["state"] == "failed"

    assert sparky("repos", "discover", "--org", ORG, "--prune", "--dry-run").code == 0
    assert listed(sparky, one)[5] == "core", "a dry run changes nothing"
    pruned = again(sparky, "--prune")
    assert pruned == {one.id: f"unreadable: it {reason}; not followed any longer"}
    assert one.id not in sparky("repos", "list").out
    assert one.id not in sparky("groups", "show", "core").out
    assert shown(sparky, name)["last_job"]["state"] == "failed", "what was written stays"
    assert again(sparky, "--prune") == {}


@pytest.mark.parametrize("met_by", ["probe", "discovery"])
def test_one_that_was_archived_is_read_on_and_says_so(
    sparky: Sparky, world: World, farm: Farm, one: Repository, met_by: str
) -> None:
    """A discovery that leaves archived ones out follows none anew, and lets none go."""
    farm.night(one)
    world.archive(one)
    if met_by == "discovery":
        assert again(sparky) == {one.id: "archived; still followed"}
    assert farm.night(one) == [Job("done", None, 0)]
    assert listed(sparky, one)[4] == "archived"
    assert past(sparky, one) == ["archived"]
    one.archived_at = None
    assert again(sparky) == {one.id: "unarchived"}


@pytest.mark.parametrize("met_by", ["probe", "discovery"])
def test_one_that_was_made_private_is_read_on_by_who_may(
    sparky: Sparky, world: World, farm: Farm, one: Repository, met_by: str
) -> None:
    farm.night(one)
    world.make_private(one)
    if met_by == "discovery":
        assert again(sparky) == {one.id: "made private"}
    assert farm.night(one)[0].state == "done"
    assert listed(sparky, one)[4] == "private"
    world.make_public(one)
    farm.night(one)
    assert past(sparky, one) == ["made private", "made public"]


def test_one_that_was_made_private_for_everybody_is_as_deleted_and_comes_back(
    sparky: Sparky,
    world: World,
    github: Server,
    servers: Servers,
    tmp_path: Path,
    one: Repository,
) -> None:
    """GitHub does not tell private from deleted; once it may be read again, the night goes on."""
    outsider = Token(github.token(owners=frozenset()))
    with farming(github, servers, tmp_path, holders=lambda wire: [outsider]) as farm:
        farm.night(one)
        world.make_private(one)
        world.push(one)
        (job,) = farm.night(one)
        assert (job.state, one.full_name in str(job.error)) == ("failed", True)
        assert listed(sparky, one)[4] == "unreadable"
        world.make_public(one)
        assert farm.night(one) == [Job("done", None, 1)]
    assert past(sparky, one)[1:] == ["readable again"]
    assert listed(sparky, one)[4] == ""


def test_one_behind_single_sign_on_fails_with_the_words_of_github_and_is_never_pruned(
    sparky: Sparky,
    world: World,
    github: Server,
    servers: Servers,
    tmp_path: Path,
    one: Repository,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is there, in an organization for which somebody must authorize the token."""
    value = github.token(sso=False)
    monkeypatch.setenv("SPARKY_GITHUB_TOKEN", value)
    with farming(github, servers, tmp_path, holders=lambda wire: [Token(value)]) as farm:
        farm.night(one)
        name = one.full_name
        world.transfer(one, world.organizations[1])
        world.organizations[1].saml = True
        (job,) = farm.night(one)
    assert job.state == "failed"
    assert f"{name} may not be read: Resource protected by" in str(job.error)
    assert "docs/github.md tells" in str(job.error)
    told = again(sparky, "--prune")[one.id]
    assert told.startswith("unreadable: it may not be read: Resource protected by organization")
    assert told.endswith("; still followed")
    assert listed(sparky, one)[4:] == ["unreadable", "core"]
    monkeypatch.setenv("SPARKY_GITHUB_TOKEN", github.token())
    again(sparky)
    assert past(sparky, one)[1:] == [
        "readable again",
        f"transferred from {name} to {one.full_name}",
    ]


@pytest.mark.parametrize("met_by", ["probe", "discovery"])
def test_one_that_was_emptied_has_a_night_without_commits(
    sparky: Sparky, world: World, farm: Farm, one: Repository, met_by: str
) -> None:
    world.push(one, 2)
    assert farm.night(one)[0].activities == 2
    world.empty(one)
    if met_by == "discovery":
        assert again(sparky) == {one.id: "emptied"}
    assert farm.night(one) == [Job("done", None, 0)]
    assert listed(sparky, one)[4] == "empty"
    world.push(one)
    assert farm.night(one) == [Job("done", None, 1)]
    assert past(sparky, one) == ["emptied", "filled"]


def test_one_that_was_made_huge_is_never_cloned(
    sparky: Sparky,
    world: World,
    github: Server,
    servers: Servers,
    tmp_path: Path,
    one: Repository,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """From many commits on git is cheaper, but not for what is larger than `git_max_bytes`."""
    world.push(one, 20)
    options = {"git": tmp_path / "clones", "by_git": 5}
    with farming(github, servers, tmp_path, **options, git_bytes=1024) as farm:
        assert farm.night(one) == [Job("done", None, 20)]
    monkeypatch.setenv("SPARKY_GIT_MAX_BYTES", "1KiB")
    assert listed(sparky, one)[4] == "huge"
    with farming(github, servers, tmp_path, **options) as farm:
        world.push(one)
        (job,) = farm.night(one)
        # Made up commits cannot be cloned.
        assert (job.state, "is not a location" in str(job.error)) == ("failed", True)


def test_forty_that_are_gone_cost_one_point_a_night(
    sparky: Sparky,
    serving: Serving,
    servers: Servers,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They are looked at together, as all others are."""
    world = World(seed=3, repositories=45, commits=3, organizations=1, private=0)
    github = serving(world, enterprise=True, limits=Limits.off())
    monkeypatch.setenv("SPARKY_GITHUB_URL", github.host)
    monkeypatch.setenv("SPARKY_GITHUB_TOKEN", github.token())
    options = ("--forks", "include", "--archived", "include")
    assert sparky("repos", "discover", "--org", ORG, *options).code == 0
    owned = world.owned(world.organizations[0])
    with farming(github, servers, tmp_path) as farm:
        farm.night(*owned)
        for repository in owned[:35]:
            world.delete(repository)
        farm.night(*owned)
        github.accounting.reset()
        jobs = farm.night(*owned)
    assert [job.state for job in jobs].count("failed") == 35
    assert {one.name for one in github.accounting.log} == {"Probe"}
    assert github.accounting.points() == 1
