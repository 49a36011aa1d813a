"""The connection to GitHub: queries by gql, the rest by httpx.

Proxies and certificates are those that httpx finds in the environment.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, Final

import httpx
from gql import GraphQLRequest
from gql.transport.exceptions import TransportConnectionFailed, TransportError
from gql.transport.httpx import HTTPXTransport

from sparky.errors import SparkyError, Transient
from sparky.source import queries
from sparky.source.credentials import Secret
from sparky.source.githubanswer import Heard, TooHeavy, heard, weighed

TIMEOUT: Final = 30.0
"""Seconds for one request; GitHub itself gives up after 10."""
_AGENT: Final = {"User-Agent": "sparky"}


class _Status(Exception):
    """An answer other than 200, on its way through gql."""

    def __init__(self, answer: Heard) -> None:
        super().__init__(answer.status)
        self.answer = answer


class _Printed(GraphQLRequest):
    """The query in a file, whose text is made once and not, as gql does, for each request."""

    def __init__(self, name: str, variables: Mapping[str, Any]) -> None:
        super().__init__(
            queries.document(name), variable_values=dict(variables), operation_name=name.title()
        )
        self._text = queries.text(name)

    @property
    def payload(self) -> dict[str, Any]:
        return {
            "query": self._text,
            "operationName": self.operation_name,
            "variables": self.variable_values,
        }


class Http:
    """Sends one request. Errors: Transient, TooHeavy.

    Args:
        graphql: where GraphQL answers.
    """

    def __init__(self, graphql: str) -> None:
        self._graphql = graphql
        self._lock = threading.Lock()
        self._here = threading.local()
        self._transport: HTTPXTransport | None = None
        self._http = httpx.Client(timeout=TIMEOUT, headers=_AGENT, follow_redirects=False)

    def query(self, name: str, variables: Mapping[str, Any], secret: Secret) -> Heard:
        """The answer to the query in a file, whatever it says."""
        request = _Printed(name, variables)
        headers = {"Authorization": f"Bearer {secret.value}"}
        try:
            result = self._client().execute(request, extra_args={"headers": headers})
        except TransportConnectionFailed as error:
            if isinstance(error.__cause__, _Status):
                return weighed(error.__cause__.answer)
            raise _broken(error.__cause__) from None
        except TransportError:
            raise Transient("GitHub sent something that is no answer to a query") from None
        errors: list[Any] = list(result.errors or ())
        return weighed(Heard(200, self._here.headers, "", result.data, errors))

    def rest(self, method: str, url: str, secret: Secret, etag: str = "") -> httpx.Response:
        """The response of the REST API, whatever its status; 304 if it is what `etag` names."""
        headers = {
            "Authorization": f"Bearer {secret.value}",
            "Accept": "application/vnd.github+json",
        }
        if etag:
            headers["If-None-Match"] = etag
        try:
            return self._http.request(method, url, headers=headers)
        except httpx.HTTPError as error:
            raise _broken(error) from None

    def close(self) -> None:
        self._http.close()
        with self._lock:
            if self._transport is not None:
                self._transport.close()  # type: ignore[no-untyped-call]
                self._transport = None

    def _client(self) -> HTTPXTransport:
        with self._lock:
            if self._transport is None:
                self._transport = HTTPXTransport(
                    self._graphql,
                    timeout=TIMEOUT,
                    headers=_AGENT,
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
            raise _Status(heard(response))


def _broken(cause: BaseException | None) -> SparkyError:
    if isinstance(cause, httpx.ReadTimeout):
        return TooHeavy(f"GitHub did not answer a query within {TIMEOUT:g} s")
    return Transient(
        f"the connection to GitHub failed ({type(cause).__name__})",
        remedy="Check the network, the proxy and SPARKY_GITHUB_URL",
    )
