"""A run over a thousand repositories as a person sees it: while it works, and when some failed."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from rich.console import Console

from sparky.cli import main
from sparky.cli.runwatch import SHOWN, picture
from sparky.model import Repo, Window
from sparky.retries import Stop
from sparky.store.gateway import Gateway
from sparky.store.overview import Overview, RunLine, StageTotals, Totals
from sparky.store.runs import Runs
from sparky.store.work import Work
from tests.servers import Servers

MANY = 1000
WINDOW = Window(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC))
POISONED = 7
"""Repositories with a chunk that never works; two more cannot even be fetched."""


@pytest.fixture
def night(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, servers: Servers, database: str
) -> Iterator[Work]:
    """A run `night` over a thousand repositories that has ended: nine of them not well."""
    for name, value in {
        "SPARKY_CONFIG": "/dev/null",
        "SPARKY_STATE_DIR": str(tmp_path / "state"),
        "SPARKY_CACHE_DIR": str(tmp_path / "cache"),
        "SPARKY_DATABASE_URL": database,
        "SPARKY_BROKER_URL": servers.broker_url,
    }.items():
        monkeypatch.setenv(name, value)
    with closing(Gateway.open(database)) as store:
        repos = [Repo(f"git:{n:04}", f"acme/r{n:04}", "git", f"/srv/{n}") for n in range(MANY)]
        with store.engine.begin() as connection:
            connection.execute(
                sa.text("INSERT INTO repositories (id, name, source, location) VALUES (:i, :n, 'git', :l)"),
                [{"i": repo.id, "n": repo.name, "l": repo.location} for repo in repos],
            )  # fmt: skip
        work = Work(store.engine, farm="main")
        Runs(store.engine, farm="main").start("night", WINDOW, [repo.id for repo in repos], {})
        for number in range(POISONED):
            chunked(work, f"git:{number:04}")
        for number in (POISONED, POISONED + 1):
            claim = work.claim(step(work, f"git:{number:04}", "fetch"), worker="w", lease=60)
            assert claim is not None
            work.fail(claim, Stop(), "it is gone")
        with store.engine.begin() as connection:
            for line in (
                "UPDATE steps SET state = 'running', lease_until = now() WHERE state = 'waiting'",
                "UPDATE steps SET state = 'done', lease_until = NULL WHERE state = 'running'",
                "UPDATE jobs SET state = 'running' WHERE state = 'waiting'",
                "UPDATE jobs SET state = 'done', finished_at = now() WHERE state = 'running'",
                "UPDATE runs SET state = 'partial', pending = 0, finished_at = now()",
            ):
                connection.execute(sa.text(line))
        yield work


def step(work: Work, repo: str, stage: str) -> int:
    """The id of the first step of that repository and stage that waits."""
    query = sa.text(
        "SELECT steps.id FROM steps JOIN jobs ON jobs.id = steps.job_id"
        " WHERE steps.stage = :stage AND repository_id = :repo AND steps.state = 'waiting'"
        " ORDER BY steps.id LIMIT 1"
    )
    with work.engine.begin() as connection:
        return int(connection.execute(query, {"stage": stage, "repo": repo}).scalar_one())


def chunked(work: Work, repo: str) -> None:
    """Take a repository through its stages; the second of its three chunks fails for good."""
    for stage, keys in (("fetch", ()), ("chunk", (f"{repo}-a", f"{repo}-b", f"{repo}-c"))):
        claim = work.claim(step(work, repo, stage), worker="w", lease=60)
        assert claim is not None
        work.complete(claim, keys=keys, job={"chunks": 3} if keys else None)
    for number in range(3):
        claim = work.claim(step(work, repo, "summarize"), worker="w", lease=60)
        assert claim is not None
        if number == 1:
            work.fail(claim, Stop(), "the engine wrote no JSON")
        else:
            work.complete(claim, result=claim.key)
    claim = work.claim(step(work, repo, "rollup"), worker="w", lease=60)
    assert claim is not None
    work.complete(claim, outcome="partial")


def test_what_failed_of_a_thousand_is_shown_and_alone_runs_again(
    night: Work, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nine lines say which chunk or repository failed and why; retry opens those nine steps."""
    assert main.run(["runs", "show", "night"]) == 0
    shown = capsys.readouterr()
    assert len(shown.out.splitlines()) == MANY
    failed = [line for line in shown.err.splitlines() if " failed after " in line]
    assert len(failed) == POISONED + 2
    assert (
        "acme/r0000: summarize chunk 2 of 3 failed after 1 attempts: the engine wrote no JSON"
        in failed
    )
    assert f"acme/r{POISONED:04}: fetch failed after 1 attempts: it is gone" in failed
    assert main.run(["runs", "show", "night", "--json"]) == 0
    jobs = json.loads(capsys.readouterr().out)["jobs"]
    states = [job["state"] for job in jobs]
    assert (states.count("partial"), states.count("failed")) == (POISONED, 2)
    assert main.run(["runs", "retry", "night", "--failed"]) == 0
    assert capsys.readouterr().err == f"{POISONED + 2} steps run again\n"
    with night.engine.begin() as connection:
        again = connection.execute(
            sa.text("SELECT stage, key FROM steps WHERE state = 'waiting' ORDER BY id")
        ).all()
    assert sorted(row.stage for row in again) == ["fetch"] * 2 + ["summarize"] * POISONED
    assert all(row.key.endswith("-b") for row in again if row.stage == "summarize")


def test_watching_from_a_script_is_quiet(night: Work, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a terminal there is nothing but how it ended; 3 says that the run is partial."""
    assert main.run(["runs", "watch", "night"]) == 3
    seen = capsys.readouterr()
    assert seen.out == ""
    assert seen.err == f"run night: partial, {MANY - 9} done, 2 failed, {POISONED} partial\n"


def test_watching_as_json_gives_a_line_for_each_look(
    night: Work, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each line is a whole document; the last one says how the run ended."""
    assert main.run(["runs", "watch", "night", "--json"]) == 3
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    last = lines[-1]
    assert (last["run"], last["state"]) == ("night", "partial")
    assert last["repositories"] == {"done": MANY - 9, "failed": 2, "partial": POISONED}
    assert last["stages"]["summarize"]["failed"] == POISONED
    assert last["left_seconds"] is None


def test_the_picture_of_a_thousand_fits_a_terminal(night: Work) -> None:
    """24 lines of 80 characters hold it, failures and all, and say how many more there are."""
    overview = Overview(night.engine, farm="main")
    totals = overview.totals("night")
    text = drawn(totals, overview)
    assert "1,000 of 1,000 repositories" in text
    assert f"… and {POISONED + 2 - SHOWN} more; `sparky runs show` lists them" in text
    lines = text.splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80


def test_nothing_moves_while_numbers_grow(night: Work) -> None:
    """The columns of the stages stand where they stood when there was nothing to count."""
    overview = Overview(night.engine, farm="main")
    heads = set()
    for count in (0, 7, 99_999):
        stages = tuple(StageTotals(s, count, count, count, count, 0, 0, count, 60.0) for s in "ab")
        text = drawn(of(stages), overview)
        heads.add(next(line for line in text.splitlines() if line.startswith("stage")).rstrip())
    assert len(heads) == 1


def drawn(totals: Totals, overview: Overview) -> str:
    """What a terminal of 80 columns shows."""
    console = Console(width=80, record=True, file=io.StringIO())
    failed = overview.steps("night", SHOWN, states=["failed"])
    console.print(picture(totals, overview.busiest("night", SHOWN), failed))
    return console.export_text()


def of(stages: tuple[StageTotals, ...]) -> Totals:
    """A run that works, with these stages."""
    now = datetime.now(UTC)
    jobs = {"running": 990, "done": 10}
    run = RunLine("night", None, WINDOW, "running", 5, {}, now - timedelta(minutes=2), None, jobs)
    return Totals(run, stages, (), None, 120.0)


def stage(name: str, *, waiting: int = 0, done: int = 0, recent: int = 0) -> StageTotals:
    return StageTotals(name, waiting, 0, 0, done, 0, 0, recent, 60.0)


def test_time_left_counts_what_earlier_stages_will_bring() -> None:
    """Of 1000 repositories 500 are fetched; each brought two chunks, of which 5 a second are done."""
    totals = of(
        (
            stage("fetch", waiting=500, done=500, recent=600),
            stage("summarize", waiting=700, done=300, recent=300),
        )
    )
    assert totals.left == pytest.approx((700 + 500 * 2) / 5)


def test_stages_that_ask_the_same_engines_share_a_pace() -> None:
    """60 chunks are left, each sixth begets a roll-up, and the engines end two steps a second."""
    totals = of(
        (
            stage("summarize", waiting=60, done=60, recent=105),
            stage("rollup", done=10, recent=15),
        )
    )
    assert totals.left == pytest.approx((60 + 10) / 2)


def test_there_is_no_time_left_to_tell_before_a_stage_has_a_pace() -> None:
    """Half a minute in, chunks are asked for and none has come back: nobody knows how long."""
    totals = of((stage("fetch", done=1000, recent=1000), stage("summarize", waiting=40)))
    assert totals.left is None
