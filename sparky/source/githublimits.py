"""Where a credential stands, read off what GitHub tells."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sparky.forge import Standing
from sparky.source.credentials import Credential
from sparky.source.githubanswer import Heard

_HEADERS = ("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset")


def of_list(credential: Credential, resources: Mapping[str, Any]) -> list[Standing]:
    """From `/rate_limit`; what is not listed or is 0 of 0 is unlimited."""
    found = []
    for resource in ("graphql", "core"):
        row = resources.get(resource) or {}
        found.append(
            _standing(
                credential,
                resource,
                row.get("limit"),
                row.get("remaining", 0),
                datetime.fromtimestamp(row.get("reset", 0), UTC),
            )
        )
    return found


def of_answer(credential: Credential, resource: str, answer: Heard) -> Standing | None:
    """From an answer's `rateLimit` or headers; None when it tells nothing."""
    if answer.data is not None and "rateLimit" in answer.data:
        row = answer.data["rateLimit"]
        if not row:
            return Standing(credential.id, credential.label, resource, None, 0)
        reset = datetime.fromisoformat(row["resetAt"])
        return _standing(credential, resource, row["limit"], row["remaining"], reset)
    values = [answer.headers.get(name, "") for name in _HEADERS]
    if not all(value.isdecimal() for value in values):
        return None
    limit, remaining, reset_at = (int(value) for value in values)
    return _standing(credential, resource, limit, remaining, datetime.fromtimestamp(reset_at, UTC))


def _standing(
    credential: Credential, resource: str, limit: int | None, remaining: int, reset_at: datetime
) -> Standing:
    if not limit:
        return Standing(credential.id, credential.label, resource, None, 0)
    return Standing(credential.id, credential.label, resource, limit, remaining, reset_at)
