"""How fast the git source reads, beside plain `git log --numstat`: `make bench BENCH=ingest`.

Both read the same history, one after the other, some times over, in one run: the source in a
process of its own that counts the activities that it is given, git with its output thrown away.
Without `--repo` the history is one of 50,000 commits that is made for it. Prints a table, and
with `--json FILE` the figures.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from rich.console import Console
from rich.table import Table

from bench.history import write_history
from sparky.model import Window
from sparky.source.gitrepo import GitSource

ALL = Window(datetime(1980, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))
SPEED, MEMORY = 0.8, 150
"""What is wanted: this much of git's speed, and less than so many MB."""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--repo", type=Path, help="a repository on this machine")
    options.add_argument("--commits", type=int, default=50_000, help="of the history that is made")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--json", type=Path)
    options.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.read:
        print(json.dumps(read(given.read)))
        return
    with tempfile.TemporaryDirectory() as folder:
        repo = given.repo
        if repo is None:
            repo = Path(folder) / "history.git"
            began = time.perf_counter()
            write_history(repo, given.commits)
            print(f"made a history in {time.perf_counter() - began:.0f} s", file=sys.stderr)
        figures = measure(repo, given.rounds)
    show(figures)
    if given.json:
        given.json.parent.mkdir(parents=True, exist_ok=True)
        given.json.write_text(json.dumps(figures, indent=2) + "\n")


def read(repo: Path) -> dict[str, float]:
    """Read everything; what one round of the source gives."""
    with tempfile.TemporaryDirectory() as cache:
        source = GitSource(Path(cache))
        found = source.identify(str(repo))
        began = time.perf_counter()
        activities = files = 0
        for activity in source.activities(found, ALL):
            activities += 1
            files += activity.files_total
        seconds = time.perf_counter() - began
    return {
        "activities": activities,
        "files": files,
        "seconds": seconds,
        "reader_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "reader_cpu_seconds": time.process_time(),
        "git_mb": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024,
    }


def measure(repo: Path, rounds: int) -> dict[str, Any]:
    """Let both read in turn; of each the fastest round counts, which others disturbed least."""
    plain: list[float] = []
    ours: list[dict[str, float]] = []
    command = [sys.executable, __file__, "--read", str(repo)]
    for _ in range(rounds):
        began = time.perf_counter()
        subprocess.run(
            ["git", "-C", repo, "log", "--numstat"], stdout=subprocess.DEVNULL, check=True
        )
        plain.append(time.perf_counter() - began)
        ours.append(json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout))
    activities = int(ours[0]["activities"])
    best = min(ours, key=lambda one: one["seconds"])
    git_seconds, seconds = min(plain), best["seconds"]
    return {
        "repo": repo.name,
        "git": subprocess.run(
            ["git", "version"], stdout=subprocess.PIPE, check=True, text=True
        ).stdout.split()[2],
        "cpus": os.cpu_count(),
        "rounds": rounds,
        "activities": activities,
        "files": int(ours[0]["files"]),
        "plain_git_seconds": git_seconds,
        "plain_git_each": plain,
        "source_seconds": seconds,
        "source_each": [one["seconds"] for one in ours],
        "plain_git_per_second": activities / git_seconds,
        "source_per_second": activities / seconds,
        "speed": git_seconds / seconds,
        "reader_mb": max(one["reader_mb"] for one in ours),
        "reader_cpu_seconds": best["reader_cpu_seconds"],
        "git_mb": max(one["git_mb"] for one in ours),
    }


def show(figures: dict[str, Any]) -> None:
    """Print the figures beside what is wanted."""
    title = f"{figures['repo']}: {figures['activities']:,} activities, {figures['files']:,} files"
    table = Table("", "seconds", "activities/s", title=title)
    for name, key in (("git log --numstat", "plain_git"), ("GitSource.activities", "source")):
        row = f"{figures[f'{key}_seconds']:.2f}", f"{figures[f'{key}_per_second']:,.0f}"
        table.add_row(name, *row)
    console = Console()
    console.print(table)
    console.print(f"the fastest of {figures['rounds']} rounds each, in turn")
    console.print(f"speed {figures['speed']:.2f} of git's (wanted: {SPEED} or more)")
    console.print(
        f"memory {figures['reader_mb']:.0f} MB (wanted: under {MEMORY}); "
        f"its git, with the packs that it maps, {figures['git_mb']:.0f} MB"
    )


if __name__ == "__main__":
    main()
