"""How far a run is, as a picture that fits on a screen however large the run is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from sparky.cli.output import harmless
from sparky.store.overview import Busy, StageTotals, StepLine, Totals

FEW = 12
"""A run of so many repositories or fewer is shown with a line for each."""
SHOWN = 5
"""Of the busiest and of the failing repositories, so many are shown."""
_NAME = 40
"""Characters of a repository's name."""


def picture(totals: Totals, busiest: Sequence[Busy], failed: Sequence[StepLine]) -> Table:
    """Totals by stage, what waits and for what, the busiest and the failing repositories.

    Args:
        busiest: the repositories with most chunks left, the busiest first; `SHOWN` of them.
        failed: some of the steps that failed.
    """
    whole = Table.grid()
    whole.add_row(_headline(totals))
    whole.add_row("")
    whole.add_row(_stages(totals.stages))
    told = [Text(harmless(line), style="yellow") for line in waits(totals)]
    told += [Text(harmless(line), style="red") for line in failing(totals, failed)]
    for group in (told, _busy(busiest)):
        if group:
            whole.add_row("")
        for line in group:
            whole.add_row(line)
    return whole


def as_json(totals: Totals, at: datetime) -> dict[str, Any]:
    """The same for scripts, on one line."""
    return {
        "at": at.isoformat(),
        "run": totals.run.id,
        "state": totals.run.state,
        "repositories": dict(totals.run.jobs),
        "stages": {
            stage.stage: {
                "waiting": stage.waiting,
                "later": stage.held_back,
                "running": stage.running,
                "done": stage.done,
                "failed": stage.failed,
                "per_second": round(stage.rate, 3),
            }
            for stage in totals.stages
        },
        "waits": waits(totals),
        "elapsed_seconds": round(totals.elapsed, 1),
        "left_seconds": None if totals.left is None else round(totals.left, 1),
    }


def waits(totals: Totals) -> list[str]:
    """What waits for what, in words."""
    said = [f"the farm is paused: {totals.paused}"] if totals.paused is not None else []
    said += [
        f"{obstacle.steps:,} steps wait until {_clock(obstacle.until)}: {obstacle.reason}"
        for obstacle in totals.obstacles
    ]
    said += [
        f"{stage.waiting:,} {stage.stage} steps wait for a worker"
        for stage in totals.stages
        if stage.waiting and not stage.running and not totals.run.ended
    ]
    return said


def failing(totals: Totals, failed: Sequence[StepLine]) -> list[str]:
    """What failed, and why; as many lines as fit, and how many more there are."""
    said = [f"{step.repo}: {step.label} failed: {step.error}" for step in failed[:SHOWN]]
    more = sum(stage.failed for stage in totals.stages) - len(said)
    return [*said, f"… and {more:,} more; `sparky runs show` lists them"] if more > 0 else said


def left(totals: Totals) -> str:
    """Time left in words; empty while there is no pace to tell it by."""
    return "" if totals.left is None else f"about {_time(totals.left)} left"


def _headline(totals: Totals) -> Table:
    line = Table.grid(padding=(0, 2))
    line.add_row(
        Text(totals.run.state, style="bold"),
        ProgressBar(total=max(totals.size, 1), completed=totals.ended, width=30),
        Text(f"{totals.ended:,} of {totals.size:,} repositories"),
        Text(f"after {_time(totals.elapsed)}", style="dim"),
        Text(left(totals), style="dim"),
    )
    return line


def _stages(stages: Sequence[StageTotals]) -> Table:
    drawn = Table(box=None, pad_edge=False, header_style="dim")
    drawn.add_column("stage", min_width=9)
    # As wide as they will get, so that nothing moves while numbers grow.
    for column in ("waiting", "later", "running", "done", "failed", "a second"):
        drawn.add_column(column, justify="right", min_width=8)
    for stage in stages:
        counts = (stage.waiting, stage.held_back, stage.running, stage.done, stage.failed)
        drawn.add_row(
            stage.stage,
            *(f"{count:,}" if count else "·" for count in counts),
            f"{stage.rate:.1f}" if stage.recent else "·",
        )
    return drawn


def _busy(busiest: Sequence[Busy]) -> list[Table]:
    """A line each: the name, a bar of its chunks, and how many activities they hold."""
    if not busiest:
        return []
    drawn = Table.grid(padding=(0, 2))
    for one in busiest:
        name, chunks = harmless(one.repo), "chunk" if one.chunks == 1 else "chunks"
        drawn.add_row(
            Text(name if len(name) <= _NAME else f"{name[: _NAME - 1]}…"),
            ProgressBar(total=one.chunks, completed=one.chunks_done, width=20),
            Text(f"{one.chunks_done:,} of {one.chunks:,} {chunks}", style="dim"),
            Text(f"{one.activities:,} activities", style="dim"),
        )
    return [drawn]


def _time(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


def _clock(at: datetime) -> str:
    return f"{at.astimezone(UTC):%H:%M:%S} UTC"
