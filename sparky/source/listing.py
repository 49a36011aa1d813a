"""What GitHub shows of a repository as a whole: its facts, or why there are none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sparky.facts import Facts, Listed, Missing
from sparky.model import Repo
from sparky.source.githubparse import Node

NOT_THERE: Final = "is not there any more, or no credential may read it"
"""GitHub does not tell one from the other."""


def listed(node: Node) -> Listed:
    """The repository that a node shows."""
    repo = Repo(node["id"], node["nameWithOwner"], "github", node["url"], node["url"])
    return Listed(repo, facts(node))


def facts(node: Node) -> Facts:
    """What a node says of its repository as a whole."""
    pushed = node.get("pushedAt")
    return Facts(
        archived=bool(node.get("isArchived")),
        fork=bool(node.get("isFork")),
        private=bool(node.get("isPrivate")),
        empty=bool(node.get("isEmpty")),
        kilobytes=node.get("diskUsage") or 0,
        language=(node.get("primaryLanguage") or {}).get("name", ""),
        pushed_at=datetime.fromisoformat(pushed) if pushed else None,
    )


def missing(errors: Sequence[Mapping[str, Any]]) -> Missing | None:
    """Why there is nothing in a place, by the errors there; None: GitHub only stumbled."""
    kind = errors[0].get("type") if errors else "NOT_FOUND"
    if kind == "FORBIDDEN":
        said = str(errors[0].get("message", "")).rstrip(".")
        return Missing(f"may not be read: {said}", denied=True)
    return Missing(NOT_THERE) if kind == "NOT_FOUND" else None
