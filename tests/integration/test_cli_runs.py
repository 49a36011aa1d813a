"""Groups, schedules and runs as a user meets them, on a real database and a real broker."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest
import sqlalchemy as sa
from rich.console import Console

from sparky.cli import main
from sparky.cli.runwatch import picture
from sparky.model import Repo
from sparky.retries import Stop, Wait
from sparky.store.dispatch import Dispatch
from sparky.store.gateway import Gateway
from sparky.store.overview import Overview
from sparky.store.work import Work
from tests.servers import Servers

REPOS = [Repo(f"git:{n}", f"me/{n}", "git", f"/srv/{n}") for n in ("a", "b", "c")]


class Outcome(NamedTuple):
    """What a user sees of a command that has ended."""

    code: int
    out: str
    err: str


Sparky = Callable[..., Outcome]


@pytest.fixture
def sparky(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    servers: Servers,
    database: str,
) -> Sparky:
    """Runs `sparky` with these arguments on a database that knows three repositories."""
    for name, value in {
        "SPARKY_CONFIG": "/dev/null",
        "SPARKY_STATE_DIR": str(tmp_path / "state"),
        "SPARKY_CACHE_DIR": str(tmp_path / "cache"),
        "SPARKY_DATABASE_URL": database,
        "SPARKY_BROKER_URL": servers.broker_url,
    }.items():
        monkeypatch.setenv(name, value)
    with closing(Gateway.open(database)) as store:
        for repo in REPOS:
            store.add_repo(repo)

    def call(*arguments: str) -> Outcome:
        code = main.run(arguments)
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return call


@pytest.fixture
def work(database: str) -> Iterator[Work]:
    """A worker, driven by hand."""
    with closing(Gateway.open(database)) as store:
        yield Work(store.engine, farm="main")


def steps(work: Work, stage: str) -> list[int]:
    with work.engine.begin() as connection:
        query = sa.text("SELECT id FROM steps WHERE stage = :stage ORDER BY id")
        return list(connection.execute(query, {"stage": stage}).scalars())


class TestGroups:
    def test_a_group_is_made_shown_and_forgotten(self, sparky: Sparky) -> None:
        assert sparky("groups", "add", "core", "me/a", "me/b").err == "2 added to core\n"
        assert sparky("groups", "add", "core", "me/b").err == "0 added to core\n"
        assert sparky("groups", "list").out == "core\t2\n"
        assert sparky("groups", "show", "core").out == "me/a\tgit:a\nme/b\tgit:b\n"
        assert sparky("groups", "remove", "core", "me/a").code == 0
        assert json.loads(sparky("groups", "show", "core", "--json").out) == [
            {"id": "git:b", "name": "me/b"}
        ]
        assert sparky("groups", "remove", "core").code == 0
        assert sparky("groups", "list").out == ""

    def test_an_unknown_group_or_repository_is_wrong_usage(self, sparky: Sparky) -> None:
        for words in (("show", "nobody"), ("remove", "nobody"), ("add", "core", "me/x")):
            outcome = sparky("groups", *words)
            assert (outcome.code, outcome.err[:6]) == (2, "error:")


class TestSchedules:
    def test_a_schedule_is_made_listed_and_forgotten(self, sparky: Sparky) -> None:
        sparky("groups", "add", "core", "me/a", "me/b")
        added = sparky(
            *("schedules", "add", "nightly", "--group", "core", "--cron", "30 2 * * *"),
            *("--zone", "Europe/Berlin", "--quiet", "08:00-18:00", "--catch-up", "all"),
            *("--priority", "3", "--spread", "0", "--window", "week"),
        )
        assert added.code == 0
        assert "nightly is due next at 20" in added.err
        assert "02:30 CE" in added.err
        (listed,) = json.loads(sparky("schedules", "list", "--json").out)
        assert (listed["group"], listed["quiet"], listed["window"]) == (
            "core",
            "08:00-18:00",
            "week",
        )
        row = sparky("schedules", "list").out.split("\t")
        assert row[:6] == ["nightly", "group core", "30 2 * * *", "Europe/Berlin", "week", "3"]
        assert sparky("schedules", "remove", "nightly").code == 0
        assert sparky("schedules", "list").out == ""
        assert sparky("schedules", "remove", "nightly").code == 2

    def test_what_comes_next_is_told_in_order(self, sparky: Sparky) -> None:
        """Of two schedules, in the zone and in UTC, with the days that are read."""
        for name, hour in (("early", "1"), ("late", "13")):
            sparky(
                *("schedules", "add", name, "--repo", "me/a"),
                *("--cron", f"0 {hour} * * *", "--zone", "Asia/Tokyo"),
            )
        rows = [
            line.split("\t")
            for line in sparky("schedules", "next", "--count", "4").out.splitlines()
        ]
        assert len(rows) == 4
        assert {row[0] for row in rows[:2]} == {"early", "late"}
        assert [row[3] for row in rows] == sorted(row[3] for row in rows)
        early = next(row for row in rows if row[0] == "early")
        assert early[2].endswith("01:00 JST")
        assert early[3].endswith("16:00")
        assert early[4].endswith("00:00 JST")

    @pytest.mark.parametrize(
        "words",
        [
            ("--repo", "me/a", "--cron", "never"),
            ("--repo", "me/a", "--cron", "0 2 * * *", "--zone", "Mars/Olympus"),
            ("--repo", "me/a", "--cron", "0 2 * * *", "--catch-up", "maybe"),
            ("--repo", "me/a", "--cron", "0 2 * * *", "--quiet", "night"),
            ("--repo", "me/a", "--group", "core", "--cron", "0 2 * * *"),
            ("--cron", "0 2 * * *"),
            ("--group", "nobody", "--cron", "0 2 * * *"),
        ],
    )
    def test_what_makes_no_sense_is_wrong_usage(
        self, sparky: Sparky, words: tuple[str, ...]
    ) -> None:
        outcome = sparky("schedules", "add", "x", *words)
        assert outcome.code == 2
        assert outcome.err.startswith("error: ")
        assert "hint: " in outcome.err


class TestRuns:
    def test_a_run_over_all_is_started_and_shown(self, sparky: Sparky) -> None:
        """It reads yesterday; its id is on stdout; its beginning is enough to find it."""
        started = sparky("runs", "start")
        run = started.out.strip()
        assert "3 repositories" in started.err
        (listed,) = json.loads(sparky("runs", "list", "--json").out)
        assert (listed["id"], listed["state"]) == (run, "running")
        assert listed["repositories"] == {"waiting": 3}
        shown = sparky("runs", "show", run[:6])
        assert [line.split("\t")[:3] for line in shown.out.splitlines()] == [
            [f"me/{name}", "fetch", "waiting"] for name in ("a", "b", "c")
        ]

    def test_a_run_over_a_group_and_a_repository_reads_each_once(self, sparky: Sparky) -> None:
        sparky("groups", "add", "core", "me/a", "me/b")
        words = ("runs", "start", "--group", "core", "--repo", "me/a", "--refresh")
        run = sparky(*words).out.strip()
        shown = json.loads(sparky("runs", "show", run, "--json").out)
        assert [job["repo"]["name"] for job in shown["jobs"]] == ["me/a", "me/b"]
        assert shown["options"]["refresh"]

    def test_what_failed_is_shown_and_run_again(self, sparky: Sparky, work: Work) -> None:
        """The reason, the attempt and the remedy are told; after a retry the run is open again."""
        started = sparky("runs", "start", "--repo", "me/a")
        assert started.err.startswith("1 repository; ")
        run = started.out.strip()
        claim = work.claim(steps(work, "fetch")[0], worker="w", lease=60)
        assert claim is not None
        work.fail(claim, Stop(), "it is not a repository")
        shown = sparky("runs", "show", run)
        assert "me/a: fetch failed after 1 attempts: it is not a repository" in shown.err
        assert shown.out.rstrip().endswith("\t1\tit is not a repository")
        watched = sparky("runs", "watch", run)
        assert watched.code == 1
        assert "failed, 1 failed" in watched.err
        assert sparky("runs", "retry", run, "--failed").err == "1 steps run again\n"
        assert "nothing failed" in sparky("runs", "retry", run).err
        (listed,) = json.loads(sparky("runs", "list", "--json").out)
        assert listed["state"] == "running"

    def test_a_run_is_cancelled_and_taken_up_again(self, sparky: Sparky) -> None:
        run = sparky("runs", "start").out.strip()
        assert "is cancelled" in sparky("runs", "cancel", run).err
        assert "is cancelled already" in sparky("runs", "cancel", run).err
        assert "nothing failed" in sparky("runs", "retry", run, "--failed").err
        assert sparky("runs", "retry", run).err == "3 steps run again\n"

    def test_a_backfill_makes_a_run_a_week(self, sparky: Sparky) -> None:
        """The weeks touch, the last one is cut at the end, and all else goes first."""
        made = sparky("runs", "backfill", "--from", "2026-01-01", "--to", "2026-01-31")
        assert len(made.out.split()) == 5
        assert "5 runs over 3 repositories each" in made.err
        listed = json.loads(sparky("runs", "list", "--json").out)
        windows = sorted((run["window"]["since"], run["window"]["until"]) for run in listed)
        assert windows[0][0].startswith("2026-01-01")
        assert windows[-1][1].startswith("2026-01-31")
        assert all(a[1] == b[0] for a, b in pairwise(windows))
        assert {run["priority"] for run in listed} == {9}

    def test_a_backfill_without_end_is_refused(self, sparky: Sparky) -> None:
        words = ("--from", "1990-01-01", "--to", "2026-01-01", "--every", "day")
        outcome = sparky("runs", "backfill", *words)
        assert (outcome.code, sparky("runs", "list").out) == (2, "")

    def test_the_farm_is_paused_and_goes_on(self, sparky: Sparky, work: Work) -> None:
        sparky("runs", "start")
        sparky("runs", "pause", "--reason", "moving the database")
        assert work.claim(steps(work, "fetch")[0], worker="w", lease=60) is None
        assert "moving the database" in sparky("runs", "resume").err
        assert work.claim(steps(work, "fetch")[0], worker="w", lease=60) is not None
        assert "not paused" in sparky("runs", "resume").err

    def test_an_unknown_run_is_wrong_usage(self, sparky: Sparky) -> None:
        for command in ("show", "watch", "retry", "cancel"):
            assert sparky("runs", command, "nothing").code == 2

    def test_a_run_over_nothing_is_wrong_usage(self, sparky: Sparky, database: str) -> None:
        with closing(Gateway.open(database)) as store:
            for repo in REPOS:
                store.remove_repo(repo.id)
        outcome = sparky("runs", "start")
        assert outcome.code == 2
        assert "sparky repos add" in outcome.err


def test_what_keeps_a_run_is_told(sparky: Sparky, work: Work) -> None:
    """What waits, for how many steps and why; who fails; and how much is left to do."""
    run = sparky("runs", "start").out.strip()
    first, second, _ = steps(work, "fetch")
    until = datetime.now(UTC) + timedelta(hours=1)
    for step, decision, said in (
        (first, Wait(until), "GitHub's budget is used up"),
        (second, Stop(), "it is gone"),
    ):
        claim = work.claim(step, worker="w", lease=60)
        assert claim is not None
        work.fail(claim, decision, said)
    Dispatch(work.engine, farm="main").pause("moving")
    overview = Overview(work.engine, farm="main")
    totals = overview.totals(run)
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(picture(totals, overview.busiest(run, 5), overview.steps(run, states=["failed"])))
    text = console.export_text()
    assert "1 of 3 repositories" in text
    assert f"1 steps wait until {until:%H:%M:%S} UTC: GitHub's budget is used up" in text
    assert "me/b: fetch failed: it is gone" in text
    assert "the farm is paused: moving" in text
    assert "1 fetch steps wait for a worker" in text
