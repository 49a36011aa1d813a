"""The account of points that all workers share."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from sparky.errors import Throttled
from sparky.forge import Lease, Standing
from sparky.store.budget import PostgresBudget
from sparky.store.connection import connect

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
RESET = NOW + timedelta(minutes=40)


@pytest.fixture
def engine(database: str) -> Iterator[sa.Engine]:
    made = connect(database, pool=8)
    yield made
    made.dispose()


def told(budget: PostgresBudget, name: str, remaining: int, limit: int | None = 100) -> None:
    reset = RESET if limit else None
    budget.told(Standing(name, name, "graphql", limit, remaining, reset))


def test_workers_together_never_take_more_than_is_above_the_reserve(engine: sa.Engine) -> None:
    """Eight at once, two credentials of 100 points, a fifth of each kept: 160 leases."""
    budget = PostgresBudget(engine, reserve=0.2)
    for name in ("one", "two"):
        told(budget, name, 100)

    def spend(_: int) -> Lease | None:
        try:
            lease = budget.lease(["one", "two"], "graphql", 1, now=NOW)
        except Throttled:
            return None
        budget.settle(lease, None)
        return lease

    with ThreadPoolExecutor(8) as pool:
        taken = [lease.credential for lease in pool.map(spend, range(200)) if lease]
    assert (taken.count("one"), taken.count("two")) == (80, 80)
    assert {one.remaining for one in budget.standings()} == {20}


def test_who_finds_no_room_is_told_when_there_will_be_some(engine: sa.Engine) -> None:
    budget = PostgresBudget(engine, reserve=0.2)
    told(budget, "one", 20)
    with pytest.raises(Throttled) as caught:
        budget.lease(["one"], "graphql", 1, now=NOW)
    assert caught.value.until == RESET
    assert budget.lease(["one"], "graphql", 80, now=RESET).credential == "one"
    with pytest.raises(Throttled):
        budget.lease(["one"], "graphql", 1, now=RESET)


def test_points_that_the_owner_spends_elsewhere_are_seen(engine: sa.Engine) -> None:
    budget = PostgresBudget(engine, reserve=0.2)
    told(budget, "one", 100)
    lease = budget.lease(["one"], "graphql", 1, now=NOW)
    budget.settle(lease, Standing("one", "one", "graphql", 100, 20, RESET))
    with pytest.raises(Throttled):
        budget.lease(["one"], "graphql", 1, now=NOW)


def test_a_free_request_is_given_back(engine: sa.Engine) -> None:
    """Whether the forge told where the credential stands or not."""
    budget = PostgresBudget(engine, reserve=0)
    budget.told(Standing("one", "one", "core", 100, 100, RESET))
    for told in (None, Standing("one", "one", "core", 100, 100, RESET)):
        budget.settle(budget.lease(["one"], "core", 1, now=NOW), told, free=True)
    (standing,) = budget.standings()
    assert (standing.remaining, standing.leased) == (100, 0)


def test_an_answer_that_comes_late_does_not_give_points_back(engine: sa.Engine) -> None:
    budget = PostgresBudget(engine)
    told(budget, "one", 50)
    told(budget, "one", 60)
    assert [one.remaining for one in budget.standings()] == [50]


def test_what_dead_workers_have_leased_comes_back(engine: sa.Engine) -> None:
    budget = PostgresBudget(engine, reserve=0)
    told(budget, "one", 100)
    budget.lease(["one"], "graphql", 100, now=NOW)
    with pytest.raises(Throttled):
        budget.lease(["one"], "graphql", 1, now=NOW + timedelta(minutes=1))
    assert budget.lease(["one"], "graphql", 1, now=NOW + timedelta(minutes=6))


def test_rest_and_graphql_are_counted_apart_and_unlimited_is_unlimited(engine: sa.Engine) -> None:
    budget = PostgresBudget(engine)
    told(budget, "one", 0)
    told(budget, "free", 0, limit=None)
    budget.told(Standing("one", "one", "core", 100, 100, RESET))
    assert budget.lease(["one"], "core", 1, now=NOW).resource == "core"
    assert budget.lease(["one", "free"], "graphql", 10_000, now=NOW).credential == "free"


def test_pauses_double_until_an_answer_comes(engine: sa.Engine) -> None:
    budget = PostgresBudget(engine)
    told(budget, "one", 100)
    for minutes in (1, 2, 4):
        at = NOW + timedelta(hours=minutes)
        budget.block("one", "graphql", until=None, now=at)
        (standing,) = budget.standings()
        assert standing.blocked_until == at + timedelta(minutes=minutes)
