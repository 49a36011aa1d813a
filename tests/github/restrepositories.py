"""REST requests about repositories: what they are, and the lists of what they hold."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from tests.github import answer
from tests.github.accounts import Account, Bot
from tests.github.answer import Answer
from tests.github.items import Commit, PullRequest, Release, Thread
from tests.github.repository import Repository
from tests.github.rest import NAME, Call, route
from tests.github.schema import to_text, to_time

ONE = rf"/repos/(?P<owner>{NAME})/(?P<name>{NAME})"
DEEPEST = 10_000
"""Issues from here on are not reached by their page's number."""


def found(call: Call, owner: str, name: str, permission: str = "", connection: str = "") -> Any:
    """The repository of a name, or the refusal; a renamed one is answered 301 with its address."""
    full_name = f"{owner}/{name}"
    current = call.world.find(full_name, follow=False)
    one = current or call.world.find(full_name)
    if one is None or not call.sees(one):
        return answer.message(404, "Not Found")
    if current is None:
        rest = call.path.removeprefix(f"/repos/{full_name}")
        where = f"{call.server.url}/repositories/{one.number}{rest}"
        return answer.message(301, "Moved Permanently", location=where)
    lacks = call.token is not None and permission not in {"", *call.token.permissions}
    private = one.private or (call.token is not None and call.token.installation is not None)
    if (lacks and private) or connection in one.forbidden:
        kind = call.token.kind if call.token else "personal access token"
        return answer.message(403, f"Resource not accessible by {kind}")
    return one


def repository_json(one: Repository, call: Call) -> dict[str, Any]:
    return {
        "id": one.number,
        "node_id": one.id,
        "name": one.name,
        "full_name": one.full_name,
        "private": one.private,
        "archived": one.archived_at is not None,
        "fork": one.fork,
        "default_branch": one.default_branch,
        "language": one.language,
        "size": one.kilobytes,
        "topics": list(one.topics),
        "pushed_at": to_text(one.pushed_at),
        "updated_at": to_text(one.updated_at),
        "html_url": f"{call.server.web}/{one.full_name}",
        "clone_url": one.clone_url or f"{call.server.web}/{one.full_name}.git",
        "owner": {"login": one.owner.login, "id": one.owner.number, "type": one.owner.typename},
    }


@route("GET", ONE)
def repository(call: Call, *, owner: str, name: str) -> Answer:
    one = found(call, owner, name)
    return one if isinstance(one, Answer) else answer.as_json(repository_json(one, call))


@route("GET", r"/repositories/(?P<number>\d+)")
def by_number(call: Call, *, number: str) -> Answer:
    one = call.world.repositories.get(int(number))
    if one is None or not call.sees(one):
        return answer.message(404, "Not Found")
    return answer.as_json(repository_json(one, call))


@route("GET", rf"/orgs/(?P<owner>{NAME})/repos")
def of_organization(call: Call, *, owner: str) -> Answer:
    account = call.world.accounts.get(owner.casefold())
    if account is None:
        return answer.message(404, "Not Found")
    seen = [one for one in call.world.owned(account) if call.sees(one)]
    return call.paged(seen, lambda one: repository_json(one, call))


@route("GET", r"/installation/repositories")
def installed(call: Call) -> Answer:
    if call.token is None or call.token.installation is None:
        return answer.message(403, "Resource not accessible by personal access token")
    seen = [one for one in call.world if one.owner is call.token.account]
    page = call.paged(seen, lambda one: repository_json(one, call))
    page.body = json.dumps(
        {"total_count": len(seen), "repositories": json.loads(page.body)}
    ).encode()
    return page


# ---- Commits ---------------------------------------------------------------------------------------


def account_json(account: Account | None) -> dict[str, Any] | None:
    if account is None:
        return None
    login = f"{account.login}[bot]" if isinstance(account, Bot) else account.login
    return {"login": login, "type": account.typename}


def commit_json(commit: Commit) -> dict[str, Any]:
    author, committer = (
        {"name": who.name, "email": who.email, "date": to_text(who.date)}
        for who in (commit.author, commit.committer)
    )
    return {
        "sha": commit.oid,
        "node_id": commit.id,
        "commit": {"message": commit.message, "author": author, "committer": committer},
        "author": account_json(commit.author.user),
        "parents": [{"sha": oid} for oid in commit.parents],
    }


@route("GET", rf"{ONE}/commits")
def commits(call: Call, *, owner: str, name: str) -> Answer:
    """Those of the default branch, its tip first."""
    one = found(call, owner, name, "contents", "defaultBranchRef")
    if isinstance(one, Answer):
        return one
    if one.is_empty:
        return answer.message(409, "Git Repository is empty.")
    since, until = (call.query.get(bound) for bound in ("since", "until"))
    listed = [
        commit
        for commit in reversed(one.history.commits)
        if (since is None or commit.at >= to_time(since))
        and (until is None or commit.at <= to_time(until))
    ]
    return call.paged(listed, commit_json)


# ---- Pull requests, issues, releases ---------------------------------------------------------------


def thread_json(thread: Thread) -> dict[str, Any]:
    shown = {
        "number": thread.number,
        "title": thread.title,
        "body": thread.body,
        "state": "closed" if thread.closed else "open",
        "user": account_json(thread.author),
        "labels": [{"name": label.name, "color": label.color} for label in thread.labels],
        "comments": thread.comments,
        "created_at": to_text(thread.created_at),
        "updated_at": to_text(thread.updated_at),
        "closed_at": to_text(thread.closed_at) if thread.closed_at else None,
    }
    if isinstance(thread, PullRequest):
        merged = to_text(thread.merged_at) if thread.merged_at else None
        shown["pull_request"] = {"merged_at": merged}
    return shown


def listed(call: Call, threads: Sequence[Thread]) -> Answer:
    """A page of threads by `state`, `sort` and `direction`: open ones, the last made first."""
    state = call.query.get("state", "open")
    order = "updated_at" if call.query.get("sort") == "updated" else "created_at"
    by: Callable[[Thread], Any] = lambda one: (getattr(one, order), one.number)  # noqa: E731
    wanted = [one for one in threads if state == "all" or one.closed == (state == "closed")]
    wanted.sort(key=by, reverse=call.query.get("direction", "desc") == "desc")
    return call.paged(wanted, thread_json)


@route("GET", rf"{ONE}/pulls")
def pulls(call: Call, *, owner: str, name: str) -> Answer:
    one = found(call, owner, name, "pull_requests", "pullRequests")
    return one if isinstance(one, Answer) else listed(call, list(one.history.pulls.values()))


@route("GET", rf"{ONE}/issues")
def issues(call: Call, *, owner: str, name: str) -> Answer:
    """'Every pull request is an issue', so they are all here."""
    one = found(call, owner, name, "issues", "issues")
    if isinstance(one, Answer):
        return one
    if int(call.query.get("page", "1")) * int(call.query.get("per_page", "30")) >= DEEPEST:
        return answer.message(
            422,
            "Pagination with the page parameter is not supported for large datasets, please use "
            "cursor based pagination (after/before)",
        )
    history = one.history
    return listed(call, [*history.pulls.values(), *history.issues.values()])


def release_json(one: Release) -> dict[str, Any]:
    return {
        "node_id": one.id,
        "tag_name": one.tag_name,
        "name": one.name,
        "body": one.description,
        "draft": one.is_draft,
        "prerelease": one.is_prerelease,
        "author": account_json(one.author),
        "created_at": to_text(one.created_at),
        "published_at": to_text(one.published_at) if one.published_at else None,
        "updated_at": to_text(one.updated_at),
    }


@route("GET", rf"{ONE}/releases")
def releases(call: Call, *, owner: str, name: str) -> Answer:
    """Drafts are shown to those alone who may push."""
    one = found(call, owner, name, "contents", "releases")
    if isinstance(one, Answer):
        return one
    shown = [each for each in one.history.releases if not each.is_draft]
    shown.sort(key=lambda each: each.created_at, reverse=True)
    return call.paged(shown, release_json)


@route("GET", rf"{ONE}/releases/latest")
def latest(call: Call, *, owner: str, name: str) -> Answer:
    """404 where there is no full release."""
    one = found(call, owner, name, "contents", "releases")
    if isinstance(one, Answer):
        return one
    newest = one.latest_release
    return answer.as_json(release_json(newest)) if newest else answer.message(404, "Not Found")
