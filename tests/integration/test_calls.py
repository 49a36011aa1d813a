"""What engine calls cost is written down and summed up."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from sparky.llm.openai import OpenAIBackend
from sparky.model import Repo, Window
from sparky.ports import Answer, Prompt
from sparky.store.calls import Calls
from sparky.store.connection import connect
from sparky.store.gateway import Gateway
from sparky.store.reports import Reports
from sparky.store.runs import Runs
from tests import factories
from tests.engines.trtllm import TrtLlm

WINDOW = Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))
REPO = Repo("git:1", "me/a", "git", "/srv/a")
ANSWER = Answer(
    "Done.",
    "small",
    100,
    40,
    64,
    2.0,
    engine="vllm",
    server="http://gpu1",
    reasoning_tokens=10,
    first_token_seconds=0.5,
    joules=36.0,
)
LARGE = Answer("Done.", "large", 100, 20, 0, 4.0, engine="tensorrt-llm", server="http://gpu2")


class Ledger:
    """Calls of one job in an empty database."""

    def __init__(self, url: str) -> None:
        self.engine = connect(url)
        Gateway(self.engine).add_repo(REPO)
        Runs(self.engine, farm="main").start("r1", WINDOW, [REPO.id], {})
        with self.engine.begin() as connection:
            self.job = connection.execute(sa.text("SELECT id FROM jobs")).scalar_one()
        self.calls = Calls(self.engine)

    def record(self, answer: Answer | None, outcome: str = "ok", seconds: float = 2.0) -> None:
        self.calls.record(
            self.job, "summarize", "vllm", "small", answer, seconds=seconds, outcome=outcome
        )


@pytest.fixture
def ledger(database: str) -> Iterator[Ledger]:
    ledger = Ledger(database)
    yield ledger
    ledger.engine.dispose()


def test_calls_are_summed_up_by_what_really_answered(ledger: Ledger) -> None:
    """Escalated answers stand under the model and the server that gave them."""
    ledger.record(ANSWER)
    ledger.record(ANSWER)
    ledger.record(LARGE, seconds=4.0)
    found = {cost.model: cost for cost in ledger.calls.costs()}
    small, large = found["small"], found["large"]
    assert (small.run, small.repository) == ("r1", "me/a")
    assert (small.engine, small.server, small.calls) == ("vllm", "http://gpu1", 2)
    assert (small.prompt_tokens, small.cached_tokens) == (200, 128)
    assert (small.completion_tokens, small.reasoning_tokens) == (80, 20)
    assert (small.seconds, small.first_token_seconds, small.joules) == (4.0, 0.5, 72.0)
    assert (large.engine, large.server, large.joules) == ("tensorrt-llm", "http://gpu2", None)


def test_what_the_cache_answered_costs_nothing(ledger: Ledger) -> None:
    ledger.record(ANSWER, "cached", 0.0)
    (cost,) = ledger.calls.costs()
    assert (cost.calls, cost.cache_hits, cost.prompt_tokens, cost.joules) == (0, 1, 0, None)


def test_failed_calls_are_counted(ledger: Ledger) -> None:
    ledger.record(None, "Transient")
    (cost,) = ledger.calls.costs()
    assert (cost.engine, cost.model, cost.calls, cost.failed) == ("vllm", "small", 1, 1)


def test_they_can_be_narrowed(ledger: Ledger) -> None:
    ledger.record(ANSWER)
    now = datetime.now(UTC)
    assert ledger.calls.costs(run="r1", repo=REPO.id, since=now - timedelta(hours=1))
    assert ledger.calls.costs(run="r")  # as lists of runs show an id: how it begins
    assert not ledger.calls.costs(run="r2")
    assert not ledger.calls.costs(run="%")
    assert not ledger.calls.costs(repo="git:2")
    assert not ledger.calls.costs(since=now + timedelta(hours=1))


def test_a_digest_names_all_that_answered_for_it(ledger: Ledger) -> None:
    ledger.record(ANSWER)
    ledger.record(LARGE)
    ledger.record(None, "Transient")
    made = Reports(ledger.engine).with_usage(factories.digest(), ledger.job).provenance
    assert (made.engine, made.model) == ("tensorrt-llm, vllm", "large, small")
    assert (made.engine_calls, made.completion_tokens) == (3, 60)


def test_a_ratio_is_kept_for_each_model(ledger: Ledger) -> None:
    assert ledger.calls.ratio("m") is None
    ledger.calls.put_ratio("m", 3.5)
    ledger.calls.put_ratio("m", 3.25)
    assert ledger.calls.ratio("m") == 3.25
    assert ledger.calls.ratio("other") is None


def test_what_one_process_learned_of_tokens_the_next_one_knows(ledger: Ledger) -> None:
    """An engine that cannot count for us is estimated well from the start of the second run."""
    text = "word " * 400
    with TrtLlm() as server:
        server.context = 4096
        server.max_num_tokens = 4096
        first = OpenAIBackend(server.url, ratios=ledger.calls, context=4096)
        before = first.count(text)
        for _ in range(3):
            first.complete(Prompt("", text, 64))
        learned = first.count(text)
        first.close()
        second = OpenAIBackend(server.url, ratios=ledger.calls, context=4096)
        second.engine()
        assert second.count(text) == learned < before
        second.close()
