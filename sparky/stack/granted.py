"""What a stack's file takes for granted: secrets that exist, and nodes with labels. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

CONSTRAINT: Final = re.compile(r"node\.labels\.(\S+)\s*==\s*true")


def secrets(document: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of the secrets that must be there before a deploy."""
    declared = document.get("secrets") or {}
    return tuple(
        str(entry.get("name", key)) for key, entry in declared.items() if entry.get("external")
    )


def labels(document: Mapping[str, Any]) -> dict[str, list[str]]:
    """The labels that some node must carry with the value `true`, each with the services it is for.

    A service with no replicas asks for nothing.
    """
    found: dict[str, list[str]] = {}
    for name, service in (document.get("services") or {}).items():
        deploy = service.get("deploy") or {}
        if deploy.get("replicas") == 0:
            continue
        for constraint in (deploy.get("placement") or {}).get("constraints") or ():
            if label := CONSTRAINT.fullmatch(constraint):
                found.setdefault(label[1], []).append(name)
    return found
