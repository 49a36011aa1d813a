"""`sparky doctor`: check each part, say what is wrong and how to mend it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from sparky.cli import output
from sparky.cli.telling import tell
from sparky.errors import UsageError
from sparky.findings import Finding, failed

if TYPE_CHECKING:
    from sparky.services.progress import Progress


def doctor(
    engine: Annotated[
        bool,
        typer.Option(
            "--engine", help="Let the engine write something; fetches its weights if need be."
        ),
    ] = False,
    no_start: Annotated[
        bool, typer.Option("--no-start", help="Start no service for this.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Check each part of Sparky, say what is wrong and how to mend it."""
    with output.Waiting() as waiting:
        return tell(examine(waiting, engine=engine, start=not no_start), waiting, as_json=as_json)


def examine(waiting: output.Waiting, *, engine: bool, start: bool) -> Iterator[Finding]:
    """Every finding, as soon as it is made. Wrong settings end it after what needs none."""
    from sparky.cli import machine
    from sparky.settings import load

    try:
        settings = load()
    except UsageError as error:
        yield failed("settings", error)
        yield from machine.programs(None)
        return
    yield machine.settings_file(settings)
    yield from machine.programs(settings)
    yield from machine.folders(settings)
    yield from machine.memory(settings)
    yield machine.ports(settings)

    from sparky.cli import reach

    def on_progress(progress: Progress) -> None:
        done = f"{progress.done / 1e6:,.0f} of {progress.total / 1e6:,.0f} MB"
        waiting(f"weights: {progress.step}, {done}")

    yield from reach.services(
        settings, start=start, engine=engine, on_event=waiting, on_progress=on_progress
    )
