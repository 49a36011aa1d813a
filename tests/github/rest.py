"""The REST requests that Sparky makes, with conditional answers and redirects."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from tests.github import answer
from tests.github.accounts import Bot
from tests.github.answer import Answer
from tests.github.credentials import App, Installation, Refused, Token
from tests.github.items import Commit
from tests.github.repository import Repository
from tests.github.schema import to_text, to_time

if TYPE_CHECKING:
    from tests.github.server import Server

NAME = r"[\w.-]+"
Handler = Callable[..., Answer]
ROUTES: list[tuple[str, re.Pattern[str], str, Handler]] = []


def route(method: str, pattern: str) -> Callable[[Handler], Handler]:
    def register(handler: Handler) -> Handler:
        shown = re.sub(r"\(\?P<(\w+)>.*?\)", r"{\1}", pattern)
        ROUTES.append((method, re.compile(pattern + r"/?"), f"{method} {shown}", handler))
        return handler

    return register


class Call:
    """A request on its way through a route."""

    def __init__(
        self, server: Server, token: Token | None, path: str, query: str, body: bytes
    ) -> None:
        self.server, self.world, self.token = server, server.world, token
        self.path, self.body = path, body
        self.query = {name: values[-1] for name, values in parse_qs(query).items()}

    def sees(self, repository: Repository | None) -> bool:
        if repository is None or repository.deleted:
            return False
        return not repository.private if self.token is None else self.token.sees(repository)

    def paged(self, found: list[Any], shown: Callable[[Any], Any]) -> Answer:
        """One page of a list, with the `link` header that leads to the others."""
        size = min(100, int(self.query.get("per_page", "30")))
        number = int(self.query.get("page", "1"))
        made = answer.as_json([shown(one) for one in found[(number - 1) * size : number * size]])
        last = -(-len(found) // size)
        if number < last:
            base = f"{self.server.url}{self.path}?per_page={size}&page="
            made.headers["link"] = f'<{base}{number + 1}>; rel="next", <{base}{last}>; rel="last"'
        return made


def find(method: str, path: str) -> tuple[str, Handler, dict[str, str]] | None:
    """The route of a request: its name, its handler, what stands in the path."""
    for known, pattern, name, handler in ROUTES:
        match = pattern.fullmatch(path) if known == method else None
        if match:
            return name, handler, match.groupdict()
    return None


def conditional(made: Answer, if_none_match: str | None) -> Answer:
    """Give an answer its ETag; 304 without a body when the client has it already."""
    if made.status != 200:
        return made
    etag = f'W/"{hashlib.sha256(made.body).hexdigest()}"'
    made.headers["etag"] = etag
    given = {one.strip().removeprefix("W/") for one in (if_none_match or "").split(",")}
    if etag.removeprefix("W/") in given:
        return Answer(304, b"", {"etag": etag})
    return made


# ---- Meta and limits -------------------------------------------------------------------------------


@route("GET", r"/meta")
def meta(_: Call) -> Answer:
    return answer.as_json({"verifiable_password_authentication": False, "hooks": []})


@route("GET", r"/rate_limit")
def rate_limit(call: Call) -> Answer:
    """Costs nothing; 404 where limits are disabled."""
    if not call.server.limited:
        return answer.message(404, "Rate limiting is not enabled.")
    found = {}
    for resource in ("core", "graphql", "search"):
        standing = call.server.standing(call.token, resource)
        if standing is not None:
            found[resource] = {
                "limit": standing.limit,
                "used": standing.used,
                "remaining": standing.remaining,
                "reset": int(standing.reset_at.timestamp()),
            }
    return answer.as_json({"resources": found, "rate": found.get("core")})


# ---- Apps ------------------------------------------------------------------------------------------


def installation_json(one: Installation) -> dict[str, Any]:
    return {
        "id": one.id,
        "app_id": one.app.id,
        "account": {
            "login": one.account.login,
            "id": one.account.number,
            "type": one.account.typename,
        },
        "permissions": dict.fromkeys(sorted(one.permissions), "read"),
        "repository_selection": "all",
    }


def signed(call: Call, assertion: str) -> App | Answer:
    """The App that a request is signed by, or the refusal."""
    try:
        return call.server.credentials.check_app(assertion)
    except Refused as refused:
        return answer.message(401, str(refused))


@route("GET", r"/app/installations")
def installations(call: Call, assertion: str) -> Answer:
    app = signed(call, assertion)
    if isinstance(app, Answer):
        return app
    return call.paged(app.installations, installation_json)


@route("POST", r"/app/installations/(?P<number>\d+)/access_tokens")
def access_token(call: Call, assertion: str, *, number: str) -> Answer:
    app = signed(call, assertion)
    if isinstance(app, Answer):
        return app
    for installation in app.installations:
        if installation.id == int(number):
            token = call.server.credentials.mint(installation)
            assert token.expires_at is not None
            return answer.as_json(
                {
                    "token": token.value,
                    "expires_at": to_text(token.expires_at),
                    "permissions": dict.fromkeys(sorted(token.permissions), "read"),
                },
                201,
            )
    return answer.message(404, "Not Found")


@route("GET", r"/installation/repositories")
def installed(call: Call) -> Answer:
    if call.token is None or call.token.installation is None:
        return answer.message(403, "Resource not accessible by personal access token")
    found = [one for one in call.world if one.owner is call.token.account]
    page = call.paged(found, lambda one: repository_json(one, call))
    page.body = json.dumps(
        {"total_count": len(found), "repositories": json.loads(page.body)}
    ).encode()
    return page


# ---- Repositories ----------------------------------------------------------------------------------


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
        "topics": list(one.topics),
        "pushed_at": to_text(one.pushed_at),
        "updated_at": to_text(one.updated_at),
        "html_url": f"{call.server.web}/{one.full_name}",
        "clone_url": one.clone_url or f"{call.server.web}/{one.full_name}.git",
        "owner": {"login": one.owner.login, "id": one.owner.number, "type": one.owner.typename},
    }


@route("GET", rf"/repos/(?P<owner>{NAME})/(?P<name>{NAME})")
def repository(call: Call, *, owner: str, name: str) -> Answer:
    """A renamed one answers 301 with its address by number."""
    full_name = f"{owner}/{name}"
    current = call.world.find(full_name, follow=False)
    found = current or call.world.find(full_name)
    if found is None or not call.sees(found):
        return answer.message(404, "Not Found")
    if current is None:
        where = f"{call.server.url}/repositories/{found.number}"
        return answer.message(301, "Moved Permanently", location=where)
    return answer.as_json(repository_json(found, call))


@route("GET", r"/repositories/(?P<number>\d+)")
def by_number(call: Call, *, number: str) -> Answer:
    found = call.world.repositories.get(int(number))
    if found is None or not call.sees(found):
        return answer.message(404, "Not Found")
    return answer.as_json(repository_json(found, call))


def commit_json(commit: Commit) -> dict[str, Any]:
    user = commit.author.user
    login = None if user is None else f"{user.login}[bot]" if isinstance(user, Bot) else user.login
    return {
        "sha": commit.oid,
        "node_id": commit.id,
        "commit": {
            "message": commit.message,
            "author": {
                "name": commit.author.name,
                "email": commit.author.email,
                "date": to_text(commit.author.date),
            },
            "committer": {
                "name": commit.committer.name,
                "email": commit.committer.email,
                "date": to_text(commit.at),
            },
        },
        "author": login and {"login": login, "type": user.typename if user else None},
        "parents": [{"sha": oid} for oid in commit.parents],
    }


@route("GET", rf"/repos/(?P<owner>{NAME})/(?P<name>{NAME})/commits")
def commits(call: Call, *, owner: str, name: str) -> Answer:
    found = call.world.find(f"{owner}/{name}")
    if found is None or not call.sees(found):
        return answer.message(404, "Not Found")
    if found.is_empty:
        return answer.message(409, "Git Repository is empty.")
    since, until = (call.query.get(bound) for bound in ("since", "until"))
    listed = [
        commit
        for commit in reversed(found.history.commits)
        if (since is None or commit.at >= to_time(since))
        and (until is None or commit.at <= to_time(until))
    ]
    return call.paged(listed, commit_json)


@route("GET", rf"/orgs/(?P<owner>{NAME})/repos")
def of_organization(call: Call, *, owner: str) -> Answer:
    account = call.world.accounts.get(owner.casefold())
    if account is None:
        return answer.message(404, "Not Found")
    found = [one for one in call.world.owned(account) if call.sees(one)]
    return call.paged(found, lambda one: repository_json(one, call))
