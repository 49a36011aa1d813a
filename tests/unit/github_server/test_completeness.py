"""What the server shows, page by page, is what the world says there is: no more and no less."""

from datetime import timedelta
from typing import Any

from tests.github import World
from tests.github.client import Client
from tests.github.fixture import Serving

LISTS = """query($id: ID!, $a: String, $b: String, $c: String, $d: String) { node(id: $id) {
    ... on Repository {
        defaultBranchRef { target { ... on Commit { history(first: 60, after: $a) {
            pageInfo { hasNextPage endCursor } nodes { oid } } } } }
        pullRequests(first: 40, after: $b, orderBy: {field: UPDATED_AT, direction: DESC}) {
            pageInfo { hasNextPage endCursor } nodes { number } }
        issues(first: 40, after: $c, orderBy: {field: UPDATED_AT, direction: ASC}) {
            pageInfo { hasNextPage endCursor } nodes { number } }
        releases(first: 10, after: $d) {
            pageInfo { hasNextPage endCursor } nodes { tagName } } } } }"""


def fetched(client: Client, node_id: str) -> dict[str, list[Any]]:
    """Natural keys by list, every page of every list turned."""
    found: dict[str, list[Any]] = {name: [] for name in "abcd"}
    cursors: dict[str, str | None] = dict.fromkeys("abcd")
    open_lists = set("abcd")
    while open_lists:
        node = client.data(LISTS, id=node_id, **cursors)["node"]
        branch = node["defaultBranchRef"]
        pages = {
            "a": branch["target"]["history"] if branch else None,
            "b": node["pullRequests"],
            "c": node["issues"],
            "d": node["releases"],
        }
        for name in sorted(open_lists):
            page = pages[name]
            if page is None or not page["pageInfo"]["hasNextPage"]:
                open_lists.discard(name)
            if page is not None:
                found[name] += [next(iter(item.values())) for item in page["nodes"]]
                cursors[name] = page["pageInfo"]["endCursor"]
    return found


def test_every_page_of_forty_repositories_together_is_the_truth(serving: Serving) -> None:
    """Commits, pull requests, issues and releases: none lost, none doubled, none made up."""
    world = World(seed=11, repositories=40)
    now = world.clock.now() + timedelta(days=1)
    with Client(serving(world)) as client:
        for one in world:
            found = fetched(client, one.id)
            truth = world.truth(one.id, now - timedelta(days=9000), now)
            assert sorted(found["a"]) == sorted(truth.commits)
            assert sorted(found["b"]) == sorted(truth.pull_requests)
            assert sorted(found["c"]) == sorted(truth.issues)
            assert sorted(found["d"]) == sorted(truth.releases)
