"""Live progress of a run on stderr; quiet when stderr is not a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from sparky.cli import output
from sparky.cli.output import harmless
from sparky.errors import SparkyError
from sparky.services.weights import Progress
from sparky.store.reports import JobProgress

STAGES = ("fetch", "chunk", "summarize", "rollup", "publish")


class Watch:
    """Shows what is being waited for, and how long it will take."""

    def __init__(self, console: Console, *, quiet: bool = False) -> None:
        self.console = console
        self.lively = console.is_terminal and not quiet
        """Whether anything is drawn at all."""
        self._quiet = quiet
        self._live: Live | None = None
        self._since: dict[int, float] = {}

    def event(self, text: str) -> None:
        """A few words on what is happening before there is anything to count."""
        self._draw(Spinner("dots", Text(f" {harmless(text)}", style="dim")))

    def download(self, progress: Progress) -> None:
        """How far the weights are."""
        grid = Table.grid(padding=(0, 1))
        grid.add_row(
            Text(progress.step),
            ProgressBar(total=max(progress.total, 1), completed=progress.done, width=30),
            Text(f"{progress.done / 1e6:,.0f} of {progress.total / 1e6:,.0f} MB", style="dim"),
        )
        self._draw(grid)

    def show(self, jobs: Sequence[JobProgress]) -> None:
        """A line a repository: stage, activities, chunks, tokens/s, time left."""
        grid = Table.grid(padding=(0, 1))
        for job in jobs:
            self._since.setdefault(job.job_id, monotonic())
            total = max(job.chunks, 1)
            grid.add_row(
                Text(harmless(job.repo.name), style="bold"),
                Text(stage(job)),
                ProgressBar(total=total, completed=job.chunks_done if job.chunks else 0, width=20),
                Text(facts(job), style="dim"),
                Text(self._left(job), style="dim"),
                Text(
                    harmless(f"waiting: {job.waiting_for}") if job.waiting_for else "",
                    style="yellow",
                ),
            )
        self._draw(grid)

    def table(self, grid: Table) -> None:
        """What a caller has drawn itself."""
        self._draw(grid)

    def problem(self, error: SparkyError) -> None:
        """Something that went wrong with one repository while others go on."""
        self.stop()
        output.problem(error.message, error.remedy)

    def say(self, text: str) -> None:
        """A line to keep."""
        self.stop()
        if not self._quiet:
            self.console.print(Text(harmless(text)))

    def cost(self, job: JobProgress) -> None:
        """What a repository's digest took."""
        if not job.ended or job.revision is None:
            return
        if job.calls == 0 and job.cache_hits:
            self.say(
                f"{job.repo.name}: no engine call, all {job.cache_hits} answers were there already"
            )
        elif job.calls == 0:
            self.say(f"{job.repo.name}: no engine call was needed")
        else:
            self.say(
                f"{job.repo.name}: {job.calls} engine calls, {job.cache_hits} answers from the "
                f"cache, {job.prompt_tokens:,} tokens read and {job.completion_tokens:,} written"
            )

    def stop(self) -> None:
        """Leave the terminal as it was."""
        if self._live:
            self._live.stop()
            self._live = None

    def _draw(self, what: Spinner | Table) -> None:
        if not self.lively:
            return
        if self._live is None:
            self._live = Live(console=self.console, transient=True, refresh_per_second=8)
            self._live.start()
        self._live.update(what)

    def _left(self, job: JobProgress) -> str:
        """Time left by the pace of the chunks so far; the roll-up counts as one more chunk."""
        if job.stage != "summarize" or not job.chunks_done or job.ended:
            return ""
        pace = (monotonic() - self._since[job.job_id]) / job.chunks_done
        seconds = int(pace * (job.chunks - job.chunks_done + 1))
        return f"about {seconds // 60}:{seconds % 60:02d} left"


def stage(job: JobProgress) -> str:
    """The job's stage in words."""
    if job.ended:
        return job.state
    return f"{job.stage} ({STAGES.index(job.stage) + 1}/{len(STAGES)})"


def facts(job: JobProgress) -> str:
    """Counts of a job in words: activities, chunks, tokens a second."""
    said = [f"{job.activities:,} activities"] if job.activities else []
    if job.chunks:
        said.append(f"{job.chunks_done}/{job.chunks} chunks")
    if job.engine_seconds:
        said.append(f"{job.completion_tokens / job.engine_seconds:.0f} tokens/s")
    return ", ".join(said)
