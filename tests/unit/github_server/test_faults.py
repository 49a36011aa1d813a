"""Faults strike whom the script says, as often as it says, the same way each time."""

import json

import httpx
import pytest

from tests.github import Fault, Server, What, World
from tests.github.client import Client
from tests.github.faults import Faults, Incoming
from tests.github.fixture import Serving

VIEWER = "query Who { viewer { login } }"
OTHER = "query Other { viewer { id } }"


@pytest.mark.parametrize(
    ("what", "status", "words"),
    [
        (What.BAD_GATEWAY, 502, "Something went wrong"),
        (What.GATEWAY_TIMEOUT, 504, "<html>"),
        (What.UNAVAILABLE, 503, "<html>"),
        (What.TIMEOUT, 200, "This may be the result of a timeout"),
        (What.UNAUTHORIZED, 401, "Bad credentials"),
        (What.SECONDARY_LIMIT, 403, "secondary rate limit"),
        (What.ABUSE, 403, "abuse detection mechanism"),
        (What.PRIMARY_LIMIT, 200, "API rate limit exceeded"),
    ],
)
def test_a_fault_answers_in_place_of_the_server(
    github: Server, client: Client, what: What, status: int, words: str
) -> None:
    """Once, for no points; then everything is as before, unless no points are left."""
    github.faults.add(Fault(what=what))
    response = client.post(VIEWER)
    assert (response.status_code, words in response.text) == (status, True)
    assert github.accounting.points() == 0
    after = client.ask(VIEWER)
    assert ("errors" in after) is (what is What.PRIMARY_LIMIT)


def test_a_connection_can_be_reset(github: Server, client: Client) -> None:
    """Not a byte comes back, though the points are spent."""
    github.faults.add(Fault(what=What.RESET))
    with pytest.raises(httpx.RemoteProtocolError):
        client.post(VIEWER)
    assert github.accounting.log[-1].status == 0
    assert client.data(VIEWER)


def test_an_answer_can_be_cut_short(github: Server, client: Client) -> None:
    """Half of the announced length arrives."""
    github.faults.add(Fault(what=What.TRUNCATE))
    with pytest.raises(httpx.RemoteProtocolError, match="complete"):
        client.post(VIEWER)
    assert client.data(VIEWER)


def test_an_answer_can_be_garbage(github: Server, client: Client) -> None:
    """200 and not JSON."""
    github.faults.add(Fault(what=What.GARBAGE))
    response = client.post(VIEWER)
    assert response.status_code == 200
    with pytest.raises(json.JSONDecodeError):
        response.json()


@pytest.mark.parametrize("what", [What.PARTIAL, What.RESOURCES])
def test_part_of_an_answer_can_be_missing(serving: Serving, what: What) -> None:
    """Nulls in lists, and an error with the path of each."""
    world = World(seed=1, repositories=5, commits=40)
    github = serving(world)
    github.faults.add(Fault(what=what))
    query = """query($ids: [ID!]!) { nodes(ids: $ids) { ... on Repository {
        pullRequests(first: 5) { nodes { number reviews(first: 5) { nodes { state } } } } } } }"""
    with Client(github) as client:
        found = client.ask(query, ids=[one.id for one in world])
    assert found["errors"]
    for error in found["errors"]:
        inner = found["data"]
        for step in error["path"]:
            inner = inner[step]
        assert inner is None


def test_a_fault_chooses_by_name_and_counts(github: Server, client: Client) -> None:
    """match, skip and times."""
    fault = github.faults.add(Fault(what=What.BAD_GATEWAY, match={"name": "Who"}, skip=1, times=2))
    statuses = [client.post(query).status_code for query in (VIEWER, OTHER, VIEWER, VIEWER, VIEWER)]
    assert statuses == [200, 200, 502, 502, 200]
    assert fault.hits == 2


def test_a_fault_can_strike_large_pages_alone(github: Server, client: Client) -> None:
    """above: so that smaller pages help, as they do with GitHub."""
    github.faults.add(Fault(what=What.BAD_GATEWAY, above=50, times=None))
    query = "query($n: Int!) { viewer { repositories(first: $n) { nodes { id } } } }"
    assert [client.post(query, n=n).status_code for n in (100, 51, 50)] == [502, 502, 200]


def test_secondary_limits_come_in_variants(github: Server, client: Client) -> None:
    """403, 429 or 200; with retry-after or without."""
    github.faults.add(Fault(what=What.SECONDARY_LIMIT, status=429, retry_after=7))
    github.faults.add(Fault(what=What.SECONDARY_LIMIT, status=200, retry_after=None))
    first, second = client.post(VIEWER), client.post(VIEWER)
    assert (first.status_code, first.headers["retry-after"]) == (429, "7")
    assert (second.status_code, second.headers.get("retry-after")) == (200, None)
    assert "secondary rate limit" in second.json()["errors"][0]["message"]


def test_chance_is_the_same_for_the_same_seed() -> None:
    """A rate draws from the seed, so a failing test fails again."""

    def struck(seed: int) -> list[bool]:
        faults = Faults(seed)
        faults.add(Fault(what=What.BAD_GATEWAY, rate=0.3, times=None))
        request = Incoming("graphql", "Who", "somebody", {})
        return [faults.strike(request) is not None for _ in range(200)]

    assert struck(1) == struck(1) != struck(2)
    assert 30 < sum(struck(1)) < 90


def test_the_accounting_tells_requests_by_name(github: Server, client: Client) -> None:
    """For benchmarks: requests and points by credential, resource and query."""
    for query in (VIEWER, VIEWER, OTHER):
        client.data(query)
    client.get("/meta")
    rows = {(row["resource"], row["name"]): row["requests"] for row in github.accounting.table()}
    assert rows == {("graphql", "Who"): 2, ("graphql", "Other"): 1, ("core", "GET /meta"): 1}
    assert github.accounting.points(name="Who") == 2
    github.accounting.reset()
    assert github.accounting.requests() == 0


def test_partial_answers_are_of_graphql_alone(github: Server, client: Client) -> None:
    """Errors beside data are of the GraphQL specification's 'Response'; REST has a status alone."""
    one = next(iter(github.world))
    github.faults.add(Fault(what=What.PARTIAL, times=2))
    for path in (f"/repos/{one.full_name}", f"/repos/{one.full_name}/issues"):
        assert client.get(path).status_code == 200
