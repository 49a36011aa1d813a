"""Counts are remembered; estimates err on the long side, and learn."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparky.llm.tokens import MARGIN, UNLEARNED, Estimator, Memory

PROSE = "The parser now accepts empty lines, and says where it stopped. " * 20
HASHES = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 " * 8


def test_a_count_is_remembered_until_others_push_it_out() -> None:
    """Memory is bounded; what was used last stays longest."""
    memory = Memory(2)
    memory.put("a", 1)
    memory.put("b", 2)
    assert memory.get("a") == 1
    memory.put("c", 3)
    assert (memory.get("a"), memory.get("b"), memory.get("c")) == (1, None, 3)


def test_an_estimate_is_careful_before_anything_is_learned() -> None:
    """No tokenizer in use needs more tokens than that for prose, code or hashes."""
    assert Estimator().estimate(PROSE) >= len(PROSE) / 3
    assert Estimator().estimate("") == 0
    assert Estimator().estimate("a") == 1


def test_an_estimate_learns_from_real_answers() -> None:
    """After a few prompts the estimate is close, and still not below."""
    estimator = Estimator()
    real = len(PROSE) // 4
    for _ in range(3):
        estimator.learn(PROSE, real)
    assert real <= estimator.estimate(PROSE) <= real * 1.1


def test_the_densest_text_counts() -> None:
    """Prompts of prose do not make the next prompt of hashes look short."""
    estimator = Estimator()
    dense = len(HASHES) // 2
    for _ in range(5):
        estimator.learn(PROSE, len(PROSE) // 4)
        estimator.learn(HASHES, dense)
    assert estimator.estimate(HASHES) >= dense


def test_short_prompts_teach_nothing() -> None:
    """They are mostly template, and would make every text look long."""
    estimator = Estimator()
    for _ in range(10):
        estimator.learn("Hi", 30)
    assert estimator.ratio == UNLEARNED


@pytest.mark.parametrize("tokens", [0, 10**9])
def test_absurd_counts_do_no_harm(tokens: int) -> None:
    """An engine that reports nonsense cannot make estimates useless."""
    estimator = Estimator()
    for _ in range(5):
        estimator.learn(PROSE, tokens)
    assert MARGIN <= estimator.ratio <= 8


@given(st.text(), st.text())
def test_estimates_add_up(one: str, two: str) -> None:
    """The parts of a text never seem shorter than the whole, so a packed chunk fits."""
    estimator = Estimator()
    assert estimator.estimate(one) + estimator.estimate(two) >= estimator.estimate(one + two)
