"""Accounts: their repositories, and an organisation's teams."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.github.accounts import Account, Organization, Team
from tests.github.connections import Context, Page, page
from tests.github.registry import field
from tests.github.repository import Repository

ORDERS: dict[str, Callable[[Repository], Any]] = {
    "CREATED_AT": lambda one: one.size.created_at,
    "UPDATED_AT": lambda one: one.updated_at,
    "PUSHED_AT": lambda one: one.pushed_at,
    "NAME": lambda one: one.name,
    "STARGAZERS": lambda one: one.size.commits,
}


def listing(
    context: Context,
    scope: str,
    found: list[Repository],
    order: dict[str, str] | None,
    arguments: dict[str, Any],
) -> Page:
    """A page of repositories, filtered by what the arguments say."""
    visibility = arguments.get("visibility") or arguments.get("privacy")
    archived, fork = arguments.get("isArchived"), arguments.get("isFork")
    wanted = [
        one
        for one in found
        if context.token.sees(one)
        and (archived is None or (one.archived_at is not None) is archived)
        and (fork is None or one.fork is fork)
        and (visibility is None or one.private is (visibility == "PRIVATE"))
    ]
    by = ORDERS[order["field"]] if order else ORDERS["NAME"]
    descending = bool(order and order["direction"] == "DESC")

    def key(one: Repository) -> list[Any]:
        value = by(one)
        return [value.timestamp() if hasattr(value, "timestamp") else value, one.number]

    wanted.sort(key=key, reverse=descending)
    if order:
        arguments["orderBy"] = order
    return page(context, scope, lambda: wanted, key, arguments, descending=descending)


@field("Organization", "repositories")
def of_organization(
    owner: Account,
    context: Context,
    *,
    orderBy: dict[str, str] | None = None,  # noqa: N803
    **arguments: Any,
) -> Page:
    return listing(
        context, f"{owner.id}/repositories", context.world.owned(owner), orderBy, arguments
    )


FIELDS_OF_USERS = field("User", "repositories")(of_organization)


@field("Organization", "teams")
def teams(owner: Organization, context: Context, **arguments: Any) -> Page:
    return page(
        context, f"{owner.id}/teams", lambda: owner.teams, lambda one: [one.number], arguments
    )


@field("Organization", "team")
def team(owner: Organization, _: Context, *, slug: str) -> Team | None:
    return next((one for one in owner.teams if one.slug == slug), None)


@field("Team", "repositories")
def of_team(
    team: Team,
    context: Context,
    *,
    orderBy: dict[str, str] | None = None,  # noqa: N803
    **arguments: Any,
) -> Page:
    found = [context.world.repositories[number] for number in team.repositories]
    found = [one for one in found if not one.deleted]
    return listing(context, f"{team.id}/repositories", found, orderBy, arguments)


@field("Team", "members")
def members(team: Team, context: Context, **arguments: Any) -> Page:
    found = sorted(team.members, key=lambda one: one.number)
    return page(context, f"{team.id}/members", lambda: found, lambda one: [one.number], arguments)


def url(account: Account, context: Context) -> str:
    return context.web + account.path


for _typename in ("User", "Bot", "Organization", "Mannequin"):
    field(_typename, "url")(url)
    field(_typename, "resourcePath")(lambda account, _: account.path)
    field(_typename, "avatarUrl")(lambda account, context, **_: f"{context.web}{account.path}.png")
