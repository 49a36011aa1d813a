"""An engine is used once it has proved itself, and left alone while it is in trouble."""

from __future__ import annotations

from sparky.llm.breaker import FAILURES, FIRST_PAUSE, LONGEST_PAUSE, Breaker


class Watch:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_nothing_goes_through_before_a_trial() -> None:
    breaker = Breaker(Watch())
    assert (breaker.closed, breaker.trial) == (False, True)
    breaker.passed()
    assert (breaker.closed, breaker.trial) == (True, False)


def test_it_opens_after_failures_in_a_row() -> None:
    breaker = Breaker(Watch())
    breaker.passed()
    for _ in range(FAILURES - 1):
        breaker.failed()
    assert breaker.closed
    breaker.succeeded()
    for _ in range(FAILURES - 1):
        breaker.failed()
    assert breaker.closed
    breaker.failed()
    assert not breaker.closed


def test_pauses_double_until_a_call_goes_well() -> None:
    watch = Watch()
    breaker = Breaker(watch)
    pauses = []
    for _ in range(10):
        breaker.open()
        pauses.append(breaker.due - watch.seconds)
        assert not breaker.trial
        watch.seconds = breaker.due
        assert breaker.trial
    assert pauses[:3] == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE]
    assert pauses[-1] == LONGEST_PAUSE
    breaker.passed()
    breaker.succeeded()
    breaker.open()
    assert breaker.due - watch.seconds == FIRST_PAUSE
