"""How much of the engines' speed Sparky uses: `make bench BENCH=saturation`.

Engines that batch continuously are played by `tests/engines/batching.py`: slots, a queue, and the
published rates of gpt-oss-20b on one DGX Spark, its time run `--scale` times faster. The same
prompts go to them in turn: from a closed loop that keeps a fixed number in flight and does nothing
else, at several numbers, of which the best counts; and from Sparky, as `bench/farmcalls.py` calls.
Celery's messages are not in it. Prints a table, and with `--json FILE` the figures.

A call's processor time depends on the pause before it (`bench/pauses.py`), so the table tells of the
mean pause of a process between two calls, and how much dearer a fixed piece of work is after it. A
larger `--scale` makes it shorter.

One pass of a real engine may differ from the next. With `--turns N` the loop's numbers are tried with
half of the prompts, which warms the engine, and then loop and Sparky follow each other N times; every
second time Sparky comes first, so that an engine whose speed drifts slows both.

`--url URL` takes a real engine instead, one that counts its tokens at `/metrics` (llama.cpp, vLLM),
and `--prompts FILE` real prompts, which `bench/prompts.py` writes. An engine that keeps earlier
prompts outside its slots must not (llama.cpp: `--cache-ram 0`; vLLM: `--no-enable-prefix-caching`),
as each pass asks the same. One that does not tell its slots (vLLM) wants `--slots`: its `--max-num-seqs`.
"""

from __future__ import annotations

import argparse
import functools
import json
import math
import operator
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import closedloop
from bench.farmcalls import crew, crew_size
from bench.field import Field, Tally, played, real, tally, watched
from bench.pauses import dearer
from bench.prompts import Prompts, made_up, read
from sparky.ports import Prompt
from sparky.services import Wanted, attach
from sparky.store import schema

WIDTH = 110
"""Characters that the table takes."""
FACTORS = (1.0, 1.5)
"""How many the closed loop keeps in flight for each slot."""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--servers", type=int, nargs="+", default=[1, 4, 16])
    options.add_argument("--slots", type=int, nargs="+")
    options.add_argument("--scale", type=float, nargs="+", default=[32, 32, 16])
    options.add_argument("--rounds", type=int, default=16, help="calls for each slot")
    options.add_argument("--turns", type=int, default=1, help="passes of loop and Sparky, in turn")
    options.add_argument("--url", help="a real engine, in place of those that are played")
    options.add_argument("--prompts", type=Path, help="real prompts, as bench/prompts.py writes")
    options.add_argument("--json", type=Path)
    given = options.parse_args()
    if given.url:
        fields = [real(given.url, *(given.slots or []))]
    else:
        shapes = zip(given.servers, given.slots or [32, 16, 8], given.scale, strict=False)
        fields = [played(*shape) for shape in shapes]
    found: list[Comparison] = []
    with tempfile.TemporaryDirectory() as folder:
        wanted = Wanted(postgres=True, valkey=False, llama=None)
        with attach(Path(folder), wanted) as ends:
            assert ends.database_url is not None
            schema.upgrade(ends.database_url)
            for field in fields:
                calls = field.servers * field.slots * given.rounds
                work = read(given.prompts, calls) if given.prompts else made_up(calls)
                found.append(compare(ends.database_url, field, work, given.turns))
    show(found)
    if given.json:
        rows = [one.figures() for one in found]
        given.json.write_text(json.dumps(rows, indent=2) + "\n")


@dataclass(frozen=True, slots=True)
class Turn:
    """A pass of the closed loop and the pass of Sparky after it; or the sums of several."""

    loop: Tally
    sparky: Tally

    @property
    def whole(self) -> float:
        """Sparky's tokens/s ÷ the loop's, with ramp and tail."""
        return self.sparky.whole / self.loop.whole

    @property
    def steady(self) -> float:
        """The same in the steady part."""
        return self.sparky.steady / self.loop.steady

    def __add__(self, other: Turn) -> Turn:
        return Turn(self.loop + other.loop, self.sparky + other.sparky)

    def figures(self) -> dict[str, Any]:
        return {
            "loop": _rates(self.loop),
            "sparky": _rates(self.sparky),
            "steady": self.steady,
            "whole": self.whole,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What came of one field."""

    field: Field
    calls: int
    loops: dict[int, Tally]
    """The closed loop's trials, by the number in flight at each engine."""
    turns: tuple[Turn, ...]
    cpu: float
    """Processor seconds that Sparky spent, in all turns."""
    dearer: float
    """What a fixed piece of work costs after a call's pause ÷ what it costs without."""

    @property
    def in_flight(self) -> int:
        """The best number for the closed loop."""
        return best(self.loops)

    @property
    def whole(self) -> Turn:
        """All turns together."""
        return functools.reduce(operator.add, self.turns)

    @property
    def cpu_ms(self) -> float:
        """Processor time of a call."""
        return 1000 * self.cpu / self.calls / len(self.turns)

    @property
    def pause(self) -> float:
        """Seconds from one call of a process to its next, in the mean."""
        return pause(self.field, self.calls, self.turns)

    def figures(self) -> dict[str, Any]:
        return {
            "model": self.field.model,
            "servers": self.field.servers,
            "slots": self.field.slots,
            "scale": self.field.scale,
            "calls": self.calls,
            "in_flight": self.in_flight,
            "loops": {number: _rates(one) for number, one in self.loops.items()},
            "turns": [turn.figures() for turn in self.turns],
            "cpu_ms": self.cpu_ms,
            "pause_ms": 1000 * self.pause,
            "dearer": self.dearer,
        } | self.whole.figures()


def compare(database_url: str, field: Field, work: Prompts, turns: int) -> Comparison:
    """The closed loop and Sparky over the same prompts."""
    bodies = [_request(prompt, field.model) for prompt in work.values()]
    cpu: list[float] = []

    def loop(in_flight: int, share: float) -> Tally:
        part = bodies[: math.ceil(share * len(bodies))]
        with field.start() as urls, watched(urls, field) as curve:
            closedloop.run(urls, in_flight, part)
        return tally(curve, field.scale)

    def sparky() -> Tally:
        with (
            field.start() as urls,
            crew(database_url, urls, field, work) as go,
            watched(urls, field) as curve,
        ):
            cpu.append(go())
        return tally(curve, field.scale)

    numbers = [round(field.slots * factor) for factor in FACTORS]
    loops, taken = alternate(loop, sparky, numbers, turns)
    return Comparison(
        field=field,
        calls=len(work),
        loops=loops,
        turns=taken,
        cpu=sum(cpu),
        dearer=dearer(pause(field, len(work), taken)),
    )


def pause(field: Field, calls: int, turns: Sequence[Turn]) -> float:
    """Seconds of our time from one call of a process to its next, in the mean of all turns."""
    seconds = sum(turn.sparky.seconds for turn in turns) / field.scale
    return seconds * crew_size(field) / (calls * len(turns))


def alternate(
    loop: Callable[[int, float], Tally],
    sparky: Callable[[], Tally],
    numbers: Sequence[int],
    turns: int,
) -> tuple[dict[int, Tally], tuple[Turn, ...]]:
    """The loop at each number in flight, and turns with the best; of one turn that is its pass."""
    if turns == 1:
        loops = {number: loop(number, 1.0) for number in numbers}
        return loops, (Turn(loops[best(loops)], sparky()),)
    loops = {number: loop(number, 0.5) for number in numbers}
    number = best(loops)
    taken = []
    for turn in range(turns):
        if turn % 2:
            later, first = sparky(), loop(number, 1.0)
        else:
            first, later = loop(number, 1.0), sparky()
        taken.append(Turn(first, later))
    return loops, tuple(taken)


def best(loops: dict[int, Tally]) -> int:
    """The number in flight at which most was written in the steady part."""
    return max(loops, key=lambda number: loops[number].steady)


def show(found: Sequence[Comparison]) -> None:
    """A row for each turn, and for all of them where there are several.

    `busy` are the slots at work, in the mean: the loop's, and Sparky's. `pause` is a process's between
    two calls, with how much dearer it makes a fixed piece of work.
    """
    table = Table(title="tokens/s of Sparky ÷ tokens/s of a closed loop", box=None)
    for column in (
        "servers", "slots", "calls", "turn", "loop", "best at", "Sparky", "steady", "whole",
        "busy", "CPU ms", "pause",
    ):  # fmt: skip
        table.add_column(column, justify="right")
    for one in found:
        rows = [(str(number), turn) for number, turn in enumerate(one.turns, start=1)]
        if len(rows) > 1:
            rows.append(("all", one.whole))
        for name, turn in rows:
            table.add_row(
                str(one.field.servers), str(one.field.slots), str(one.calls), name,
                f"{turn.loop.steady:.0f}", str(one.in_flight), f"{turn.sparky.steady:.0f}",
                f"{turn.steady:.3f}", f"{turn.whole:.3f}",
                f"{turn.loop.busy:.1f} {turn.sparky.busy:.1f}", f"{one.cpu_ms:.1f}",
                f"{1000 * one.pause:.0f} ms ×{one.dearer:.1f}",
            )  # fmt: skip
    Console(width=max(Console().width, WIDTH)).print(table)


def _rates(one: Tally) -> dict[str, float]:
    return {
        "tokens": one.tokens,
        "seconds": one.seconds,
        "whole": one.whole,
        "steady": one.steady,
        "busy": one.busy,
    }


def _request(prompt: Prompt, model: str) -> dict[str, Any]:
    """What Sparky sends, too."""
    body: dict[str, Any] = {
        "model": model,
        "messages": [
            {"role": "system", "content": prompt.system},
            {"role": "user", "content": prompt.user},
        ],
        "max_tokens": prompt.max_tokens,
        "temperature": prompt.temperature,
        "seed": prompt.seed,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if prompt.schema is not None:
        wrapped = {"name": "answer", "strict": True, "schema": prompt.schema}
        body["response_format"] = {"type": "json_schema", "json_schema": wrapped}
    return body


if __name__ == "__main__":
    main()
