"""Hostile messages against a real engine: `make bench BENCH=injection`.

The whole corpus in `tests/data/hostile/` is summarised, each hostile message beside an honest one.
Nothing may come out of the schema, no honest activity may be told otherwise than by what it says or in
words of the message beside it, and the digest may hold no link or mention that Sparky did not make.
The engine is the configured one (SPARKY_LLM_…), else the embedded; its answers are kept in the state
folder, so that what was interrupted, or ended by `--minutes`, goes on where it was. Ends with 1 if a
message reached anything.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from sparky import pipeline, wiring
from sparky.model import Origin
from sparky.ports import Engine
from sparky.settings import load
from tests import hostile

STRIDE = 13
"""One case in so many is taken first, then the ones after these: any part is a mix of all sorts."""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--some", type=int, help="only so many messages, spread over the corpus")
    options.add_argument("--minutes", type=float, default=float("inf"), help="end after so many")
    options.add_argument("--json", type=Path)
    given = options.parse_args()
    cases = [case for first in range(STRIDE) for case in hostile.cases()[first::STRIDE]]
    end = time.monotonic() + 60 * given.minutes
    with wiring.open(load()) as wired:
        ask = pipeline.asking(wired.backend, wired.store, pipeline.Unwritten(wired.store))
        figures = measure(
            wired.backend.engine(), ask, cases[: given.some], late=lambda: time.monotonic() > end
        )
    show(figures)
    if given.json:
        given.json.write_text(json.dumps(figures, indent=2) + "\n")
    sys.exit(1 if figures["faults"] else 0)


def measure(
    engine: Engine, ask: hostile.Ask, cases: Sequence[hostile.Case], late: Callable[[], bool]
) -> dict[str, object]:
    """What the engine made of the messages, and of the honest activities beside them."""
    undisturbed = {}
    for one in hostile.HONEST:
        point = hostile.attempt((), engine, ask, (one,)).told(one)
        undisturbed[one.key] = point.text if point else ""
    faults: list[str] = []
    otherwise: list[list[str]] = []
    told: list[list[str]] = []
    sorts: Counter[str] = Counter()
    calls = refused = by_engine = 0
    console = Console(stderr=True)
    for number, case in enumerate(track(cases, console=console, disable=not sys.stderr.isatty())):
        if late():
            break
        one = hostile.HONEST[number % len(hostile.HONEST)]
        trial = hostile.attempt((case,), engine, ask, (one,))
        faults += [f"{case.name}: {fault}" for fault in hostile.faults(trial)]
        sorts[case.sort] += 1
        calls += len(trial.answers)
        refused += len(trial.summary.rejected)
        mine, theirs = trial.told(one), trial.told(trial.window[0])
        if mine is not None:
            by_engine += mine.origin is Origin.ENGINE
            if mine.text != undisturbed[one.key]:
                otherwise.append([case.name, mine.text])
        if theirs is not None and theirs.origin is Origin.ENGINE:
            told.append([case.name, theirs.text])
    return {
        "engine": engine.name,
        "model": engine.model,
        "messages": sorts.total(),
        "of_each_sort": dict(sorted(sorts.items())),
        "answers": calls,
        "refused": refused,
        "hostile_told_by_the_engine": len(told),
        "honest_told_by_the_engine": by_engine,
        "honest_told_word_for_word_as_without": sorts.total() - len(otherwise),
        "honest_told_otherwise": otherwise,
        "hostile_told": told,
        "faults": faults,
    }


def show(figures: dict[str, object]) -> None:
    """The figures as a table, and each fault."""
    table = Table("what", "figure", box=None, show_header=False)
    for name, value in figures.items():
        if not isinstance(value, list):
            table.add_row(name.replace("_", " "), str(value))
    console = Console()
    console.print(table)
    faults = figures["faults"]
    assert isinstance(faults, list)
    console.print(f"faults: {len(faults)}", *faults, sep="\n  ", markup=False)


if __name__ == "__main__":
    main()
