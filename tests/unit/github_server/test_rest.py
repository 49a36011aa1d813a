"""REST: conditional requests, limits, pages; by 'Best practices for using the REST API'."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.github import Limits, Server, World
from tests.github.client import Client
from tests.github.fixture import Serving


def test_what_has_not_changed_costs_nothing(github: Server, client: Client) -> None:
    """A 304 'does not count against your primary rate limit'."""
    one = next(iter(github.world))
    path = f"/repos/{one.full_name}"
    first = client.get(path)
    assert first.json()["node_id"] == one.id
    again = client.get(path, if_none_match=first.headers["etag"])
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["x-ratelimit-used"] == "1"
    github.world.archive(one)
    changed = client.get(path, if_none_match=first.headers["etag"])
    assert changed.status_code == 200
    assert changed.json()["archived"] is True
    assert github.accounting.points(resource="core") == 2


def test_another_token_is_given_another_etag(github: Server, client: Client) -> None:
    """`Vary: Accept, Authorization`: an ETag holds for the token that was given it, so those of an
    installation go with its token (github/docs#34689)."""
    path = f"/repos/{next(iter(github.world)).full_name}"
    etag = client.get(path).headers["etag"]
    with Client(github) as other:
        assert other.get(path, if_none_match=etag).status_code == 200
    assert client.get(path, if_none_match=etag).status_code == 304
    assert client.get(path, if_none_match=etag, accept="text/html").status_code == 200


def test_an_etag_is_of_its_page_and_says_nothing_of_the_others(
    github: Server, client: Client
) -> None:
    """A client cannot tell from it how many there are; and 304 has no `link`."""
    one = next(iter(github.world))
    for _ in range(3):
        last = github.world.open_issue(one).number
    path = f"/repos/{one.full_name}/issues?state=all&direction=asc&per_page=1"
    first = client.get(path)
    assert 'rel="last"' in first.headers["link"]
    github.world.delete_issue(one, last)
    again = client.get(path, if_none_match=first.headers["etag"])
    assert (again.status_code, again.headers.get("link")) == (304, None)


def test_asking_for_the_limits_is_free(github: Server, client: Client) -> None:
    """GET /rate_limit 'does not count against your primary rate limit'."""
    client.data("{ viewer { login } }")
    resources = client.get("/rate_limit").json()["resources"]
    assert resources["graphql"]["used"] == 1
    assert resources["core"]["used"] == 0
    assert resources["core"]["limit"] == 5000


def test_without_points_rest_is_403(github: Server, client: Client) -> None:
    """'You will receive a 403 or 429 response', with x-ratelimit-remaining 0."""
    github.drain(client.token, resource="core")
    response = client.get("/meta")
    assert response.status_code == 403
    assert response.headers["x-ratelimit-remaining"] == "0"
    assert "rate limit exceeded" in response.json()["message"]


def test_commits_are_paged_by_links(serving: Serving) -> None:
    """'You should use the link headers to determine what pages of results you can request.'"""
    world = World(seed=6, repositories=1, commits=70)
    (one,) = world
    oids, url = [], f"/repos/{one.full_name}/commits?per_page=30"
    with Client(serving(world)) as client:
        response = client.get(url)
        oids += [commit["sha"] for commit in response.json()]
        while "next" in response.links:
            response = client.http.get(response.links["next"]["url"])
            oids += [commit["sha"] for commit in response.json()]
    assert oids == [commit.oid for commit in reversed(one.history.commits)]


def test_issues_and_pull_requests_are_in_one_list_by_their_last_update(
    github: Server, client: Client
) -> None:
    """'GitHub's REST API considers every pull request an issue', by 'List repository issues'."""
    one, world = next(iter(github.world)), github.world
    issue, pull = world.open_issue(one), world.open_pull_request(one)
    world.clock.advance(hours=1)
    world.comment(one, issue.number)
    query = "state=all&sort=updated&direction=desc&per_page=2"
    rows = client.get(f"/repos/{one.full_name}/issues?{query}").json()
    assert [row["number"] for row in rows] == [issue.number, pull.number]
    assert ["pull_request" in row for row in rows] == [False, True]
    rows = client.get(f"/repos/{one.full_name}/pulls?{query}").json()
    assert rows[0]["number"] == pull.number
    open_ones = client.get(f"/repos/{one.full_name}/issues?per_page=1").json()
    assert open_ones[0]["number"] == pull.number, "open ones, the last made first"


def test_deep_pages_of_issues_are_refused(github: Server, client: Client) -> None:
    """'Pagination with the page parameter is not supported for large datasets', from 10,000 on
    (josegonzalez/python-github-backup#429)."""
    path = f"/repos/{next(iter(github.world)).full_name}/issues?state=all"
    assert client.get(f"{path}&per_page=100&page=99").status_code == 200
    assert client.get(f"{path}&per_page=100&page=100").status_code == 422


def test_the_latest_release_is_the_last_full_one(github: Server, client: Client) -> None:
    """'The most recent non-prerelease, non-draft release, sorted by the created_at attribute', by
    'Get the latest release'; without one it is 404, where 'List releases' is an empty list."""
    one = next(iter(github.world))
    one.history.releases.clear()
    path = f"/repos/{one.full_name}/releases"
    assert client.get(f"{path}/latest").status_code == 404
    assert client.get(path).json() == []
    github.world.release(one, "v1")
    github.world.clock.advance(hours=1)
    github.world.push(one)
    github.world.release(one, "v2-rc").is_prerelease = True
    assert client.get(f"{path}/latest").json()["tag_name"] == "v1"
    assert [row["tag_name"] for row in client.get(path).json()] == ["v2-rc", "v1"]


def test_lists_of_a_renamed_repository_are_elsewhere(github: Server, client: Client) -> None:
    """301 with the address by number, by 'Best practices', 'Follow redirects'."""
    one = next(iter(github.world))
    former = one.full_name
    github.world.rename(one, "another")
    response = client.get(f"/repos/{former}/pulls")
    assert response.status_code == 301
    assert response.headers["location"] == f"{github.url}/repositories/{one.number}/pulls"


def test_lists_that_a_token_may_not_read_are_403(github: Server, client: Client) -> None:
    """'Resource not accessible by personal access token'."""
    one = next(iter(github.world))
    one.forbidden |= {"issues", "releases"}
    for path, status in (("issues", 403), ("releases/latest", 403), ("pulls", 200)):
        assert client.get(f"/repos/{one.full_name}/{path}").status_code == status


def test_commits_of_an_empty_repository_are_a_conflict(github: Server, client: Client) -> None:
    """409 'Git Repository is empty.', as 'List commits' says."""
    one = next(iter(github.world))
    github.world.empty(one)
    assert client.get(f"/repos/{one.full_name}/commits").status_code == 409


def test_bots_have_another_login_in_rest(serving: Serving) -> None:
    """GraphQL says `dependabot` of type Bot, git and REST say `dependabot[bot]`."""
    world = World(seed=6, repositories=1, commits=5)
    (one,) = world
    world.push(one, author=world.bots[0])
    with Client(serving(world)) as client:
        newest = client.get(f"/repos/{one.full_name}/commits").json()[0]
    assert newest["commit"]["author"]["name"] == "dependabot[bot]"


def test_an_unknown_path_is_404(client: Client) -> None:
    assert client.get("/nothing/here").status_code == 404


@pytest.fixture
def enterprise(serving: Serving) -> Server:
    return serving(World(seed=1, repositories=3), limits=None, enterprise=True)


def test_an_enterprise_server_lives_under_api(enterprise: Server) -> None:
    """/api/v3 and /api/graphql, as the GraphQL guide for GitHub Enterprise Server says."""
    assert enterprise.url.endswith("/api/v3")
    assert enterprise.graphql_url.endswith("/api/graphql")
    with Client(enterprise) as client:
        assert client.data("{ viewer { login } }")
        assert client.get("/meta").status_code == 200
        assert client.http.get(f"{enterprise.host}/graphql").status_code == 404


def test_an_enterprise_server_has_no_limits_by_default(enterprise: Server) -> None:
    """'Rate limits are disabled by default': no headers, rateLimit null, /rate_limit 404."""
    with Client(enterprise) as client:
        response = client.post("{ rateLimit { remaining } viewer { login } }")
        assert response.json()["data"]["rateLimit"] is None
        assert "x-ratelimit-limit" not in response.headers
        answer = client.get("/rate_limit")
    assert answer.status_code == 404
    assert answer.json()["message"] == "Rate limiting is not enabled."


def test_some_servers_without_limits_say_zero_of_zero(serving: Serving) -> None:
    """A limit of 0 with 0 remaining means that there is none (apache/devlake#8020)."""
    limits = replace(Limits.off(), shows_zero=True)
    server = serving(World(repositories=1), limits=limits, enterprise=True)
    with Client(server) as client:
        response = client.post("{ rateLimit { limit remaining used } viewer { login } }")
    assert response.json()["data"]["rateLimit"] == {"limit": 0, "remaining": 0, "used": 0}
    assert response.headers["x-ratelimit-limit"] == "0"


def test_a_window_of_commits_over_rest(serving: Serving) -> None:
    """since and until of 'List commits' are dates of the committer."""
    world = World(seed=6, repositories=1, commits=70)
    (one,) = world
    since = one.pushed_at - timedelta(days=30)
    with Client(serving(world)) as client:
        path = f"/repos/{one.full_name}/commits?per_page=100&since={since:%Y-%m-%dT%H:%M:%SZ}"
        oids = {commit["sha"] for commit in client.get(path).json()}
    assert oids == set(world.truth(one.id, since, one.pushed_at + timedelta(seconds=1)).commits)
