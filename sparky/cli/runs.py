"""`sparky runs`: what the farm has done, does and shall do."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any
from uuid import uuid4

import typer

from sparky.cli import opening, output, when
from sparky.cli.groups import members
from sparky.cli.repos import known
from sparky.errors import UsageError

if TYPE_CHECKING:
    from sparky.store.desk import Bell
    from sparky.store.overview import Overview, RunLine, StepLine
    from sparky.store.reports import JobProgress
    from sparky.store.runs import Runs
    from sparky.wiring import Wired

app = typer.Typer(help="Runs: a window over a set of repositories.", no_args_is_help=True)

LOOK_SECONDS = 1.0
MOST_WINDOWS = 1000
LAST = 9
"""Priority of a backfill: whatever else there is goes first."""

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Name = Annotated[str, typer.Argument(metavar="RUN", help="The run's id, or how it begins.")]
Repos = Annotated[
    list[str] | None,
    typer.Option("--repo", metavar="REPO", help="Read this repository; may be repeated."),
]
Groups = Annotated[
    list[str] | None,
    typer.Option("--group", metavar="GROUP", help="Read this group; may be repeated."),
]
Refresh = Annotated[
    bool, typer.Option("--refresh", help="Ask the engine again, also what it answered before.")
]


class Every(StrEnum):
    """How long the windows of a backfill are."""

    DAY = "day"
    WEEK = "week"


@app.command()
def start(
    repo: Repos = None,
    group: Groups = None,
    since: Annotated[
        str, typer.Option(metavar="DATE", help=f"Where the window begins: {when.EXAMPLES}.")
    ] = "yesterday",
    until: Annotated[
        str, typer.Option(metavar="DATE", help="Where it ends, not included.")
    ] = "today",
    refresh: Refresh = False,
    priority: Annotated[int, typer.Option(min=0, max=9, help="0 comes first, 9 last.")] = 5,
) -> None:
    """Start a run over repositories and groups; without any, over all that Sparky follows.

    Prints the run's id.
    """
    from sparky.store.runs import Wanted

    window = when.window(since, until, datetime.now(UTC))
    with _opened() as farm:
        run = Wanted(
            run_id=uuid4().hex,
            window=window,
            repo_ids=farm.chosen(repo, group),
            options={"refresh": True} if refresh else {},
            priority=priority,
        )
        farm.ring(farm.runs.start_all([run]))
    output.write(run.run_id)
    size = output.several(len(run.repo_ids), "repository", "repositories")
    output.say(f"{size}; `sparky runs watch {run.run_id[:8]}`")


@app.command()
def backfill(
    begin: Annotated[str, typer.Option("--from", metavar="DATE", help="Where to begin.")],
    end: Annotated[str, typer.Option("--to", metavar="DATE", help="Where to end, not included.")],
    every: Annotated[Every, typer.Option(help="How long each window is.")] = Every.WEEK,
    repo: Repos = None,
    group: Groups = None,
    refresh: Refresh = False,
) -> None:
    """Start a run for each day or week of a time that has passed, after whatever else there is.

    Prints the runs' ids, oldest window first.
    """
    from sparky.store.runs import Wanted

    whole = when.window(begin, end, datetime.now(UTC))
    windows = when.pieces(whole, days=7 if every is Every.WEEK else 1)
    if len(windows) > MOST_WINDOWS:
        raise UsageError(
            f"that would be {len(windows):,} runs",
            remedy=f"Take at most {MOST_WINDOWS:,} windows at a time",
        )
    with _opened() as farm:
        repos = farm.chosen(repo, group)
        options = {"refresh": True} if refresh else {}
        wanted = [
            Wanted(
                run_id=uuid4().hex, window=window, repo_ids=repos, options=options, priority=LAST
            )
            for window in windows
        ]
        farm.ring(farm.runs.start_all(wanted))
    output.write("\n".join(run.run_id for run in wanted))
    size = output.several(len(repos), "repository", "repositories")
    output.say(f"{output.several(len(wanted), 'run', 'runs')} over {size} each")


@app.command("list")
def list_runs(
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many.")] = 20,
    as_json: Json = False,
) -> None:
    """List the runs, newest first."""
    with _opened() as farm:
        lines = farm.overview.runs(limit)
    if as_json:
        output.as_json([_run_json(line) for line in lines])
    elif lines:
        output.table(
            ("run", "started", "since", "until", "state", "repositories", "schedule"),
            [
                (
                    line.id[:12],
                    f"{line.created_at:%Y-%m-%d %H:%M}",
                    f"{line.window.since:%Y-%m-%d %H:%M}",
                    f"{line.window.until:%Y-%m-%d %H:%M}",
                    line.state,
                    counts(line),
                    line.schedule or "",
                )
                for line in lines
            ],
        )
    else:
        output.say("No runs. Start one with `sparky runs start`.")


@app.command()
def show(name: Name, as_json: Json = False) -> None:
    """Tell what became of each repository of a run, what failed and why."""
    with _opened() as farm:
        run = farm.overview.run(name)
        jobs = farm.reports.progress(run.id)
        steps = farm.overview.steps(run.id)
    if as_json:
        output.as_json(_run_json(run) | {"jobs": _jobs_json(jobs, steps)})
        return
    output.say(f"run {run.id}: {run.state}, {counts(run)}")
    by_job: dict[int, StepLine] = {}
    for step in steps:
        by_job.setdefault(step.job_id, step)
    rows = []
    for job in jobs:
        open_step = by_job.get(job.job_id)
        chunks = f"{job.chunks_done}/{job.chunks}"
        attempt = str(open_step.attempt) if open_step is not None else ""
        why = (open_step.error if open_step is not None else None) or job.error or ""
        rows.append((job.repo.name, job.stage, job.state, chunks, attempt, why))
    output.table(("repository", "stage", "state", "chunks", "attempt", "last error"), rows)
    failed = [step for step in steps if step.state == "failed"]
    for step in failed:
        output.say(f"{step.repo}: {step.label} failed after {step.attempt} attempts: {step.error}")
    if failed:
        output.say(f"`sparky runs retry {run.id[:8]}` runs these again")


@app.command()
def watch(
    name: Name,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a line of JSON whenever something has changed.")
    ] = False,
) -> int:
    """Show how far a run is until it has ended: stages, pace, time left, what waits for what."""
    from sparky.cli.runwatch import FEW, SHOWN, picture
    from sparky.cli.runwatch import as_json as line
    from sparky.cli.watch import Watch

    screen = Watch(output.stderr(), quiet=as_json)
    with _opened() as farm:
        run_id = farm.overview.run(name).id
        before = None
        try:
            while True:
                totals = farm.overview.totals(run_id)
                if as_json:
                    if totals.stages != before or totals.run.ended:
                        output.write(json.dumps(line(totals, datetime.now(UTC))))
                    before = totals.stages
                elif not screen.lively:
                    pass
                elif totals.size <= FEW and not totals.obstacles and totals.paused is None:
                    screen.show(farm.reports.progress(run_id))
                else:
                    busiest = farm.overview.busiest(run_id, SHOWN)
                    failed = farm.overview.steps(run_id, SHOWN, states=["failed"])
                    screen.table(picture(totals, busiest, failed))
                if totals.run.ended:
                    break
                time.sleep(LOOK_SECONDS)
        finally:
            screen.stop()
    output.say(f"run {run_id}: {totals.run.state}, {counts(totals.run)}")
    return {"done": 0, "partial": 3}.get(totals.run.state, 1)


@app.command()
def retry(
    name: Name,
    failed: Annotated[
        bool, typer.Option("--failed", help="Only what failed, not what was cancelled.")
    ] = False,
) -> None:
    """Run again what failed or was cancelled, and that alone; then what is made of it."""
    with _opened() as farm:
        run = farm.overview.run(name)
        opened, bells = farm.runs.retry(run.id, cancelled=not failed)
        farm.ring(bells)
    output.say(f"{opened} steps run again" if opened else "nothing failed, so nothing runs again")


@app.command()
def cancel(name: Name) -> None:
    """Stop a run. What is done stays; `retry` goes on."""
    with _opened() as farm:
        run = farm.overview.run(name)
        stopped = farm.runs.cancel(run.id)
    output.say(f"run {run.id} is cancelled" if stopped else f"run {run.id} is {run.state} already")


@app.command()
def pause(
    reason: Annotated[str, typer.Option(help="Why, for people who ask.")] = "paused by hand",
) -> None:
    """Start nothing more on the whole farm until `resume`; what runs now ends well."""
    with _opened() as farm:
        farm.dispatch.pause(reason)
    output.say("the farm is paused; `sparky runs resume` goes on")


@app.command()
def resume() -> None:
    """Go on after `pause`."""
    with _opened() as farm:
        was = farm.dispatch.paused()
        farm.dispatch.resume()
        farm.ring(farm.dispatch.wake())
    output.say("the farm was not paused" if was is None else f"the farm goes on (it was {was})")


class _Farm:
    """What these commands work with."""

    def __init__(self, wired: Wired) -> None:
        from sparky.store.dispatch import Dispatch
        from sparky.store.overview import Overview
        from sparky.store.reports import Reports
        from sparky.store.runs import Runs

        engine, farm = wired.store.engine, wired.settings.farm
        self.wired = wired
        self.runs: Runs = Runs(engine, farm=farm)
        self.overview: Overview = Overview(engine, farm=farm)
        self.dispatch = Dispatch(engine, farm=farm)
        self.reports = Reports(engine)

    def chosen(self, repos: Sequence[str] | None, groups: Sequence[str] | None) -> tuple[str, ...]:
        """The ids of these repositories and groups, each once; of all that are followed if none."""
        from sparky.store.groups import Groups as Store

        store = self.wired.store
        found = [known(store, repo) for repo in repos or ()]
        for group in groups or ():
            found += members(Store(store.engine), group)
        if not repos and not groups:
            found = list(store.repos())
        if not found:
            raise UsageError(
                "there is no repository to read", remedy="Follow one: sparky repos add SOURCE"
            )
        return tuple(dict.fromkeys(repo.id for repo in found))

    def ring(self, bells: Sequence[Bell]) -> None:
        """Tell the workers; what the broker does not take, the sweeper sends later."""
        from sparky.farm import app as celery
        from sparky.farm import bell

        bell.ring(celery.make(self.wired.settings), bells)


@contextmanager
def _opened() -> Iterator[_Farm]:
    with opening.wired() as parts:
        yield _Farm(parts)


def counts(run: RunLine) -> str:
    """How many repositories are in which state, in words: `998 done, 2 failed`."""
    return ", ".join(f"{count:,} {state}" for state, count in sorted(run.jobs.items()))


def _run_json(run: RunLine) -> dict[str, Any]:
    return {
        "id": run.id,
        "schedule": run.schedule,
        "window": {
            "since": run.window.since.isoformat(),
            "until": run.window.until.isoformat(),
        },
        "state": run.state,
        "priority": run.priority,
        "options": dict(run.options),
        "created_at": run.created_at.isoformat(),
        "finished_at": run.finished_at.isoformat() if run.finished_at else None,
        "repositories": dict(run.jobs),
    }


def _jobs_json(jobs: Sequence[JobProgress], steps: Sequence[StepLine]) -> list[dict[str, Any]]:
    open_steps: dict[int, list[dict[str, Any]]] = {}
    for step in steps:
        open_steps.setdefault(step.job_id, []).append(
            {
                "stage": step.stage,
                "position": step.position,
                "state": step.state,
                "attempt": step.attempt,
                "failures": step.failures,
                "not_before": step.not_before.isoformat() if step.not_before else None,
                "error": step.error,
            }
        )
    return [
        {
            "repo": {"id": job.repo.id, "name": job.repo.name},
            "stage": job.stage,
            "state": job.state,
            "activities": job.activities,
            "chunks": job.chunks,
            "chunks_done": job.chunks_done,
            "revision": job.revision,
            "error": job.error,
            "steps": open_steps.get(job.job_id, []),
        }
        for job in jobs
    ]
