"""The least that asks: for tests of the server itself, and for naive comparisons."""

from __future__ import annotations

from typing import Any

import httpx

from tests.github.server import Server


class Client:
    """One token's view of a server; no retries, no waits, no cleverness."""

    def __init__(self, server: Server, token: str | None = None, **fields: Any) -> None:
        self.server = server
        self.token = token or server.token(**fields)
        self.http = httpx.Client(headers={"authorization": f"Bearer {self.token}"}, trust_env=False)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def post(self, query: str, **variables: Any) -> httpx.Response:
        """The answer as it came."""
        payload = {"query": query, "variables": variables}
        return self.http.post(self.server.graphql_url, json=payload, timeout=60)

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """The whole body of an answer that is JSON."""
        found: dict[str, Any] = self.post(query, **variables).json()
        return found

    def data(self, query: str, **variables: Any) -> dict[str, Any]:
        """The data of an answer without errors."""
        found = self.ask(query, **variables)
        assert "errors" not in found, found["errors"]
        data: dict[str, Any] = found["data"]
        return data

    def errors(self, query: str, **variables: Any) -> list[dict[str, Any]]:
        """The errors of an answer that has some."""
        found: list[dict[str, Any]] = self.ask(query, **variables)["errors"]
        return found

    def get(self, path: str, **headers: str) -> httpx.Response:
        """A REST request; `if_none_match` becomes a header."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.http.get(self.server.url + path, headers=named)
