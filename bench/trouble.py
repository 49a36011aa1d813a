"""What the rest loses when one of four engines goes wrong: `make bench BENCH=trouble`.

The farm of `bench/farmcalls.py` works with four played engines. When two fifths of the calls are
answered, one engine is killed, hangs, becomes 500 times slower, or writes nonsense. The tokens/s of
the other three after that are compared with theirs before, in the same run, and each call must have
ended once. Prints a table, and with `--json FILE` the figures.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.farmcalls import crew
from bench.field import played
from bench.prompts import Prompts, made_up
from sparky.services import Wanted, attach
from sparky.store import schema
from sparky.store.connection import connect
from tests.engines.fleet import figures, trouble

TROUBLES: dict[str, dict[str, Any]] = {
    "none": {},
    "killed": {"kind": "reset"},
    "hung": {"kind": "hang"},
    "slow": {"kind": "slow", "slowness": 500.0},
    "corrupt": {"kind": "corrupt"},
}
BEFORE = (0.15, 0.40)
AFTER = (0.45, 0.85)
"""Shares of the calls between which the rest is measured."""
ENDED = sa.text("""
    SELECT count(*) FILTER (WHERE state = 'done') AS done,
           count(DISTINCT key) FILTER (WHERE state = 'done') AS keys,
           (SELECT count(*) FROM llm_calls WHERE outcome = 'ok') AS answers
    FROM steps WHERE stage = 'summarize'
""")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--slots", type=int, default=16)
    options.add_argument("--scale", type=float, default=4)
    options.add_argument("--rounds", type=int, default=16, help="calls for each slot")
    options.add_argument("--patience", type=float, default=15.0, help="seconds of silence")
    options.add_argument("--kinds", nargs="+", choices=list(TROUBLES), default=list(TROUBLES))
    options.add_argument("--json", type=Path)
    given = options.parse_args()
    table = Table(title="tokens/s of three engines after the fourth went wrong ÷ before")
    for column in ("trouble", "calls", "ended", "twice", "before", "after", "share"):
        table.add_column(column, justify="right")
    found = []
    wanted = Wanted(postgres=True, valkey=False, llama=None)
    with tempfile.TemporaryDirectory() as folder, attach(Path(folder), wanted) as ends:
        assert ends.database_url is not None
        schema.upgrade(ends.database_url)
        for kind in given.kinds:
            row = measure(
                ends.database_url, kind, given.slots, given.scale, given.rounds, given.patience
            )
            found.append(row)
            table.add_row(
                kind, str(row["calls"]), str(row["ended"]), str(row["twice"]),
                f"{row['before']:.0f}", f"{row['after']:.0f}", f"{row['share']:.3f}",
            )  # fmt: skip
    Console().print(table)
    if given.json:
        given.json.write_text(json.dumps(found, indent=2) + "\n")


def measure(
    database_url: str, kind: str, slots: int, scale: float, rounds: int, patience: float
) -> dict[str, Any]:
    """One run with one trouble. Rates are tokens/s of the engines' time."""
    field = played(4, slots, scale)
    # With a schema, so that nonsense can be told from an answer.
    asked = {
        key: replace(p, schema={"type": "object"}) for key, p in made_up(4 * slots * rounds).items()
    }
    with field.start() as urls, crew(database_url, urls, field, asked, patience=patience) as go:
        worker = threading.Thread(target=go)
        worker.start()
        points = _watch(urls, asked, TROUBLES[kind], worker)
    before, after = (_rate(points, *part) / scale for part in (BEFORE, AFTER))
    with connect(database_url).begin() as connection:
        ended = connection.execute(ENDED).one()
    return {
        "trouble": kind,
        "calls": len(asked),
        "ended": ended.keys,
        "twice": ended.done - ended.keys,
        "answers": ended.answers,
        "before": before,
        "after": after,
        "share": after / before,
    }


Point = tuple[float, float, int]
"""Seconds, the share of the calls that are answered, tokens that the three have written."""


def _watch(
    urls: Sequence[str], asked: Prompts, what: dict[str, Any], worker: threading.Thread
) -> list[Point]:
    """Look at the engines until the run ends, and let the first go wrong when it is time."""
    points: list[Point] = []
    answered, due = 0, bool(what)
    while worker.is_alive():
        rest = [figures(url) for url in urls[1:]]
        if not what or due:
            answered = figures(urls[0])["answers"]
        share = (answered + sum(one["answers"] for one in rest)) / len(asked)
        points.append((time.monotonic(), share, sum(one["written"] for one in rest)))
        if due and share >= BEFORE[1]:
            trouble(urls[0], **what)
            due = False
        worker.join(0.25)
    return points


def _rate(points: Sequence[Point], low: float, high: float) -> float:
    inner = [(at, written) for at, share, written in points if low <= share <= high]
    (a, first), (b, last) = inner[0], inner[-1]
    return (last - first) / (b - a)


if __name__ == "__main__":
    main()
