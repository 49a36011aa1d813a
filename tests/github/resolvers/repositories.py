"""A repository: what identifies it, and the lists of what it holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tests.github import errors, ids
from tests.github.connections import Context, Page, history_page, page
from tests.github.items import Commit, Issue, PullRequest, Release
from tests.github.registry import field
from tests.github.repository import Repository


@dataclass(frozen=True, slots=True)
class Ref:
    typename = "Ref"
    repository: Repository
    prefix: str
    name: str
    oid: str

    @property
    def id(self) -> str:
        return ids.encode("Ref", self.repository.number, self.prefix + self.name)

    @property
    def target(self) -> Commit:
        history = self.repository.history
        return history.commits[history.positions[self.oid]]


@dataclass(frozen=True, slots=True)
class Tag:
    typename = "Tag"
    id: str


@dataclass(frozen=True, slots=True)
class Topic:
    typename = "Topic"
    name: str

    @property
    def id(self) -> str:
        return ids.encode("Topic", self.name)


@dataclass(frozen=True, slots=True)
class RepositoryTopic:
    typename = "RepositoryTopic"
    repository: Repository
    topic: Topic

    @property
    def id(self) -> str:
        return ids.encode("RepositoryTopic", self.repository.number, self.topic.name)


def need(repository: Repository, context: Context, permission: str, connection: str) -> None:
    """FORBIDDEN unless the token may read this part of the repository."""
    public = not repository.private and context.token.installation is None
    allowed = permission in context.token.permissions or public
    if not allowed or connection in repository.forbidden:
        raise errors.forbidden(context.token.kind)


SIMPLE: dict[str, Callable[[Repository, Context], Any]] = {
    "databaseId": lambda one, _: one.number,
    "nameWithOwner": lambda one, _: one.full_name,
    "isPrivate": lambda one, _: one.private,
    "visibility": lambda one, _: "PRIVATE" if one.private else "PUBLIC",
    "isArchived": lambda one, _: one.archived_at is not None,
    "isFork": lambda one, _: one.fork,
    "isDisabled": lambda *_: False,
    "isLocked": lambda *_: False,
    "isMirror": lambda *_: False,
    "isTemplate": lambda *_: False,
    "isInOrganization": lambda one, _: one.owner.typename == "Organization",
    "hasIssuesEnabled": lambda *_: True,
    "createdAt": lambda one, _: one.size.created_at,
    "description": lambda one, _: f"The {one.name} project",
    "url": lambda one, context: f"{context.web}/{one.full_name}",
    "resourcePath": lambda one, _: f"/{one.full_name}",
    "sshUrl": lambda one, _: f"git@github.com:{one.full_name}.git",
    "homepageUrl": lambda *_: None,
    "mirrorUrl": lambda *_: None,
    "parent": lambda *_: None,
    "diskUsage": lambda one, _: one.kilobytes,
    "stargazerCount": lambda one, _: one.size.commits // 3,
    "forkCount": lambda one, _: one.size.commits // 20,
    "primaryLanguage": lambda one, _: Language(one.language),
    "viewerPermission": lambda *_: "READ",
}
for _name, _simple in SIMPLE.items():
    field("Repository", _name)(_simple)


@dataclass(frozen=True, slots=True)
class Language:
    typename = "Language"
    name: str


field("Language", "name")(lambda one, _: one.name)
field("Language", "color")(lambda *_: None)
field("Language", "id")(lambda one, _: ids.encode("Language", one.name))


@field("Repository", "languages")
def languages(one: Repository, context: Context, **arguments: Any) -> Page:
    return page(
        context,
        f"{one.id}/languages",
        lambda: [Language(one.language)],
        lambda language: [language.name],
        arguments,
    )


@field("Repository", "repositoryTopics")
def topics(one: Repository, context: Context, **arguments: Any) -> Page:
    found = [RepositoryTopic(one, Topic(name)) for name in sorted(one.topics)]
    return page(
        context, f"{one.id}/topics", lambda: found, lambda topic: [topic.topic.name], arguments
    )


# ---- Git -------------------------------------------------------------------------------------------


@field("Repository", "defaultBranchRef")
def default_branch(one: Repository, context: Context) -> Ref | None:
    need(one, context, "contents", "defaultBranchRef")
    if one.is_empty:
        return None
    return Ref(one, "refs/heads/", one.default_branch, one.history.commits[-1].oid)


@field("Repository", "ref")
def ref(one: Repository, context: Context, *, qualifiedName: str) -> Ref | None:  # noqa: N803
    need(one, context, "contents", "ref")
    for found in [*branches(one), *tags(one)]:
        if qualifiedName in {found.name, found.prefix + found.name}:
            return found
    return None


def branches(one: Repository) -> list[Ref]:
    if one.is_empty:
        return []
    return [Ref(one, "refs/heads/", one.default_branch, one.history.commits[-1].oid)]


def tags(one: Repository) -> list[Ref]:
    found = [Ref(one, "refs/tags/", each.tag_name, each.target) for each in one.history.releases]
    return sorted(found, key=lambda each: each.name)


@field("Repository", "refs")
def refs(one: Repository, context: Context, *, refPrefix: str, **arguments: Any) -> Page:  # noqa: N803
    need(one, context, "contents", "refs")
    found = branches(one) if refPrefix.startswith("refs/heads") else tags(one)
    return page(
        context, f"{one.id}/{refPrefix}", lambda: found, lambda each: [each.name], arguments
    )


@field("Repository", "object")
def git_object(
    one: Repository, context: Context, *, oid: str | None = None, expression: str | None = None
) -> Commit | None:
    need(one, context, "contents", "object")
    name = oid or expression or ""
    if name in {"HEAD", one.default_branch} and not one.is_empty:
        return one.history.commits[-1]
    position = one.history.positions.get(name)
    return None if position is None else one.history.commits[position]


@field("Commit", "history")
def history(commit: Commit, context: Context, **arguments: Any) -> Page:
    one = commit.repository
    position = one.history.positions[commit.oid]
    return history_page(context, one, f"{one.id}/history", position, arguments)


# ---- Pull requests, issues, releases ---------------------------------------------------------------

ORDERS: dict[str, Callable[[Any], Any]] = {
    "CREATED_AT": lambda one: one.created_at.timestamp(),
    "UPDATED_AT": lambda one: one.updated_at.timestamp(),
    "COMMENTS": lambda one: one.comments,
    "NAME": lambda one: one.name,
}


def _threads(
    one: Repository,
    context: Context,
    name: str,
    everything: Callable[[], list[Any]],
    arguments: dict[str, Any],
    wanted: Callable[[Any], bool] | None,
) -> Page:
    """A page of pull requests, issues or releases, filtered and sorted."""
    order = arguments.get("orderBy") or {"field": "CREATED_AT", "direction": "ASC"}
    by, descending = ORDERS[order["field"]], order["direction"] == "DESC"
    filters = {k: v for k, v in arguments.items() if k not in {"first", "last", "after", "before"}}

    def key(item: Any) -> list[Any]:
        return [by(item), getattr(item, "number", 0) or item.id]

    def items() -> list[Any]:
        found = everything() if wanted is None else [x for x in everything() if wanted(x)]
        shown = sorted(found, key=key, reverse=descending)
        return [item if _key(item) not in one.broken else Broken(item) for item in shown]

    def listed() -> list[Any]:
        return one.ordered((name, repr(sorted(filters.items(), key=str))), items)

    total = one.count(name) if wanted is None else None
    return page(
        context,
        f"{one.id}/{name}",
        listed,
        key,
        arguments,
        descending=descending,
        total=total,
        repository=one,
    )


class Broken(errors.Failure):
    """Stands where an item cannot be read, and keeps its place in the order."""

    def __init__(self, item: Any) -> None:
        super().__init__(
            "SERVICE_UNAVAILABLE",
            "Something went wrong while executing your query on this object.",
        )
        self.item = item

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "item":
            raise AttributeError(name)
        return getattr(self.item, name)


def _key(item: Any) -> str:
    if isinstance(item, Release):
        return f"release:{item.tag_name}"
    return f"{'pull_request' if isinstance(item, PullRequest) else 'issue'}:{item.number}"


@field("Repository", "pullRequests")
def pull_requests(one: Repository, context: Context, **arguments: Any) -> Page:
    need(one, context, "pull_requests", "pullRequests")
    states, base = arguments.get("states"), arguments.get("baseRefName")
    head, labels = arguments.get("headRefName"), arguments.get("labels")

    def wanted(pull: PullRequest) -> bool:
        return (
            (not states or pull.state in states)
            and (base is None or pull.base == base)
            and (head is None or pull.head == head)
            and (not labels or any(label.name in labels for label in pull.labels))
        )

    filtered = bool(states or base or head or labels)
    return _threads(
        one,
        context,
        "pull_requests",
        lambda: list(one.history.pulls.values()),
        arguments,
        wanted if filtered else None,
    )


@field("Repository", "issues")
def issues(one: Repository, context: Context, **arguments: Any) -> Page:
    need(one, context, "issues", "issues")
    filters = arguments.get("filterBy") or {}
    states = arguments.get("states") or filters.get("states")
    labels = arguments.get("labels") or filters.get("labels")
    since: datetime | None = filters.get("since")

    def wanted(issue: Issue) -> bool:
        return (
            (not states or issue.state in states)
            and (not labels or any(label.name in labels for label in issue.labels))
            and (since is None or issue.updated_at >= since)
        )

    filtered = bool(states or labels or since)
    return _threads(
        one,
        context,
        "issues",
        lambda: list(one.history.issues.values()),
        arguments,
        wanted if filtered else None,
    )


@field("Repository", "releases")
def releases(one: Repository, context: Context, **arguments: Any) -> Page:
    need(one, context, "contents", "releases")
    arguments.setdefault("orderBy", {"field": "CREATED_AT", "direction": "DESC"})
    return _threads(one, context, "releases", lambda: one.history.releases, arguments, None)


@field("Repository", "latestRelease")
def latest_release(one: Repository, context: Context) -> Release | None:
    need(one, context, "contents", "releases")
    return one.latest_release


@field("Repository", "release")
def release(one: Repository, context: Context, *, tagName: str) -> Release | None:  # noqa: N803
    need(one, context, "contents", "releases")
    return next((each for each in one.history.releases if each.tag_name == tagName), None)


def _numbered(one: Repository, number: int, found: Any, what: str) -> Any:
    if found is None:
        raise errors.not_found(f"{what} with the number of {number}")
    return Broken(found) if _key(found) in one.broken else found


@field("Repository", "pullRequest")
def pull_request(one: Repository, context: Context, *, number: int) -> Any:
    need(one, context, "pull_requests", "pullRequests")
    return _numbered(one, number, one.history.pulls.get(number), "a PullRequest")


@field("Repository", "issue")
def issue(one: Repository, context: Context, *, number: int) -> Any:
    need(one, context, "issues", "issues")
    return _numbered(one, number, one.history.issues.get(number), "an Issue")


@field("Repository", "issueOrPullRequest")
def issue_or_pull_request(one: Repository, context: Context, *, number: int) -> Any:
    need(one, context, "issues", "issues")
    found = one.history.pulls.get(number) or one.history.issues.get(number)
    return _numbered(one, number, found, "an issue or pull request")
