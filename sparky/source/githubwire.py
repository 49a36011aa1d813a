"""The way to GitHub: who asks, with which points, and what each refusal means."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import httpx
from gql import GraphQLRequest
from gql.transport.exceptions import TransportConnectionFailed, TransportError
from gql.transport.httpx import HTTPXTransport

from sparky.errors import SourceError, SparkyError, Throttled, Transient
from sparky.forge import Budget, Lease, Standing
from sparky.ports import Clock
from sparky.source import queries
from sparky.source.credentials import Keyring, Secret

TIMEOUT: Final = 30.0
"""Seconds for one request; GitHub itself gives up after 10."""
_REFUSED_PAUSE = timedelta(hours=1)
"""How long a credential that GitHub refuses is left alone."""
_HEAVY = ("something went wrong", "timeout", "resource limits", "couldn't respond in time")
_HEAVY_TYPES = {"RESOURCE_LIMITS_EXCEEDED", "MAX_NODE_LIMIT_EXCEEDED"}


class TooHeavy(Transient):
    """GitHub gave up on the query: a smaller page may do."""


@dataclass(frozen=True, slots=True)
class Said:
    """What GitHub answered; errors beside data tell which part of it is missing."""

    data: Mapping[str, Any]
    errors: Sequence[Mapping[str, Any]]
    credential: str


@dataclass(frozen=True, slots=True)
class _Heard:
    status: int
    headers: Mapping[str, str]
    text: str = ""
    data: Mapping[str, Any] | None = None
    errors: Sequence[Mapping[str, Any]] = ()

    @property
    def message(self) -> str:
        """What it says for people, on one line and not too long."""
        told = "; ".join(str(error.get("message", "")) for error in self.errors)
        return " ".join((told or self.text).split())[:200]


class _Status(Exception):
    """An answer other than 200, on its way through gql."""

    def __init__(self, heard: _Heard) -> None:
        super().__init__(heard.status)
        self.heard = heard


class Wire:
    """Asks GitHub. Errors: Throttled, Transient, TooHeavy, SourceError.

    Nothing sleeps here: whoever must wait is told until when. Proxies and certificates are those
    that httpx finds in the environment.

    Args:
        api: where REST answers, such as `https://api.github.com`.
        graphql: where GraphQL answers.
        keyring: who may ask.
        budget: the points that all workers share.
        clock: the time in UTC.
    """

    def __init__(
        self, *, api: str, graphql: str, keyring: Keyring, budget: Budget, clock: Clock
    ) -> None:
        self.api = api
        self.keyring = keyring
        self.budget = budget
        self.clock = clock
        self._graphql = graphql
        self._lock = threading.Lock()
        self._here = threading.local()
        self._transport: HTTPXTransport | None = None
        self._http = httpx.Client(
            timeout=TIMEOUT, headers={"User-Agent": "sparky"}, follow_redirects=False
        )

    def ask(
        self,
        name: str,
        variables: Mapping[str, Any],
        *,
        points: int,
        owner: str,
        without: frozenset[str] = frozenset(),
    ) -> Said:
        """Send a query as whoever has room for it and may see the owner's repositories.

        Args:
            name: the query's file.
            points: what it costs.
            owner: the account whose repositories are asked about.
            without: credentials that are not to be used, because they see less.
        """
        refused: set[str] = set(without)
        renewed: set[str] = set()
        broken = 0
        while True:
            ids = [c.id for c in self.keyring.for_owner(owner) if c.id not in refused]
            if not ids:
                raise SourceError(
                    f"GitHub accepts none of the credentials for {owner}",
                    remedy="Renew them; `sparky github budget` shows each",
                )
            self._learn(ids, refused)
            ids = [one for one in ids if one not in refused]
            if not ids:
                continue
            lease = self.budget.lease(ids, "graphql", points, now=self.clock())
            told: Standing | None = None
            try:
                heard = self._send(name, variables, self.keyring.secret(lease.credential))
                told = self._standing(lease.credential, "graphql", heard)
            except TooHeavy:
                raise
            except Transient:
                broken += 1
                if broken > 1:
                    raise
                continue
            finally:
                self.budget.settle(lease, told)
            if not self._refusal(heard, lease, refused, renewed):
                return Said(heard.data or {}, heard.errors, lease.credential)

    def get(self, path: str, secret: Secret) -> Any:
        """The JSON at a path of the REST API, all pages of a list; as an App or to learn limits."""
        found: list[Any] = []
        url: str | None = self.api + path
        while url is not None:
            response = self._rest("GET", url, secret)
            if not isinstance(value := _json(response), list):
                return value
            found += value
            url = response.links.get("next", {}).get("url")
        return found

    def post(self, path: str, secret: Secret) -> Any:
        """The JSON that answers a POST without a body."""
        return _json(self._rest("POST", self.api + path, secret))

    def learn(self) -> None:
        """Ask GitHub where every credential stands; that costs no points."""
        for credential in self.keyring.everybody():
            for standing in self._limits(credential.id):
                self.budget.told(standing)

    def close(self) -> None:
        self._http.close()
        with self._lock:
            if self._transport is not None:
                self._transport.close()  # type: ignore[no-untyped-call]
                self._transport = None

    # one request

    def _client(self) -> HTTPXTransport:
        with self._lock:
            if self._transport is None:
                self._transport = HTTPXTransport(
                    self._graphql,
                    timeout=TIMEOUT,
                    headers={"User-Agent": "sparky"},
                    event_hooks={"response": [self._hear]},
                    limits=httpx.Limits(max_connections=64, max_keepalive_connections=8),
                )
                self._transport.connect()  # type: ignore[no-untyped-call]
            return self._transport

    def _hear(self, response: httpx.Response) -> None:
        """Keep the headers, which gql does not hand on, and stop what is no answer to a query."""
        self._here.headers = dict(response.headers)
        if response.status_code != 200:
            response.read()
            raise _Status(_heard(response))

    def _send(self, name: str, variables: Mapping[str, Any], secret: Secret) -> _Heard:
        request = GraphQLRequest(
            queries.document(name), variable_values=dict(variables), operation_name=name.title()
        )
        headers = {"Authorization": f"Bearer {secret.value}"}
        try:
            result = self._client().execute(request, extra_args={"headers": headers})
        except TransportConnectionFailed as error:
            if isinstance(error.__cause__, _Status):
                return self._weighed(error.__cause__.heard)
            raise self._broken(error.__cause__) from None
        except TransportError:
            raise Transient("GitHub sent something that is no answer to a query") from None
        errors: list[Any] = list(result.errors or ())
        return self._weighed(_Heard(200, self._here.headers, "", result.data, errors))

    def _weighed(self, heard: _Heard) -> _Heard:
        """The answer, unless GitHub gave up or is not there."""
        said = heard.message.casefold()
        types = {str(error.get("type", "")) for error in heard.errors}
        if heard.status in {502, 504} or types & _HEAVY_TYPES:
            raise TooHeavy(f"GitHub gave up on a query ({heard.status})")
        if heard.status >= 500:
            raise Transient(f"GitHub is not available ({heard.status})")
        if heard.status == 200 and not heard.data and any(sign in said for sign in _HEAVY):
            raise TooHeavy("GitHub gave up on a query")
        return heard

    def _broken(self, cause: BaseException | None) -> SparkyError:
        if isinstance(cause, httpx.ReadTimeout):
            return TooHeavy(f"GitHub did not answer a query within {TIMEOUT:g} s")
        return Transient(
            f"the connection to GitHub failed ({type(cause).__name__})",
            remedy="Check the network, the proxy and SPARKY_GITHUB_URL",
        )

    def _rest(self, method: str, url: str, secret: Secret) -> httpx.Response:
        headers = {
            "Authorization": f"Bearer {secret.value}",
            "Accept": "application/vnd.github+json",
        }
        try:
            response = self._http.request(method, url, headers=headers)
        except httpx.HTTPError as error:
            raise self._broken(error) from None
        if response.status_code < 400:
            return response
        raise self._meaning(_heard(response))

    # what an answer means

    def _refusal(self, heard: _Heard, lease: Lease, refused: set[str], renewed: set[str]) -> bool:
        """Whether somebody else is to ask, or the same one later; notes who may not."""
        now = self.clock()
        if heard.status == 401:
            if lease.credential in renewed or not self.keyring.renew(lease.credential):
                self.budget.block(lease.credential, "graphql", until=now + _REFUSED_PAUSE, now=now)
                refused.add(lease.credential)
            renewed.add(lease.credential)
            return True
        limited = any(error.get("type") == "RATE_LIMITED" for error in heard.errors)
        if limited or heard.status == 429 or (heard.status == 403 and _is_limit(heard)):
            retry = heard.headers.get("retry-after", "")
            if retry.isdecimal():
                until: datetime | None = now + timedelta(seconds=int(retry))
            elif heard.headers.get("x-ratelimit-remaining") == "0":
                return True  # the account knows it by now
            else:
                until = None
            self.budget.block(lease.credential, "graphql", until=until, now=now)
            return True
        if heard.data is None:
            raise self._meaning(heard)
        return False

    def _meaning(self, heard: _Heard) -> SparkyError:
        if heard.status >= 500:
            return Transient(f"GitHub is not available ({heard.status})")
        if heard.status == 429 or (heard.status == 403 and _is_limit(heard)):
            retry = heard.headers.get("retry-after", "")
            pause = timedelta(seconds=int(retry) if retry.isdecimal() else 60)
            return Throttled("GitHub asks for a pause", until=self.clock() + pause)
        if heard.status == 401:
            return SourceError(
                f"GitHub refuses the credential: {heard.message}",
                remedy="Renew it; docs/github.md tells what it needs",
            )
        if heard.status == 404:
            return SourceError("GitHub is not where it should be", remedy="Check SPARKY_GITHUB_URL")
        return SourceError(
            f"GitHub refuses the request: {heard.message or heard.status}",
            remedy="docs/github.md tells what a credential needs",
        )

    # limits

    def _learn(self, ids: Sequence[str], refused: set[str]) -> None:
        """Ask for the standing of who has none yet; that costs no points."""
        for credential in self.budget.unknown(ids, "graphql"):
            try:
                found = self._limits(credential)
            except SourceError as error:
                if "refuses the credential" not in error.message:
                    raise
                refused.add(credential)
                continue
            for standing in found:
                self.budget.told(standing)

    def _limits(self, credential: str) -> list[Standing]:
        label = self.keyring.credential(credential).label
        response = None
        try:
            response = self.get("/rate_limit", self.keyring.secret(credential))
        except SourceError as error:
            if "not where it should be" not in error.message:
                raise
        # A GitHub Enterprise Server without limits answers 404.
        resources = (response or {}).get("resources", {})
        found = []
        for resource in ("graphql", "core"):
            row = resources.get(resource)
            limit = row["limit"] if row and row["limit"] else None
            found.append(
                Standing(
                    credential,
                    label,
                    resource,
                    limit,
                    row["remaining"] if row and limit else 0,
                    datetime.fromtimestamp(row["reset"], UTC) if row and limit else None,
                )
            )
        return found

    def _standing(self, credential: str, resource: str, heard: _Heard) -> Standing | None:
        """What an answer tells of its credential; None when it tells nothing."""
        label = self.keyring.credential(credential).label
        if heard.data is not None and "rateLimit" in heard.data:
            row = heard.data["rateLimit"]
            if not row or not row["limit"]:
                return Standing(credential, label, resource, None, 0)
            reset = datetime.fromisoformat(row["resetAt"])
            return Standing(credential, label, resource, row["limit"], row["remaining"], reset)
        headers = heard.headers
        names = ("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset")
        values = [headers.get(name, "") for name in names]
        if not all(value.isdecimal() for value in values):
            return None
        limit, remaining, reset_at = (int(value) for value in values)
        if not limit:
            return Standing(credential, label, resource, None, 0)
        at = datetime.fromtimestamp(reset_at, UTC)
        return Standing(credential, label, resource, limit, remaining, at)


def _json(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        raise Transient("GitHub sent something that is not JSON") from None


def _heard(response: httpx.Response) -> _Heard:
    headers = {name.lower(): value for name, value in response.headers.items()}
    try:
        body = response.json()
        text = str(body.get("message", "")) if isinstance(body, dict) else ""
    except ValueError:
        text = ""
    return _Heard(response.status_code, headers, text)


def _is_limit(heard: _Heard) -> bool:
    said = heard.message.casefold()
    return (
        "rate limit" in said
        or "retry-after" in heard.headers
        or heard.headers.get("x-ratelimit-remaining") == "0"
    )
