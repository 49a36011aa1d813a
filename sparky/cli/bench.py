"""`sparky bench`: how fast an engine is, for any that Sparky can use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from sparky.cli import output
from sparky.errors import UsageError

if TYPE_CHECKING:
    from sparky.llm.backend import HttpBackend
    from sparky.llm.measure import Report
    from sparky.settings import EngineSettings, Settings

app = typer.Typer(help="How fast an engine is.", no_args_is_help=True)

WIDTH = 40
"""Characters of the longest bar."""
PATIENCE_SECONDS = 600.0


@app.callback()
def bench() -> None:
    """How fast an engine is."""


@app.command("engine")
def engine(
    url: Annotated[
        str | None, typer.Option("--url", help="Where it answers; else as configured.")
    ] = None,
    kind: Annotated[
        Literal["openai", "ollama", "triton"], typer.Option("--kind", help="What it speaks.")
    ] = "openai",
    model: Annotated[str | None, typer.Option("--model", help="Which of its models.")] = None,
    levels: Annotated[
        str, typer.Option("--in-flight", help="How many requests at once, one level after another.")
    ] = "1,2,4,8,16,32,64",
    rounds: Annotated[
        int, typer.Option("--rounds", min=1, help="Requests of each caller at a level.")
    ] = 3,
    tokens: Annotated[int, typer.Option("--tokens", min=8, help="Most tokens of an answer.")] = 256,
    changes: Annotated[
        int, typer.Option("--changes", min=1, help="Changes that a prompt lists.")
    ] = 14,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure latency and throughput, with more and more requests at once."""
    from sparky.llm.measure import measure

    steps = _levels(levels)
    with output.Waiting() as waiting, _backend(url, kind, model, waiting) as backend:
        report = measure(
            backend,
            levels=steps,
            rounds=rounds,
            changes=changes,
            max_tokens=tokens,
            memory=backend.memory,
            on_level=lambda number: waiting(f"{number} at once"),
        )
    if as_json:
        output.as_json({**asdict(report), "best_in_flight": report.best.in_flight})
    else:
        _tell(report)


@contextmanager
def _backend(
    url: str | None,
    kind: Literal["openai", "ollama", "triton"],
    model: str | None,
    waiting: output.Waiting,
) -> Iterator[HttpBackend]:
    """The engine at `url`, or the one that is configured; Sparky's own is started for it."""
    from sparky import wiring
    from sparky.cli import logs
    from sparky.settings import EngineSettings, load

    settings = load()
    if url is not None:
        # Its key may be the configured one.
        wanted = EngineSettings.model_construct(
            url=url.rstrip("/"), model=model or "", kind=kind, api_key=settings.llm_api_key
        )
        with closing(wiring.adapter(wanted, seconds=PATIENCE_SECONDS)) as backend:
            yield backend
        return
    logs.to_stderr()
    with wiring.open(settings, on_event=waiting) as parts:
        wanted = _chosen(parts.settings, model)
        with closing(wiring.adapter(wanted, seconds=PATIENCE_SECONDS)) as backend:
            yield backend


def _chosen(settings: Settings, model: str | None) -> EngineSettings:
    """The configured engine of that model, or the first."""
    from sparky import wiring

    engines = wiring.engines(settings)
    for engine in engines:
        if model in (None, engine.model):
            return engine
    raise UsageError(
        f"no configured engine serves {model}",
        remedy=f"Configured are: {', '.join(engine.model for engine in engines)}",
    )


def _levels(text: str) -> list[int]:
    try:
        levels = [int(part) for part in text.split(",")]
    except ValueError:
        levels = []
    if not levels or levels != sorted(set(levels)) or levels[0] < 1:
        raise UsageError(f"{text} is no list of growing numbers", remedy="Write it as 1,2,4,8")
    return levels


def _tell(report: Report) -> None:
    engine = report.engine
    output.write(f"{engine.name} with {engine.model}, {engine.context} tokens of context")
    columns = (
        "at once", "calls", "failed", "first token", "slowest", "each token", "written/s",
        "read/s", "reused",
    )  # fmt: skip
    rows = [
        (
            str(level.in_flight),
            str(level.calls),
            str(level.failed),
            f"{level.first_token:.2f} s",
            f"{level.first_token_slowest:.2f} s",
            f"{1000 * level.each_token:.0f} ms",
            f"{level.tokens_per_second:.1f}",
            f"{level.prompt_tokens_per_second:.1f}",
            f"{level.cached_share:.0%}",
        )
        for level in report.levels
    ]
    output.table(columns, rows)
    output.write("")
    for line in plot(report):
        output.write(line)
    output.write("")
    best = report.best
    output.write(f"best: {best.in_flight} at once, {best.tokens_per_second:.1f} tokens/s")
    if report.memory:
        output.write(f"memory: {report.memory}")
    if report.error:
        output.say(f"some calls failed: {report.error}")


def plot(report: Report) -> list[str]:
    """Tokens/s at each level as bars, the best one marked."""
    highest = max(level.tokens_per_second for level in report.levels)
    return [
        f"{level.in_flight:>4} {_bar(level.tokens_per_second / highest):<{WIDTH}}"
        f" {level.tokens_per_second:.1f} tokens/s{' best' if level == report.best else ''}"
        for level in report.levels
    ]


def _bar(share: float) -> str:
    """A bar in eighths of a character."""
    eighths = round(share * WIDTH * 8)
    return "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()
