"""Where the time of a run goes, stage by stage: `make bench BENCH=run`.

A repository of 1000 commits is read by the real `sparky run` (embedded Postgres and Valkey, a
real worker). By default a stand-in answers at once in the engine's place, so that what remains is
Sparky's own time; `--embedded` takes the real embedded model instead. Prints a table, and with
`--json FILE` the figures.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.history import write_history
from sparky.services import Wanted, attach
from sparky.store.connection import connect
from tests.engines.vllm import Vllm

STAGES = sa.text("""
    SELECT s.stage, count(*) AS steps, min(s.started_at) AS began, max(s.ended_at) AS ended,
           sum(extract(epoch FROM s.ended_at - s.started_at)) AS busy
    FROM steps s JOIN jobs j ON j.id = s.job_id JOIN runs r ON r.id = j.run_id
    WHERE r.id = (SELECT id FROM runs ORDER BY created_at DESC LIMIT 1)
    GROUP BY s.stage ORDER BY min(s.started_at)
""")
CALLS = sa.text("""
    SELECT stage, coalesce(sum(seconds), 0) AS seconds, count(*) AS calls
    FROM llm_calls WHERE outcome <> 'cached' GROUP BY stage
""")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--commits", type=int, default=1000)
    options.add_argument("--embedded", action="store_true", help="ask the real embedded model")
    options.add_argument("--json", type=Path)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder), given.commits, embedded=given.embedded)
    show(figures)
    if given.json:
        given.json.write_text(json.dumps(figures, indent=2) + "\n")


def measure(folder: Path, commits: int, *, embedded: bool) -> dict[str, Any]:
    """Run Sparky once over a fresh history; seconds of each stage, of the engine, of the rest."""
    repository = folder / "history.git"
    write_history(repository, commits)
    state = folder / "state"
    with engine(embedded=embedded) as variables:
        environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("SPARKY_")},
            **variables,
            "SPARKY_STATE_DIR": str(state),
            "SPARKY_CONFIG": os.devnull,
        }
        words = [str(Path(sys.executable).with_name("sparky")), "run", str(repository)]
        words += ["--since", "2000-01-01", "--format", "json"]
        began = time.perf_counter()
        done = subprocess.run(words, env=environment, stdout=subprocess.PIPE, check=True, text=True)
        wall = time.perf_counter() - began
    document = json.loads(done.stdout)
    with attach(state, Wanted(postgres=True, valkey=False, llama=None)) as ends:
        assert ends.database_url is not None
        with connect(ends.database_url).begin() as connection:
            stages = [dict(row) for row in connection.execute(STAGES).mappings()]
            calls = {row["stage"]: dict(row) for row in connection.execute(CALLS).mappings()}
    return figures_of(commits, wall, stages, calls, document)


def figures_of(
    commits: int,
    wall: float,
    stages: list[dict[str, Any]],
    calls: dict[str, dict[str, Any]],
    document: dict[str, Any],
) -> dict[str, Any]:
    """What the database and the digest say, as numbers."""
    rows = []
    for stage in stages:
        asked = calls.get(stage["stage"], {"seconds": 0.0, "calls": 0})
        elapsed = (stage["ended"] - stage["began"]).total_seconds()
        rows.append(
            {
                "stage": stage["stage"],
                "steps": stage["steps"],
                "elapsed_s": round(elapsed, 3),
                "engine_s": round(float(asked["seconds"]), 3),
                "engine_calls": asked["calls"],
            }
        )
    first, last = stages[0]["began"], stages[-1]["ended"]
    inside = (last - first).total_seconds()
    return {
        "commits": commits,
        "accounted": sum(e["summarized"] + len(e["omitted"]) for e in document["ledger"]),
        "wall_s": round(wall, 3),
        "start_and_stop_s": round(wall - inside, 3),
        "stages_s": round(inside, 3),
        "engine_s": round(sum(row["engine_s"] for row in rows), 3),
        "stages": rows,
    }


@contextmanager
def engine(*, embedded: bool) -> Iterator[dict[str, str]]:
    """Settings that name the engine."""
    if embedded:
        yield {}
        return
    with Vllm() as server:
        server.context = 8192
        yield {"SPARKY_LLM_KIND": "openai", "SPARKY_LLM_URL": server.url}


def show(figures: dict[str, Any]) -> None:
    """The figures as a table."""
    table = Table("stage", "steps", "elapsed s", "engine s", "engine calls", box=None)
    for row in figures["stages"]:
        table.add_row(*(str(value) for value in row.values()))
    console = Console()
    console.print(table)
    console.print(
        f"{figures['commits']} commits: {figures['wall_s']} s in all; "
        f"{figures['start_and_stop_s']} s to start and stop services and the worker, "
        f"{figures['stages_s']} s from the first stage to the last, "
        f"{figures['engine_s']} s of them in the engine."
    )


if __name__ == "__main__":
    main()
