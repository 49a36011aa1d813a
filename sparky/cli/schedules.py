"""`sparky schedules`: when which repositories are read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sparky.cli import opening, output
from sparky.cli.repos import known
from sparky.errors import UsageError

if TYPE_CHECKING:
    from sparky.schedules import Firing
    from sparky.store.schedules import ScheduleLine, Schedules

app = typer.Typer(help="When which repositories are read.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The schedule's name.")],
    cron: Annotated[
        str, typer.Option(help="When: minute, hour, day, month and weekday, such as '30 2 * * *'.")
    ],
    repo: Annotated[str | None, typer.Option(metavar="REPO", help="Read this repository.")] = None,
    group: Annotated[str | None, typer.Option(metavar="GROUP", help="Read this group.")] = None,
    zone: Annotated[str, typer.Option(help="Time zone of it all, such as Europe/Berlin.")] = "UTC",
    window: Annotated[
        str, typer.Option(help="The days before the run that it reads: day, week or 14d.")
    ] = "day",
    priority: Annotated[int, typer.Option(help="0 comes first, 9 last.")] = 5,
    quiet: Annotated[
        str | None, typer.Option(metavar="FROM-TO", help="Begin nothing then: 08:00-18:00.")
    ] = None,
    catch_up: Annotated[
        str,
        typer.Option(metavar="once|all|none", help="What becomes of runs that were missed."),
    ] = "once",
    spread: Annotated[
        int, typer.Option(metavar="MINUTES", help="Begin at a place of its own within so long.")
    ] = 0,
) -> None:
    """Read a repository or a group again and again."""
    from sparky.schedules import CatchUp, Quiet, Schedule, days_of

    if catch_up not in set(CatchUp):
        raise UsageError(f"{catch_up!r} is no way to catch up", remedy="Take once, all or none")
    made: dict[str, Any] = {
        "name": name,
        "cron": cron,
        "zone": zone,
        "days": days_of(window),
        "priority": priority,
        "quiet": Quiet.parse(quiet) if quiet else None,
        "catch_up": CatchUp(catch_up),
        "spread": spread,
    }
    # What makes no sense is told before anything is started.
    Schedule(**made, repo_id=repo, group=group).check()
    with opened() as (parts, schedules):
        repo_id = known(parts.store, repo).id if repo else None
        line = schedules.add(Schedule(**made, repo_id=repo_id, group=group))
    output.say(f"{name} is due next at {_both(line.next_due, zone)}")


@app.command("list")
def list_schedules(as_json: Json = False) -> None:
    """List the schedules, the next one first."""
    with opened() as (_, schedules):
        lines = schedules.lines()
    if as_json:
        output.as_json([_json(line) for line in lines])
    elif lines:
        output.table(
            ("name", "reads", "cron", "zone", "window", "priority", "next"),
            [_row(line) for line in lines],
        )
    else:
        output.say("No schedules. Make one with `sparky schedules add NAME`.")


@app.command()
def remove(name: Annotated[str, typer.Argument(metavar="NAME", help="Its name.")]) -> None:
    """Forget a schedule; its runs stay."""
    with opened() as (_, schedules):
        if not schedules.remove(name):
            raise UsageError(
                f"there is no schedule {name}", remedy="`sparky schedules list` lists them"
            )
    output.say(f"forgot schedule {name}")


@app.command("next")
def next_firings(
    count: Annotated[int, typer.Option(min=1, max=10_000, help="So many runs.")] = 10,
    as_json: Json = False,
) -> None:
    """Tell which runs come next, and which days they read."""
    with opened() as (_, schedules):
        lines = schedules.lines()
    coming = sorted(
        ((firing, line) for line in lines if line.enabled for firing in _firings(line, count)),
        key=lambda pair: (pair[0].due, pair[1].schedule.name),
    )[:count]
    if as_json:
        output.as_json(
            [
                {
                    "schedule": line.schedule.name,
                    "reads": _reads(line),
                    "due": firing.due.isoformat(),
                    "since": firing.window.since.isoformat(),
                    "until": firing.window.until.isoformat(),
                }
                for firing, line in coming
            ]
        )
    elif coming:
        output.table(
            ("schedule", "reads", "due there", "due UTC", "since", "until"),
            [
                (
                    line.schedule.name,
                    _reads(line),
                    _there(firing.due, line.schedule.zone),
                    f"{firing.due.astimezone(UTC):%Y-%m-%d %H:%M}",
                    _there(firing.window.since, line.schedule.zone),
                    _there(firing.window.until, line.schedule.zone),
                )
                for firing, line in coming
            ],
        )
    else:
        output.say("No schedules. Make one with `sparky schedules add NAME`.")


@contextmanager
def opened() -> Iterator[tuple[Any, Schedules]]:
    """Everything wired, and the farm's schedules."""
    from sparky.store.schedules import Schedules

    with opening.wired() as parts:
        yield parts, Schedules(parts.store.engine, farm=parts.settings.farm)


def _firings(line: ScheduleLine, count: int) -> list[Firing]:
    from sparky.schedules import firing, upcoming

    first = firing(line.schedule, line.fires_at)
    return [first, *upcoming(line.schedule, line.fires_at, count - 1)]


def _reads(line: ScheduleLine) -> str:
    return line.repo or f"group {line.schedule.group}"


def _row(line: ScheduleLine) -> tuple[str, ...]:
    from sparky.schedules import words

    schedule = line.schedule
    due = _both(line.next_due, schedule.zone) if line.enabled else f"disabled: {line.error}"
    window, priority = words(schedule.days), str(schedule.priority)
    return (
        *(schedule.name, _reads(line), schedule.cron, schedule.zone),
        *(window, priority, due),
    )


def _json(line: ScheduleLine) -> dict[str, Any]:
    from sparky.schedules import words

    schedule = line.schedule
    return {
        "name": schedule.name,
        "repo": line.repo,
        "group": schedule.group,
        "cron": schedule.cron,
        "zone": schedule.zone,
        "window": words(schedule.days),
        "priority": schedule.priority,
        "quiet": str(schedule.quiet) if schedule.quiet else None,
        "catch_up": schedule.catch_up.value,
        "spread": schedule.spread,
        "next_due": line.next_due.isoformat(),
        "enabled": line.enabled,
        "error": line.error,
    }


def _there(at: datetime, zone: str) -> str:
    from sparky.schedules import zone as place

    return f"{at.astimezone(place(zone)):%Y-%m-%d %H:%M %Z}"


def _both(at: datetime, zone: str) -> str:
    there = _there(at, zone)
    return there if zone == "UTC" else f"{there} ({at.astimezone(UTC):%Y-%m-%d %H:%M} UTC)"
