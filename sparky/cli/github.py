"""`sparky github`: the budget of GitHub's API."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sparky.cli import opening, output
from sparky.errors import UsageError

if TYPE_CHECKING:
    from sparky.forge import Standing
    from sparky.store.budget import Pace

app = typer.Typer(help="GitHub's API and its limits.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keeps `budget` a command of its own while there is no other."""


@app.command()
def budget(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show each credential: points left, the reserve, the reset, and when the run is done."""
    from sparky import wiring
    from sparky.store.budget import PostgresBudget, pace

    with opening.wired() as parts:
        settings = parts.settings
        if not wiring.has_github(settings):
            raise UsageError(
                "no credential for GitHub is configured",
                remedy="Set SPARKY_GITHUB_TOKEN_FILE, or an App; docs/github.md tells how",
            )
        source = wiring.github(settings, parts.store)
        try:
            source.wire.learn()
        finally:
            source.wire.close()
        held = {credential.id for credential in source.wire.keyring.everybody()}
        standings = [
            one for one in PostgresBudget(parts.store.engine).standings() if one.credential in held
        ]
        run = pace(parts.store.engine, settings.farm)
    now = datetime.now(UTC)
    if as_json:
        rows = [_row(one, settings.github_reserve) for one in standings]
        output.write(json.dumps({"credentials": rows, "run": _run(run, now)}, indent=2))
        return
    for one in standings:
        output.write(_line(one, settings.github_reserve, now))
    output.write(_outlook(run, now))


def _row(one: Standing, reserve: float) -> dict[str, Any]:
    return {
        "credential": one.label,
        "resource": one.resource,
        "limit": one.limit,
        "remaining": one.remaining if one.limit is not None else None,
        "leased": one.leased,
        "reserve": round(reserve * one.limit) if one.limit is not None else 0,
        "reset_at": one.reset_at.isoformat() if one.reset_at else None,
        "blocked_until": one.blocked_until.isoformat() if one.blocked_until else None,
    }


def _run(run: Pace, now: datetime) -> dict[str, Any]:
    done = run.finished_at(now)
    return {
        "done": run.done,
        "waiting": run.waiting,
        "done_at": done.isoformat() if run.waiting and done else None,
    }


def _line(one: Standing, reserve: float, now: datetime) -> str:
    if one.limit is None or one.reset_at is None:
        return f"{one.label}  {one.resource}: unlimited"
    kept = round(reserve * one.limit)
    text = (
        f"{one.label}  {one.resource}: {one.remaining} of {one.limit} points left, "
        f"{kept} of them for its owner; all again at {one.reset_at:%H:%M} UTC"
    )
    if one.blocked_until is not None and one.blocked_until > now:
        text += f"; GitHub asks to wait until {one.blocked_until:%H:%M:%S} UTC"
    return text


def _outlook(run: Pace, now: datetime) -> str:
    if not run.waiting:
        return "no run waits for GitHub"
    done = run.finished_at(now)
    when = f"done at about {done:%Y-%m-%d %H:%M} UTC" if done else "nobody can say yet how long"
    return f"{run.waiting} repositories wait for GitHub, {run.done} are read: {when}"
