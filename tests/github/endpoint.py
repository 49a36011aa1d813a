"""The GraphQL endpoint: from a request's body to GitHub's answer."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from graphql import (
    DocumentNode,
    GraphQLError,
    OperationDefinitionNode,
    OperationType,
    execute_sync,
    parse,
    validate,
)

from tests.github import answer, errors
from tests.github.answer import Answer
from tests.github.connections import Context
from tests.github.cost import Cost, estimate
from tests.github.credentials import Token
from tests.github.limits import Limits, Meter
from tests.github.resolvers import executable
from tests.github.world import World


class BadQuery(Exception):
    """A query that does not get as far as being executed."""

    def __init__(self, found: list[dict[str, Any]]) -> None:
        super().__init__(found)
        self.found = found


@lru_cache(maxsize=512)
def _document(text: str) -> tuple[DocumentNode | None, list[dict[str, Any]]]:
    """A query's tree, or what is wrong with it; once for each text."""
    try:
        document = parse(text)
    except GraphQLError as error:
        return None, [errors.as_json(error)]
    return document, [errors.as_json(error) for error in validate(executable(), document)]


@lru_cache(maxsize=4096)
def _cost(text: str, name: str | None, shape: str, most: int) -> Cost:
    document, _ = _document(text)
    assert document is not None
    return estimate(executable(), document, _operation(document, name), json.loads(shape), most)


def _shape(variables: dict[str, Any]) -> str:
    """What of the variables decides the cost: numbers, switches, and the length of lists."""

    def plain(value: Any) -> Any:
        if isinstance(value, list):
            return [None] * len(value)
        return value if isinstance(value, bool | int) else None

    return json.dumps({name: plain(value) for name, value in sorted(variables.items())})


def _operation(document: DocumentNode, name: str | None) -> OperationDefinitionNode:
    found = [one for one in document.definitions if isinstance(one, OperationDefinitionNode)]
    if name is not None:
        found = [one for one in found if one.name and one.name.value == name]
    if len(found) != 1:
        raise BadQuery([{"message": f"No operation named {name!r}"}])
    return found[0]


class Query:
    """One request: read, priced, and then perhaps executed."""

    def __init__(self, body: bytes, limits: Limits) -> None:
        try:
            payload = json.loads(body)
            self.text: str = payload["query"]
        except (ValueError, KeyError, TypeError):
            raise BadQuery(
                [{"message": "A query attribute must be specified and must be a string."}]
            ) from None
        self.variables: dict[str, Any] = payload.get("variables") or {}
        document, found = _document(self.text)
        if document is None or found:
            raise BadQuery(found)
        self.document = document
        self.operation_name: str | None = payload.get("operationName")
        operation = _operation(document, self.operation_name)
        self.name = operation.name.value if operation.name else ""
        self.mutates = operation.operation is OperationType.MUTATION
        self.cost = _cost(self.text, self.operation_name, _shape(self.variables), limits.nodes)

    def refused(self) -> Answer | None:
        """The answer to a query whose paging breaks the rules; nothing is executed."""
        if not self.cost.errors:
            return None
        found = [
            {"type": failure.type, "path": list(path), "message": failure.message}
            for failure, path in self.cost.errors
        ]
        made = answer.as_json({"data": None, "errors": found})
        made.errors = tuple(str(one["type"]) for one in found)
        return made

    def run(self, world: World, token: Token, meter: Meter, limit: int | None, web: str) -> Answer:
        """Charge, execute, and answer as GitHub does, too late if it took too long."""
        limits = meter.limits
        standing = meter.standing(token.who, "graphql", limit)
        if limit is not None and standing is not None and standing.remaining <= 0:
            return exhausted(token, limits.exhausted_type)
        points = self.cost.points
        standing = meter.charge(token.who, "graphql", limit, points)
        context = Context(
            world=world,
            token=token,
            cursor_lifetime=limits.cursor_lifetime,
            standing=standing,
            cost=points,
            node_count=self.cost.nodes,
            web=web,
        )
        with world.lock:
            result = execute_sync(
                executable(),
                self.document,
                context_value=context,
                variable_values=self.variables,
                operation_name=self.operation_name,
            )
        if limits.seconds is not None and context.seconds > limits.seconds:
            # A request that runs into the time-out costs more; GitHub does not say how much.
            meter.charge(token.who, "graphql", limit, points)
            made = answer.went_wrong(502, request_id(world, token))
            made.points, made.nodes = 2 * points, self.cost.nodes
            made.seconds = limits.seconds
            return made
        found = [errors.as_json(error) for error in result.errors or ()]
        made = answer.as_json({"data": result.data} | ({"errors": found} if found else {}))
        made.points, made.nodes, made.seconds = points, self.cost.nodes, context.seconds
        made.errors = tuple(str(one.get("type", "")) for one in found)
        return made


def request_id(world: World, token: Token) -> str:
    return f"{token.account.number:04X}:{int(world.clock.now().timestamp()):X}"


def exhausted(token: Token, kind: str = "RATE_LIMITED") -> Answer:
    """No points are left: 200, and the error in the body."""
    number = token.account.database_id
    whose = f"installation ID {number}" if token.installation else f"user ID {number}"
    text = f"API rate limit exceeded for {whose}."
    made = answer.as_json({"errors": [{"type": kind, "message": text}]})
    made.errors = (kind,)
    return made


def bad(error: BadQuery) -> Answer:
    """A query that could not be read or does not fit the schema: 200 with errors alone."""
    return answer.as_json({"errors": error.found})
