"""How faults look on the wire: answers in place of the right one, and right ones that are spoilt."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Any

from tests.github import answer, endpoint
from tests.github.answer import Answer
from tests.github.faults import Fault, What

if TYPE_CHECKING:
    from tests.github.credentials import Token
    from tests.github.server import Server


def instead(
    fault: Fault | None, server: Server, token: Token | None, resource: str
) -> Answer | None:
    """The answer of a fault that leaves nothing of the right one; None when that is to be made."""
    if fault is None:
        return None
    if fault.what is What.PRIMARY_LIMIT and token is not None:
        server.drain(token.value, 0, resource)
        if resource == "graphql":
            return endpoint.exhausted(token, server.limits.exhausted_type)
        return answer.message(fault.status, f"API rate limit exceeded for user ID {token.who}.")
    made = INSTEAD.get(fault.what)
    return None if made is None else made(fault)


def _number(fault: Fault) -> str:
    return f"FA17:{fault.hits:04X}"


INSTEAD: dict[What, Callable[[Fault], Answer]] = {
    What.BAD_GATEWAY: lambda fault: answer.went_wrong(502, _number(fault)),
    What.TIMEOUT: lambda fault: answer.went_wrong(200, _number(fault)),
    What.GATEWAY_TIMEOUT: lambda _: answer.too_slow(504),
    What.UNAVAILABLE: lambda _: answer.too_slow(503),
    What.UNAUTHORIZED: lambda _: answer.message(401, "Bad credentials"),
    What.SECONDARY_LIMIT: lambda fault: answer.secondary(
        fault.status, fault.retry_after, _number(fault)
    ),
    What.ABUSE: lambda fault: answer.abuse(fault.status, fault.retry_after),
}


def spoil(made: Answer, fault: Fault, seed: int) -> Answer:
    """What is left of a right answer; RESET and TRUNCATE happen when it is written."""
    if fault.what is What.GARBAGE:
        made.body = b"<!-- \x00 not what you asked for -->"
    elif fault.what in {What.PARTIAL, What.RESOURCES} and made.status == 200:
        content = json.loads(made.body)
        if "data" not in content:
            return made  # REST has neither partial answers nor errors beside them
        lists = list(_lists(content["data"], []))
        if fault.what is What.PARTIAL:
            filled = [one for one in lists if one[1]]
            chosen = [Random(seed).choice(filled)] if filled else []
        else:
            # The first level stays; what lies deeper is given up.
            chosen = [one for one in lists if one[0].count("nodes") == 2]
        content.setdefault("errors", []).extend(
            error for path, found in chosen for error in _lose(path, found, fault.what, seed)
        )
        if chosen:
            made.body = json.dumps(content, separators=(",", ":")).encode()
            made.errors = tuple(str(error.get("type", "")) for error in content["errors"])
    return made


def _lists(value: Any, path: list[Any]) -> Any:
    """Every `nodes` list of an answer, with its path."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name == "nodes" and isinstance(inner, list):
                yield [*path, name], inner
            yield from _lists(inner, [*path, name])
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _lists(inner, [*path, index])


def _lose(path: list[Any], found: list[Any], what: What, seed: int) -> list[dict[str, Any]]:
    if what is What.PARTIAL:
        lost = [Random(seed).randrange(len(found))]
        kind, text = "SERVICE_UNAVAILABLE", "Something went wrong while executing your query."
    else:
        lost = list(range(len(found)))
        kind, text = "RESOURCE_LIMITS_EXCEEDED", "Resource limits for this query exceeded."
    for index in lost:
        found[index] = None
    return [{"type": kind, "path": [*path, index], "message": text} for index in lost]
