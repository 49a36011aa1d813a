"""`sparky run` and `sparky up`: their arguments, checked before anything is started."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from sparky.cli import when
from sparky.errors import UsageError

Sources = Annotated[
    list[str], typer.Argument(metavar="SOURCE", help="A path, a git URL or owner/name.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]


class Form(StrEnum):
    """How a digest is written."""

    MD = "md"
    JSON = "json"
    HTML = "html"


FormOption = Annotated[Form, typer.Option("--format", "-f", help="How the digest is written.")]


def run(
    sources: Sources,
    since: Annotated[
        str, typer.Option(help=f"Where the window begins: {when.EXAMPLES}.", metavar="DATE")
    ] = "30d",
    until: Annotated[
        str | None,
        typer.Option(
            help="Where it ends, not included. [default: the end of today, UTC]", metavar="DATE"
        ),
    ] = None,
    form: FormOption = Form.MD,
    out: Annotated[
        Path | None,
        typer.Option(help="Write a file a digest into this folder.", metavar="DIR"),
    ] = None,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Ask the engine again, also what it answered before.")
    ] = False,
    quiet: Quiet = False,
) -> int:
    """Make a digest of what happened in each SOURCE, and print it."""
    from datetime import UTC, datetime
    from uuid import uuid4

    window = when.window(since, until, datetime.now(UTC))
    places = distinct(sources)
    if out is not None:
        check_folder(out)
    elif form is Form.HTML and len(places) > 1:
        raise UsageError(
            "several digests do not make one HTML page", remedy="Name a folder for them with --out"
        )

    from sparky.cli import output
    from sparky.cli import run as running
    from sparky.cli.watch import Watch
    from sparky.settings import load

    order = running.Order(
        places, window, run_id=uuid4().hex, form=form.value, out=out, refresh=refresh
    )
    return running.run(load(), order, Watch(output.stderr(), quiet=quiet))


def up(quiet: Quiet = False) -> None:
    """Run the whole farm on this machine until Ctrl-C.

    That is the services that are not configured, workers, beat, and Flower behind a password.
    """
    from sparky.cli import output
    from sparky.cli import up as whole
    from sparky.cli.watch import Watch
    from sparky.settings import load

    whole.up(load(), Watch(output.stderr(), quiet=quiet))


def distinct(sources: list[str]) -> list[str]:
    """The sources in order, each once; UsageError if one is blank."""
    if not all(source.strip() for source in sources):
        raise UsageError("a SOURCE is empty", remedy="Give a path, a git URL or owner/name")
    return list(dict.fromkeys(sources))


def check_folder(folder: Path) -> None:
    """Raise UsageError unless files can be written into `folder`, which need not exist yet."""
    nearest = folder.absolute()
    while not nearest.exists():
        nearest = nearest.parent
    if not nearest.is_dir():
        raise UsageError(f"{nearest} is not a folder", remedy="Give --out a folder")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise UsageError(
            f"{nearest} cannot be written to", remedy="Give --out a folder that you may write to"
        )
