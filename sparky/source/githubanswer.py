"""What GitHub answered, and what each refusal means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import httpx

from sparky.errors import SourceError, SparkyError, Throttled, Transient

_PAUSE = timedelta(minutes=1)
"""Where GitHub asks for a pause and does not say how long."""
_LIMITED = {"RATE_LIMITED", "RATE_LIMIT"}
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
class Shown:
    """What a path of the REST API shows."""

    body: Any
    etag: str
    """What GitHub calls this answer; empty where it gives it no name."""
    more: bool = False
    """Whether it is a page that others follow."""
    is_same: bool = False
    """Whether it is what it was, and is not sent again."""


@dataclass(frozen=True, slots=True)
class Heard:
    """An answer as it came over the wire."""

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

    @property
    def is_limit(self) -> bool:
        """Whether somebody asks too much or too often."""
        if any(error.get("type") in _LIMITED for error in self.errors):
            return True
        said = self.message.casefold()
        told = (
            "rate limit" in said
            or "retry-after" in self.headers
            or self.headers.get("x-ratelimit-remaining") == "0"
        )
        return self.status == 429 or (self.status == 403 and told)

    @property
    def pause(self) -> timedelta | None:
        """How long GitHub asks to wait; None where it does not say."""
        told = self.headers.get("retry-after", "")
        return timedelta(seconds=int(told)) if told.isdecimal() else None


def heard(response: httpx.Response) -> Heard:
    """A response that is no answer to a query; its body is read."""
    headers = {name.lower(): value for name, value in response.headers.items()}
    try:
        body = response.json()
        text = str(body.get("message", "")) if isinstance(body, dict) else ""
    except ValueError:
        text = ""
    return Heard(response.status_code, headers, text)


def weighed(answer: Heard) -> Heard:
    """The answer, unless GitHub gave up (TooHeavy) or is not there (Transient)."""
    types = {str(error.get("type", "")) for error in answer.errors}
    if answer.status in {502, 504} or types & _HEAVY_TYPES:
        raise TooHeavy(f"GitHub gave up on a query ({answer.status})")
    if answer.status >= 500:
        raise Transient(f"GitHub is not available ({answer.status})")
    said = answer.message.casefold()
    if answer.status == 200 and not answer.data and any(sign in said for sign in _HEAVY):
        raise TooHeavy("GitHub gave up on a query")
    return answer


def meaning(answer: Heard, now: datetime) -> SparkyError:
    """What a refusal comes to, as an error to raise."""
    if answer.status >= 500:
        return Transient(f"GitHub is not available ({answer.status})")
    if answer.is_limit:
        return Throttled("GitHub asks for a pause", until=now + (answer.pause or _PAUSE))
    if answer.status == 401:
        return SourceError(
            f"GitHub refuses the credential: {answer.message}",
            remedy="Renew it; docs/github.md tells what it needs",
        )
    if answer.status == 404:
        return SourceError("GitHub is not where it should be", remedy="Check SPARKY_GITHUB_URL")
    return SourceError(
        f"GitHub refuses the request: {answer.message or answer.status}",
        remedy="docs/github.md tells what a credential needs",
    )
