"""What a giant costs those beside it: `make bench BENCH=tenant`.

A run over small repositories, of five commits each; then one over as many new ones and a giant that
has a thousand times their commits. Workers are parted as in stack.yml; the source answers at once and
the engine after a while (`bench/instant.py`). Told is how long the small ones took from the run's
start to their end, in the middle and for 95 of 100, without and with the giant.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import sqlalchemy as sa
from celery import Celery
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.farm import BOTH, WINDOW, process, tracked
from sparky import settings as configuration
from sparky.farm.app import make
from sparky.farm.bell import ring
from sparky.farm.worker import worker_words
from sparky.model import Repo
from sparky.services import attach, remove
from sparky.settings import Settings
from sparky.store import schema
from sparky.store.connection import connect
from sparky.store.gateway import Gateway
from sparky.store.runs import Runs

TIMES = 1000
COMMITS = 5
DEADLINE = 1800.0
TOOK = sa.text("""
    SELECT repositories.name, extract(epoch FROM jobs.finished_at - runs.created_at) AS seconds
    FROM jobs
    JOIN runs ON runs.id = jobs.run_id
    JOIN repositories ON repositories.id = jobs.repository_id
    WHERE runs.id = :run AND jobs.state = 'done'
""")
CHUNKS = sa.text("""
    SELECT coalesce(sum(jobs.chunks), 0)
    FROM jobs JOIN repositories ON repositories.id = jobs.repository_id
    WHERE repositories.name = 'giant'
""")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--repositories", type=int, default=200)
    options.add_argument(
        "--times", type=int, default=TIMES, help="the giant's commits, in small ones"
    )
    options.add_argument("--delay", type=float, default=0.5, help="seconds of an engine's answer")
    options.add_argument("--threads", type=int, default=16, help="questions at once")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder, attach(Path(folder), BOTH) as ends:
        schema.upgrade(ends.database_url or "")
        os.environ |= {
            "SPARKY_DATABASE_URL": ends.database_url or "",
            "SPARKY_BROKER_URL": ends.broker_url or "",
            "SPARKY_STATE_DIR": folder,
            "SPARKY_CONFIG": os.devnull,
            "SPARKY_LOG_LEVEL": "warning",
            "BENCH_GIANT": str(given.times * COMMITS),
            "BENCH_DELAY": str(given.delay),
        }
        settings = configuration.load()
        app, engine = make(settings), connect(ends.database_url or "")
        giant = Repo("bench:giant", "giant", "git", "/bench/giant")
        Gateway(engine).add_repo(giant)
        with ExitStack() as stack:
            for words in workers(given.threads):
                stack.enter_context(process(["-A", "bench.instant", *words]))
            while len(app.control.ping(timeout=0.5)) < 3:
                pass
            run(settings, app, engine, tracked(engine, "warm", 20))
            alone = run(settings, app, engine, tracked(engine, "alone", given.repositories))
            beside = run(
                settings, app, engine, [giant.id, *tracked(engine, "beside", given.repositories)]
            )
        with engine.connect() as connection:
            chunks = int(connection.execute(CHUNKS).scalar_one())
        engine.dispose()
    remove(Path(folder))
    show(alone, beside, chunks)


def workers(threads: int) -> list[list[str]]:
    """Parted as in stack.yml, and beat."""
    rest = ("rollup", "publish", "sweep", "tick", "prune")
    return [
        worker_words("fetch", queues=("fetch", "chunk"), pool="prefork", concurrency=2),
        worker_words("summarize", queues=("summarize",), concurrency=threads),
        worker_words("default", queues=rest, concurrency=8),
        ["beat", "--schedule", str(Path(os.environ["SPARKY_STATE_DIR"]) / "beat")],
    ]


def run(
    settings: Settings, app: Celery, engine: sa.Engine, repos: Sequence[str]
) -> dict[str, float]:
    """Seconds from the run's start to the end of each repository, by name."""
    name, began = f"run-{repos[-1]}", time.monotonic()
    ring(app, Runs(engine, farm=settings.farm).start(name, WINDOW, list(repos), {}))
    took: dict[str, float] = {}
    while len(took) < len(repos):
        if time.monotonic() - began > DEADLINE:
            raise SystemExit(f"{len(repos) - len(took)} repositories not done after {DEADLINE:g} s")
        time.sleep(1)
        with engine.connect() as connection:
            took = {row.name: float(row.seconds) for row in connection.execute(TOOK, {"run": name})}
    return took


def show(alone: dict[str, float], beside: dict[str, float], chunks: int) -> None:
    giant = beside.pop("giant")
    table = Table("", "alone", "beside the giant", "÷", box=None)
    for name, part in (("in the middle, s", 50), ("95 of 100, s", 95)):
        one, other = (_percentile(took, part) for took in (alone, beside))
        table.add_row(name, f"{one:.1f}", f"{other:.1f}", f"{other / one:.2f}")
    console = Console()
    console.print(table)
    console.print(
        f"{len(alone)} small repositories; the giant of {chunks} chunks took {giant:.0f} s."
    )


def _percentile(took: dict[str, float], part: int) -> float:
    return statistics.quantiles(took.values(), n=100)[part - 1]


if __name__ == "__main__":
    main()
