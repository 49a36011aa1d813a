"""The world: the same for the same seed, small until somebody looks, and true."""

import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.github import Server, World
from tests.github.client import Client
from tests.github.fixture import Serving
from tests.github.history import History
from tests.github.repository import Repository

ALWAYS = timedelta(days=9000)


def told(history: History) -> list[Any]:
    """Everything that a history says, in comparable form."""
    return [
        [(one.oid, one.message, one.at, one.parents, one.pull_request) for one in history.commits],
        [(n, one.title, one.state, one.updated_at, len(one.reviews), len(one.commits))
         for n, one in history.pulls.items()],
        [(n, one.title, one.state) for n, one in history.issues.items()],
        [(one.tag_name, one.target) for one in history.releases],
    ]  # fmt: skip


def one_of(commits: int = 300, seed: int = 8) -> tuple[World, Repository]:
    world = World(seed=seed, repositories=1, commits=commits)
    return world, next(iter(world))


def test_the_same_seed_makes_the_same_world() -> None:
    """Whatever is looked at first, and whatever was forgotten in between."""
    first, second, other = World(1, 30), World(1, 30), World(2, 30)
    names = [[one.full_name for one in world] for world in (first, second, other)]
    assert names[0] == names[1] != names[2]
    there = [told(one.history) for one in first]
    back = [told(one.history) for one in reversed(list(second))]
    assert there == back[::-1]
    for one in first:
        one.let_go()
    assert [told(one.history) for one in first] == there


def test_nothing_is_made_before_somebody_looks(serving: Serving) -> None:
    """Names, times and counts of ten thousand repositories need no history."""
    world = World(seed=1, repositories=10_000)
    ids = [one.id for one in world][5000:5100]
    query = """query($ids: [ID!]!) { nodes(ids: $ids) { ... on Repository { nameWithOwner pushedAt
        updatedAt isEmpty pullRequests { totalCount } issues { totalCount } } } }"""
    with Client(serving(world)) as client:
        assert len(client.data(query, ids=ids)["nodes"]) == 100
    assert all(one._history is None for one in world)


def test_counts_before_and_after_looking_agree() -> None:
    """What is promised is made."""
    for one in World(3, 25):
        kinds = ("commits", "pull_requests", "issues", "releases")
        before = [one.count(kind) for kind in kinds]
        assert len(one.history.commits) == before[0]
        assert [one.count(kind) for kind in kinds] == before
        assert one.history.commits[-1].at == one.pushed_at


def test_the_world_lets_go_of_what_can_be_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only so many items stay in memory; what an event has touched stays in any case."""
    monkeypatch.setattr("tests.github.world.KEPT_ITEMS", 100)
    world = World(seed=1, repositories=10, commits=40)
    first, *rest = list(world)
    world.push(first)
    assert all(one.history.commits for one in rest)
    assert first._history is not None
    assert sum(one._history is not None for one in rest) <= 2


def test_a_history_hangs_together() -> None:
    """Parents exist and come first, merge commits and pull requests name each other."""
    _, one = one_of(600)
    history = one.history
    for position, commit in enumerate(history.commits):
        assert all(history.positions[oid] < position for oid in commit.parents)
    merged = [pull for pull in history.pulls.values() if pull.merged]
    assert {len(pull.reviews) for pull in merged} > {0, 1, 2}
    assert any(len(history.commits[history.positions[p.merge_commit or ""]].parents) == 2
               for p in merged)  # fmt: skip
    for pull in merged:
        commit = history.commits[history.positions[pull.merge_commit or ""]]
        assert commit.pull_request == pull.number
        assert commit.at == pull.merged_at == pull.closed_at
        assert pull.created_at <= commit.at
    squashed = [commit for commit in history.commits if "(#" in commit.headline]
    assert squashed
    assert all(f"(#{commit.pull_request})" in commit.headline for commit in squashed)
    numbers = [*history.pulls, *history.issues]
    assert sorted(numbers) == list(range(1, len(numbers) + 1))


def test_the_world_has_all_sorts_of_people() -> None:
    """Bots, co-authors, deleted accounts, mergers who are not the author."""
    _, one = one_of(900)
    history = one.history
    assert any(commit.author.name.endswith("[bot]") for commit in history.commits)
    assert any(commit.co_authors for commit in history.commits)
    assert any(pull.author is None for pull in history.pulls.values())
    assert any(pull.merged_by is not pull.author for pull in history.pulls.values() if pull.merged)


def test_the_truth_is_everything_over_all_time() -> None:
    """A window over all of it holds all of it, and windows side by side share nothing."""
    world, one = one_of()
    now = world.clock.now()
    truth = world.truth(one.id, now - ALWAYS, now)
    assert len(truth.commits) == 300
    assert set(truth.pull_requests) == set(one.history.pulls)
    assert set(truth.issues) == set(one.history.issues)
    cut = one.history.commits[150].at
    before, after = world.truth(one.id, now - ALWAYS, cut), world.truth(one.id, cut, now)
    assert sorted([*before.commits, *after.commits]) == sorted(truth.commits)
    assert not set(before.commits) & set(after.commits)


def test_what_happens_is_in_the_truth_of_its_time() -> None:
    """Each event is found in a window after it, as what it is."""
    world, one = one_of(40)
    issue, late = world.open_issue(one), world.open_issue(one).number
    pull = world.open_pull_request(one, "Add a door")
    world.clock.advance(days=2)
    since = world.clock.now()
    (pushed,) = world.push(one, message="Paint the door")
    world.merge(one, pull.number)
    world.late_close(one, late)
    world.edit_pull_request(one, 1 if 1 in one.history.pulls else pull.number, body="More words")
    world.release(one, "v99.0.0")
    truth = world.truth(one.id, since, since + timedelta(seconds=1))
    assert truth.commits == (pushed.oid, pull.merge_commit)
    assert truth.pull_requests[pull.number] == {"merged", "updated"}
    assert truth.issues[late] == {"closed", "updated"}
    assert issue.number not in truth.issues
    assert truth.releases == ("v99.0.0",)
    assert f"pull_request:{pull.number}" in truth.keys_with("merged")


def test_events_are_seen_by_clients(github: Server, client: Client) -> None:
    """pushedAt moves with a push, updatedAt with anything, ids with nothing."""
    one = next(iter(github.world))
    query = """query($id: ID!) { node(id: $id) { ... on Repository { id pushedAt updatedAt isEmpty
        isArchived defaultBranchRef { target { oid } } issues { totalCount } } } }"""
    before = client.data(query, id=one.id)["node"]
    github.world.clock.advance(hours=1)
    github.world.open_issue(one)
    opened = client.data(query, id=one.id)["node"]
    assert opened["pushedAt"] == before["pushedAt"]
    assert opened["updatedAt"] > before["updatedAt"]
    assert opened["issues"]["totalCount"] == before["issues"]["totalCount"] + 1
    (commit,) = github.world.push(one)
    github.world.archive(one)
    pushed = client.data(query, id=one.id)["node"]
    assert pushed["pushedAt"] > opened["pushedAt"]
    assert pushed["defaultBranchRef"]["target"]["oid"] == commit.oid
    assert (pushed["id"], pushed["isArchived"]) == (one.id, True)
    github.world.empty(one)
    emptied = client.data(query, id=one.id)["node"]
    assert (emptied["isEmpty"], emptied["defaultBranchRef"]) == (True, None)


def test_a_real_history_is_served_as_git_tells_it(serving: Serving, tmp_path: Path) -> None:
    """Oids, parents, people, dates and counts are those of the repository on disk."""
    path = tmp_path / "real.git"

    def git(*arguments: str) -> str:
        names = ["-c", "user.name=Ada Byron", "-c", "user.email=ada@example.org"]
        command = ["git", *names, "-C", str(path), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    path.mkdir()
    git("init", "--quiet", "--initial-branch=main")
    for number in range(3):
        (path / "file").write_text("line\n" * (number + 1))
        git("add", "file")
        git("commit", "--quiet", "-m", f"Change {number}\n\nCo-authored-by: Ben <ben@example.org>")
    world = World(seed=1, repositories=0, git=[path])
    (one,) = world
    query = """query($id: ID!) { node(id: $id) { ... on Repository { name defaultBranchRef { target {
        ... on Commit { history(first: 10) { nodes { oid messageHeadline additions deletions
            changedFilesIfAvailable parents(first: 5) { nodes { oid } }
            authors(first: 5) { nodes { name } } } } } } } } } }"""
    with Client(serving(world)) as client:
        found = client.data(query, id=one.id)["node"]
    nodes = found["defaultBranchRef"]["target"]["history"]["nodes"]
    assert found["name"] == "real"
    assert [node["oid"] for node in nodes] == git("log", "--format=%H").split()
    assert nodes[0]["parents"]["nodes"] == [{"oid": nodes[1]["oid"]}]
    assert [node["additions"] for node in nodes] == [1, 1, 1]
    assert [author["name"] for author in nodes[0]["authors"]["nodes"]] == ["Ada Byron", "Ben"]
    assert one.clone_url == path.resolve().as_uri()


def test_a_topic_is_found_and_forks_only_on_demand(serving: Serving) -> None:
    """search(type: REPOSITORY) with the qualifiers of 'Searching for repositories'."""
    world = World(seed=1, repositories=200)
    query = """query($q: String!) { search(type: REPOSITORY, query: $q, first: 100) {
        repositoryCount nodes { ... on Repository { id } } } }"""
    wanted = {one.id for one in world if "http" in one.topics and one.archived_at is None}
    with Client(serving(world)) as client:
        everything = client.data(query, q="topic:http archived:false fork:true")["search"]
        plain = client.data(query, q="topic:http archived:false")["search"]
    assert {node["id"] for node in everything["nodes"]} == wanted
    assert everything["repositoryCount"] == len(wanted)
    assert {node["id"] for node in plain["nodes"]} == {
        one.id for one in world if one.id in wanted and not one.fork
    }


def test_a_search_shows_a_thousand_and_can_be_cut_by_times_of_creation(serving: Serving) -> None:
    """'The GitHub Search API provides up to 1,000 results for each search' ('About search');
    `created:` takes times and ranges with both ends ('Understanding the search syntax')."""
    world = World(seed=1, repositories=1050, private=0)
    for one in world:
        one.topics, one.fork = ("http",), False
    times = sorted(one.size.created_at for one in world)
    query = """query($q: String!, $after: String) {
        search(type: REPOSITORY, query: $q, first: 100, after: $after) {
            repositoryCount pageInfo { hasNextPage endCursor } nodes { __typename } } }"""
    with Client(serving(world)) as client:
        seen, after = 0, None
        while True:
            found = client.data(query, q="topic:http", after=after)["search"]
            seen += len(found["nodes"])
            after = found["pageInfo"]["endCursor"]
            if not found["pageInfo"]["hasNextPage"]:
                break
        low, high = (f"{at:%Y-%m-%dT%H:%M:%SZ}" for at in (times[10], times[19]))
        cut = client.data(query, q=f"topic:http created:{low}..{high}")["search"]
        internal = client.data(query, q="topic:http is:internal")["search"]
    assert (found["repositoryCount"], seen) == (1050, 1000)
    assert cut["repositoryCount"] == 10
    assert internal["repositoryCount"] == 0


def test_an_account_may_be_either_sort_and_stands_behind_single_sign_on(github: Server) -> None:
    """repositoryOwner: a user or an organization, null for nobody, FORBIDDEN behind SAML."""
    query = "query($login: String!) { repositoryOwner(login: $login) { __typename } }"
    organization, user = github.world.organizations[0], github.world.people[0]
    with Client(github, sso=False) as client:
        assert client.data(query, login=organization.login)["repositoryOwner"] == {
            "__typename": "Organization"
        }
        assert client.data(query, login=user.login)["repositoryOwner"] == {"__typename": "User"}
        assert client.data(query, login="nobody")["repositoryOwner"] is None
        organization.saml = True
        (error,) = client.errors(query, login=organization.login)
    assert error["extensions"] == {"saml_failure": True}


def test_an_organisation_lists_what_the_token_may_see(github: Server) -> None:
    """organization.repositories by pages, private ones for those who may, with teams."""
    world = github.world
    owner = world.organizations[0]
    query = """query($login: String!) { organization(login: $login) {
        repositories(first: 100, orderBy: {field: PUSHED_AT, direction: DESC}) {
            totalCount nodes { id pushedAt } }
        teams(first: 10) { nodes { slug repositories(first: 100) { nodes { id } } } } } }"""
    with Client(github) as insider, Client(github, owners=frozenset()) as outsider:
        seen = insider.data(query, login=owner.login)["organization"]
        public = outsider.data(query, login=owner.login)["organization"]["repositories"]
    owned = world.owned(owner)
    times = [node["pushedAt"] for node in seen["repositories"]["nodes"]]
    assert times == sorted(times, reverse=True)
    assert {node["id"] for node in seen["repositories"]["nodes"]} == {one.id for one in owned}
    assert public["totalCount"] == sum(not one.private for one in owned) < len(owned)
    assert [team["slug"] for team in seen["teams"]["nodes"]] == ["platform", "product"]


def test_it_runs_as_a_process() -> None:
    """`python -m tests.github` says where it is, and answers there."""
    command = [sys.executable, "-m", "tests.github", "--repositories", "3"]
    root = Path(__file__).parents[3]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        try:
            assert process.stdout is not None
            lines = [process.stdout.readline().split() for _ in range(5)]
        finally:
            process.terminate()
    assert lines[0][0] == "GraphQL"
    assert lines[0][1].endswith("/graphql")
    assert process.returncode == 0
