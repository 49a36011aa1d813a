"""The in-flight limit ends where an engine is fastest, against engines described by a curve."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparky.llm.limiter import LATER, Limiter

Curve = Callable[[int], float]
"""Tokens/s of an engine, all together, with this many requests in flight."""


def batching(slots: int, alone: float = 83.0) -> Curve:
    """As gpt-oss-20b on one Spark: 83 tokens/s alone, 233 at 8, 474 at 32; no more beyond slots."""
    return lambda n: alone * min(n, slots) ** 0.5


def rounds(limiter: Limiter, curve: Curve, count: int, first: float = 0.1) -> None:
    """Let so many rounds of answers come, each begun under the limit that then holds."""
    for _ in range(count):
        for _ in range(limiter.limit):
            seconds = 100 * limiter.limit / curve(limiter.limit)
            limiter.answered(limiter.era, 100, seconds, first, busy=True)


@pytest.mark.parametrize("slots", [2, 8, 32, 64, 200])
@pytest.mark.parametrize("start", [1, 4, 16])
def test_it_ends_where_the_engine_is_full(slots: int, start: int) -> None:
    """At least nine tenths of the best speed, and no more than twice the requests needed."""
    limiter, curve = Limiter(start), batching(slots)
    rounds(limiter, curve, 20)
    assert curve(limiter.limit) >= 0.9 * curve(slots)
    assert limiter.limit <= max(2 * slots, start)


def test_an_engine_that_gains_nothing_gets_what_it_had() -> None:
    limiter = Limiter(4)
    rounds(limiter, lambda n: 50.0, 10)
    assert limiter.limit == 4


def test_what_did_not_pay_is_tried_again_later() -> None:
    """The engine has more room than before: somebody else has gone."""
    limiter = Limiter(8)
    rounds(limiter, batching(8), 4)
    assert limiter.limit == 8
    rounds(limiter, batching(32), LATER + 20)
    assert limiter.limit >= 28


def test_an_overload_halves_it_once() -> None:
    """All that was refused at the same time is one overload."""
    limiter = Limiter(16)
    era = limiter.era
    for _ in range(10):
        limiter.overloaded(era)
    assert limiter.limit == 8


def test_it_is_never_less_than_one() -> None:
    limiter = Limiter(2)
    for _ in range(5):
        limiter.overloaded(limiter.era)
    assert limiter.limit == 1


def test_what_a_person_allows_is_the_most() -> None:
    limiter = Limiter(64, most=12)
    assert limiter.limit == 12
    rounds(limiter, batching(64), 10)
    assert limiter.limit == 12


def test_a_queue_shows_that_an_engine_is_full() -> None:
    """Its slots were busy before: more requests only wait, which their first tokens tell.

    A short queue stays, so that no slot is idle between two calls.
    """
    limiter = Limiter(8)
    rounds(limiter, batching(64), 1, first=0.1)
    assert limiter.limit == 16
    for _ in range(16):
        limiter.answered(limiter.era, 100, 6.0, 3.0, busy=True)
    assert limiter.limit == 10


def test_idle_times_teach_nothing() -> None:
    """With fewer requests than allowed, the engine's speed says nothing of the limit."""
    limiter = Limiter(8)
    for _ in range(100):
        limiter.answered(limiter.era, 100, 1.0, 0.1, busy=False)
    assert limiter.limit == 8


def test_answers_begun_under_an_earlier_limit_teach_nothing() -> None:
    limiter = Limiter(8)
    old = limiter.era
    limiter.overloaded(old)
    for _ in range(100):
        limiter.answered(old, 100, 1.0, 0.1, busy=True)
    assert (limiter.limit, limiter.rate) == (4, 0.0)


def test_a_queue_that_nears_the_timeout_lowers_it() -> None:
    """However many tokens it brings, a first token that takes too long is the next timeout."""
    limiter = Limiter(16, patience=10)
    rounds(limiter, batching(64), 3, first=11)
    assert limiter.limit < 16


@given(
    st.integers(1, 300),
    st.integers(1, 300) | st.none(),
    st.lists(st.tuples(st.booleans(), st.integers(0, 5000), st.floats(0, 1e4)), max_size=200),
)
def test_it_stays_within_its_bounds(
    start: int, most: int | None, events: list[tuple[bool, int, float]]
) -> None:
    """Whatever an engine does."""
    limiter = Limiter(start, most=most)
    for good, tokens, seconds in events:
        if good:
            limiter.answered(limiter.era, tokens, seconds, seconds / 2, busy=True)
        else:
            limiter.overloaded(limiter.era)
        assert 1 <= limiter.limit <= (most or 1024)
