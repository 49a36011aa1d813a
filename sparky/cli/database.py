"""`sparky db`: the schema of the database."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from sparky.cli import opening, output
from sparky.errors import StoreError, Transient, UsageError

app = typer.Typer(help="The schema of the database.", no_args_is_help=True)


@app.command()
def upgrade() -> None:
    """Bring the database to this version's schema."""
    from sparky.store import schema

    with opening.database() as url:
        before = schema.current(url)
        schema.upgrade(url)
    if before == schema.head():
        output.say(f"the database has schema {before} already")
    else:
        output.say(f"the database went from schema {before or 'none'} to {schema.head()}")


@app.command()
def downgrade(
    revision: Annotated[str, typer.Argument(help="The schema to go back to; `base` is none.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> int:
    """Take the database back to an older schema. What does not fit into it is lost."""
    from sparky.store import schema

    with opening.database() as url:
        before = schema.current(url)
        if not yes and not _confirmed(before, revision):
            output.say("nothing was changed")
            return 1
        schema.downgrade(url, revision)
        after = schema.current(url)
    output.say(f"the database went from schema {before or 'none'} to {after or 'none'}")
    return 0


@app.command()
def wait(
    seconds: Annotated[float, typer.Option(min=0, help="How long at most.")] = 600.0,
) -> None:
    """Wait until the database answers and has the schema that this version needs."""
    from sparky.store import schema

    end = time.monotonic() + seconds
    with opening.database() as url, output.Waiting() as waiting:
        while True:
            try:
                return schema.check(url)
            except (StoreError, Transient) as error:
                if time.monotonic() >= end:
                    raise
                waiting(str(error))
            time.sleep(1)


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="Where it is written; it must not be there yet.")],
) -> None:
    """Write all that the database holds into one file, as of this moment."""
    from sparky.services import cluster
    from sparky.settings import base_env
    from sparky.store import dump

    if file.exists():
        raise UsageError(f"{file} is there already", remedy="Name another file")
    with opening.database() as url:
        size = dump.dump(url, file, programs=cluster.programs(), environment=base_env())
    output.say(f"{file} holds the database, {size} bytes")


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(help="A file that `sparky db backup` wrote.")],
    replace: Annotated[
        bool, typer.Option("--replace", help="Let what the database holds go.")
    ] = False,
) -> None:
    """Fill an empty database from a backup; wholly, or not at all."""
    from sparky.services import cluster
    from sparky.settings import base_env
    from sparky.store import dump, schema

    with opening.database() as url:
        dump.restore(
            url, file, programs=cluster.programs(), environment=base_env(), replace=replace
        )
        schema.upgrade(url)
    output.say(f"the database holds what {file} held, in schema {schema.head()}")


@app.command()
def status() -> None:
    """Tell the database's schema, and the one that this version needs."""
    from sparky.store import schema

    with opening.database() as url:
        output.write(f"database: {schema.current(url) or 'none'}\nneeded:   {schema.head()}")
        schema.check(url)


def _confirmed(before: str | None, revision: str) -> bool:
    if not sys.stdin.isatty():
        raise UsageError("a downgrade loses data", remedy="Give --yes if it is meant")
    question = f"Take the database from schema {before or 'none'} back to {revision}?"
    return typer.confirm(question, err=True)
