"""Binds Python to the schema: a function for a field, or the attribute of the same name."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from graphql import (
    GraphQLError,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
)

Resolver = Callable[..., Any]
FIELDS: dict[tuple[str, str], Resolver] = {}


def field(typename: str, *names: str) -> Callable[[Resolver], Resolver]:
    """The decorated function answers these fields of a type; it gets (object, context, **arguments)."""

    def register(resolver: Resolver) -> Resolver:
        for name in names:
            FIELDS[typename, name] = resolver
        return resolver

    return register


def snake(name: str) -> str:
    """`pushedAt` as Python writes it: `pushed_at`."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


def bind(schema: GraphQLSchema, classes: dict[str, type]) -> None:
    """Give every field of the schema its answer; one that has none fails when it is asked."""
    for typename, kind in schema.type_map.items():
        if isinstance(kind, GraphQLInterfaceType | GraphQLUnionType):
            kind.resolve_type = lambda value, *_: value.typename
        elif isinstance(kind, GraphQLObjectType) and not typename.startswith("__"):
            found = classes.get("Page" if typename.endswith("Connection") else typename)
            if found is None and typename.endswith("Edge"):
                found = classes["Edge"]
            for name, one in kind.fields.items():
                one.resolve = _resolver(typename, name, found)


def _resolver(typename: str, name: str, found: type | None) -> Resolver:
    registered = FIELDS.get((typename, name))
    if registered is not None:
        return lambda value, info, **arguments: registered(value, info.context, **arguments)
    attribute = snake(name)
    if found is not None and hasattr(found, attribute):
        return lambda value, info, **_: getattr(value, attribute)
    return _missing(typename, name)


def _missing(typename: str, name: str) -> Resolver:
    def fail(*_: Any, **__: Any) -> Any:
        raise GraphQLError(f"tests/github does not answer {typename}.{name}; add a resolver for it")

    return fail
