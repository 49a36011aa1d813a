"""The arguments of `sparky run`, checked before anything is started."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sparky.cli import run as running
from sparky.cli.watch import Watch
from sparky.settings import Settings
from tests.unit.cli.conftest import Sparky

Orders = list[running.Order]


@pytest.fixture
def orders(monkeypatch: pytest.MonkeyPatch) -> Orders:
    """Takes down what would be run, and runs nothing."""
    taken: Orders = []

    def take(settings: Settings, order: running.Order, watch: Watch) -> int:
        taken.append(order)
        return 3

    monkeypatch.setattr(running, "run", take)
    return taken


def test_an_order_holds_what_was_asked_for(sparky: Sparky, orders: Orders, tmp_path: Path) -> None:
    out = tmp_path / "not" / "there" / "yet"
    outcome = sparky(
        *("run", "--since", "2026-01-01", "--until", "2026-02-01", "--format", "json"),
        *("--out", str(out), "acme/rocket", "--", "-odd-name"),
    )
    (order,) = orders
    assert list(order.sources) == ["acme/rocket", "-odd-name"]
    assert order.window.since == datetime(2026, 1, 1, tzinfo=UTC)
    assert order.window.until == datetime(2026, 2, 1, tzinfo=UTC)
    assert (order.form, order.out) == ("json", out)
    assert outcome.code == 3


def test_a_source_that_is_given_twice_is_run_once(sparky: Sparky, orders: Orders) -> None:
    sparky("run", "b", "a", "b")
    assert list(orders[0].sources) == ["b", "a"]


def test_each_run_has_an_id_of_its_own(sparky: Sparky, orders: Orders) -> None:
    sparky("run", "a")
    sparky("run", "a")
    assert orders[0].run_id != orders[1].run_id


@pytest.fixture
def taken(tmp_path: Path) -> Path:
    path = tmp_path / "taken"
    path.touch()
    return path


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["a", "--since", "soon"], "'soon' is not a date"),
        (["a", "--since", "7d", "--until", "30d"], "the window ends at"),
        (["a", " "], "a SOURCE is empty"),
        (["a", "b", "--format", "html"], "several digests do not make one HTML page"),
        (["a", "--out", "taken"], "taken is not a folder"),
        (["a", "--out", "taken/below"], "taken is not a folder"),
        (["a", "--format", "pdf"], "'pdf' is not one of 'md', 'json', 'html'"),
    ],
)
def test_wrong_arguments_are_told_before_anything_starts(
    sparky: Sparky,
    orders: Orders,
    taken: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(taken.parent)
    outcome = sparky("run", *arguments)
    assert outcome.code == 2
    assert said in outcome.err
    assert "hint: " in outcome.err
    assert orders == []
    assert sorted(taken.parent.iterdir()) == [taken]


def test_a_folder_that_cannot_be_written_to_is_told_before_anything_starts(
    sparky: Sparky, orders: Orders, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, mode: int) -> bool:
        return False

    monkeypatch.setattr(os, "access", refuse)
    outcome = sparky("run", "a", "--out", "somewhere")
    assert outcome.code == 2
    assert "cannot be written to" in outcome.err
    assert orders == []


def test_wrong_settings_are_told_before_anything_starts(
    sparky: Sparky, orders: Orders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPARKY_LLM_KINDS", "openai")
    outcome = sparky("run", "a")
    assert outcome.code == 2
    assert outcome.err == (
        "error: unknown setting SPARKY_LLM_KINDS in the environment\n"
        "hint: Did you mean SPARKY_LLM_KIND?\n"
    )
    assert orders == []
