"""The REST requests that Sparky makes: routes, conditional answers, limits and Apps."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode

from tests.github import answer
from tests.github.answer import Answer
from tests.github.credentials import App, Installation, Refused, Token
from tests.github.repository import Repository
from tests.github.schema import to_text

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
            given = {name: text for name, text in self.query.items() if name != "page"}
            base = f"{self.server.url}{self.path}?{urlencode(given | {'per_page': size})}&page="
            made.headers["link"] = f'<{base}{number + 1}>; rel="next", <{base}{last}>; rel="last"'
        return made


def find(method: str, path: str) -> tuple[str, Handler, dict[str, str]] | None:
    """The route of a request: its name, its handler, what stands in the path."""
    for known, pattern, name, handler in ROUTES:
        match = pattern.fullmatch(path) if known == method else None
        if match:
            return name, handler, match.groupdict()
    return None


def conditional(made: Answer, asked: Mapping[str, str]) -> Answer:
    """Give an answer its ETag; 304 without a body when the client has it already.

    `Vary: Accept, Authorization`: another token is given another ETag for the same body. What
    stands in headers alone, such as `link`, is no part of it.
    """
    if made.status != 200:
        return made
    varies = "\n".join(asked.get(name) or "" for name in ("accept", "authorization"))
    etag = f'W/"{hashlib.sha256(varies.encode() + made.body).hexdigest()}"'
    made.headers |= {"etag": etag, "vary": "Accept, Authorization"}
    wanted = asked.get("if-none-match") or ""
    given = {one.strip().removeprefix("W/") for one in wanted.split(",")}
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
