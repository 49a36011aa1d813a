"""Errors of GraphQL answers, in the words and types that GitHub uses."""

from __future__ import annotations

from typing import Any

from graphql import GraphQLError


class Failure(GraphQLError):
    """An error with a `type`, which stands beside the message as GitHub puts it."""

    def __init__(self, kind: str | None, message: str, **extensions: Any) -> None:
        super().__init__(message, extensions=extensions or None)
        self.type = kind


def not_found(what: str) -> Failure:
    return Failure("NOT_FOUND", f"Could not resolve to {what}.")


def no_node(node_id: str) -> Failure:
    return not_found(f"a node with the global id of '{node_id}'")


def no_repository(full_name: str) -> Failure:
    return not_found(f"a Repository with the name '{full_name}'")


def forbidden(kind: str) -> Failure:
    return Failure("FORBIDDEN", f"Resource not accessible by {kind}")


def saml() -> Failure:
    return Failure(
        "FORBIDDEN",
        "Resource protected by organization SAML enforcement. You must grant your Personal Access "
        "token access to this organization.",
        saml_failure=True,
    )


def bad_cursor(cursor: str) -> Failure:
    return Failure("INVALID_CURSOR_ARGUMENTS", f"`{cursor}` does not appear to be a valid cursor.")


def went_wrong(request_id: str) -> Failure:
    return Failure(
        None,
        "Something went wrong while executing your query. This may be the result of a timeout, or "
        f"it could be a GitHub bug. Please include `{request_id}` when reporting this issue.",
    )


def as_json(error: GraphQLError) -> dict[str, Any]:
    """An error as it stands in the answer."""
    original = error.original_error if isinstance(error.original_error, Failure) else error
    found: dict[str, Any] = {}
    if isinstance(original, Failure) and original.type:
        found["type"] = original.type
    if error.path is not None:
        found["path"] = list(error.path)
    if error.extensions:
        found["extensions"] = error.extensions
    if error.locations:
        found["locations"] = [
            {"line": location.line, "column": location.column} for location in error.locations
        ]
    found["message"] = error.message
    return found
