"""How far a run is, as a picture that fits on a screen however large the run is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from sparky.cli import watch
from sparky.cli.output import harmless
from sparky.store.overview import StageTotals, StepLine, Totals
from sparky.store.reports import JobProgress

FEW = 12
"""A run of so many repositories or fewer is shown with a line for each."""
SHOWN = 5
"""Of the busiest and of the failing repositories, so many are shown."""


def picture(totals: Totals, jobs: Sequence[JobProgress], steps: Sequence[StepLine]) -> Table:
    """Totals by stage, what waits and for what, the busiest and the failing repositories.

    Args:
        jobs: all jobs of the run.
        steps: its steps that are not done, the failed ones first.
    """
    whole = Table.grid(padding=(0, 1))
    whole.add_row(_headline(totals))
    whole.add_row(_stages(totals.stages))
    for line in waits(totals):
        whole.add_row(Text(harmless(line), style="yellow"))
    for job in busiest(jobs):
        whole.add_row(
            Text.assemble(
                (harmless(job.repo.name), "bold"),
                f"  {watch.stage(job)}  ",
                (watch.facts(job), "dim"),
            )
        )
    for line in failing(jobs, steps):
        whole.add_row(Text(harmless(line), style="red"))
    return whole


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


def busiest(jobs: Sequence[JobProgress]) -> list[JobProgress]:
    """The open repositories with most chunks left."""
    at_work = [job for job in jobs if job.state == "running" and job.chunks > job.chunks_done]
    return sorted(at_work, key=lambda job: job.chunks_done - job.chunks)[:SHOWN]


def failing(jobs: Sequence[JobProgress], steps: Sequence[StepLine]) -> list[str]:
    """What failed, and why; as many lines as fit, and how many more there are."""
    failed = [step for step in steps if step.state == "failed"]
    said = [f"{step.repo}: {step.label} failed: {step.error}" for step in failed]
    known = {step.job_id for step in failed}
    said += [
        f"{job.repo.name}: failed: {job.error}"
        for job in jobs
        if job.state == "failed" and job.job_id not in known
    ]
    if len(said) > SHOWN:
        return [*said[:SHOWN], f"… and {len(said) - SHOWN:,} more; `sparky runs show` lists them"]
    return said


def left(totals: Totals) -> str:
    """Time left in words, by the pace so far; empty while there is none."""
    if totals.left is None:
        return ""
    minutes, seconds = divmod(int(totals.left), 60)
    hours, minutes = divmod(minutes, 60)
    return (
        f"about {hours}:{minutes:02d}:{seconds:02d} left"
        if hours
        else (f"about {minutes}:{seconds:02d} left")
    )


def _headline(totals: Totals) -> Table:
    line = Table.grid(padding=(0, 1))
    pace = f"{totals.ended / totals.elapsed:.1f}/s" if totals.elapsed >= 1 else ""
    line.add_row(
        Text(totals.run.state, style="bold"),
        ProgressBar(total=max(totals.size, 1), completed=totals.ended, width=30),
        Text(f"{totals.ended:,} of {totals.size:,} repositories"),
        Text(f"{pace} {left(totals)}".strip(), style="dim"),
    )
    return line


def _stages(stages: Sequence[StageTotals]) -> Table:
    drawn = Table(box=None, pad_edge=False, header_style="dim")
    drawn.add_column("stage")
    for column in ("waiting", "later", "running", "done", "failed", "a second"):
        drawn.add_column(column, justify="right")
    for stage in stages:
        counts = (stage.waiting, stage.held_back, stage.running, stage.done, stage.failed)
        drawn.add_row(
            stage.stage,
            *(f"{count:,}" if count else "·" for count in counts),
            f"{stage.rate:.1f}" if stage.recent else "·",
        )
    return drawn


def _clock(at: datetime) -> str:
    return f"{at.astimezone(UTC):%H:%M:%S} UTC"
