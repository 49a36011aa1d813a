"""Filters over repositories: each lets pass what it says, and names why it does not."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from sparky.facts import Facts, Listed
from sparky.model import Repo
from sparky.selection import Keep, Selection

MAY = datetime(2026, 5, 1, tzinfo=UTC)


def listed(name: str = "acme/api-server", **facts: object) -> Listed:
    known = Facts(**{"language": "Python", "kilobytes": 10, "pushed_at": MAY, **facts})  # type: ignore[arg-type]
    return Listed(Repo("R_1", name, "github", name), known)


@pytest.mark.parametrize(
    ("field", "fact", "word"),
    [("archived", "archived", "archived"), ("forks", "fork", "a fork"), ("private",) * 3],
)
def test_each_sort_is_included_excluded_or_alone(field: str, fact: str, word: str) -> None:
    such, other = listed(**{fact: True}), listed()
    outcome = {
        keep: [Selection(**{field: keep}).refuses(one) for one in (such, other)]  # type: ignore[arg-type]
        for keep in Keep
    }
    assert outcome == {
        Keep.INCLUDE: ["", ""],
        Keep.EXCLUDE: [word, ""],
        Keep.ONLY: ["", f"not {word}"],
    }


@pytest.mark.parametrize(
    ("wanted", "refused"),
    [
        (Selection(), ""),
        (Selection(pushed_since=MAY), ""),
        (Selection(pushed_since=datetime(2026, 5, 2, tzinfo=UTC)), "not pushed to since"),
        (Selection(languages=("go", "PYTHON")), ""),
        (Selection(languages=("go",)), "in another language"),
        (Selection(names=("API-*",)), ""),
        (Selection(names=("web-*", "*-server")), ""),
        (Selection(names=("api",)), "named otherwise"),
        (Selection(names=("acme/api-*",)), ""),
        (Selection(names=("other/*",)), "named otherwise"),
        (Selection(but_not=("*-server",)), "excluded by name"),
        (Selection(at_least=10_240, at_most=10_240), ""),
        (Selection(at_least=10_241), "too small"),
        (Selection(at_most=10_239), "too large"),
    ],
)
def test_filters_refuse_with_a_reason(wanted: Selection, refused: str) -> None:
    assert wanted.refuses(listed()) == refused


def test_one_that_was_never_pushed_to_was_not_pushed_to_since() -> None:
    assert Selection(pushed_since=MAY).refuses(listed(pushed_at=None)) == "not pushed to since"
