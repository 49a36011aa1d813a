"""`sparky cache`: the answers that need not be asked for again."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from sparky.cli import opening, output, when
from sparky.errors import UsageError

app = typer.Typer(help="The answers that need not be asked for again.", no_args_is_help=True)


@app.command("stats")
def stats(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show how many answers are kept, and how often they were of use."""
    from sparky.store import cache

    with opening.wired() as parts:
        found = cache.stats(parts.store)
        hot = parts.store.hot.size() if isinstance(parts.store, cache.CachedGateway) else None
    share = found.hits / (found.hits + found.calls) if found.hits + found.calls else 0.0
    if as_json:
        output.as_json({**asdict(found), "hit_share": share, "redis": hot})
        return
    rows = [
        ("answers", str(found.answers)),
        ("size", f"{found.bytes / 1e6:.1f} MB"),
        ("in Redis", "away" if hot is None else str(hot)),
        ("questions answered by it", f"{found.hits} of {found.hits + found.calls} ({share:.0%})"),
        *((f"by {model}", str(count)) for model, count in found.models.items()),
    ]
    output.table(("", ""), rows)


@app.command("prune")
def prune(
    unused: Annotated[
        str | None,
        typer.Option(
            "--unused-since", help=f"Forget what was not used since then: {when.EXAMPLES}."
        ),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Forget all of it.")] = False,
    model: Annotated[
        str | None, typer.Option("--model", help="Only what this model wrote.")
    ] = None,
) -> None:
    """Forget answers; they are asked for again when they are needed."""
    from sparky.store import cache

    if (unused is None) == (not everything):
        raise UsageError(
            "it is not said which answers to forget",
            remedy="Give either --unused-since, such as 90d, or --all",
        )
    now = datetime.now(UTC)
    age = now - when.moment(unused, now) if unused else timedelta(0)
    with opening.wired() as parts:
        count = cache.prune(parts.store, unused=age, model=model)
    output.say(f"forgot {count} answers")
