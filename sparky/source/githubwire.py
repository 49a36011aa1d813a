"""The way to GitHub: who asks, with which points, and who asks instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import httpx

from sparky.errors import SourceError, Throttled, Transient
from sparky.forge import Budget, Lease, Standing
from sparky.ports import Clock
from sparky.source import githublimits
from sparky.source.credentials import Keyring, Secret
from sparky.source.githubanswer import Heard, Said, Shown, TooHeavy, heard, meaning
from sparky.source.githubhttp import Http

__all__ = ["Said", "Shown", "TooHeavy", "Wire"]

_REFUSED_PAUSE = timedelta(hours=1)
"""How long a credential that GitHub refuses is left alone."""


class Wire:
    """Asks GitHub. Errors: Throttled, Transient, TooHeavy, SourceError.

    Nothing sleeps here: whoever must wait is told until when.

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
        self._http = Http(graphql)

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
                answer = self._http.query(name, variables, self.keyring.secret(lease.credential))
                credential = self.keyring.credential(lease.credential)
                told = githublimits.of_answer(credential, "graphql", answer)
            except TooHeavy:
                raise
            except Transient:
                broken += 1
                if broken > 1:
                    raise
                continue
            finally:
                self.budget.settle(lease, told)
            if not self._refusal(answer, lease, refused, renewed):
                return Said(answer.data or {}, answer.errors, lease.credential)

    def shown(self, path: str, credential: str, etag: str = "") -> Shown | None:
        """What a path of the REST API shows a credential; None: nothing, or not now.

        If it is still what `etag` names, it comes for nothing.
        """
        try:
            lease = self.budget.lease([credential], "core", 1, now=self.clock())
        except Throttled:
            return None
        told, free = None, False
        try:
            secret = self.keyring.secret(credential)
            response = self._http.rest("GET", self.api + path, secret, etag)
            answer, free = heard(response), response.status_code == 304
            told = githublimits.of_answer(self.keyring.credential(credential), "core", answer)
            body = _json(response) if answer.status == 200 else None
        except Transient:
            return None
        finally:
            self.budget.settle(lease, told, free=free)
        if answer.is_limit:
            self._pause(answer, lease)
        if free:
            return Shown(None, etag, is_same=True)
        if answer.status != 200:
            return None
        more = "next" in response.links
        return Shown(body, answer.headers.get("etag", ""), more=more)

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

    def _rest(self, method: str, url: str, secret: Secret) -> httpx.Response:
        response = self._http.rest(method, url, secret)
        if response.status_code < 400:
            return response
        raise meaning(heard(response), self.clock())

    def _refusal(self, answer: Heard, lease: Lease, refused: set[str], renewed: set[str]) -> bool:
        """Whether somebody else is to ask, or the same one later; notes who may not."""
        now = self.clock()
        if answer.status == 401:
            if lease.credential in renewed or not self.keyring.renew(lease.credential):
                self.budget.block(lease.credential, "graphql", until=now + _REFUSED_PAUSE, now=now)
                refused.add(lease.credential)
            renewed.add(lease.credential)
            return True
        if answer.is_limit:
            self._pause(answer, lease)
            return True
        if answer.data is None:
            raise meaning(answer, now)
        return False

    def _pause(self, answer: Heard, lease: Lease) -> None:
        """Leave the credential alone as long as GitHub asks for."""
        if answer.pause is None and answer.headers.get("x-ratelimit-remaining") == "0":
            return  # the account knows it by now
        now = self.clock()
        until = now + answer.pause if answer.pause is not None else None
        self.budget.block(lease.credential, lease.resource, until=until, now=now)

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
        response = None
        try:
            response = self.get("/rate_limit", self.keyring.secret(credential))
        except SourceError as error:
            if "not where it should be" not in error.message:
                raise
        # A GitHub Enterprise Server without limits answers 404.
        resources = (response or {}).get("resources", {})
        return githublimits.of_list(self.keyring.credential(credential), resources)


def _json(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        raise Transient("GitHub sent something that is not JSON") from None
