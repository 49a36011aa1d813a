"""What a query costs before it runs: requests, points, nodes; and what is wrong with its paging."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    get_named_type,
    value_from_ast_untyped,
)

from tests.github.errors import Failure

MOST_NODES_BY_ID = 100


@dataclass(slots=True)
class Cost:
    """The price of a query by GitHub's formula."""

    requests: int = 0
    """How often a connection must be asked, if every page is full."""
    nodes: int = 0
    """How many nodes there can be in the answer at most."""
    page: int = 0
    """The largest page asked for."""
    errors: list[tuple[Failure, tuple[str, ...]]] = field(default_factory=list)
    """What GitHub refuses about its paging, and where."""

    @property
    def points(self) -> int:
        """Requests by a hundred, rounded, and at least one."""
        return max(1, (self.requests + 50) // 100)


def estimate(
    schema: GraphQLSchema,
    document: DocumentNode,
    operation: OperationDefinitionNode,
    variables: dict[str, Any],
    most_nodes: int = 500_000,
) -> Cost:
    """Walk a valid query with its variables, defaults included."""
    values = {
        definition.variable.name.value: value_from_ast_untyped(definition.default_value)
        for definition in operation.variable_definitions or ()
        if definition.default_value
    }
    walk = _Walk(schema, document, values | variables, most_nodes)
    root = schema.get_root_type(operation.operation)
    assert root is not None
    walk.selections([(operation.selection_set, root)], (), 1)
    return walk.cost


class _Walk:
    def __init__(
        self, schema: GraphQLSchema, document: DocumentNode, variables: dict[str, Any], most: int
    ) -> None:
        self.schema = schema
        self.variables = variables
        self.most = most
        self.cost = Cost()
        self.fragments = {
            node.name.value: node
            for node in document.definitions
            if isinstance(node, FragmentDefinitionNode)
        }

    def selections(
        self,
        sets: list[tuple[SelectionSetNode, GraphQLNamedType]],
        path: tuple[str, ...],
        times: int,
    ) -> None:
        """Go through one level; fields that answer under the same name are one field."""
        merged: dict[tuple[str, str], list[tuple[FieldNode, GraphQLNamedType]]] = {}
        for selection_set, parent in sets:
            for node, kind in self._fields(selection_set, parent):
                name = (node.alias or node.name).value
                # Different types of one union never meet in one object.
                merged.setdefault((kind.name, name), []).append((node, kind))
        for (_, name), nodes in merged.items():
            self._field(nodes, (*path, name), times)

    def _field(
        self, nodes: list[tuple[FieldNode, GraphQLNamedType]], path: tuple[str, ...], times: int
    ) -> None:
        node, parent = nodes[0]
        if not isinstance(parent, GraphQLObjectType | GraphQLInterfaceType):
            return
        definition = parent.fields.get(node.name.value)
        if definition is None:
            return
        kind = get_named_type(definition.type)
        arguments = {
            argument.name.value: value_from_ast_untyped(argument.value, self.variables)
            for argument in node.arguments or ()
        }
        sets = [(one.selection_set, kind) for one, _ in nodes if one.selection_set]
        if kind.name.endswith("Connection"):
            times = self._connection(node.name.value, arguments, sets, path, times)
        elif parent is self.schema.query_type and node.name.value == "nodes":
            times *= self._nodes(arguments.get("ids") or [], path)
        self.selections(sets, path, times)

    def _connection(
        self,
        name: str,
        arguments: dict[str, Any],
        sets: list[tuple[SelectionSetNode, GraphQLNamedType]],
        path: tuple[str, ...],
        times: int,
    ) -> int:
        """One request for each parent; then so many parents as the page is long."""
        self.cost.requests += times
        which = "first" if arguments.get("first") is not None else "last"
        size = arguments.get(which)
        if size is None:
            asked = {node.name.value for one, kind in sets for node, _ in self._fields(one, kind)}
            if asked & {"nodes", "edges"}:
                message = (
                    "You must provide a `first` or `last` value to properly paginate the "
                    f"`{name}` connection."
                )
                self._refuse("MISSING_PAGINATION_BOUNDARIES", message, path)
            return times
        if not 0 <= size <= 100:
            message = (
                f"Requesting {size} records on the `{name}` connection exceeds the `{which}` limit "
                "of 100 records."
            )
            self._refuse("EXCESSIVE_PAGINATION", message, path)
        self.cost.page = max(self.cost.page, size)
        self.cost.nodes += times * size
        if self.cost.nodes > self.most:
            message = (
                f"By the time this query traverses to the {name} connection, it is requesting up to "
                f"{self.cost.nodes:,} possible nodes which exceeds the maximum limit of {self.most:,}."
            )
            self._refuse("MAX_NODE_LIMIT_EXCEEDED", message, path)
        return times * int(size)

    def _nodes(self, given: list[Any], path: tuple[str, ...]) -> int:
        if len(given) > MOST_NODES_BY_ID:
            message = (
                f"You may not provide more than {MOST_NODES_BY_ID} node ids; "
                f"you provided {len(given)}."
            )
            self._refuse("ARGUMENT_LIMIT", message, path)
        return len(given)

    def _refuse(self, kind: str, message: str, path: tuple[str, ...]) -> None:
        if all(error.type != kind for error, _ in self.cost.errors):
            self.cost.errors.append((Failure(kind, message), path))

    def _fields(
        self, selection_set: SelectionSetNode, parent: GraphQLNamedType
    ) -> Iterator[tuple[FieldNode, GraphQLNamedType]]:
        for node in selection_set.selections:
            if not self._included(node):
                continue
            if isinstance(node, FieldNode):
                yield node, parent
            elif isinstance(node, InlineFragmentNode):
                named = node.type_condition
                kind = self.schema.type_map[named.name.value] if named else parent
                yield from self._fields(node.selection_set, kind)
            elif isinstance(node, FragmentSpreadNode):
                fragment = self.fragments[node.name.value]
                kind = self.schema.type_map[fragment.type_condition.name.value]
                yield from self._fields(fragment.selection_set, kind)

    def _included(self, node: Any) -> bool:
        for directive in node.directives or ():
            for argument in directive.arguments or ():
                value = value_from_ast_untyped(argument.value, self.variables)
                if directive.name.value == "skip" and value is True:
                    return False
                if directive.name.value == "include" and value is False:
                    return False
        return True
