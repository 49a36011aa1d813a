"""What follows from an error."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from sparky.errors import Changed, EngineError, Throttled, Transient
from sparky.retries import Anew, Policy, Retry, Stop, Wait, decide

POLICY = Policy(attempts=4, first=timedelta(seconds=2), longest=timedelta(seconds=10))
LATER = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_throttled_step_waits_until_it_was_told() -> None:
    """However often it failed before: waiting burns no attempt."""
    error = Throttled("slow down", until=LATER)
    assert decide(error, 99, policy=POLICY, seed="1") == Wait(LATER)


def test_what_has_changed_begins_anew() -> None:
    """Trying the step again would read the same as before."""
    assert decide(Changed("read again"), 0, policy=POLICY, seed="1") == Anew()


def test_a_permanent_error_stops_at_once() -> None:
    """Trying again would change nothing."""
    assert decide(EngineError("wrong key"), 0, policy=POLICY, seed="1") == Stop()


@given(failures=st.integers(0, 2), seed=st.text())
def test_a_passing_error_is_tried_again_after_a_bounded_pause(failures: int, seed: str) -> None:
    """The pause triples, with jitter of a half either way, and has an upper bound."""
    decision = decide(Transient("reset"), failures, policy=POLICY, seed=seed)
    assert isinstance(decision, Retry)
    pause = min(POLICY.first * 3**failures, POLICY.longest)
    assert pause * 0.5 <= decision.delay < pause * 1.5


def test_the_last_attempt_is_the_last() -> None:
    """A step stops after as many attempts as the policy allows, bugs included."""
    assert decide(Transient("reset"), 3, policy=POLICY, seed="1") == Stop()
    assert decide(ZeroDivisionError(), 3, policy=POLICY, seed="1") == Stop()


def test_steps_that_fail_together_do_not_come_back_together() -> None:
    """A hundred steps that met the same outage return at different times."""
    delays = {str(decide(Transient("x"), 0, policy=POLICY, seed=str(n))) for n in range(100)}
    assert len(delays) > 90
