"""`sparky bench engine` measures any engine, here vLLM's stand-in."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.engines.vllm import Vllm
from tests.unit.cli.conftest import Sparky


@pytest.fixture
def engine() -> Iterator[Vllm]:
    with Vllm() as server:
        server.context = 4096
        yield server


def test_it_tells_a_table_a_plot_and_the_best(sparky: Sparky, engine: Vllm) -> None:
    out = sparky("bench", "engine", "--url", engine.url, "--in-flight", "1,2").out
    assert f"vllm with {engine.model}, 4096 tokens of context" in out
    assert " best\n" in out
    assert "█" in out
    assert "at once, " in out.splitlines()[-1]


def test_as_json_it_has_the_same(sparky: Sparky, engine: Vllm) -> None:
    words = ("bench", "engine", "--url", engine.url, "--in-flight", "1,2", "--json")
    found = json.loads(sparky(*words).out)
    assert [level["calls"] for level in found["levels"]] == [3, 6]
    assert found["best_in_flight"] in (1, 2)
    assert found["levels"][0]["cached_share"] > 0


def test_levels_must_grow(sparky: Sparky) -> None:
    assert "is no list of growing numbers" in sparky("bench", "engine", "--in-flight", "4,2").err


def test_an_engine_that_is_not_there_is_named(sparky: Sparky) -> None:
    assert "http://127.0.0.1:1" in sparky("bench", "engine", "--url", "http://127.0.0.1:1").err
