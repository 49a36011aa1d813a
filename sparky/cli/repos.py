"""`sparky repos`: the repositories that Sparky keeps an eye on."""

from __future__ import annotations

from dataclasses import asdict
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sparky.cli import discover, opening, output, rosters
from sparky.cli.running import Sources, distinct
from sparky.cli.taking import facts_json, size
from sparky.errors import Permanent, UsageError
from sparky.lifecycle import states

if TYPE_CHECKING:
    from sparky.model import Repo
    from sparky.store.followed import RepoLine
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


app.command()(discover.discover)
app.command("import")(rosters.import_file)
app.command()(rosters.export)


@app.command("list")
def list_repos(
    everything: Annotated[
        bool, typer.Option("--all", help="Also those that were only run once.")
    ] = False,
    group: Annotated[
        str | None, typer.Option("--group", metavar="GROUP", help="Only those of this group.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the repositories, and what is to be known of each."""
    from sparky.store.followed import Followed

    with opening.wired() as parts:
        huge = int(parts.settings.git_max_bytes)
        lines = Followed(parts.store.engine).lines(
            tracked=None if everything else True, group=group
        )
    if as_json:
        output.as_json([_json(line, huge) for line in lines])
    elif lines:
        rows = [
            (
                line.repo.name,
                line.repo.source,
                line.repo.location,
                line.repo.id,
                ", ".join(states(line.facts, line.missing, huge=huge)),
                ", ".join(line.groups),
            )
            for line in lines
        ]
        output.table(("name", "source", "location", "id", "state", "groups"), rows)
    else:
        output.say("No repositories. Follow one with `sparky repos add SOURCE`.")


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="Its name, also a former one, its id or location.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Tell what is known of a repository, and what has become of it."""
    from sparky.store.followed import Followed

    with opening.wired() as parts:
        huge = int(parts.settings.git_max_bytes)
        repo = known(parts.store, name)
        followed = Followed(parts.store.engine)
        line, past = followed.line(repo.id), followed.past(repo.id)
        job = followed.last_job(repo.id)
        digest = next(iter(parts.store.digests(repo.id, limit=1)), None)
    if as_json:
        output.as_json(
            _json(line, huge)
            | {
                "past": [{"at": p.at.isoformat(), "event": str(p.event)} for p in past],
                "last_job": {
                    "run": job.run_id,
                    "state": job.state,
                    "at": job.at.isoformat(),
                    "error": job.error,
                }
                if job
                else None,
            }
        )
        return
    state = ", ".join(states(line.facts, line.missing, huge=huge))
    rows = [
        ("name", repo.name),
        ("id", repo.id),
        ("read from", f"{repo.location} ({repo.source})"),
        ("state", state or "active"),
        ("followed", f"since {line.added_at:%Y-%m-%d}" if line.tracked else "no"),
        ("groups", ", ".join(line.groups) or "none"),
    ]
    if line.missing and line.missing_since:
        rows.append(("unreadable", f"since {line.missing_since:%Y-%m-%d %H:%M}: it {line.missing}"))
    if line.facts:
        rows += [("size", size(line.facts.bytes)), ("language", line.facts.language or "none")]
    if line.facts and line.facts.pushed_at:
        rows.append(("pushed", f"{line.facts.pushed_at:%Y-%m-%d %H:%M}"))
    if line.probed_at:
        rows.append(("last look", f"{line.probed_at:%Y-%m-%d %H:%M}"))
    if job:
        why = f": {job.error}" if job.error else ""
        rows.append(("last job", f"{job.at:%Y-%m-%d %H:%M} {job.state}{why}"))
    if digest:
        until = f"{digest.window.until:%Y-%m-%d}"
        rows.append(("last digest", f"until {until}, {digest.status}: {digest.headline}"))
    rows += [(f"{p.at:%Y-%m-%d %H:%M}", str(p.event)) for p in past]
    output.table(("", ""), rows)


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


def _json(line: RepoLine, huge: int) -> dict[str, Any]:
    since = line.missing_since
    return asdict(line.repo) | {
        "followed": line.tracked,
        "groups": list(line.groups),
        "state": list(states(line.facts, line.missing, huge=huge)),
        "unreadable": {"since": since.isoformat(), "why": line.missing} if since else None,
        "facts": facts_json(line.facts) if line.facts else None,
    }
