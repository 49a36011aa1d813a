"""The storm's judge of questions that were paid for twice."""

from __future__ import annotations

from dataclasses import replace

from tests.faults.paid import Asking, Blow, again, unexplained

FIRST = Asking("what?", "summarize", began=10.0, ended=14.0, whole=False)
SECOND = replace(FIRST, began=40.0, ended=44.0, whole=True)


def test_only_a_question_that_is_asked_again_came_to_nothing() -> None:
    """The last asking of each question counts as its answer."""
    other = replace(FIRST, question="and what?")
    assert again([SECOND, FIRST, other]) == [FIRST]


def test_a_kill_explains_what_was_in_flight_at_that_moment() -> None:
    """Its worker's question is asked again by another."""
    assert unexplained([FIRST], [Blow("kill near", 12.0, 12.1)]) == []


def test_an_answer_on_its_way_to_postgres_is_in_flight() -> None:
    """It had ended a second before its worker died, which had not stored it."""
    assert unexplained([FIRST], [Blow("kill near", 15.0, 15.0)]) == []


def test_a_kill_explains_nothing_that_was_over_or_not_begun() -> None:
    """A question that is asked again long after an answer, or asked twice since, is a fault of ours."""
    blows = [Blow("kill near", 30.0, 30.0), Blow("kill near", 9.0, 9.5)]
    assert unexplained([FIRST], blows) == [FIRST]


def test_a_kill_explains_no_other_stage() -> None:
    """The worker for roll-ups asks for no summaries, and beat asks for nothing."""
    blows = [Blow("kill rest", 12.0, 12.0), Blow("beat dies", 12.0, 12.0)]
    assert unexplained([FIRST], blows) == [FIRST]
