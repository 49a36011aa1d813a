"""Pages: complete, in order, stable while the world moves, and with cursors that end."""

import base64
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from tests.github import Limits, Server, World
from tests.github.client import Client
from tests.github.fixture import Serving
from tests.github.repository import Repository

COMMITS = """query($id: ID!, $n: Int!, $after: String, $since: GitTimestamp, $until: GitTimestamp) {
    node(id: $id) { ... on Repository { defaultBranchRef { target { ... on Commit {
        page: history(first: $n, after: $after, since: $since, until: $until) {
            totalCount pageInfo { hasNextPage endCursor } nodes { oid committedDate } } } } } } } }"""
PULLS = """query($id: ID!, $n: Int!, $after: String, $states: [PullRequestState!]) {
    node(id: $id) { ... on Repository {
        page: pullRequests(first: $n, after: $after, states: $states,
            orderBy: {field: UPDATED_AT, direction: DESC}) {
            totalCount pageInfo { hasNextPage endCursor } nodes { number updatedAt state } } } } }"""
ISSUES = """query($id: ID!, $n: Int!, $after: String, $since: DateTime) {
    node(id: $id) { ... on Repository {
        page: issues(first: $n, after: $after, filterBy: {since: $since}) {
            totalCount pageInfo { hasNextPage endCursor } nodes { number updatedAt } } } } }"""


@pytest.fixture
def large(serving: Serving) -> Server:
    return serving(World(seed=3, repositories=1, commits=900))


@pytest.fixture
def one(large: Server) -> Repository:
    return next(iter(large.world))


@pytest.fixture
def asking(large: Server) -> Iterator[Client]:
    with Client(large) as one:
        yield one


def page(found: dict[str, Any]) -> dict[str, Any]:
    node = found["node"]
    inner: dict[str, Any] = node.get("page") or node["defaultBranchRef"]["target"]["page"]
    return inner


def everything(client: Client, query: str, repository: Repository, **variables: Any) -> list[Any]:
    """All nodes, page by page; checks what each page says of itself."""
    nodes: list[Any] = []
    after = None
    while True:
        found = page(client.data(query, id=repository.id, after=after, **variables))
        nodes += found["nodes"]
        if not found["pageInfo"]["hasNextPage"]:
            assert found["totalCount"] == len(nodes)
            return nodes
        after = found["pageInfo"]["endCursor"]


@pytest.mark.parametrize("size", [7, 100])
def test_pages_of_commits_are_complete_and_newest_first(
    asking: Client, one: Repository, size: int
) -> None:
    """Whatever the size of a page, together they are the history."""
    oids = [node["oid"] for node in everything(asking, COMMITS, one, n=size)]
    assert oids == [commit.oid for commit in reversed(one.history.commits)]


def test_a_window_of_commits_is_the_truth_of_that_window(
    large: Server, asking: Client, one: Repository
) -> None:
    """since and until select by committer date, both ends included."""
    until = one.pushed_at - timedelta(days=1)
    since = until - timedelta(days=200)
    nodes = everything(asking, COMMITS, one, n=50, since=since.isoformat(), until=until.isoformat())
    truth = large.world.truth(one.id, since, until + timedelta(seconds=1)).commits
    assert 0 < len(truth) < 900
    assert {node["oid"] for node in nodes} == set(truth)


def test_pages_of_pull_requests_are_sorted_and_complete(asking: Client, one: Repository) -> None:
    """orderBy UPDATED_AT DESC, with no number lost or doubled."""
    nodes = everything(asking, PULLS, one, n=30)
    times = [node["updatedAt"] for node in nodes]
    assert times == sorted(times, reverse=True)
    assert sorted(node["number"] for node in nodes) == sorted(one.history.pulls)


def test_states_select(asking: Client, one: Repository) -> None:
    """states: [MERGED] gives the merged ones alone, and counts them."""
    nodes = everything(asking, PULLS, one, n=100, states=["MERGED"])
    merged = {number for number, pull in one.history.pulls.items() if pull.merged}
    assert {node["number"] for node in nodes} == merged


def test_issues_since_are_those_updated_since(asking: Client, one: Repository) -> None:
    """filterBy.since: 'issues that have been updated at or after the given date'."""
    middle = sorted(issue.updated_at for issue in one.history.issues.values())[20]
    nodes = everything(asking, ISSUES, one, n=40, since=middle.isoformat())
    wanted = {n for n, issue in one.history.issues.items() if issue.updated_at >= middle}
    assert {node["number"] for node in nodes} == wanted


def test_a_push_between_two_pages_moves_nothing(
    large: Server, asking: Client, one: Repository
) -> None:
    """A cursor of the history names its head: new commits are not in the pages that follow."""
    before = [commit.oid for commit in reversed(one.history.commits)]
    first = page(asking.data(COMMITS, id=one.id, n=100))
    large.world.push(one, 3)
    after = first["pageInfo"]["endCursor"]
    second = page(asking.data(COMMITS, id=one.id, n=100, after=after))
    assert [node["oid"] for node in first["nodes"] + second["nodes"]] == before[:200]


def test_an_update_between_two_pages_hides_nothing_else(
    large: Server, asking: Client, one: Repository
) -> None:
    """A pull request that is edited leaves for the first page; the others stay where they were."""
    listed = [node["number"] for node in everything(asking, PULLS, one, n=100)]
    first = page(asking.data(PULLS, id=one.id, n=10))
    large.world.edit_pull_request(one, listed[15], title="Another title")
    after = first["pageInfo"]["endCursor"]
    second = page(asking.data(PULLS, id=one.id, n=10, after=after))
    numbers = [node["number"] for node in second["nodes"]]
    assert numbers == [*listed[10:15], *listed[16:21]]


def assert_refused(client: Client, query: str, **variables: Any) -> None:
    (error,) = client.errors(query, **variables)
    assert error["type"] == "INVALID_CURSOR_ARGUMENTS"
    assert "does not appear to be a valid cursor" in error["message"]


def test_a_force_push_ends_the_cursors_of_the_history(
    large: Server, asking: Client, one: Repository
) -> None:
    """What was rewritten cannot be paged any further."""
    after = page(asking.data(COMMITS, id=one.id, n=10))["pageInfo"]["endCursor"]
    large.world.force_push(one, drop=5)
    assert_refused(asking, COMMITS, id=one.id, n=10, after=after)


def test_a_cursor_lives_as_long_as_the_limits_say(serving: Serving) -> None:
    """An old cursor is refused; a run that waited for points may meet that."""
    limits = Limits(cursor_lifetime=timedelta(hours=1))
    github = serving(World(seed=3, repositories=1, commits=200), limits=limits)
    (one,) = github.world
    with Client(github) as client:
        after = page(client.data(PULLS, id=one.id, n=3))["pageInfo"]["endCursor"]
        github.world.clock.advance(minutes=59)
        assert page(client.data(PULLS, id=one.id, n=3, after=after))["nodes"]
        github.world.clock.advance(minutes=2)
        assert_refused(client, PULLS, id=one.id, n=3, after=after)


@pytest.mark.parametrize("cursor", ["", "abc", base64.b64encode(b"cursor:v2:[]").decode()])
def test_what_is_no_cursor_is_refused(asking: Client, one: Repository, cursor: str) -> None:
    """Made-up cursors are errors, the empty one too."""
    assert_refused(asking, PULLS, id=one.id, n=3, after=cursor)


def test_a_cursor_belongs_to_its_list(asking: Client, one: Repository) -> None:
    """A cursor of pull requests says nothing about commits."""
    after = page(asking.data(PULLS, id=one.id, n=3))["pageInfo"]["endCursor"]
    assert_refused(asking, COMMITS, id=one.id, n=3, after=after)


def test_last_and_before_page_backwards(asking: Client, one: Repository) -> None:
    """last gives the end of a list, before what stands in front of a cursor."""
    query = """query($id: ID!, $before: String) { node(id: $id) { ... on Repository {
        page: issues(last: 5, before: $before) {
            pageInfo { hasPreviousPage startCursor } nodes { number } } } } }"""
    numbers = sorted(one.history.issues)
    found = page(asking.data(query, id=one.id))
    assert [node["number"] for node in found["nodes"]] == numbers[-5:]
    found = page(asking.data(query, id=one.id, before=found["pageInfo"]["startCursor"]))
    assert [node["number"] for node in found["nodes"]] == numbers[-10:-5]


def test_nested_lists_have_more_than_one_page(asking: Client, one: Repository) -> None:
    """In a busy repository the first pull request is crowded: 100 are not all."""
    query = """query($id: ID!, $number: Int!) { node(id: $id) { ... on Repository {
        pullRequest(number: $number) {
            reviews(first: 100) { totalCount nodes { id } pageInfo { hasNextPage } }
            commits(first: 100) { totalCount pageInfo { hasNextPage } }
            labels(first: 100) { totalCount pageInfo { hasNextPage } } } } } }"""
    number = min(one.history.pulls)
    found = asking.data(query, id=one.id, number=number)["node"]["pullRequest"]
    assert all(found[name]["pageInfo"]["hasNextPage"] for name in ("reviews", "commits", "labels"))
    assert found["reviews"]["totalCount"] > len(found["reviews"]["nodes"]) == 100
