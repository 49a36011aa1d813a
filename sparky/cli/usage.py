"""`sparky usage`: what engine calls cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from sparky.cli import opening, output, when
from sparky.cli.repos import known

if TYPE_CHECKING:
    from sparky.store.calls import Cost


def usage(
    run: Annotated[
        str | None, typer.Option("--run", help="Of this run alone: its id, or how it begins.")
    ] = None,
    repo: Annotated[
        str | None, typer.Option("--repo", help="Of this repository alone: name, id or location.")
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", help=f"Of calls from then on: {when.EXAMPLES}.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what engine calls cost: tokens, seconds, and energy where a server tells it."""
    from sparky.store.calls import Calls

    begin = when.moment(since, datetime.now(UTC)) if since else None
    with opening.wired() as parts:
        repo_id = known(parts.store, repo).id if repo else None
        costs = Calls(parts.store.engine).costs(run=run, repo=repo_id, since=begin)
    if as_json:
        output.as_json([asdict(cost) for cost in costs])
    elif costs:
        output.table(COLUMNS, [_row(cost) for cost in costs])
        output.say(total(costs))
    else:
        output.say("No engine calls.")


COLUMNS = (
    "run",
    "repository",
    "engine",
    "model",
    "calls",
    "from cache",
    "prompt",
    "reused",
    "written",
    "reasoning",
    "seconds",
    "first token",
)


def _row(cost: Cost) -> tuple[str, ...]:
    first = cost.first_token_seconds
    return (
        cost.run,
        cost.repository,
        f"{cost.engine} {cost.server}".strip(),
        cost.model,
        f"{cost.calls} ({cost.failed} failed)" if cost.failed else str(cost.calls),
        str(cost.cache_hits),
        str(cost.prompt_tokens),
        str(cost.cached_tokens),
        str(cost.completion_tokens),
        str(cost.reasoning_tokens),
        f"{cost.seconds:.1f}",
        "" if first is None else f"{first:.2f} s",
    )


def total(costs: Sequence[Cost]) -> str:
    """All of it in one sentence."""
    calls = sum(cost.calls for cost in costs)
    hits = sum(cost.cache_hits for cost in costs)
    prompt = sum(cost.prompt_tokens for cost in costs)
    written = sum(cost.completion_tokens for cost in costs)
    seconds = sum(cost.seconds for cost in costs)
    joules = [cost.joules for cost in costs if cost.joules is not None]
    energy = f", {sum(joules) / 3600:.2f} Wh where told" if joules else ""
    return (
        f"{calls} calls and {hits} answers from the cache: {prompt} tokens read,"
        f" {written} written, {seconds:.0f} s of engine time{energy}"
    )
