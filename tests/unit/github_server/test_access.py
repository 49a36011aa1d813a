"""Who may see what, and how GitHub words it when they may not."""

from dataclasses import replace

import pytest

from tests.github import Server, World
from tests.github.accounts import Organization
from tests.github.client import Client
from tests.github.fixture import Serving
from tests.github.repository import Repository

BY_ID = "query($id: ID!) { node(id: $id) { id ... on Repository { nameWithOwner isPrivate } } }"
BY_NAME = """query($owner: String!, $name: String!, $follow: Boolean = true) {
    repository(owner: $owner, name: $name, followRenames: $follow) { id nameWithOwner } }"""
LISTS = """query($id: ID!) { node(id: $id) { ... on Repository {
    pullRequests(first: 1) { totalCount } issues(first: 1) { totalCount } } } }"""


@pytest.fixture
def one(github: Server) -> Repository:
    return next(repository for repository in github.world if not repository.private)


def test_a_bad_token_is_401(github: Server) -> None:
    """'Bad credentials', as the REST API's troubleshooting page says, with no limits shown."""
    with Client(github, "ghp_nobody") as client:
        response = client.post("{ viewer { login } }")
    assert response.status_code == 401
    assert response.json()["message"] == "Bad credentials"
    assert "x-ratelimit-limit" not in response.headers


def test_a_revoked_token_is_401(github: Server, client: Client) -> None:
    """What worked a moment ago may not work any more."""
    assert client.data("{ viewer { login } }")
    github.credentials.revoke(github.credentials.check(client.token))
    assert client.post("{ viewer { login } }").status_code == 401


def test_graphql_needs_a_token(github: Server, client: Client) -> None:
    """There is no GraphQL without authentication; REST has 60 requests an hour."""
    del client.http.headers["authorization"]
    assert client.post("{ viewer { login } }").status_code == 401
    assert client.get("/meta").headers["x-ratelimit-limit"] == "60"


def test_an_unknown_id_is_null_and_the_others_are_there(client: Client, one: Repository) -> None:
    """nodes: null in its place, NOT_FOUND with its path, and all the rest."""
    query = "query($ids: [ID!]!) { nodes(ids: $ids) { id } }"
    found = client.ask(query, ids=[one.id, "R_unknown", one.id])
    assert found["data"]["nodes"] == [{"id": one.id}, None, {"id": one.id}]
    (error,) = found["errors"]
    assert (error["type"], error["path"]) == ("NOT_FOUND", ["nodes", 1])
    assert error["message"] == "Could not resolve to a node with the global id of 'R_unknown'."


def test_an_unknown_name_is_null(client: Client) -> None:
    """repository is null, with NOT_FOUND and the name in the message."""
    found = client.ask(BY_NAME, owner="nobody", name="nothing")
    assert found["data"] == {"repository": None}
    assert found["errors"][0]["type"] == "NOT_FOUND"
    assert "a Repository with the name 'nobody/nothing'" in found["errors"][0]["message"]


def test_a_private_repository_is_not_there_for_others(github: Server, one: Repository) -> None:
    """GitHub does not tell private from missing."""
    github.world.make_private(one)
    with Client(github, owners=frozenset()) as outsider, Client(github) as insider:
        assert outsider.errors(BY_ID, id=one.id)[0]["type"] == "NOT_FOUND"
        assert outsider.errors(BY_NAME, owner=one.owner.login, name=one.name)
        assert outsider.get(f"/repos/{one.full_name}").status_code == 404
        assert insider.data(BY_ID, id=one.id)["node"]["isPrivate"] is True


def test_a_deleted_repository_is_not_there(github: Server, client: Client, one: Repository) -> None:
    """Neither by id nor by name nor in a list."""
    github.world.delete(one)
    assert client.errors(BY_ID, id=one.id)[0]["type"] == "NOT_FOUND"
    assert client.errors(BY_NAME, owner=one.owner.login, name=one.name)
    assert one not in list(github.world)


def test_a_missing_permission_is_forbidden(github: Server, one: Repository) -> None:
    """A fine-grained token reads what it was given; the rest is FORBIDDEN, with a path."""
    github.world.make_private(one)
    with Client(github, permissions=frozenset({"metadata", "pull_requests"})) as client:
        found = client.ask(LISTS, id=one.id)
    (error,) = found["errors"]
    assert error["type"] == "FORBIDDEN"
    assert error["path"] == ["node", "issues"]
    assert error["message"] == "Resource not accessible by personal access token"


def test_single_sign_on_stands_before_everything(github: Server, one: Repository) -> None:
    """FORBIDDEN with extensions.saml_failure, for tokens that are not authorised."""
    owner = next(item for item in github.world.organizations)
    assert isinstance(owner, Organization)
    owner.saml = True
    github.world.transfer(one, owner)
    with Client(github, sso=False) as outsider, Client(github) as insider:
        (error,) = outsider.errors(BY_ID, id=one.id)
        assert error["extensions"] == {"saml_failure": True}
        assert "SAML" in error["message"]
        assert insider.data(BY_ID, id=one.id)["node"]


def test_a_former_name_leads_to_the_repository(
    github: Server, client: Client, one: Repository
) -> None:
    """followRenames, true unless said otherwise; the id stays for ever."""
    former = one.name
    github.world.rename(one, "another-name")
    found = client.data(BY_NAME, owner=one.owner.login, name=former)["repository"]
    assert found == {"id": one.id, "nameWithOwner": f"{one.owner.login}/another-name"}
    assert client.errors(BY_NAME, owner=one.owner.login, name=former, follow=False)
    moved = client.get(f"/repos/{one.owner.login}/{former}")
    assert moved.status_code == 301
    assert client.http.get(moved.headers["location"]).json()["node_id"] == one.id


def test_a_new_repository_takes_a_former_name(
    github: Server, client: Client, one: Repository
) -> None:
    """A redirect ends when the name is used again."""
    former = one.name
    github.world.rename(one, "another-name")
    new = github.world.add(one.owner, former, replace(one.size))
    found = client.data(BY_NAME, owner=one.owner.login, name=former)["repository"]
    assert found["id"] == new.id != one.id


def test_broken_items_are_null_with_an_error_each(
    github: Server, client: Client, serving: Serving
) -> None:
    """Partial data: what cannot be read is null at its place, always the same."""
    world = World(seed=4, repositories=1, commits=60)
    (one,) = world
    lost = sorted(one.history.issues)[2]
    one.broken.add(f"issue:{lost}")
    query = """query($id: ID!) { node(id: $id) { ... on Repository {
        issues(first: 100) { totalCount pageInfo { endCursor } nodes { number } } } } }"""
    with Client(serving(world)) as asking:
        found = asking.ask(query, id=one.id)
    nodes = found["data"]["node"]["issues"]["nodes"]
    assert nodes[2] is None
    numbers = {node["number"] for node in nodes if node}
    assert numbers == set(one.history.issues) - {lost}
    assert [error["path"] for error in found["errors"]] == [["node", "issues", "nodes", 2]]
