"""The bench of saturation compares passes that follow each other; no engine is asked here."""

from __future__ import annotations

import pytest

from bench.field import Look, Tally, tally
from bench.saturation import Turn, alternate


def test_ramp_and_tail_are_not_in_the_steady_part() -> None:
    """Of a pass that begins and ends slowly, the steady rate is that of its middle; idle time counts."""
    written = [100, 110, 200, 300, 400, 500, 600, 695, 700, 700, 700]
    busy = [0, 2, 4, 4, 4, 4, 4, 1, 0, 0, 0]
    pass_ = tally(
        [(float(at), Look(*one)) for at, one in enumerate(zip(written, busy, strict=True))]
    )
    assert pass_.tokens == 600
    assert pass_.seconds == 8.0
    assert pass_.whole == 75.0
    assert pass_.steady == 100.0
    assert pass_.busy == pytest.approx(23 / 8)


def test_rates_are_of_the_engines_time() -> None:
    """Engines whose time runs four times faster write as much in a second of theirs as real ones."""
    curve = [(at / 4, Look(100 * at, 1)) for at in range(11)]
    assert tally(curve, 4.0).whole == 100.0
    assert tally(curve, 4.0).busy == 1.0


def test_loop_and_sparky_take_turns() -> None:
    """The loop is tried at each number once, and each pass of Sparky has one of the best before it."""
    passes: list[str] = []

    def loop(in_flight: int) -> Tally:
        passes.append(f"loop {in_flight}")
        return Tally(100, 1.0, 40 + in_flight, 1.0)

    def sparky() -> Tally:
        passes.append("Sparky")
        return Tally(90, 1.0, 40, 1.0)

    loops, turns = alternate(loop, sparky, [16, 24], 3)
    assert passes == ["loop 16", "loop 24", "Sparky", "loop 24", "Sparky", "loop 24", "Sparky"]
    assert list(loops) == [16, 24]
    assert [turn.whole for turn in turns] == [0.9, 0.9, 0.9]


def test_longer_passes_weigh_more() -> None:
    """All turns together are all tokens ÷ all seconds, not the mean of the turns' ratios."""
    long = Turn(Tally(900, 9.0, 1, 1.0), Tally(900, 9.0, 1, 1.0))
    short = Turn(Tally(100, 1.0, 1, 1.0), Tally(100, 2.0, 1, 1.0))
    assert (long + short).whole == pytest.approx(10 / 11)
