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


class Passes:
    """Passes of which each writes as much as its number in flight says."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def loop(self, in_flight: int, share: float) -> Tally:
        self.done.append(f"{share:.0%} of the loop at {in_flight}")
        return Tally(100, 1.0, 40 + in_flight, 1.0)

    def sparky(self) -> Tally:
        self.done.append("Sparky")
        return Tally(90, 1.0, 40, 1.0)


def test_loop_and_sparky_take_turns() -> None:
    """Trials warm the engine; then passes alternate, every second time with Sparky's first."""
    passes = Passes()
    loops, turns = alternate(passes.loop, passes.sparky, [16, 24], 3)
    loop = "100% of the loop at 24"
    assert passes.done == [
        "50% of the loop at 16", "50% of the loop at 24",
        loop, "Sparky", "Sparky", loop, loop, "Sparky",
    ]  # fmt: skip
    assert list(loops) == [16, 24]
    assert [turn.whole for turn in turns] == [0.9, 0.9, 0.9]


def test_one_turn_is_the_best_trial_and_a_pass_of_sparky() -> None:
    """Played engines begin anew in each pass, so that a trial of the loop is a turn's pass."""
    passes = Passes()
    _, (turn,) = alternate(passes.loop, passes.sparky, [16, 24], 1)
    assert passes.done == ["100% of the loop at 16", "100% of the loop at 24", "Sparky"]
    assert turn.loop.inner_tokens == 64


def test_longer_passes_weigh_more() -> None:
    """All turns together are all tokens ÷ all seconds, not the mean of the turns' ratios."""
    long = Turn(Tally(900, 9.0, 1, 1.0), Tally(900, 9.0, 1, 1.0))
    short = Turn(Tally(100, 1.0, 1, 1.0), Tally(100, 2.0, 1, 1.0))
    assert (long + short).whole == pytest.approx(10 / 11)
