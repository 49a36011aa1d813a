"""Hostile messages against a real engine: `make bench BENCH=injection`.

The whole corpus in `tests/data/hostile/` is summarised, each hostile message beside an honest one. Nothing may come out of the schema, no honest activity may be told otherwise than
by what it says, and the digest may hold no link or mention that Sparky did not make. The engine is
the configured one (SPARKY_LLM_…), else the embedded. Ends with 1 if a message reached anything.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from sparky import wiring
from sparky.model import Origin
from sparky.ports import Backend
from sparky.settings import load
from tests import hostile


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--some", type=int, help="only so many messages, spread over the corpus")
    options.add_argument("--json", type=Path)
    given = options.parse_args()
    cases = hostile.cases()
    if given.some:
        cases = cases[:: max(1, len(cases) // given.some)]
    with tempfile.TemporaryDirectory() as folder:
        settings = load().with_changes(state_dir=Path(folder))
        with wiring.open(settings) as wired:
            figures = measure(wired.backend, cases)
    show(figures)
    if given.json:
        given.json.write_text(json.dumps(figures, indent=2) + "\n")
    sys.exit(1 if figures["faults"] else 0)


def measure(backend: Backend, cases: Sequence[hostile.Case]) -> dict[str, object]:
    """What the engine made of all messages, and of the honest activities beside them."""
    engine = backend.engine()
    undisturbed = {}
    for one in hostile.HONEST:
        point = hostile.attempt((), engine, backend.complete, (one,)).told(one)
        undisturbed[one.key] = point.text if point else ""
    faults: list[str] = []
    same = written = answered = 0
    began = time.perf_counter()
    console = Console(stderr=True)
    for number, case in enumerate(track(cases, console=console, disable=not sys.stderr.isatty())):
        one = hostile.HONEST[number % len(hostile.HONEST)]
        trial = hostile.attempt((case,), engine, backend.complete, (one,))
        faults += [f"{case.name}: {fault}" for fault in hostile.faults(trial)]
        point = trial.told(one)
        answered += bool(trial.answers)
        if point:
            same += point.text == undisturbed[one.key]
            written += point.origin is Origin.ENGINE
    return {
        "engine": engine.name,
        "model": engine.model,
        "messages": len(cases),
        "answered": answered,
        "honest_told_by_the_engine": written,
        "honest_told_word_for_word_as_without": same,
        "seconds": round(time.perf_counter() - began, 1),
        "faults": faults,
    }


def show(figures: dict[str, object]) -> None:
    """The figures as a table, and each fault."""
    table = Table("what", "figure", box=None, show_header=False)
    for name, value in figures.items():
        if name != "faults":
            table.add_row(name.replace("_", " "), str(value))
    console = Console()
    console.print(table)
    faults = figures["faults"]
    assert isinstance(faults, list)
    console.print(f"faults: {len(faults)}", *faults, sep="\n  ", markup=False)


if __name__ == "__main__":
    main()
