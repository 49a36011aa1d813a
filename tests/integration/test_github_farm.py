"""GitHub through the real farm: workers, Postgres, a broker, and the commands of an operator."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import redis
import sqlalchemy as sa

from sparky.cli import main
from sparky.model import Window
from sparky.source import queries
from sparky.store.cache import for_client
from sparky.store.gateway import Gateway
from sparky.store.runs import Runs
from sparky.store.tables import metadata
from tests import factories
from tests.github import Fault, Limits, Server, What, World
from tests.github.clock import Clock
from tests.github.fixture import Serving, serving
from tests.integration.github_night import farm, first_night
from tests.integration.github_world import repo_of
from tests.servers import Servers

__all__ = ["serving"]


@pytest.fixture
def world() -> World:
    """Small repositories, that have rested since yesterday of our own time."""
    clock = Clock.wall()
    clock.advance(hours=-24)
    return World(seed=8, repositories=90, commits=3, private=0, clock=clock)


@pytest.fixture
def github(world: World, serving: Serving) -> Server:
    return serving(world, enterprise=True, limits=Limits.primary_only())


def rows(database: str, query: str) -> list[tuple[object, ...]]:
    with closing(Gateway.open(database)) as store, store.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(sa.text(query))]


def test_a_quiet_night_costs_a_point_for_each_74_repositories_and_no_engine_call(
    world: World, github: Server, servers: Servers, database: str, tmp_path: Path
) -> None:
    """Each job ends after its fetch, no digest is made, and the last one stays what it was.

    While one thread's look is under way, the other may look at one of the same alone: that costs
    some points more, in a night of a thousand too, and not more there. One to which this happened
    the night before as well is also asked for six ETags by REST, a point each.
    """
    repos = [repo_of(one) for one in world]
    now = world.clock.now()
    first = Window(now - timedelta(days=2), now + timedelta(seconds=1))
    first_night(github, database, repos, first)
    with closing(Gateway.open(database)) as store:
        told = store.put_digest(replace(factories.digest(), repo=repos[0], window=first))
    world.clock.advance(hours=24)
    github.accounting.reset()
    quiet = Window(first.until, world.clock.now())
    with farm(github, database=database, broker=servers.broker_url, folder=tmp_path) as made:
        made.night("quiet", quiet, repos)
    asked = [one for one in github.accounting.log if one.resource == "graphql"]
    assert {one.name for one in asked} == {"Probe"}
    assert github.accounting.points(resource="graphql") == len(asked)
    assert 2 <= len(asked) <= 6
    alone = len(asked) - math.ceil(len(repos) / queries.PROBED)
    rest = [one.points for one in github.accounting.log if one.resource != "graphql"]
    assert sum(rest) <= 6 * alone
    assert rows(database, "SELECT state, count(*) FROM jobs GROUP BY state") == [("skipped", 90)]
    assert rows(database, "SELECT state FROM runs") == [("done",)]
    assert rows(database, "SELECT DISTINCT stage FROM steps") == [("fetch",)]
    assert rows(database, "SELECT count(*) FROM llm_calls") == [(0,)]
    with closing(Gateway.open(database)) as store:
        assert store.digest(repos[0].id) == told
        assert len(store.digests()) == 1


def test_only_a_window_that_nobody_asked_for_ends_without_a_digest(
    world: World, github: Server, servers: Servers, database: str, tmp_path: Path
) -> None:
    """What a digest of this window said before may be gone, and who types `sparky run` wants one:
    those jobs go on to the roll-up, which here finds no engine."""
    quiet, told, wanted = (repo_of(one) for one in list(world)[:3])
    window = Window(factories.START - timedelta(days=9000), factories.START - timedelta(days=8999))
    with closing(Gateway.open(database)) as store:
        for repo in (quiet, told, wanted):
            store.add_repo(repo)
        store.put_digest(replace(factories.digest(), repo=told, window=window))
    with farm(github, database=database, broker=servers.broker_url, folder=tmp_path) as made:
        made.night("scheduled", window, [quiet, told])
        made.night("asked", window, [wanted], even_empty=True)
    found = rows(database, "SELECT repository_id, state, stage FROM jobs")
    assert sorted(found) == sorted(
        [
            (quiet.id, "skipped", "fetch"),
            (told.id, "failed", "rollup"),
            (wanted.id, "failed", "rollup"),
        ]
    )


def test_no_token_is_in_a_row_a_log_a_message_or_a_process_list(
    world: World, github: Server, servers: Servers, database: str, tmp_path: Path
) -> None:
    """A run with refusals, resets and garbage, in which every job ends badly: then all that Sparky
    has written is searched, and the process list while it ran."""
    for what in (What.GARBAGE, What.BAD_GATEWAY, What.PARTIAL, What.SECONDARY_LIMIT):
        github.faults.add(Fault(what=what, times=2, rate=0.5, retry_after=1))
    github.faults.add(Fault(what=What.RESET, skip=10, times=None, match={"name": "Activity"}))
    repos = [repo_of(one) for one in list(world)[:20]]
    with closing(Gateway.open(database)) as store:
        for repo in repos:
            store.add_repo(repo)
    window = Window(world.clock.now() - timedelta(days=60), world.clock.advance(hours=24))
    with (
        process_list() as seen,
        farm(
            github, database=database, broker=servers.broker_url, folder=tmp_path, attempts=1
        ) as made,
    ):
        made.night("bad", window, repos)
        broker = redis.Redis.from_url(for_client(servers.broker_url))
        messages = [dump_of(broker, key) for key in broker.scan_iter("*")]
        broker.close()
    with closing(Gateway.open(database)) as store, store.engine.connect() as connection:
        stored = [
            repr(row)
            for table in metadata.sorted_tables
            for row in connection.execute(table.select())
        ]
    written = [path.read_text(errors="replace") for path in tmp_path.rglob("*") if path.is_file()]
    assert "the connection to GitHub failed" in "".join(stored)
    assert "step failed" in "".join(written)
    assert any("celery" in line for line in seen)
    everything = "\n".join([*stored, *written, *messages, *seen])
    for token in github.credentials.tokens:
        assert token not in everything
        assert token[8:24] not in everything
    # Others on this machine may show what they like.
    ours = [line for line in seen if "celery" in line or line.startswith("git")]
    assert "Bearer" not in "\n".join([*stored, *written, *messages, *ours])


def dump_of(broker: redis.Redis, key: bytes) -> str:
    """A key of the broker, with its value as it is stored."""
    return f"{key!r} {broker.dump(key)!r}"


@contextmanager
def process_list() -> Iterator[set[str]]:
    """Collects every command line on this machine while the block runs."""
    seen: set[str] = set()
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.05):
            for process in Path("/proc").glob("[0-9]*"):
                try:
                    line = (process / "cmdline").read_bytes()
                except OSError:
                    continue  # it has ended
                seen.add(line.replace(b"\0", b" ").decode(errors="replace"))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


# ---- `sparky github budget` ------------------------------------------------------------------------


Sparky = Callable[..., tuple[int, str, str]]


@pytest.fixture
def sparky(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    servers: Servers,
    database: str,
    tmp_path: Path,
) -> Sparky:
    """Runs `sparky` with these arguments; gives exit code, output and errors."""
    for name, value in {
        "SPARKY_CONFIG": "/dev/null",
        "SPARKY_STATE_DIR": str(tmp_path / "state"),
        "SPARKY_CACHE_DIR": str(tmp_path / "cache"),
        "SPARKY_DATABASE_URL": database,
        "SPARKY_BROKER_URL": servers.broker_url,
    }.items():
        monkeypatch.setenv(name, value)

    def call(*arguments: str) -> tuple[int, str, str]:
        code = main.run(arguments)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def test_the_budget_shows_each_credential_masked_and_when_the_run_is_done(
    github: Server,
    world: World,
    database: str,
    sparky: Sparky,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tokens = [github.token(), github.token()]
    world.clock.advance(hours=24)
    github.drain(tokens[0], remaining=1300)
    monkeypatch.setenv("SPARKY_GITHUB_URL", github.host)
    monkeypatch.setenv("SPARKY_GITHUB_TOKENS", ",".join(tokens))
    code, out, _ = sparky("github", "budget")
    assert code == 0
    lines = out.splitlines()
    assert len(lines) == 5, "GraphQL and REST of two credentials, and the run"
    assert any(
        "graphql: 1300 of 5000 points left, 1000 of them for its owner" in one for one in lines
    )
    assert all("all again at" in one for one in lines[:4])
    assert lines[-1] == "no run waits for GitHub"
    assert not any(token in out or token[8:24] in out for token in tokens)
    wait_for_github(world, database)
    code, out, _ = sparky("github", "budget", "--json")
    found = json.loads(out)
    assert {row["remaining"] for row in found["credentials"]} == {1300, 5000}
    assert {row["reserve"] for row in found["credentials"]} == {1000}
    assert all(datetime.fromisoformat(row["reset_at"]) for row in found["credentials"])
    run = found["run"]
    assert (run["done"], run["waiting"]) == (5, 5)
    left = (datetime.fromisoformat(run["done_at"]) - datetime.now(UTC)).total_seconds()
    assert 500 < left < 700, "five in ten minutes, so five more in ten minutes more"
    assert not any(token[8:24] in out for token in tokens)


def wait_for_github(world: World, database: str) -> None:
    """A run that has read five of ten repositories in ten minutes."""
    with closing(Gateway.open(database)) as store:
        repos = [repo_of(one) for one in list(world)[:10]]
        for repo in repos:
            store.add_repo(repo)
        now = datetime.now(UTC)
        window = Window(now - timedelta(days=1), now)
        Runs(store.engine, farm="main").start("r", window, [repo.id for repo in repos], {})
        with store.engine.begin() as connection:
            connection.execute(
                sa.text(
                    "UPDATE steps SET state = 'running', started_at = now() - interval '10 min',"
                    " lease_until = now() WHERE id IN (SELECT id FROM steps ORDER BY id LIMIT 5)"
                )
            )
            connection.execute(
                sa.text(
                    "UPDATE steps SET state = 'done', lease_until = NULL WHERE state = 'running'"
                )
            )


@pytest.mark.parametrize("shows_zero", [False, True])
def test_a_server_without_limits_is_shown_as_unlimited(
    world: World,
    serving: Serving,
    sparky: Sparky,
    monkeypatch: pytest.MonkeyPatch,
    shows_zero: bool,
) -> None:
    """Some answer 404 for their limits, others 0 of 0."""
    limits = replace(Limits.off(), shows_zero=shows_zero)
    github = serving(world, enterprise=True, limits=limits)
    monkeypatch.setenv("SPARKY_GITHUB_URL", github.host)
    monkeypatch.setenv("SPARKY_GITHUB_TOKEN", github.token())
    code, out, _ = sparky("github", "budget")
    assert code == 0
    assert [line.partition("  ")[2] for line in out.splitlines()[:2]] == [
        "core: unlimited",
        "graphql: unlimited",
    ]


def test_without_a_credential_the_budget_says_what_to_do(sparky: Sparky, database: str) -> None:
    code, _, err = sparky("github", "budget")
    assert code == 2
    assert "no credential for GitHub is configured" in err
    assert "SPARKY_GITHUB_TOKEN_FILE" in err
