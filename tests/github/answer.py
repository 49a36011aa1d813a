"""An answer on its way out, and the ways in which GitHub words refusals."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

DOCS = "https://docs.github.com"


@dataclass(slots=True)
class Answer:
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    points: int = 0
    """What it took from the primary limit."""
    nodes: int = 0
    seconds: float = 0.0
    errors: tuple[str, ...] = ()


def as_json(value: Any, status: int = 200, **headers: str) -> Answer:
    found = {"content-type": "application/json; charset=utf-8"}
    found |= {name.replace("_", "-"): text for name, text in headers.items()}
    return Answer(status, json.dumps(value, separators=(",", ":")).encode(), found)


def message(status: int, text: str, page: str = "/rest", **headers: str) -> Answer:
    """A refusal as REST words it."""
    return as_json(
        {"message": text, "documentation_url": DOCS + page, "status": str(status)},
        status,
        **headers,
    )


def secondary(status: int, retry_after: int | None, request_id: str) -> Answer:
    """Refused by a secondary limit: 403 or 429, and 200 for GraphQL at times."""
    text = (
        "You have exceeded a secondary rate limit. Please wait a few minutes before you try again. "
        f"If you reach out to GitHub Support for help, please include the request ID {request_id}."
    )
    headers = {} if retry_after is None else {"retry_after": str(retry_after)}
    if status == 200:
        return as_json({"errors": [{"type": "RATE_LIMITED", "message": text}]}, 200, **headers)
    page = "/rest/overview/rate-limits-for-the-rest-api#about-secondary-rate-limits"
    return message(status, text, page, **headers)


def abuse(status: int, retry_after: int | None) -> Answer:
    """A secondary limit in the words that GitHub used before it was called so."""
    text = (
        "You have triggered an abuse detection mechanism. Please wait a few minutes before you try "
        "again."
    )
    headers = {} if retry_after is None else {"retry_after": str(retry_after)}
    return message(status, text, "/rest", **headers)


def went_wrong(status: int, request_id: str) -> Answer:
    """A query that took too long, as 502 or as 200."""
    text = (
        "Something went wrong while executing your query. This may be the result of a timeout, or "
        f"it could be a GitHub bug. Please include `{request_id}` when reporting this issue."
    )
    return as_json({"data": None, "errors": [{"message": text}]}, status)


def too_slow(status: int) -> Answer:
    """What a proxy in front says: a page of HTML."""
    text = (
        f"<html><head><title>{status}</title></head><body>We couldn't respond in time</body></html>"
    )
    return Answer(status, text.encode(), {"content-type": "text/html; charset=utf-8"})
