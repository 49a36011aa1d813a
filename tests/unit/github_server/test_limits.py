"""Limits an hour and a minute, by 'Rate limits and query limits for the GraphQL API'."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tests.github import Fault, Limits, Server, What, World
from tests.github.client import Client
from tests.github.faults import Incoming
from tests.github.fixture import Serving

VIEWER = "query Who { viewer { login } }"
EXPENSIVE = """query Much { viewer { repositories(first: 100) { nodes { issues(first: 50) { nodes {
    labels(first: 60) { nodes { name } } } } } } } }"""


def test_without_points_the_answer_is_200_with_an_error(github: Server, client: Client) -> None:
    """'The response status will still be 200', and x-ratelimit-remaining is 0."""
    github.drain(client.token, remaining=0)
    response = client.post(VIEWER)
    assert response.status_code == 200
    assert response.json()["errors"][0]["type"] == "RATE_LIMITED"
    assert "data" not in response.json()
    assert response.headers["x-ratelimit-remaining"] == "0"


def test_the_error_of_no_points_has_two_types(serving: Serving) -> None:
    """RATE_LIMIT has been seen since 2026 beside RATE_LIMITED (yanyongyu/githubkit#272)."""
    limits = replace(Limits.primary_only(), exhausted_type="RATE_LIMIT")
    github = serving(World(repositories=1), limits=limits)
    with Client(github) as client:
        github.drain(client.token)
        assert client.errors(VIEWER)[0]["type"] == "RATE_LIMIT"


def test_the_last_query_may_take_more_than_there_is(github: Server, client: Client) -> None:
    """used passes the limit, remaining stays at 0 (seen in cli/cli#8321)."""
    github.drain(client.token, remaining=1)
    response = client.post(EXPENSIVE)
    assert "errors" not in response.json()
    assert response.headers["x-ratelimit-used"] == "5050"
    assert response.headers["x-ratelimit-remaining"] == "0"
    assert client.errors(VIEWER)


def test_points_come_back_when_the_hour_is_over(github: Server, client: Client) -> None:
    """x-ratelimit-reset is the second, in UTC epoch seconds, from which there are points again."""
    github.drain(client.token)
    reset = int(client.post(VIEWER).headers["x-ratelimit-reset"])
    left = datetime.fromtimestamp(reset, UTC) - github.world.clock.now()
    github.world.clock.advance(seconds=left.total_seconds() - 1)
    assert "errors" in client.ask(VIEWER)
    github.world.clock.advance(seconds=1)
    assert client.data(VIEWER)
    assert github.accounting.points() == 1


def test_tokens_of_one_user_share_their_points(github: Server) -> None:
    """'5,000 points per hour per user', not per token."""
    user = github.world.people[0]
    first, second = (github.credentials.user(user).value for _ in range(2))
    with Client(github, first) as one, Client(github, second) as other, Client(github) as third:
        one.ask(EXPENSIVE)
        assert other.post(VIEWER).headers["x-ratelimit-used"] == "52"
        assert third.post(VIEWER).headers["x-ratelimit-used"] == "1"


def test_rest_and_graphql_count_apart(github: Server, client: Client) -> None:
    """The REST API 'also has a separate primary rate limit'."""
    client.ask(EXPENSIVE)
    assert client.get("/meta").headers["x-ratelimit-used"] == "1"
    assert client.post(VIEWER).headers["x-ratelimit-used"] == "52"


@pytest.mark.parametrize("status", [403, 429, 200])
def test_more_than_the_points_of_a_minute_are_refused(serving: Serving, status: int) -> None:
    """'No more than 2,000 points per minute' for GraphQL; retry-after says how long."""
    limits = Limits(graphql_points_per_minute=3, secondary_status=status)
    github = serving(World(repositories=1), limits=limits)
    with Client(github) as client:
        assert [client.post(VIEWER).status_code for _ in range(3)] == [200] * 3
        response = client.post(VIEWER)
        assert response.status_code == status
        assert "secondary rate limit" in response.text
        assert response.headers["retry-after"] == "60"
        # What was refused has cost no points.
        assert github.accounting.points() == 3
        github.world.clock.advance(seconds=60)
        assert client.data(VIEWER)


def test_more_rest_points_a_minute_than_allowed_are_refused(serving: Serving) -> None:
    """'No more than 900 points per minute are allowed for REST API endpoints'."""
    github = serving(World(repositories=1), limits=Limits(rest_points_per_minute=2))
    with Client(github) as client:
        assert [client.get("/meta").status_code for _ in range(3)] == [200, 200, 403]


def test_the_defaults_are_the_documented_numbers() -> None:
    """100 at a time, 2,000 and 900 points, 90 and 60 seconds of CPU, 10 seconds a request."""
    limits = Limits()
    assert limits.concurrent == 100
    assert (limits.graphql_points_per_minute, limits.rest_points_per_minute) == (2000, 900)
    assert (limits.cpu_seconds_per_minute, limits.graphql_cpu_seconds_per_minute) == (90, 60)
    assert (limits.seconds, limits.nodes, limits.graphql_per_hour) == (10, 500_000, 5000)


def test_too_many_at_the_same_time_are_refused(serving: Serving) -> None:
    """'No more than 100 concurrent requests are allowed', here 2, over both APIs."""
    github = serving(World(repositories=1), limits=Limits(concurrent=2))
    held = github.faults.add(Fault(what=What.HOLD, times=2, match={"name": "Held"}))
    arrived = threading.Semaphore(0)

    def note(_: Incoming) -> bool:
        arrived.release()
        return True

    held.when = note
    token = github.token()
    with Client(github, token) as client, ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(client.post, "query Held { viewer { login } }") for _ in range(2)]
        for _ in waiting:
            assert arrived.acquire(timeout=60)
        assert client.get("/meta").status_code == 403
        held.release.set()
        assert [one.result().status_code for one in waiting] == [200, 200]
        assert client.get("/meta").status_code == 200


def test_too_much_work_within_a_minute_is_refused(serving: Serving) -> None:
    """'No more than 60 seconds of this CPU time may be for the GraphQL API' in a minute."""
    limits = Limits(graphql_cpu_seconds_per_minute=0.05)
    github = serving(World(seed=2, repositories=30, organizations=1), limits=limits)
    query = '{ organization(login: "org-0") { repositories(first: 100) { nodes { id } } } }'
    with Client(github) as client:
        assert client.post(query).status_code == 200
        assert github.accounting.seconds() > 0.05
        assert client.post(query).status_code == 403
        github.world.clock.advance(seconds=60)
        assert client.post(query).status_code == 200


def test_a_query_over_a_large_repository_times_out_and_smaller_pages_do_not(
    serving: Serving,
) -> None:
    """After 10 seconds GitHub ends a request with 502, and takes additional points."""
    github = serving(World(seed=5, repositories=1, commits=12_000))
    (one,) = github.world
    query = """query Pulls($id: ID!, $n: Int!) { node(id: $id) { ... on Repository {
        pullRequests(first: $n) { nodes { number reviews(first: 100) { nodes { state } }
            labels(first: 50) { nodes { name } } commits(first: 100) { nodes { commit { oid } } } } }
    } } }"""
    with Client(github) as client:
        response = client.post(query, id=one.id, n=100)
        assert response.status_code == 502
        assert "Something went wrong while executing your query" in response.text
        assert github.accounting.points() == 2 * 3
        assert client.post(query, id=one.id, n=10).status_code == 200


def test_lanes_move_the_clock_by_the_work_done(serving: Serving) -> None:
    """With lanes the world's time passes as GitHub would have needed it."""
    github = serving(World(seed=2, repositories=30, organizations=1), lanes=1)
    start = github.world.clock.now()
    with Client(github) as client:
        client.ask('{ organization(login: "org-0") { repositories(first: 9) { nodes { id } } } }')
    passed = (github.world.clock.now() - start).total_seconds()
    assert passed == pytest.approx(github.accounting.seconds(), abs=1e-5)
    assert passed > 0
