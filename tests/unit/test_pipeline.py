"""What the story does side by side."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from sparky.errors import Transient
from sparky.pipeline import side_by_side


def test_what_is_done_side_by_side_keeps_its_order() -> None:
    """Whoever ends first, the results are those of `map`."""
    last = threading.Event()

    def do(number: int) -> int:
        if number == 0:
            assert last.wait(10)
        if number == 3:
            last.set()
        return number * 10

    with ThreadPoolExecutor(4) as askers:
        assert side_by_side(askers, do, range(4)) == [0, 10, 20, 30]


def test_once_one_has_failed_no_other_is_begun() -> None:
    """A question whose answer cannot be kept is not followed by twenty more that cost the same."""
    begun: list[int] = []

    def do(number: int) -> None:
        begun.append(number)
        if number == 0:
            raise Transient("the database is out of room")
        threading.Event().wait(0.5)  # as an engine takes; by then the failure is known

    with ThreadPoolExecutor(2) as askers, pytest.raises(Transient, match="out of room"):
        side_by_side(askers, do, range(30))
    assert len(begun) <= 4
