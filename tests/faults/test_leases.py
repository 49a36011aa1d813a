"""Claim, heartbeat, expire, complete and sweep against a model, in a real Postgres.

Hypothesis plays workers, a sweeper and a broker that loses and doubles messages, in any order.
After each move the database must say what the model says, and at the end every run must end.
"""

from __future__ import annotations

import pkgutil
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from sparky.model import Repo, Window
from sparky.ports import Claim
from sparky.retries import Retry, Stop, Wait
from sparky.store.connection import connect
from sparky.store.dispatch import Dispatch
from sparky.store.gateway import Gateway
from sparky.store.runs import Runs
from sparky.store.tables import STAGES
from sparky.store.work import Work
from tests.servers import Servers

WINDOW = Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))
REPOS = [Repo(f"git:{n}", f"me/{n}", "git", f"/srv/{n}") for n in range(2)]
CHUNKS = 3
ATTEMPTS = 3

AUDIT = sa.text("""
    SELECT j.id, j.state, j.stage, j.pending, j.error,
           count(*) FILTER (WHERE s.stage = 'summarize' AND s.state IN ('waiting', 'running')) AS open,
           count(*) FILTER (WHERE s.stage = 'rollup') AS rollups,
           count(*) FILTER (WHERE s.state IN ('waiting', 'running')) AS unfinished
    FROM jobs j LEFT JOIN steps s ON s.job_id = j.id GROUP BY j.id ORDER BY j.id
""")


@dataclass
class Known:
    """What the model knows of one step."""

    attempt: int = 0
    holder: Claim | None = None
    """The claim that may still complete the step."""
    ended: bool = False
    effects: int = field(default=0)


class Farm(RuleBasedStateMachine):
    """Workers, a sweeper and a broker, in any order."""

    servers: Servers
    engine: sa.Engine
    claims = Bundle("claims")

    @initialize()
    def begin(self) -> None:
        self.servers.empty()
        self.work = Work(self.engine, farm="main")
        self.runs = Runs(self.engine, farm="main")
        self.dispatch = Dispatch(self.engine, farm="main")
        store = Gateway(self.engine)
        for repo in REPOS:
            store.add_repo(repo)
        self.runs.start("r", WINDOW, [repo.id for repo in REPOS], {})
        self.known: dict[int, Known] = {}
        self.look()

    def teardown(self) -> None:
        if hasattr(self, "known"):
            self.finish()

    def look(self) -> None:
        """Learn of the steps that exist now."""
        with self.engine.begin() as connection:
            for step_id in connection.execute(sa.text("SELECT id FROM steps")).scalars():
                self.known.setdefault(step_id, Known())

    def sql(self, statement: str, **values: object) -> None:
        with self.engine.begin() as connection:
            connection.execute(sa.text(statement), values)

    @rule(target=claims, pick=st.integers(0, 99))
    def a_message_arrives(self, pick: int) -> object:
        """Once, twice, late, or for a step that is done: the broker promises nothing."""
        return self._claim(sorted(self.known)[pick % len(self.known)])

    @rule(target=claims, claim=claims)
    def a_silent_worker_is_replaced(self, claim: Claim) -> object:
        """It lives on, and will speak of its claim while another one holds the step."""
        self.all_workers_go_silent()
        return self._claim(claim.step_id)

    def _claim(self, step_id: int) -> object:
        model = self.known[step_id]
        claim = self.work.claim(step_id, worker="w", lease=60)
        if model.ended or model.holder is not None:
            assert claim is None, "a step that is held or done was given away"
            return multiple()
        if claim is None:  # it waits for its time
            return multiple()
        assert claim.attempt == model.attempt + 1
        model.attempt, model.holder = claim.attempt, claim
        return claim

    @rule(claim=claims)
    def a_heart_beats(self, claim: Claim) -> None:
        kept = self.work.heartbeat(claim, lease=60)
        assert kept == (self.known[claim.step_id].holder is claim)

    @rule(target=claims, claim=consumes(claims), goes_on=st.booleans())
    def a_worker_completes(self, claim: Claim, goes_on: bool) -> object:
        """It may hold the step that follows from then on."""
        following = self._complete(claim, goes_on=goes_on)
        return multiple() if following is None else following

    def _complete(self, claim: Claim, *, goes_on: bool = False) -> Claim | None:
        model = self.known[claim.step_id]
        keys = [f"k{n}" for n in range(CHUNKS)] if claim.stage == "chunk" else []
        ended = self.work.complete(
            claim,
            keys=keys,
            result="s" if claim.stage == "summarize" else None,
            job={"chunks": CHUNKS} if keys else None,
            outcome="done" if claim.stage == "rollup" else None,
            onward=STAGES if goes_on else (),
            worker="w",
            lease=60,
        )
        assert (ended is not None) == (model.holder is claim), "the fence let the wrong one through"
        if ended is None:
            return None
        model.effects += 1
        model.ended, model.holder = True, None
        self.look()
        if ended.onward is not None:
            following = self.known[ended.onward.step_id]
            following.attempt, following.holder = 1, ended.onward
        return ended.onward

    @rule(claim=consumes(claims), how=st.sampled_from(["retry", "wait", "stop"]))
    def a_worker_fails(self, claim: Claim, how: str) -> None:
        model = self.known[claim.step_id]
        now = datetime.now(UTC)
        decision = {"retry": Retry(timedelta(0)), "wait": Wait(now), "stop": Stop()}[how]
        bells = self.work.fail(claim, decision, "it broke")
        assert (bells is not None) == (model.holder is claim)
        if bells is not None:
            model.holder = None
            model.ended = how == "stop"
            self.look()

    @rule()
    def all_workers_go_silent(self) -> None:
        """Every lease runs out; the sweeper puts the steps back or stops them."""
        self.sql("UPDATE steps SET lease_until = now() - interval '1 s' WHERE state = 'running'")
        self._sweep()

    @rule()
    def the_broker_is_emptied(self) -> None:
        self.sql("UPDATE steps SET rung_at = rung_at - interval '1 hour'")
        self._sweep()

    def _sweep(self) -> None:
        for step_id, attempt in self.dispatch.dead(attempts=ATTEMPTS):
            claim = self.work.seize(step_id, attempt, worker="s", lease=60)
            assert claim is not None
            assert self.work.fail(claim, Stop(), "workers went silent") is not None
            self.known[step_id].ended, self.known[step_id].holder = True, None
        self.dispatch.sweep((), attempts=ATTEMPTS)
        with self.engine.begin() as connection:
            waiting = set(
                connection.execute(
                    sa.text("SELECT id FROM steps WHERE state = 'waiting'")
                ).scalars()
            )
        for step_id in waiting & set(self.known):
            self.known[step_id].holder = None
        self.look()

    @invariant()
    def counters_equal_a_recount(self) -> None:
        if not hasattr(self, "known"):
            return
        with self.engine.begin() as connection:
            for job in connection.execute(AUDIT):
                if job.stage == "summarize":
                    assert job.pending == job.open
                assert job.rollups <= 1
                if job.state in ("done", "partial"):
                    assert job.unfinished == 0
            pending, unfinished = connection.execute(
                sa.text(
                    "SELECT (SELECT pending FROM runs),"
                    " (SELECT count(*) FROM jobs WHERE state IN ('waiting', 'running'))"
                )
            ).one()
            assert pending == unfinished
        assert all(model.effects <= 1 for model in self.known.values())

    def finish(self) -> None:
        """Whatever happened: with a sweeper and a worker, everything ends."""
        for _ in range(50):
            self.sql(
                "UPDATE steps SET lease_until = now() - interval '1 s' WHERE state = 'running'"
            )
            self.sql("UPDATE steps SET not_before = NULL, rung_at = rung_at - interval '1 hour'")
            self._sweep()
            for step_id, model in sorted(self.known.items()):
                claim = self.work.claim(step_id, worker="last", lease=60)
                if claim is not None:
                    model.attempt, model.holder = claim.attempt, claim
                    self._complete(claim)
            with self.engine.begin() as connection:
                if connection.execute(sa.text("SELECT state FROM runs")).scalar_one() != "running":
                    return
        raise AssertionError("the run did not end")


STEPS = settings(
    max_examples=25,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


HUNT = settings(STEPS, max_examples=200, phases=[Phase.generate], report_multiple_bugs=False)
"""For mutants: the first failure is enough, and nobody reads the smallest one."""


def play(servers: Servers, how: settings = STEPS) -> None:
    engine = connect(servers.database_url)
    machine = type("Play", (Farm,), {"servers": servers, "engine": engine})
    try:
        run_state_machine_as_test(machine, settings=how)
    finally:
        engine.dispose()


def test_no_order_of_events_loses_or_doubles_a_step(servers: Servers) -> None:
    """Fences, fan-in and sweeper hold in whatever order workers live and die."""
    play(servers)


def mutate(monkeypatch: pytest.MonkeyPatch, name: str, right: str, wrong: str) -> None:
    """Put another text in a statement's place."""
    source = str(pkgutil.resolve_name(name))
    assert right in source
    monkeypatch.setattr(name, sa.text(source.replace(right, wrong, 1)))


@pytest.mark.parametrize(
    ("module", "name", "right", "wrong"),
    [
        ("sparky.store.work", "CLAIM", "AND state = 'waiting'", ""),
        ("sparky.store.work", "CLAIM", "attempt = attempt + 1", "attempt = attempt"),
        ("sparky.store.work", "ADVANCE", "jobs.pending - 1", "jobs.pending - 2"),
        ("sparky.store.work", "ADVANCE", "WHERE counted.opens", ""),
        ("sparky.store.work", "ADVANCE", "at_once::int", "0"),
    ],
)
def test_mutated_sql_is_caught(
    servers: Servers,
    monkeypatch: pytest.MonkeyPatch,
    module: str,
    name: str,
    right: str,
    wrong: str,
) -> None:
    """The model notices when the claim loses its guard or its fence, or the fan-in its count."""
    mutate(monkeypatch, f"{module}.{name}", right, wrong)
    with pytest.raises(Exception):  # noqa: B017, PT011 — however it shows
        play(servers, HUNT)


def test_a_fence_without_its_attempt_is_caught(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model notices when a late worker may complete a step that another one holds."""
    from sparky.store import tables as t

    def loose(claim: Claim) -> tuple[sa.ColumnElement[bool], ...]:
        return (t.steps.c.id == claim.step_id, t.steps.c.state == "running")

    monkeypatch.setattr("sparky.store.work._mine", loose)
    mutate(monkeypatch, "sparky.store.work.ADVANCE", "AND steps.attempt = :attempt", "")
    mutate(monkeypatch, "sparky.store.work.CLOSE", "AND steps.attempt = :attempt", "")
    mutate(monkeypatch, "sparky.store.work.KEEP", "AND held.attempt = mine.attempt", "")
    with pytest.raises(Exception):  # noqa: B017, PT011 — however it shows
        play(servers, HUNT)
