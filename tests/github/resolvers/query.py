"""The root: viewer, rateLimit, node, nodes, repository, user, organization, search."""

from __future__ import annotations

from typing import Any

from tests.github import errors, ids
from tests.github.accounts import Account, Organization, Team, User
from tests.github.connections import Context, Page, page
from tests.github.credentials import Token
from tests.github.limits import Standing
from tests.github.registry import field
from tests.github.repository import Repository
from tests.github.search import search

MOST_FOUND = 1000


@field("Query", "viewer")
def viewer(_: Any, context: Context) -> Account:
    return context.token.account


@field("Query", "rateLimit")
def rate_limit(_: Any, context: Context, **__: Any) -> Standing | None:
    return context.standing


@field("RateLimit", "cost")
def cost(_: Standing, context: Context) -> int:
    return context.cost


@field("RateLimit", "nodeCount")
def node_count(_: Standing, context: Context) -> int:
    return context.node_count


@field("Query", "repository")
def repository(
    _: Any,
    context: Context,
    *,
    owner: str,
    name: str,
    followRenames: bool = True,  # noqa: N803  (as the schema writes it)
) -> Repository:
    full_name = f"{owner}/{name}"
    found = context.world.find(full_name, follow=followRenames)
    if found is None or not context.token.sees(found):
        raise errors.no_repository(full_name)
    return admit(found, context.token)


def admit(repository: Repository, token: Token) -> Repository:
    """Single sign-on stands before everything of its organisation."""
    if isinstance(repository.owner, Organization) and repository.owner.saml and not token.sso:
        raise errors.saml()
    return repository


@field("Query", "node")
def node(_: Any, context: Context, *, id: str) -> Any:  # noqa: A002
    return resolve(id, context)


@field("Query", "nodes")
def nodes(_: Any, context: Context, *, ids: list[str]) -> list[Any]:
    def one(node_id: str) -> Any:
        try:
            return resolve(node_id, context)
        except errors.Failure as failure:
            return failure  # stands in the list as null, with an error at its place

    context.seconds += 0.001 * len(ids)
    return [one(node_id) for node_id in ids]


def resolve(node_id: str, context: Context) -> Any:
    """Whatever an id stands for, if this token may know of it."""
    world, decoded = context.world, ids.decode(node_id)
    if decoded is None:
        raise errors.no_node(node_id)
    typename, parts = decoded
    if typename in {"User", "Organization", "Bot", "Team"}:
        found = _account(context, typename, int(parts[0]))
        if found is None:
            raise errors.no_node(node_id)
        return found
    repository = world.repositories.get(int(parts[0])) if parts[0].isdigit() else None
    if repository is None or not context.token.sees(repository):
        raise errors.no_node(node_id)
    admit(repository, context.token)
    if typename == "Repository":
        return repository
    found = _inside(repository, typename, parts[1:])
    if found is None:
        raise errors.no_node(node_id)
    return found


def _inside(repository: Repository, typename: str, parts: list[str]) -> Any:
    history = repository.history
    if typename == "Commit":
        position = history.positions.get(parts[0])
        return None if position is None else history.commits[position]
    if typename == "PullRequest":
        return history.pulls.get(int(parts[0]))
    if typename == "Issue":
        return history.issues.get(int(parts[0]))
    if typename == "Release":
        return next((one for one in history.releases if one.tag_name == parts[0]), None)
    return None


def _account(context: Context, typename: str, number: int) -> Account | Team | None:
    everybody: list[Account | Team] = [*context.world.accounts.values()]
    everybody += [team for one in context.world.organizations for team in one.teams]
    return next(
        (one for one in everybody if one.typename == typename and one.number == number), None
    )


@field("Query", "user")
def user(_: Any, context: Context, *, login: str) -> User:
    found = context.world.accounts.get(login.casefold())
    if not isinstance(found, User):
        raise errors.not_found(f"a User with the login of '{login}'")
    return found


@field("Query", "organization")
def organization(_: Any, context: Context, *, login: str) -> Organization:
    found = context.world.accounts.get(login.casefold())
    if not isinstance(found, Organization):
        raise errors.not_found(f"an Organization with the login of '{login}'")
    if found.saml and not context.token.sso:
        raise errors.saml()
    return found


@field("Query", "repositoryOwner")
def repository_owner(_: Any, context: Context, *, login: str) -> Account | None:
    found = context.world.accounts.get(login.casefold())
    if isinstance(found, Organization) and found.saml and not context.token.sso:
        raise errors.saml()
    return found


@field("Query", "search")
def search_repositories(
    _: Any,
    context: Context,
    *,
    query: str,
    type: str,  # noqa: A002
    **arguments: Any,
) -> Page:
    if type != "REPOSITORY":
        raise errors.Failure(None, f"tests/github searches repositories only, not {type}")
    found = search(context.world, context.token, query)
    shown = found[:MOST_FOUND]
    result = page(
        context,
        f"search/{query}",
        lambda: shown,
        lambda one: [-one.size.commits, one.number],
        arguments,
    )
    result.repository_count = len(found)
    return result


@field("SearchResultItemConnection", "repositoryCount")
def repository_count(found: Page, _: Context) -> int:
    return found.repository_count


@field(
    "SearchResultItemConnection",
    "codeCount",
    "discussionCount",
    "issueCount",
    "userCount",
    "wikiCount",
)
def other_count(*_: Any) -> int:
    return 0
