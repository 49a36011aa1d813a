"""Runs, jobs and steps in a real Postgres: claims, fences, fan-in, sweeping."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from sparky.farm.heartbeat import Heart
from sparky.model import Repo, Window
from sparky.ports import Answer, Claim
from sparky.retries import Anew, Retry, Stop, Wait
from sparky.store import work
from sparky.store.connection import connect
from sparky.store.desk import Bell
from sparky.store.dispatch import Dispatch
from sparky.store.fresh import Fresh
from sparky.store.gateway import Gateway
from sparky.store.reports import Reports
from sparky.store.runs import Runs, Wanted
from sparky.store.tables import JOB_STATES, RUN_STATES, STEP_STATES
from sparky.store.transitions import ALLOWED
from sparky.store.work import Ended, Work

WINDOW = Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))
REPOS = [Repo(f"git:{n}", f"me/{n}", "git", f"/srv/{n}") for n in ("a", "b")]
NOW = datetime(2026, 3, 1, tzinfo=UTC)


class Farm:
    """A farm in a fresh database, driven by hand."""

    def __init__(self, url: str) -> None:
        self.engine = connect(url)
        self.work = Work(self.engine, farm="main")
        self.runs = Runs(self.engine, farm="main")
        self.dispatch = Dispatch(self.engine, farm="main")
        self.reports = Reports(self.engine)
        store = Gateway(self.engine)
        for repo in REPOS:
            store.add_repo(repo)

    def start(self, run: str = "r1", repos: int = 1) -> list[int]:
        bells = self.runs.start(run, WINDOW, [repo.id for repo in REPOS[:repos]], {})
        return [bell.step_id for bell in bells]

    def claim(self, step_id: int, worker: str = "w1") -> Claim:
        claimed = self.work.claim(step_id, worker=worker, lease=60)
        assert claimed is not None
        return claimed

    def complete(self, claim: Claim, **given: Any) -> tuple[Bell, ...]:
        """End the step well; what is to be rung for."""
        ended = self.work.complete(claim, **given)
        assert ended is not None
        return ended.bells

    def run_sql(self, statement: str) -> None:
        with self.engine.begin() as connection:
            connection.execute(sa.text(statement))

    def expire_leases(self) -> None:
        self.run_sql("UPDATE steps SET lease_until = now() - interval '1 s' WHERE state='running'")

    def sweep(self, held: Collection[int] = (), attempts: int = 4) -> set[int]:
        """The steps that a sweep rings for, a while after everything was sent."""
        self.run_sql("UPDATE steps SET rung_at = rung_at - interval '1 min'")
        return {bell.step_id for bell in self.dispatch.sweep(held, attempts=attempts)}

    def chunked(self, chunks: int, run: str = "r1") -> list[int]:
        """Take a run up to where its chunks wait to be summarised."""
        (fetch,) = self.start(run)
        (chunk,) = self.complete(self.claim(fetch), job={"activities": 9})
        keys = [f"k{n}" for n in range(chunks)]
        self.work.complete(self.claim(chunk.step_id), keys=keys, job={"chunks": chunks})
        query = sa.text(
            "SELECT s.id FROM steps s JOIN jobs j ON j.id = s.job_id"
            " WHERE j.run_id = :run AND s.stage = 'summarize' ORDER BY s.position"
        )
        with self.engine.begin() as connection:
            return list(connection.execute(query, {"run": run}).scalars())

    def state(self, run: str = "r1") -> str:
        with self.engine.begin() as connection:
            return connection.execute(
                sa.text("SELECT state FROM runs WHERE id = :id"), {"id": run}
            ).scalar_one()


@pytest.fixture
def farm(database: str) -> Iterator[Farm]:
    made = Farm(database)
    yield made
    made.engine.dispose()


def test_a_step_is_claimed_once(farm: Farm) -> None:
    """Of two workers that hear the same bell, one gets the step."""
    (step,) = farm.start()
    assert farm.work.claim(step, worker="w1", lease=60) is not None
    assert farm.work.claim(step, worker="w2", lease=60) is None


def test_a_done_step_is_not_done_again(farm: Farm) -> None:
    """A message that comes late or twice changes nothing."""
    (step,) = farm.start()
    farm.work.complete(farm.claim(step))
    assert farm.work.claim(step, worker="w2", lease=60) is None


def test_a_late_worker_is_fenced_off(farm: Farm) -> None:
    """A worker whose lease ran out and was taken over cannot complete, fail or keep the step."""
    (step,) = farm.start()
    late = farm.claim(step, "w1")
    farm.expire_leases()
    assert farm.sweep() == {step}
    new = farm.claim(step, "w2")
    assert new.attempt == late.attempt + 1
    assert not farm.work.heartbeat(late, lease=60)
    assert farm.work.complete(late) is None
    assert farm.work.fail(late, Stop(), "late") is None
    assert farm.work.complete(new) is not None


def test_an_error_ends_its_step_whatever_it_quotes(farm: Farm) -> None:
    """Bytes that a server sent in place of an answer do not keep the step running."""
    (step,) = farm.start()
    assert farm.work.fail(farm.claim(step), Stop(), "broke off (\0\1garbage\ud83d)") is not None
    with farm.engine.begin() as connection:
        said = connection.execute(sa.text("SELECT error FROM steps")).scalar_one()
    assert said == "broke off (\1garbage?)"


@pytest.mark.parametrize(
    ("name", "fence", "outcome"),
    [
        ("ADVANCE", "AND steps.attempt = :attempt", None),
        ("CLOSE", "AND steps.attempt = :attempt", "done"),
        ("KEEP", "AND held.attempt = mine.attempt", None),
    ],
)
def test_it_is_the_attempt_that_fences_a_late_worker_off(
    farm: Farm, monkeypatch: pytest.MonkeyPatch, name: str, fence: str, outcome: str | None
) -> None:
    """Each statement that keeps or ends a step refuses a late worker, and would not without it."""
    (step,) = farm.start()
    late = farm.claim(step, "w1")
    farm.expire_leases()
    farm.sweep()
    farm.claim(step, "w2")

    def speak() -> bool:
        if name == "KEEP":
            return farm.work.heartbeat(late, lease=60)
        return farm.work.complete(late, outcome=outcome) is not None

    assert not speak()
    right = str(getattr(work, name))
    assert fence in right
    monkeypatch.setattr(work, name, sa.text(right.replace(fence, "")))
    assert speak()


def test_summaries_that_end_at_once_open_one_rollup(farm: Farm) -> None:
    """However many workers end a job's chunks in the same moment, the count is right."""
    claims = [farm.claim(step) for step in farm.chunked(24)]
    with ThreadPoolExecutor(8) as workers:
        ended = list(workers.map(lambda claim: farm.work.complete(claim, result="s"), claims))
    assert [bell.stage for one in ended if one for bell in one.bells] == ["rollup"]


def test_jobs_that_end_at_once_end_their_run_as_what_they_came_to(farm: Farm) -> None:
    """The one that ends last sees how the others ended, also those that ended a moment before."""
    store = Gateway(farm.engine)
    repos = [Repo(f"git:many{n}", f"me/many{n}", "git", f"/srv/many{n}") for n in range(16)]
    for repo in repos:
        store.add_repo(repo)
    bells = farm.runs.start("many", WINDOW, [repo.id for repo in repos], {})
    claims = [farm.claim(bell.step_id) for bell in bells]
    outcomes = ["partial", *["done"] * 15]
    with ThreadPoolExecutor(8) as workers:
        list(workers.map(lambda c, o: farm.work.complete(c, outcome=o), claims, outcomes))
    assert farm.state("many") == "partial"


def test_waiting_steps_are_rung_for_in_handfuls(farm: Farm) -> None:
    """A step that ends chooses others for the broker only where there is room for several."""
    steps = farm.chunked(230)
    rung = {bell.step_id for bell in farm.dispatch.wake()}
    assert not rung  # 200 were rung for when they were made
    for step in steps[:19]:
        assert farm.complete(farm.claim(step), result="s") == ()
    bells = farm.complete(farm.claim(steps[19]), result="s")
    assert [bell.step_id for bell in bells] == steps[200:220]


def test_a_step_that_kills_its_workers_stops(farm: Farm) -> None:
    """Each worker that goes silent is a failed attempt; after the last the step is to be stopped."""
    (step,) = farm.start()
    for died in range(3):
        assert farm.claim(step).failures == died
        farm.expire_leases()
        assert farm.dispatch.dead(attempts=4) == ()
        assert farm.sweep(attempts=4) == {step}
    last = farm.claim(step)
    farm.expire_leases()
    assert farm.sweep(attempts=4) == set()
    assert farm.dispatch.dead(attempts=4) == ((step, last.attempt),)
    seized = farm.work.seize(step, last.attempt, worker="sweeper", lease=60)
    assert seized is not None
    assert farm.work.complete(last) is None
    farm.work.fail(seized, Stop(), "4 workers went silent at it")
    assert farm.state() == "failed"


def test_a_heartbeat_keeps_the_lease(farm: Farm) -> None:
    """A step whose worker lives is not given to another."""
    (step,) = farm.start()
    claim = farm.claim(step)
    farm.expire_leases()
    assert farm.work.heartbeat(claim, lease=60)
    assert farm.sweep() == set()
    assert farm.work.claim(step, worker="w2", lease=60) is None


def test_the_last_summary_opens_the_rollup_once(farm: Farm) -> None:
    """The fan-in fires exactly when the last chunk ends, in whatever order they end."""
    steps = farm.chunked(3)
    claims = [farm.claim(step) for step in steps]
    assert farm.complete(claims[2], result="s2") == ()
    assert farm.complete(claims[0], result="s0") == ()
    (rollup,) = farm.complete(claims[1], result="s1")
    assert rollup.stage == "rollup"
    assert farm.reports.gathered(claims[0].job_id).summaries == ("s0", "s1", "s2")


def test_a_poisoned_chunk_stops_alone(farm: Farm) -> None:
    """The roll-up still comes when a chunk fails for good, and the reason is kept."""
    first, second = (farm.claim(step) for step in farm.chunked(2))
    farm.work.complete(first, result="s0")
    (rollup,) = farm.work.fail(second, Stop(), "the engine refuses it") or ()
    assert rollup.stage == "rollup"
    (failure,) = farm.reports.gathered(first.job_id).failures
    assert (failure.stage, failure.error) == ("summarize", "the engine refuses it")


def test_nothing_to_summarise_goes_straight_to_the_rollup(farm: Farm) -> None:
    """A window whose activities all follow rules needs no engine."""
    (fetch,) = farm.start()
    (chunk,) = farm.complete(farm.claim(fetch))
    (rollup,) = farm.complete(farm.claim(chunk.step_id), keys=[])
    assert rollup.stage == "rollup"


def test_who_ends_a_step_goes_on_with_the_one_that_follows(farm: Farm) -> None:
    """It holds that step at once, for as long as its lease says, and nobody is rung for."""
    (fetch,) = farm.start()
    ended = farm.work.complete(farm.claim(fetch), onward={"chunk"}, worker="w1", lease=60)
    assert ended is not None
    assert ended.onward is not None
    assert (ended.onward.stage, ended.onward.attempt, ended.bells) == ("chunk", 1, ())
    assert farm.work.claim(ended.onward.step_id, worker="w2", lease=60) is None
    assert farm.sweep() == set()
    farm.expire_leases()
    assert farm.sweep() == {ended.onward.step_id}
    assert farm.claim(ended.onward.step_id, "w2").attempt == 2
    assert farm.work.complete(ended.onward) is None


def test_several_steps_that_follow_are_for_all_workers(farm: Farm) -> None:
    """The chunks of a job are shared out, and the last of them opens what is gone on with."""
    (fetch,) = farm.start()
    (chunk,) = farm.complete(farm.claim(fetch))
    given = {"onward": {"summarize", "rollup"}, "worker": "w1", "lease": 60}
    ended = farm.work.complete(farm.claim(chunk.step_id), keys=["k0", "k1"], **given)
    assert ended is not None
    assert ended.onward is None
    first, second = ended.bells
    assert farm.work.complete(farm.claim(first.step_id), result="s", **given) == Ended()
    last = farm.work.complete(farm.claim(second.step_id), result="s", **given)
    assert last is not None
    assert last.onward is not None
    assert last.onward.stage == "rollup"


def test_nobody_goes_on_in_a_paused_farm(farm: Farm) -> None:
    (fetch,) = farm.start()
    claim = farm.claim(fetch)
    farm.dispatch.pause("moving the database")
    assert farm.work.complete(claim, onward={"chunk"}, worker="w1", lease=60) == Ended()
    farm.dispatch.resume()
    assert [bell.stage for bell in farm.dispatch.wake()] == ["chunk"]


def test_nobody_goes_on_past_those_who_wait_for_their_turn(farm: Farm) -> None:
    """Where steps of the next stage wait for room in the broker, a new one waits behind them."""
    farm.chunked(230)
    (fetch,) = farm.start("r2")
    (chunk,) = farm.complete(farm.claim(fetch))
    ended = farm.work.complete(
        farm.claim(chunk.step_id), keys=["alone"], onward={"summarize"}, worker="w1", lease=60
    )
    assert ended == Ended()


def test_a_failed_fetch_fails_its_job_alone(farm: Farm) -> None:
    """One repository that cannot be read leaves the others' run partial."""
    first, second = farm.start(repos=2)
    farm.work.fail(farm.claim(first), Stop(), "not a repository")
    assert farm.state() == "running"
    (chunk,) = farm.complete(farm.claim(second))
    (rollup,) = farm.complete(farm.claim(chunk.step_id))
    farm.work.complete(farm.claim(rollup.step_id), outcome="done")
    assert farm.state() == "partial"
    failed, done = farm.reports.progress("r1")
    assert (failed.state, failed.error) == ("failed", "not a repository")
    assert done.state == "done"


def test_waiting_burns_no_attempt(farm: Farm) -> None:
    """A step told to wait is not due before its time, and has lost nothing."""
    (step,) = farm.start()
    claim = farm.claim(step)
    until = datetime.now(UTC) + timedelta(hours=1)
    assert farm.work.fail(claim, Wait(until), "the budget is used up") == ()
    assert farm.work.claim(step, worker="w", lease=60) is None
    assert farm.sweep() == set()
    farm.run_sql("UPDATE steps SET not_before = now()")
    assert farm.sweep() == {step}
    assert farm.claim(step).failures == 0


def test_retrying_burns_an_attempt(farm: Farm) -> None:
    """A step that is tried again remembers how often it failed."""
    (step,) = farm.start()
    farm.work.fail(farm.claim(step), Retry(timedelta(0)), "reset")
    assert farm.claim(step).failures == 1


def test_a_job_begins_anew_without_what_it_had_done(farm: Farm) -> None:
    """Only who holds its step may do so; a summary that was still being made is void."""
    first, second = farm.chunked(2)
    going, claimed = farm.claim(first), farm.claim(second)
    (bell,) = farm.work.fail(claimed, Anew(), "it has changed") or ()
    assert bell.stage == "fetch"
    assert farm.work.complete(going, result="s0") is None
    assert farm.work.fail(claimed, Anew(), "it has changed") is None
    (job,) = farm.reports.progress("r1")
    assert (job.state, job.stage, job.chunks_done) == ("running", "fetch", 0)
    again = farm.claim(bell.step_id)
    assert farm.reports.gathered(again.job_id).begun == 1
    (chunk,) = farm.complete(again, job={"activities": 9})
    (rollup,) = farm.complete(farm.claim(chunk.step_id), job={"chunks": 0})
    farm.work.complete(farm.claim(rollup.step_id), outcome="done")
    (job,) = farm.reports.progress("r1")
    assert job.state == "done"


def test_the_sweeper_rings_for_lost_messages_alone(farm: Farm) -> None:
    """What the broker still holds is not sent twice; what it has lost is sent again."""
    steps = set(farm.start(repos=2))
    one, other = steps
    assert farm.sweep(held=steps) == set()
    assert farm.sweep(held={one}) == {other}
    assert farm.sweep() == steps


def test_a_message_that_was_just_sent_is_not_lost(farm: Farm) -> None:
    """The sweeper gives messages a moment to arrive."""
    farm.start(repos=2)
    assert farm.dispatch.sweep((), attempts=4) == ()


def test_the_broker_holds_few_messages_whatever_the_backlog(farm: Farm) -> None:
    """The rest waits in Postgres, and comes when there is room."""
    steps = farm.chunked(9)
    farm.run_sql("UPDATE steps SET rung_at = NULL WHERE state = 'waiting'")
    first = [bell.step_id for bell in farm.dispatch.wake(most=4)]
    assert first == steps[:4]
    assert farm.dispatch.wake(most=4) == ()
    farm.work.complete(farm.claim(steps[0]), result="s")
    assert farm.sweep(held=steps) == set()


def test_a_small_repository_does_not_wait_for_a_giant(farm: Farm) -> None:
    """Its first chunk comes before the giant's thirtieth, and the giant's first before its own."""
    giant, small = farm.chunked(300), farm.chunked(1, run="r2")
    order = _all_to_ring_for(farm)
    assert order.index(giant[0]) < order.index(small[0]) < order.index(giant[30])


def test_what_takes_longer_to_end_begins_sooner(farm: Farm) -> None:
    """All chunks of a repository that has some come before one's only chunk, made just before."""
    only, several = farm.chunked(1), farm.chunked(9, run="r2")
    assert _all_to_ring_for(farm) == [*several, *only]


def _all_to_ring_for(farm: Farm) -> list[int]:
    """All steps that wait, in the order of work."""
    farm.run_sql("UPDATE steps SET rung_at = NULL WHERE state = 'waiting'")
    return [bell.step_id for bell in farm.dispatch.wake(most=400)]


def test_new_repositories_come_first_then_the_longest_unread(farm: Farm) -> None:
    """The order of a night: never digested, then by the age of the last digest."""
    farm.run_sql(
        "INSERT INTO digests (repository_id, since, until, revision, status, headline, content,"
        " payload) VALUES ('git:a', now() - interval '1 d', now(), 1, 'done', '', '', '{}')"
    )
    bells = farm.runs.start("r1", WINDOW, ["git:a", "git:b"], {})
    assert [bell.label for bell in bells] == ["me/b", "me/a"]


def test_a_paused_farm_starts_nothing(farm: Farm) -> None:
    """What runs ends well; what waits goes on after the pause."""
    running, waiting = farm.start(repos=2)
    claim = farm.claim(running)
    farm.dispatch.pause("moving the database")
    assert farm.dispatch.paused() == "moving the database"
    assert farm.work.claim(waiting, worker="w", lease=60) is None
    assert farm.complete(claim) == ()
    assert farm.sweep() == set()
    farm.dispatch.resume()
    assert waiting in farm.sweep()


def test_the_sweeper_leaves_other_farms_alone(farm: Farm) -> None:
    """A farm's worker never takes the steps of another."""
    (step,) = farm.start()
    farm.run_sql("UPDATE steps SET rung_at = NULL")
    assert Dispatch(farm.engine, farm="other").sweep((), attempts=4) == ()
    assert Work(farm.engine, farm="other").claim(step, worker="w", lease=60) is None


def test_cancelling_voids_what_runs(farm: Farm) -> None:
    """A cancelled run's worker finds its claim void, and nothing new is due."""
    first, second = (farm.claim(step) for step in farm.chunked(2))
    farm.runs.cancel("r1")
    assert farm.work.complete(first, result="s0") is None
    assert not farm.work.heartbeat(second, lease=60)
    assert farm.sweep() == set()
    assert farm.state() == "cancelled"


def test_a_run_whose_waiter_died_is_cancelled(farm: Farm) -> None:
    """Only runs that nobody holds any more are taken for orphans."""
    private = Runs(farm.engine, farm="run-x")
    private.start("x", WINDOW, [REPOS[0].id], {})
    with private.held():
        assert farm.runs.cancel_orphans() == ()
        assert farm.state("x") == "running"
    assert farm.runs.cancel_orphans() == ("run-x",)
    assert farm.state("x") == "cancelled"


def test_a_farm_that_somebody_named_like_one_of_a_run_keeps_its_runs(farm: Farm) -> None:
    """Its runs are waited for by nobody, and go on all the same."""
    Runs(farm.engine, farm="run-nightly").start("x", WINDOW, [REPOS[0].id], {})
    assert farm.runs.cancel_orphans() == ()
    assert farm.state("x") == "running"


@pytest.mark.parametrize(
    "wrong",
    [
        "UPDATE steps SET state = 'running'",
        "UPDATE steps SET state = 'failed'",
        "UPDATE steps SET state = 'asleep'",
        "UPDATE jobs SET pending = -1",
        "UPDATE jobs SET state = 'failed'",
        "UPDATE jobs SET state = 'done'",
        "UPDATE runs SET finished_at = now()",
        "UPDATE runs SET until = since",
        "UPDATE repositories SET location = 'https://me:secret@host/x'",
        "INSERT INTO steps (job_id, farm, stage) SELECT id, 'main', 'fetch' FROM jobs",
    ],
)
def test_the_database_refuses_a_wrong_state(farm: Farm, wrong: str) -> None:
    """Constraints hold whatever the code does."""
    farm.start()
    with pytest.raises(IntegrityError), farm.engine.begin() as connection:
        connection.execute(sa.text(wrong))


def allowed(farm: Farm, table: str, before: str, after: str) -> bool:
    """Whether the database lets a row of the table go from one state to the other."""
    needs = {
        "steps": {"lease_until": "CASE WHEN :state = 'running' THEN now() END"},
        "jobs": {"finished_at": "CASE WHEN :state NOT IN ('waiting', 'running') THEN now() END"},
        "runs": {"finished_at": "CASE WHEN :state <> 'running' THEN now() END"},
    }
    error = ", error = 'x'" if table != "runs" else ""
    ((column, value),) = needs[table].items()
    update = sa.text(f"UPDATE {table} SET state = :state, {column} = {value}{error}")
    with farm.engine.connect() as connection:
        # As if it had been so from the start.
        connection.execute(sa.text(f"ALTER TABLE {table} DISABLE TRIGGER allowed_transition"))
        connection.execute(update, {"state": before})
        connection.execute(sa.text(f"ALTER TABLE {table} ENABLE TRIGGER allowed_transition"))
        try:
            connection.execute(update, {"state": after})
        except IntegrityError:
            return False
        finally:
            connection.rollback()
        return True


@pytest.mark.parametrize(
    ("table", "states"), [("steps", STEP_STATES), ("jobs", JOB_STATES), ("runs", RUN_STATES)]
)
def test_states_follow_each_other_as_designed(
    farm: Farm, table: str, states: tuple[str, ...]
) -> None:
    """The database allows exactly the transitions that are listed; nothing done runs again."""
    farm.start()
    found = {
        (before, after)
        for before, after in permutations(states, 2)
        if allowed(farm, table, before, after)
    }
    assert found == ALLOWED[table]


class TestRetry:
    def poisoned(self, farm: Farm) -> tuple[list[Claim], Claim]:
        """A partial run of three chunks, of which one failed; and the claim of its rollup."""
        claims = [farm.claim(step) for step in farm.chunked(3)]
        farm.work.complete(claims[0], result="s0")
        farm.work.fail(claims[1], Stop(), "the engine refuses it")
        (bell,) = farm.complete(claims[2], result="s2")
        rollup = farm.claim(bell.step_id)
        farm.work.complete(rollup, outcome="partial", job={"revision": 1})
        assert farm.state() == "partial"
        return claims, rollup

    def test_what_failed_runs_again_and_then_the_rollup(self, farm: Farm) -> None:
        """Only the failed chunk is open again; when it is done the run ends well."""
        claims, _ = self.poisoned(farm)
        opened, bells = farm.runs.retry("r1")
        assert (opened, [bell.step_id for bell in bells]) == (1, [claims[1].step_id])
        assert farm.state() == "running"
        again = farm.claim(claims[1].step_id)
        assert (again.failures, again.attempt) == (0, 2)
        (rollup,) = farm.complete(again, result="s1")
        assert rollup.stage == "rollup"
        assert farm.reports.gathered(again.job_id).summaries == ("s0", "s1", "s2")
        assert farm.reports.gathered(again.job_id).failures == ()
        farm.work.complete(farm.claim(rollup.step_id), outcome="done", job={"revision": 2})
        assert farm.state() == "done"

    def test_a_worker_of_the_first_time_is_fenced_off(self, farm: Farm) -> None:
        """What was claimed before the retry changes nothing after it."""
        claims, rollup = self.poisoned(farm)
        farm.runs.retry("r1")
        assert farm.work.complete(claims[1], result="late") is None
        assert farm.work.complete(rollup, outcome="done") is None
        assert farm.state() == "running"

    def test_a_second_retry_opens_nothing(self, farm: Farm) -> None:
        self.poisoned(farm)
        assert farm.runs.retry("r1")[0] == 1
        assert farm.runs.retry("r1") == (0, ())

    def test_a_failed_repository_runs_again_while_others_run(self, farm: Farm) -> None:
        """The run ends when both have ended, and counts each once."""
        first, second = farm.start(repos=2)
        farm.work.fail(farm.claim(first), Stop(), "not a repository")
        assert farm.runs.retry("r1")[0] == 1
        for step in (first, second):
            assert farm.state() == "running"
            (chunk,) = farm.complete(farm.claim(step))
            (rollup,) = farm.complete(farm.claim(chunk.step_id))
            farm.work.complete(farm.claim(rollup.step_id), outcome="done")
        assert farm.state() == "done"

    def test_a_cancelled_run_goes_on(self, farm: Farm) -> None:
        """Its finished chunk is kept; with `--failed` alone it stays cancelled."""
        claims = [farm.claim(step) for step in farm.chunked(2)]
        farm.work.complete(claims[0], result="s0")
        farm.runs.cancel("r1")
        assert farm.runs.retry("r1", cancelled=False) == (0, ())
        assert farm.state() == "cancelled"
        opened, (bell,) = farm.runs.retry("r1")
        assert (opened, bell.step_id) == (1, claims[1].step_id)
        (rollup,) = farm.complete(farm.claim(bell.step_id), result="s1")
        assert rollup.stage == "rollup"

    def test_what_is_done_stays_done(self, farm: Farm) -> None:
        (fetch,) = farm.start()
        (chunk,) = farm.complete(farm.claim(fetch))
        (rollup,) = farm.complete(farm.claim(chunk.step_id))
        farm.work.complete(farm.claim(rollup.step_id), outcome="done")
        assert farm.runs.retry("r1") == (0, ())
        assert farm.state() == "done"

    def test_a_failed_rollup_runs_again_alone(self, farm: Farm) -> None:
        (fetch,) = farm.start()
        (chunk,) = farm.complete(farm.claim(fetch))
        (rollup,) = farm.complete(farm.claim(chunk.step_id))
        farm.work.fail(farm.claim(rollup.step_id), Stop(), "no")
        opened, bells = farm.runs.retry("r1")
        assert (opened, [bell.step_id for bell in bells]) == (1, [rollup.step_id])


def test_a_run_over_nothing_is_not_made(farm: Farm) -> None:
    """It would never end."""
    assert farm.runs.start("r1", WINDOW, ["git:gone"], {}) == ()
    with farm.engine.begin() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM runs")).scalar_one() == 0


def test_a_run_goes_on_without_a_repository_that_is_forgotten(farm: Farm) -> None:
    """It does not wait for it for ever: it ends with what the others came to."""
    store = Gateway(farm.engine)
    first, second = farm.start(repos=2)
    claim = farm.claim(first)
    store.remove_repo("git:a")
    assert farm.work.complete(claim) is None
    assert farm.state() == "running"
    farm.work.fail(farm.claim(second), Stop(), "no")
    assert farm.state() == "failed"
    farm.runs.start("r3", WINDOW, ["git:b"], {})
    store.remove_repo("git:b")
    assert farm.state("r3") == "cancelled"


def test_many_runs_come_in_their_order(farm: Farm) -> None:
    """A backfill's windows are read one after another; what has priority passes them by."""
    days = [
        Window(WINDOW.since + timedelta(days=n), WINDOW.since + timedelta(days=n + 1))
        for n in (0, 1)
    ]
    late = [
        Wanted(run_id=f"d{n}", window=day, repo_ids=["git:a", "git:b"], priority=9)
        for n, day in enumerate(days)
    ]
    farm.runs.start_all(late)
    farm.runs.start("now", WINDOW, ["git:a"], {})
    farm.run_sql("UPDATE steps SET rung_at = NULL")
    with farm.engine.begin() as connection:
        runs = dict(
            connection.execute(
                sa.text("SELECT s.id, j.run_id FROM steps s JOIN jobs j ON j.id = s.job_id")
            ).all()
        )
    order = [runs[bell.step_id] for bell in farm.dispatch.wake()]
    assert order == ["now", "d0", "d0", "d1", "d1"]


def test_asking_again_replaces_what_was_answered_before(farm: Farm) -> None:
    """A refreshed run knows only what it has asked itself; later runs know its answers."""
    store = Gateway(farm.engine)
    store.put_answer("q", Answer("old", "m", 1, 1))
    (bell,) = farm.runs.start("r1", WINDOW, ["git:a"], {"refresh": True})
    claim = farm.claim(bell.step_id)
    fresh = Fresh(store, since=datetime.fromisoformat(claim.options["refresh"]))
    assert fresh.answer("q") is None
    fresh.put_answer("q", Answer("new", "m", 1, 1))
    for reader in (fresh, store):
        found = reader.answer("q")
        assert found is not None
        assert (found.text, found.cached) == ("new", True)
    fresh.put_answer("q", Answer("newer", "m", 1, 1))
    again = store.answer("q")
    assert again is not None
    assert again.text == "new"


def test_one_beat_keeps_all_leases_of_a_process(farm: Farm) -> None:
    """Claims that are held are renewed together; those that have ended, or are void, are not."""
    heart = Heart(farm.work, every=3600, lease=60)
    kept, void, ended = (farm.claim(step) for step in farm.chunked(3))
    with heart.holding(kept), heart.holding(void):
        with heart.holding(ended):
            pass
        farm.expire_leases()
        farm.run_sql(
            f"UPDATE steps SET state = 'waiting', lease_until = NULL WHERE id = {void.step_id}"
        )
        heart.beat()
        assert farm.sweep() == {ended.step_id, void.step_id}
        assert farm.work.complete(void, result="s") is None
        assert farm.work.complete(kept, result="s") is not None


def test_a_beat_waits_for_nobody(farm: Farm) -> None:
    """A step that another transaction holds is left out, so that the other leases are renewed."""
    first, second = (farm.claim(step) for step in farm.chunked(2))
    with farm.engine.begin() as connection:
        connection.execute(
            sa.text("SELECT FROM steps WHERE id = :id FOR UPDATE"), {"id": first.step_id}
        )
        assert farm.work.keep([first, second], lease=60) == {second.step_id}
