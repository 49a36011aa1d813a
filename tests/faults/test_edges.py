"""Real workers are killed at each edge of a transaction, and messages come twice, late or never."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from sparky.farm import app as celery
from sparky.farm import sweeping
from sparky.farm.bell import ring, send
from sparky.farm.worker import worker_words
from sparky.model import Repo
from sparky.ports import Claim
from sparky.retries import Stop
from sparky.settings import Settings
from sparky.source.gitrepo import GitSource
from sparky.store.connection import connect
from sparky.store.desk import Bell
from sparky.store.gateway import Gateway
from sparky.store.runs import Runs
from sparky.store.tables import STAGES
from sparky.store.work import Work
from tests.engines.fleet import fleet
from tests.faults import audit
from tests.faults.crew import Member, crew
from tests.faults.histories import WINDOW, write_histories
from tests.faults.machines import wait_until
from tests.servers import Servers

REPOSITORIES = 3


@dataclass(frozen=True)
class Edge:
    """A farm of one worker, whose failpoints are files in `points`."""

    settings: Settings
    engine: sa.Engine
    repos: list[Repo]
    folder: Path

    @property
    def points(self) -> Path:
        return self.folder / "points"

    def arm(self, *names: str) -> None:
        for name in names:
            (self.points / name).touch()

    def armed(self) -> set[str]:
        return {path.name for path in self.points.iterdir()}

    def begin(self) -> None:
        store = Gateway(self.engine)
        for repo in self.repos:
            store.add_repo(repo)
        runs = Runs(self.engine, farm=self.settings.farm)
        bells = runs.start("r", WINDOW, [repo.id for repo in self.repos], {})
        ring(celery.make(self.settings), bells)

    def finish(self, *teams: Sequence[str]) -> None:
        """Let a pool of two work until the run has ended, sweeping each second as `sparky run` does.

        Args:
            teams: the queues of each worker, where it is not one for all.
        """
        extra = {"SPARKY_TEST_FAILPOINTS": str(self.points)}
        app = celery.make(self.settings)
        swept = time.monotonic()

        def over() -> bool:
            nonlocal swept
            if time.monotonic() - swept > 1:
                send(app, "sweep")
                swept = time.monotonic()
            return self.value("SELECT count(*) FROM runs WHERE state = 'running'") == 0  # type: ignore[no-any-return]

        members = []
        for number, queues in enumerate(teams or (celery.QUEUES,)):
            name = f"edge{number}"
            words = worker_words(name, queues=queues, pool="prefork", concurrency=2)
            members.append(Member(name, words, self.settings, self.folder, extra=extra))
        with crew(members):
            wait_until(over, seconds=180, what="the run's end")

    def value(self, query: str) -> Any:
        with self.engine.begin() as connection:
            return connection.execute(sa.text(query)).scalar_one()

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with self.engine.begin() as connection:
            return [tuple(row) for row in connection.execute(sa.text(query))]


@pytest.fixture
def edge(servers: Servers, database: str, tmp_path: Path) -> Iterator[Edge]:
    (tmp_path / "points").mkdir()
    source = GitSource(tmp_path / "cache")
    paths = write_histories(tmp_path / "repositories", REPOSITORIES)
    engine = connect(database)
    with fleet(1, slots=8, scale=200) as (url,):
        settings = Settings(
            state_dir=tmp_path / "state",
            cache_dir=tmp_path / "cache",
            publish_dir=tmp_path / "published",
            database_url=database,
            broker_url=servers.broker_url,
            llm_kind="openai",
            llm_url=url,
            farm=f"edge-{tmp_path.name[-20:].lower().strip('_-')}",
            lease_seconds=5,
            heartbeat_seconds=1,
            attempts=20,
        )
        repos = [source.identify(str(path)) for path in paths]
        yield Edge(settings, engine, repos, tmp_path)
    engine.dispose()


def test_a_worker_killed_before_a_commit_has_done_nothing(edge: Edge) -> None:
    """Whatever the transaction was for, it is done by the next worker, once."""
    names = [*"claim complete activities chunks answers summaries digest finish sweep".split()]
    edge.arm(*(f"{name}.before-commit" for name in names))
    edge.begin()
    edge.finish()
    assert edge.armed() == set(), "not every point was reached"
    assert audit.wrongs(edge.engine) == {}
    again = edge.value("SELECT sum(attempt - 1) FROM steps")
    # What was killed in a claim or in a sweep had no attempt yet; what ends a run has none at all.
    assert again == len(names) - 3


@pytest.mark.parametrize("edge_of", ["before-send", "before-acknowledge"])
def test_a_worker_killed_after_a_commit_has_done_it(edge: Edge, edge_of: str) -> None:
    """Its next steps are rung for by the sweeper, or the message comes again, and nothing is redone."""
    edge.arm(*(f"{stage}.{edge_of}" for stage in STAGES))
    edge.begin()
    # Who does a stage does not do the next: between all of them goes a message.
    edge.finish(["fetch", "summarize", "publish"], ["chunk", "rollup", "sweep"])
    assert edge.armed() == set(), "not every point was reached"
    assert audit.wrongs(edge.engine) == {}
    assert edge.value("SELECT max(attempt) FROM steps") == 1


def test_a_worker_killed_on_its_way_to_the_next_step_has_done_one(edge: Edge) -> None:
    """The step that it was to go on with is done by another worker, once its lease has run out."""
    stages = [stage for stage in STAGES if stage != "publish"]
    edge.arm(*(f"{stage}.before-next" for stage in stages))
    edge.begin()
    edge.finish()
    assert edge.armed() == set(), "not every point was reached"
    assert audit.wrongs(edge.engine) == {}
    assert edge.value("SELECT max(attempt) FROM steps WHERE stage = 'fetch'") == 1
    assert edge.value("SELECT sum(attempt - 1) FROM steps") == len(stages)


def test_a_sweeper_killed_before_it_sends_is_followed_by_the_next(edge: Edge) -> None:
    """What it had marked as sent is found to be lost, and sent."""
    edge.arm("sweep.before-send")
    edge.begin()
    edge.finish()
    assert edge.armed() == set()
    assert audit.wrongs(edge.engine) == {}


def test_messages_that_come_twice_or_late_change_nothing(edge: Edge) -> None:
    """All of a run's messages are sent three times at first, and once more when it has ended."""
    app = celery.make(edge.settings)
    edge.begin()
    for _ in range(2):
        ring(app, bells(edge))
    edge.finish()
    query = "SELECT id, state, attempt, result, ended_at FROM steps ORDER BY id"
    before = edge.rows(query)
    assert audit.wrongs(edge.engine) == {}
    assert {attempt for _, _, attempt, *_ in before} == {1}
    late = bells(edge)
    # The worker is told of them before a run of its own, which ends after them.
    ring(app, late)
    runs = Runs(edge.engine, farm=edge.settings.farm)
    ring(app, runs.start("r2", WINDOW, [edge.repos[0].id], {}))
    edge.finish()
    assert edge.rows(query)[: len(before)] == before
    assert audit.wrongs(edge.engine) == {}


class Trap:
    """Leaves a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_messages_that_are_not_ours_are_refused_unread(edge: Edge) -> None:
    """What somebody with the broker's password pickled is not unpickled, and the run goes on."""
    sprung = edge.folder / "sprung"
    app = celery.make(edge.settings)
    app.send_task("sparky.fetch", [Trap(sprung), "x"], serializer="pickle")
    app.send_task("sparky.fetch", ["no number", "x"])
    app.send_task("sparky.summarize", [])
    edge.begin()
    assert sweeping.held(edge.settings) == {bell.step_id for bell in bells(edge)}
    edge.finish()
    assert not sprung.exists()
    assert audit.wrongs(edge.engine) == {}
    assert edge.value("SELECT state FROM runs") == "done"


def bells(edge: Edge) -> list[Bell]:
    """A message for each step that there is."""
    return [Bell(row[0], row[1], "again") for row in edge.rows("SELECT id, stage FROM steps")]


def test_of_two_workers_at_one_step_one_gets_it(edge: Edge) -> None:
    """However many claim at the same moment; and of two completions one counts."""
    edge.begin()
    work = Work(edge.engine, farm=edge.settings.farm)
    step = edge.value("SELECT min(id) FROM steps")
    start = threading.Barrier(8)
    got: list[Claim | None] = []

    def claim(name: str) -> None:
        start.wait()
        got.append(work.claim(step, worker=name, lease=60))

    threads = [threading.Thread(target=claim, args=(f"w{n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (mine,) = [claim for claim in got if claim is not None]
    assert len(got) == 8
    done = [work.complete(mine) is not None for _ in range(2)]
    assert done == [True, False]


@pytest.mark.parametrize("stage", STAGES)
def test_a_run_that_is_cancelled_in_a_stage_stays_so(edge: Edge, stage: str) -> None:
    """Who works on it then finds its claim void and writes nothing; a retry goes on from there."""
    edge.begin()
    work = Work(edge.engine, farm=edge.settings.farm)
    claim = advance(edge, work, stage)
    runs = Runs(edge.engine, farm=edge.settings.farm)
    assert runs.cancel("r")
    assert not work.heartbeat(claim, lease=60)
    assert work.complete(claim) is None
    assert work.fail(claim, Stop(), "too late") is None
    states = "SELECT DISTINCT state FROM {}"
    assert edge.rows(states.format("runs")) == [("cancelled",)]
    assert edge.rows(states.format("jobs")) == [("cancelled",)]
    assert edge.value("SELECT count(*) FROM steps WHERE lease_until IS NOT NULL") == 0
    ring(celery.make(edge.settings), runs.retry("r")[1])
    assert edge.value("SELECT state FROM runs") == "running"


def advance(edge: Edge, work: Work, stage: str) -> Claim:
    """Take the first job up to this stage; the claim of its step there."""
    job = edge.value("SELECT min(id) FROM jobs")
    while True:
        query = f"SELECT min(id) FROM steps WHERE job_id = {job} AND state = 'waiting'"
        claim = work.claim(edge.value(query), worker="w", lease=60)
        assert claim is not None
        if claim.stage == stage:
            return claim
        keys = ["k"] if claim.stage == "chunk" else []
        assert work.complete(claim, keys=keys, result="s") is not None
