"""What an engine is said to be able to do is what its answers showed."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from sparky.errors import BadAnswer, SparkyError, Transient
from sparky.llm.measure import Level, Report, measure
from sparky.ports import Answer, Engine, Prompt
from tests.fakes import FakeBackend


class Steady(FakeBackend):
    """Each answer has ten tokens, the first after a second, one more each tenth of a second."""

    def __init__(self, trouble: SparkyError | None = None) -> None:
        super().__init__()
        self.trouble = trouble
        self.now = 0
        self.most = 0
        self._guard = threading.Lock()

    def complete(self, prompt: Prompt) -> Answer:
        with self._guard:
            self.now += 1
            self.most = max(self.most, self.now)
        answer = super().complete(prompt)
        with self._guard:
            self.now -= 1
        if self.trouble is not None and len(self.prompts) > 1:
            raise self.trouble
        return replace(
            answer,
            prompt_tokens=100,
            completion_tokens=11,
            cached_tokens=25,
            seconds=2.0,
            first_token_seconds=1.0,
        )


def level(in_flight: int, rate: float) -> Level:
    return Level(
        in_flight=in_flight,
        calls=1,
        failed=0,
        seconds=1.0,
        tokens_per_second=rate,
        prompt_tokens_per_second=0.0,
        first_token=0.0,
        first_token_slowest=0.0,
        each_token=0.0,
        cached_share=0.0,
    )


def test_times_are_those_of_the_answers() -> None:
    (found,) = measure(Steady(), levels=[2], rounds=3).levels
    assert (found.in_flight, found.calls, found.failed) == (2, 6, 0)
    assert (found.first_token, found.first_token_slowest) == (1.0, 1.0)
    assert found.each_token == pytest.approx(0.1)
    assert found.cached_share == 0.25


def test_no_more_is_in_flight_than_the_level_says() -> None:
    backend = Steady()
    measure(backend, levels=[3], rounds=5)
    assert 1 <= backend.most <= 3


def test_no_prompt_comes_twice_and_all_begin_alike() -> None:
    """So that an engine's prefix cache helps as it does in the farm, and not more."""
    backend = Steady()
    measure(backend, levels=[1, 2], rounds=4)
    assert len({prompt.user for prompt in backend.prompts}) == len(backend.prompts)
    assert len({prompt.system for prompt in backend.prompts}) == 1


def test_cut_answers_count_as_what_was_written() -> None:
    cut = BadAnswer("cut", prompt_tokens=100, completion_tokens=50, seconds=2.0)
    (found,) = measure(Steady(cut), levels=[1], rounds=2).levels
    assert (found.calls, found.failed) == (2, 0)
    assert found.tokens_per_second > 0


def test_a_level_at_which_nothing_works_is_an_error() -> None:
    with pytest.raises(Transient, match="reset"):
        measure(Steady(Transient("reset")), levels=[1], rounds=2)


@pytest.mark.parametrize(
    ("rates", "best"),
    [([10, 20, 30], 4), ([10, 20, 20.5], 2), ([10, 9, 8], 1), ([10, 30, 20], 2)],
)
def test_the_best_is_the_fewest_at_once_that_reach_the_highest(
    rates: list[float], best: int
) -> None:
    levels = tuple(level(2**number, rate) for number, rate in enumerate(rates))
    report = Report(engine=Engine("fake", "m", 4096), levels=levels, memory="")
    assert report.best.in_flight == best
