"""`sparky repos`: the repositories that Sparky keeps an eye on."""

from __future__ import annotations

from dataclasses import asdict
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated

import typer

from sparky.cli import opening, output
from sparky.cli.running import Sources, distinct
from sparky.errors import Permanent, UsageError

if TYPE_CHECKING:
    from sparky.model import Repo
    from sparky.store.gateway import Gateway

app = typer.Typer(help="The repositories that Sparky follows.", no_args_is_help=True)


@app.command()
def add(sources: Sources) -> int:
    """Follow repositories: look at each SOURCE and remember it."""
    refused = 0
    with opening.wired() as parts:
        for source in distinct(sources):
            try:
                with output.Waiting() as waiting:
                    waiting(f"looking at {source}")
                    repo = parts.source.identify(source)
            except Permanent as error:
                # The others may be fine.
                refused += 1
                output.problem(error.message, error.remedy)
                continue
            parts.store.add_repo(repo)
            output.say(f"following {repo.name} ({repo.location})")
    if not refused:
        return 0
    return 1 if refused == len(sources) else 3


@app.command("list")
def list_repos(
    everything: Annotated[
        bool, typer.Option("--all", help="Also those that were only run once.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the repositories."""
    with opening.wired() as parts:
        repos = parts.store.repos(tracked=None if everything else True)
    if as_json:
        output.as_json([asdict(repo) for repo in repos])
    elif repos:
        rows = [(repo.name, repo.source, repo.location, repo.id) for repo in repos]
        output.table(("name", "source", "location", "id"), rows)
    else:
        output.say("No repositories. Follow one with `sparky repos add SOURCE`.")


@app.command()
def remove(name: Annotated[str, typer.Argument(help="Its name, id or location.")]) -> None:
    """Forget a repository, with all that was read and written of it."""
    with opening.wired() as parts:
        repo = known(parts.store, name)
        parts.store.remove_repo(repo.id)
    output.say(f"forgot {repo.name} ({repo.location})")


def known(store: Gateway, name: str) -> Repo:
    """The repository of that name, id or location; UsageError that suggests the nearest name."""
    repo = store.find_repo(name)
    if repo is not None:
        return repo
    near = get_close_matches(name, [repo.name for repo in store.repos(tracked=None)], n=1)
    raise UsageError(
        f"there is no repository {name}",
        remedy=f"Did you mean {near[0]}?" if near else "`sparky repos list --all` lists them.",
    )
