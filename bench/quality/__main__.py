"""How good digests are, beside what people wrote: `make bench BENCH=quality ARGS="run …"`.

    run      make digests of the test set's windows with an engine, judge them, store the figures
    compare  the stored figures of engines and prompts, over the windows that all of them have
    add      read a window of a clone and its changelog into the test set

The engine is the configured one (SPARKY_LLM_…), else the embedded; `--titles` takes none: rules and
the activities' own titles, the baseline. Answers are kept in the state folder, so that what was
interrupted goes on where it was.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from bench.quality import gather, table, trial, windows
from bench.quality.table import Row
from sparky import pipeline, prompts, wiring
from sparky.ports import Engine
from sparky.settings import load
from sparky.source.gitrepo import GitSource

CONSOLE = Console()


@dataclass(frozen=True, slots=True)
class Voice:
    """An engine with its answers, and how it counts."""

    engine: Engine
    ask: trial.Ask
    count: trial.Count


def main() -> None:
    options = argparse.ArgumentParser(prog="bench.quality", description=__doc__)
    options.formatter_class = argparse.RawDescriptionHelpFormatter
    commands = options.add_subparsers(dest="command", required=True)
    one = commands.add_parser("run")
    one.add_argument("windows", nargs="*", help="names of windows; all by default")
    one.add_argument("--clones", type=Path, help="folder of bare clones named owner__name.git")
    one.add_argument("--titles", action="store_true", help="no engine: the baseline")
    one.add_argument("--again", action="store_true", help="also what the stored figures have")
    one.add_argument("--points", action="store_true", help="print the points of each digest")
    two = commands.add_parser("compare")
    two.add_argument("--model", action="append", help="only these models")
    two.add_argument("--prompt", action="append", help="only these versions of the prompts")
    three = commands.add_parser("add")
    for name in ("name", "clone", "repository", "licence", "since", "until", "changelog"):
        three.add_argument(name)
    three.add_argument("versions", nargs="+")
    given = options.parse_args()
    {"run": run, "compare": compare, "add": add}[given.command](given)


def run(given: argparse.Namespace) -> None:
    """Judge an engine by the windows of the test set."""
    with tempfile.TemporaryDirectory() as folder, voice(titles=given.titles) as speaker:
        source = GitSource(Path(folder))
        done = {row.key for row in table.load()}
        for described in windows.load(given.windows):
            engine = speaker.engine
            key = (engine.name, engine.model, prompts.version(), described.name)
            if key in done and not given.again:
                CONSOLE.print(f"{described.name}: known already")
                continue
            clone = _clone(described, given.clones, Path(folder))
            made = trial.run(
                described,
                clone,
                source=source,
                engine=engine,
                ask=speaker.ask,
                count=speaker.count,
            )
            today = datetime.now(UTC).date().isoformat()
            table.store([Row(*key, date=today, score=made.score)])
            _tell(made, points=given.points)
    compare(argparse.Namespace(model=None, prompt=None))


@contextmanager
def voice(*, titles: bool) -> Iterator[Voice]:
    """The configured engine with its earlier answers in front, or none."""
    if titles:
        yield Voice(trial.TITLES, trial.silent, lambda text: len(text) // 4)
        return
    with wiring.open(load()) as wired:
        ask = pipeline.asking(wired.backend, wired.store, pipeline.Unwritten(wired.store))
        yield Voice(wired.backend.engine(), ask, wired.backend.count)


def _clone(described: windows.Described, clones: Path | None, folder: Path) -> Path:
    """Where the window's repository is; cloned where it is not there yet."""
    if clones is not None:
        return clones / described.clone
    path = folder / described.clone
    if not path.exists():
        CONSOLE.print(f"cloning {described.repository}")
        words = ["git", "clone", "--quiet", "--bare", described.repository, str(path)]
        subprocess.run(words, check=True)
    return path


def _tell(made: trial.Trial, *, points: bool) -> None:
    one = made.score
    CONSOLE.print(
        f"{made.window}: {one.told} of {one.entries} entries told, {one.points} points,"
        f" {one.false} false claims, {one.calls} calls, {one.seconds} s",
        highlight=False,
    )
    if points:
        CONSOLE.print(f"  {made.digest.headline}", markup=False, highlight=False)
        for point in made.digest.points:
            CONSOLE.print(f"  [{point.origin}] {point.text}", markup=False, highlight=False)
    for finding in made.findings:
        CONSOLE.print(f"  not in the data: {finding.claim!r} of {finding.text!r}", markup=False)


def compare(given: argparse.Namespace) -> None:
    """Print the stored figures side by side."""
    rows = [
        row
        for row in table.load()
        if (not given.model or row.model in given.model)
        and (not given.prompt or row.prompt in given.prompt)
    ]
    sums, common = table.together(rows)
    CONSOLE.print(f"{len(common)} windows that all of them have: {', '.join(common) or 'none'}")
    CONSOLE.print(table.table(sums))


def add(given: argparse.Namespace) -> None:
    """Read a window into the test set."""
    fields = {name: value for name, value in vars(given).items() if name != "command"}
    made = gather.gather(Path(fields.pop("clone")), **fields)
    named = sum(bool(entry.commits) for entry in made.entries)
    CONSOLE.print(
        f"{windows.write(made)}: {made.commits} commits, {len(made.entries)} entries, {named} with"
        " commits of the window"
    )


if __name__ == "__main__":
    main()
