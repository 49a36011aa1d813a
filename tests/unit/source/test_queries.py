"""The queries fit GitHub's published schema and cost what is said of them."""

from __future__ import annotations

from itertools import chain, combinations

import pytest
from graphql import (
    NoDeprecatedCustomRule,
    OperationDefinitionNode,
    parse,
    specified_rules,
    validate,
)

from sparky.model import Kind
from sparky.source import queries
from tests.github import cost, schema

NAMES = ("identify", "probe", "activity", "rest", "owned", "search", "listed", "named")
FIELDS = {
    Kind.COMMIT: "commits",
    Kind.PULL_REQUEST: "pullRequests",
    Kind.ISSUE: "issues",
    Kind.RELEASE: "releases",
}
CHOICES = list(chain.from_iterable(combinations(Kind, size) for size in (1, 2, 3, 4)))


def price(name: str, variables: dict[str, object]) -> cost.Cost:
    """What GitHub's formula says of a query."""
    tree = queries.document(name)
    operation = next(one for one in tree.definitions if isinstance(one, OperationDefinitionNode))
    return cost.estimate(schema.published(), tree, operation, variables)


@pytest.mark.parametrize("name", NAMES)
def test_a_query_is_valid_and_uses_no_deprecated_field(name: str) -> None:
    rules = [*specified_rules, NoDeprecatedCustomRule]
    assert validate(schema.published(), queries.document(name), rules) == []


def test_a_deprecated_field_would_be_found() -> None:
    """The check above can fail: `changedFiles` of a commit is deprecated."""
    query = parse('{ node(id: "x") { ... on Commit { changedFiles } } }')
    assert validate(schema.published(), query, [NoDeprecatedCustomRule])


def test_looking_up_a_name_costs_a_point() -> None:
    assert price("identify", {"owner": "a", "name": "b"}).points == 1


def test_a_probe_of_as_many_repositories_as_are_asked_at_once_costs_a_point() -> None:
    ids = ["x"] * queries.PROBED
    assert price("probe", {"ids": ids}).points == 1
    assert price("probe", {"ids": [*ids, "x"]}).points == 2


@pytest.mark.parametrize("kinds", CHOICES)
def test_the_largest_pages_of_any_kinds_cost_a_point(kinds: tuple[Kind, ...]) -> None:
    sizes = queries.page_sizes(frozenset(kinds))
    variables: dict[str, object] = {"count": Kind.COMMIT in kinds}
    for kind, field in FIELDS.items():
        variables |= {field: kind in sizes, f"{field}First": sizes.get(kind, 0)}
    found = price("activity", variables)
    assert found.requests == queries.activity_requests(sizes, count=Kind.COMMIT in kinds)
    assert (found.points, found.errors) == (1, [])
    assert all(1 <= size <= 100 for size in sizes.values())


def test_the_rest_of_all_nested_lists_costs_a_point() -> None:
    lists = ("parents", "associatedPullRequests", "labels", "closingIssuesReferences", "reviews")
    assert price("rest", dict.fromkeys(lists, True)).points == 1


@pytest.mark.parametrize("name", ["owned", "search"])
def test_the_largest_page_of_a_list_costs_a_point(name: str) -> None:
    found = price(name, {"first": queries.LISTED})
    assert (found.requests, found.points, found.errors) == (1, 1, [])
    assert price(name, {"first": queries.LISTED + 1}).errors


def test_as_many_repositories_as_are_asked_for_by_id_or_name_cost_a_point() -> None:
    by_id = price("listed", {"ids": ["x"] * queries.LISTED})
    assert (by_id.requests, by_id.points, by_id.errors) == (0, 1, [])
    assert price("listed", {"ids": ["x"] * (queries.LISTED + 1)}).errors
    assert (price("named", {}).requests, price("named", {}).points) == (0, 1)


def test_the_query_by_name_has_as_many_slots_as_are_said() -> None:
    operation = queries.document("named").definitions[0]
    assert isinstance(operation, OperationDefinitionNode)
    variables = {one.variable.name.value for one in operation.variable_definitions or ()}
    slots = range(queries.NAMED)
    assert variables == {f"{word}{slot}" for word in ("owner", "name") for slot in slots}
