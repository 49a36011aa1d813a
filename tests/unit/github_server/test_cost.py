"""Points and nodes, by 'Rate limits and query limits for the GraphQL API'."""

from typing import Any

import pytest
from graphql import OperationDefinitionNode, parse

from tests.github.client import Client
from tests.github.cost import Cost, estimate
from tests.github.schema import published

LABELS = """{ viewer { login repositories(first: 100) { edges { node { id
    issues(first: 50) { edges { node { id labels(first: 60) { edges { node { id name } } } } } }
} } } } }"""
SIMPLE = """{ viewer { repositories(first: 50) { edges { repository: node { name
    issues(first: 10) { totalCount edges { node { title bodyHTML } } } } } } } }"""
COMPLEX = """{ viewer { repositories(first: 50) { edges { repository: node { name
    pullRequests(first: 20) { edges { pullRequest: node { title
        comments(first: 10) { edges { comment: node { bodyHTML } } } } } }
    issues(first: 20) { totalCount edges { issue: node { title bodyHTML
        comments(first: 10) { edges { comment: node { bodyHTML } } } } } }
    } } } followers(first: 10) { edges { follower: node { login } } } } }"""


def cost(query: str, **variables: Any) -> Cost:
    document = parse(query)
    (operation,) = (one for one in document.definitions if isinstance(one, OperationDefinitionNode))
    return estimate(published(), document, operation, variables)


def test_the_documented_example_takes_51_points() -> None:
    """The page's own example: 1 + 100 + 5000 requests, by a hundred."""
    assert (cost(LABELS).requests, cost(LABELS).points) == (5101, 51)


@pytest.mark.parametrize(("query", "nodes"), [(SIMPLE, 550), (COMPLEX, 22_060)])
def test_the_documented_examples_count_their_nodes(query: str, nodes: int) -> None:
    """The page's two examples of calculating nodes in a call."""
    assert cost(query).nodes == nodes


def test_a_query_takes_at_least_one_point() -> None:
    """The minimum point value of a call is 1."""
    assert cost("{ viewer { login } }").points == 1


@pytest.mark.parametrize(("ids", "points"), [(49, 1), (50, 2), (83, 2), (84, 3)])
def test_points_are_rounded_to_the_nearest_whole_number(ids: int, points: int) -> None:
    """'Divide the number by 100 and round the result': 147, 150, 249 and 252 requests."""
    query = """query($ids: [ID!]!) { nodes(ids: $ids) { ... on Repository {
        pullRequests(first: 1) { nodes { id } } issues(first: 1) { nodes { id } }
        releases(first: 1) { nodes { id } } } } }"""
    assert cost(query, ids=["x"] * ids).points == points


def test_variables_and_their_defaults_decide() -> None:
    """A page size may come from a variable, its default, or neither."""
    query = "query($n: Int = 7) { viewer { repositories(first: $n) { nodes { id } } } }"
    assert (cost(query).nodes, cost(query, n=30).nodes) == (7, 30)


def test_what_is_left_out_costs_nothing() -> None:
    """@include and @skip take part in the price."""
    query = """query($with: Boolean!) { viewer {
        repositories(first: 9) @include(if: $with) { nodes { id } } } }"""
    assert (cost(query, **{"with": True}).nodes, cost(query, **{"with": False}).nodes) == (9, 0)


def test_the_same_connection_twice_is_one() -> None:
    """Each unique connection counts: fragments that repeat it add nothing."""
    query = """{ viewer { repositories(first: 5) { nodes { id } } ...again } }
        fragment again on User { repositories(first: 5) { nodes { name } } }"""
    assert cost(query).requests == 1


def test_a_hundred_repositories_by_id_are_a_hundred_parents() -> None:
    """A connection below nodes(ids:) is asked once for each id."""
    query = """query($ids: [ID!]!) { nodes(ids: $ids) { ... on Repository {
        pullRequests(first: 1) { nodes { id } } issues(first: 1) { nodes { id } } } } }"""
    assert cost(query, ids=["x"] * 100).points == 2


def test_the_answer_tells_what_the_query_took(client: Client) -> None:
    """rateLimit.cost, used and the headers agree with each other and with the accounting."""
    query = """{ rateLimit { cost used remaining limit nodeCount resetAt }
        viewer { repositories(first: 100) { nodes { issues(first: 50) { nodes {
            labels(first: 60) { nodes { name } } } } } } } }"""
    response = client.post(query)
    limit = response.json()["data"]["rateLimit"]
    assert limit["cost"] == limit["used"] == 51
    assert limit["nodeCount"] == 100 + 100 * 50 + 100 * 50 * 60
    assert (limit["limit"], limit["remaining"]) == (5000, 4949)
    assert response.headers["x-ratelimit-remaining"] == "4949"
    assert response.headers["x-ratelimit-resource"] == "graphql"
    assert client.server.accounting.points() == 51


def test_a_connection_needs_first_or_last(client: Client) -> None:
    """'Clients must supply a first or last argument on any connection.'"""
    (error,) = client.errors("{ viewer { repositories { nodes { id } } } }")
    assert error["type"] == "MISSING_PAGINATION_BOUNDARIES"
    assert error["path"] == ["viewer", "repositories"]


def test_a_count_alone_needs_no_page(client: Client) -> None:
    """totalCount is answered without first or last, as many public queries rely on."""
    assert client.data("{ viewer { repositories { totalCount } } }")


def test_a_page_holds_at_most_a_hundred(client: Client) -> None:
    """'Values of first and last must be within 1-100.'"""
    (error,) = client.errors("{ viewer { repositories(first: 101) { nodes { id } } } }")
    assert error["type"] == "EXCESSIVE_PAGINATION"
    assert "101 records on the `repositories` connection" in error["message"]


def test_a_query_asks_for_at_most_half_a_million_nodes(client: Client) -> None:
    """'Individual calls cannot request more than 500,000 total nodes'; it costs nothing."""
    query = """{ viewer { repositories(first: 100) { nodes { issues(first: 100) { nodes {
        labels(first: 100) { nodes { id } } } } } } } }"""
    (error,) = client.errors(query)
    assert error["type"] == "MAX_NODE_LIMIT_EXCEEDED"
    assert "1,010,100 possible nodes" in error["message"]
    assert client.server.accounting.points() == 0


def test_at_most_a_hundred_ids_at_a_time(client: Client) -> None:
    """nodes(ids:) with 101 ids is an ARGUMENT_LIMIT error."""
    (error,) = client.errors("query($ids: [ID!]!) { nodes(ids: $ids) { id } }", ids=["x"] * 101)
    assert error["type"] == "ARGUMENT_LIMIT"
