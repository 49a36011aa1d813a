"""`sparky groups`: names for sets of repositories."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from sparky.cli import opening, output
from sparky.cli.repos import known
from sparky.errors import UsageError

if TYPE_CHECKING:
    from sparky.model import Repo
    from sparky.store.groups import Groups

app = typer.Typer(help="Groups of repositories.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The group's name.")]


@app.command()
def add(
    name: Name,
    repos: Annotated[
        list[str], typer.Argument(metavar="REPO", help="A repository's name, id or location.")
    ],
) -> None:
    """Put repositories into a group, which is made if need be."""
    from sparky.store.groups import Groups

    with opening.wired() as parts:
        found = [known(parts.store, repo) for repo in repos]
        added = Groups(parts.store.engine).add(name, [repo.id for repo in found])
    output.say(f"{added} added to {name}")


@app.command("list")
def list_groups(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the groups."""
    from sparky.store.groups import Groups

    with opening.wired() as parts:
        lines = Groups(parts.store.engine).lines()
    if as_json:
        output.as_json([{"name": line.name, "repositories": line.repositories} for line in lines])
    elif lines:
        rows = [(line.name, str(line.repositories)) for line in lines]
        output.table(("name", "repositories"), rows)
    else:
        output.say("No groups. Make one with `sparky groups add NAME REPO…`.")


@app.command()
def show(
    name: Name,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the repositories of a group."""
    from sparky.store.groups import Groups

    with opening.wired() as parts:
        repos = members(Groups(parts.store.engine), name)
    if as_json:
        output.as_json([{"id": repo.id, "name": repo.name} for repo in repos])
    else:
        output.table(("name", "id"), [(repo.name, repo.id) for repo in repos])


@app.command()
def remove(
    name: Name,
    repos: Annotated[
        list[str] | None,
        typer.Argument(metavar="[REPO]...", help="Take only these out; the group stays."),
    ] = None,
) -> None:
    """Forget a group, or take repositories out of it. The repositories stay."""
    from sparky.store.groups import Groups

    with opening.wired() as parts:
        groups = Groups(parts.store.engine)
        members(groups, name)
        if repos:
            found = [known(parts.store, repo) for repo in repos]
            gone = groups.leave(name, [repo.id for repo in found])
            output.say(f"{gone} taken out of {name}")
        else:
            groups.remove(name)
            output.say(f"forgot group {name}")


def members(groups: Groups, name: str) -> tuple[Repo, ...]:
    """The group's repositories; UsageError if there is no such group."""
    found = groups.members(name)
    if found is None:
        raise UsageError(f"there is no group {name}", remedy="`sparky groups list` lists them")
    return found
