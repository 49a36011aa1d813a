"""`sparky digests`: the digests that were made before."""

from __future__ import annotations

from typing import Annotated

import typer

from sparky.cli import opening, output
from sparky.cli.repos import known
from sparky.cli.running import Form, FormOption
from sparky.errors import UsageError

app = typer.Typer(help="The digests that were made.", no_args_is_help=True)


@app.command("list")
def list_digests(
    repo: Annotated[str | None, typer.Argument(help="Only of this repository.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List digests, newest first."""
    with opening.wired() as parts:
        wanted = known(parts.store, repo).id if repo is not None else None
        lines = parts.store.digests(wanted, limit)
    if as_json:
        output.as_json(
            [
                {
                    "repo": {"id": line.repo.id, "name": line.repo.name},
                    "window": {
                        "since": line.window.since.isoformat(),
                        "until": line.window.until.isoformat(),
                    },
                    "revision": line.revision,
                    "status": line.status,
                    "headline": line.headline,
                    "created_at": line.created_at.isoformat(),
                }
                for line in lines
            ]
        )
    elif lines:
        output.table(
            ("repository", "since", "until", "revision", "status", "headline"),
            [
                (
                    line.repo.name,
                    f"{line.window.since:%Y-%m-%d %H:%M}",
                    f"{line.window.until:%Y-%m-%d %H:%M}",
                    str(line.revision),
                    line.status,
                    line.headline,
                )
                for line in lines
            ],
        )
    else:
        output.say("No digests. Make one with `sparky run SOURCE`.")


@app.command()
def show(
    repo: Annotated[str, typer.Argument(help="The repository's name, id or location.")],
    revision: Annotated[
        int | None, typer.Option(min=1, help="Which revision. [default: the latest]")
    ] = None,
    form: FormOption = Form.MD,
    explain: Annotated[
        bool, typer.Option("--explain", help="Print what proves each point instead.")
    ] = False,
) -> None:
    """Print a repository's latest digest."""
    from sparky import render
    from sparky.cli.explain import cites, explanation

    if explain and form is not Form.MD:
        raise UsageError("--explain has no format", remedy="Leave out --format")
    with opening.wired() as parts:
        found = known(parts.store, repo)
        digest = parts.store.digest(found.id, revision=revision)
        if digest is None:
            which = f" of revision {revision}" if revision else ""
            raise UsageError(
                f"there is no digest{which} of {found.name}",
                remedy=f"`sparky digests list {found.name}` lists them.",
            )
        proof = parts.store.members(found.id, cites(digest)) if explain else ()
    if explain:
        known_by_key = {activity.key: activity for activity in proof}
        output.write(output.harmless(explanation(digest, known_by_key)))
        return
    renderers = {
        Form.MD: render.as_markdown,
        Form.JSON: render.as_json,
        Form.HTML: render.as_html,
    }
    output.digests([digest], form.value, renderers[form])
