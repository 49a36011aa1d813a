"""Commits, pull requests, issues and releases: their fields and nested lists."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.github import ids
from tests.github.accounts import Account
from tests.github.connections import Context, Page, page
from tests.github.items import (
    Commit,
    GitActor,
    Issue,
    PullRequest,
    Release,
    Thread,
)
from tests.github.registry import field
from tests.github.resolvers.repositories import Ref

Simple = dict[str, Callable[[Any, Context], Any]]


def register(typename: str, fields: Simple) -> None:
    for name, simple in fields.items():
        field(typename, name)(simple)


def nested(item: Any, name: str, found: list[Any], context: Context, arguments: Any) -> Page:
    """A page of a list that is kept in order; its cursors are positions."""
    positions = {id(one): position for position, one in enumerate(found)}
    return page(
        context,
        f"{item.id}/{name}",
        lambda: found,
        lambda one: [positions[id(one)]],
        arguments,
        repository=item.repository,
    )


# ---- Commits ---------------------------------------------------------------------------------------


def commit_url(commit: Commit, context: Context) -> str:
    return f"{context.web}/{commit.repository.full_name}/commit/{commit.oid}"


register(
    "Commit",
    {
        "abbreviatedOid": lambda one, _: one.oid[:7],
        "messageHeadline": lambda one, _: one.headline,
        "messageBody": lambda one, _: one.body,
        "committedDate": lambda one, _: one.at,
        "authoredDate": lambda one, _: one.author.date,
        "changedFilesIfAvailable": lambda one, _: one.files,
        "changedFiles": lambda one, _: one.files,
        "url": commit_url,
        "commitUrl": commit_url,
        "resourcePath": lambda one, _: f"/{one.repository.full_name}/commit/{one.oid}",
        "authoredByCommitter": lambda one, _: one.author.email == one.committer.email,
        "committedViaWeb": lambda one, _: one.pull_request is not None,
    },
)
register("GitActor", {"avatarUrl": lambda *_: "https://example.org/avatar.png"})


@field("GitActor", "user")
def git_user(actor: GitActor, _: Context) -> Account | None:
    return actor.user


@field("Commit", "parents")
def parents(commit: Commit, context: Context, **arguments: Any) -> Page:
    history = commit.repository.history
    known = [history.positions[oid] for oid in commit.parents if oid in history.positions]
    found = [history.commits[position] for position in known]
    return nested(commit, "parents", found, context, arguments)


@field("Commit", "authors")
def authors(commit: Commit, context: Context, **arguments: Any) -> Page:
    return nested(commit, "authors", [commit.author, *commit.co_authors], context, arguments)


@field("Commit", "associatedPullRequests")
def associated(commit: Commit, context: Context, **arguments: Any) -> Page:
    pull = commit.repository.history.pulls.get(commit.pull_request or 0)
    return nested(commit, "associatedPullRequests", [pull] if pull else [], context, arguments)


# ---- Pull requests and issues ----------------------------------------------------------------------


def _of_thread(kind: str) -> Simple:
    return {
        "databaseId": lambda one, _: one.repository.number * 100_000 + one.number,
        "fullDatabaseId": lambda one, _: str(one.repository.number * 100_000 + one.number),
        "bodyText": lambda one, _: one.body,
        "url": lambda one, context: f"{context.web}/{one.repository.full_name}/{kind}/{one.number}",
        "resourcePath": lambda one, _: f"/{one.repository.full_name}/{kind}/{one.number}",
        "authorAssociation": lambda *_: "CONTRIBUTOR",
        "locked": lambda *_: False,
        "publishedAt": lambda one, _: one.created_at,
        "totalCommentsCount": lambda one, _: one.comments,
    }


register("PullRequest", _of_thread("pull"))
register("Issue", _of_thread("issues"))
register("Issue", {"stateReason": lambda one, _: one.state_reason})


def ref_of(pull: PullRequest, name: str) -> Ref | None:
    repository = pull.repository
    if name != repository.default_branch or repository.is_empty:
        return None
    return Ref(repository, "refs/heads/", name, repository.history.commits[-1].oid)


def merge_commit(pull: PullRequest, _: Context) -> Commit | None:
    history = pull.repository.history
    position = history.positions.get(pull.merge_commit or "")
    return None if position is None else history.commits[position]


register(
    "PullRequest",
    {
        "mergeCommit": merge_commit,
        "changedFiles": lambda one, _: one.files,
        "baseRefName": lambda one, _: one.base,
        "headRefName": lambda one, _: one.head,
        "headRefOid": lambda one, _: one.commits[-1].oid if one.commits else "0" * 40,
        "baseRef": lambda one, _: ref_of(one, one.base),
        "baseRepository": lambda one, _: one.repository,
        "headRepository": lambda one, _: one.repository,
        "isCrossRepository": lambda *_: False,
        "reviewDecision": lambda one, _: "APPROVED" if one.reviews else None,
    },
)


class Listed:
    """A commit in the list of a pull request."""

    typename = "PullRequestCommit"

    def __init__(self, pull: PullRequest, commit: Commit) -> None:
        self.pull_request, self.commit, self.repository = pull, commit, pull.repository

    @property
    def id(self) -> str:
        pull = self.pull_request
        return ids.encode("PullRequestCommit", pull.repository.number, pull.number, self.commit.oid)


register(
    "PullRequestCommit",
    {
        "id": lambda one, _: one.id,
        "commit": lambda one, _: one.commit,
        "pullRequest": lambda one, _: one.pull_request,
        "url": lambda one, context: commit_url(one.commit, context),
    },
)


@field("PullRequest", "commits")
def pull_commits(pull: PullRequest, context: Context, **arguments: Any) -> Page:
    found = [Listed(pull, commit) for commit in pull.commits]
    return nested(pull, "commits", found, context, arguments)


@field("PullRequest", "reviews")
def reviews(pull: PullRequest, context: Context, **arguments: Any) -> Page:
    states, author = arguments.get("states"), arguments.get("author")
    found = [
        one
        for one in pull.reviews
        if (not states or one.state in states)
        and (author is None or (one.author is not None and one.author.login == author))
    ]
    return nested(pull, "reviews", found, context, arguments)


@field("PullRequest", "latestReviews", "latestOpinionatedReviews")
def latest_reviews(pull: PullRequest, context: Context, **arguments: Any) -> Page:
    latest = {one.author.login: one for one in pull.reviews if one.author is not None}
    return nested(pull, "latestReviews", list(latest.values()), context, arguments)


@field("PullRequest", "reviewRequests")
def review_requests(pull: PullRequest, context: Context, **arguments: Any) -> Page:
    return nested(pull, "reviewRequests", pull.requests, context, arguments)


@field("PullRequest", "closingIssuesReferences")
def closing(pull: PullRequest, context: Context, **arguments: Any) -> Page:
    return nested(pull, "closingIssuesReferences", pull.closes, context, arguments)


@field("Issue", "closedByPullRequestsReferences")
def closed_by(issue: Issue, context: Context, **arguments: Any) -> Page:
    pulls = [one for one in issue.repository.history.pulls.values() if issue in one.closes]
    return nested(issue, "closedByPullRequestsReferences", pulls, context, arguments)


def labels(thread: Thread, context: Context, **arguments: Any) -> Page:
    return nested(thread, "labels", thread.labels, context, arguments)


def assignees(thread: Thread, context: Context, **arguments: Any) -> Page:
    return nested(thread, "assignees", [], context, arguments)


class Comments:
    """The comments of a thread: only how many."""

    def __init__(self, count: int) -> None:
        self.total_count = count


for _typename in ("PullRequest", "Issue"):
    field(_typename, "labels")(labels)
    field(_typename, "assignees")(assignees)
    field(_typename, "comments")(lambda one, _, **__: Comments(one.comments))

register(
    "PullRequestReview",
    {
        "repository": lambda one, _: one.pull_request.repository,
        "createdAt": lambda one, _: one.submitted_at,
        "updatedAt": lambda one, _: one.submitted_at,
        "url": lambda one, context: f"{context.web}/{one.pull_request.repository.full_name}",
    },
)
register("Label", {"description": lambda *_: None, "isDefault": lambda *_: False})


# ---- Releases --------------------------------------------------------------------------------------


def tag_commit(release: Release, _: Context) -> Commit | None:
    history = release.repository.history
    position = history.positions.get(release.target)
    return None if position is None else history.commits[position]


register(
    "Release",
    {
        "tagCommit": tag_commit,
        "tag": lambda one, _: Ref(one.repository, "refs/tags/", one.tag_name, one.target),
        "url": lambda one, context: (
            f"{context.web}/{one.repository.full_name}/releases/tag/{one.tag_name}"
        ),
        "resourcePath": lambda one, _: f"/{one.repository.full_name}/releases/tag/{one.tag_name}",
        "databaseId": lambda one, _: one.repository.number * 1000 + len(one.tag_name),
        "isLatest": lambda one, _: one is one.repository.history.releases[-1],
    },
)
