"""What an examination finds: a part of Sparky, whether it is well, and how to mend it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sparky.errors import SparkyError


class Health(StrEnum):
    """How a part is."""

    OK = "ok"
    WARN = "warn"
    """It works, or is not needed now, but somebody should know."""
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One part and how it is."""

    part: str
    health: Health
    what: str
    """In words: a version, a place, or what is wrong."""
    remedy: str = ""
    """What to do next; empty if nothing is to be done."""


def ok(part: str, what: str) -> Finding:
    return Finding(part, Health.OK, what)


def warn(part: str, what: str, remedy: str) -> Finding:
    return Finding(part, Health.WARN, what, remedy)


def fail(part: str, what: str, remedy: str) -> Finding:
    return Finding(part, Health.FAIL, what, remedy)


def failed(part: str, error: SparkyError) -> Finding:
    """The finding that an error stands for."""
    return Finding(part, Health.FAIL, error.message, error.remedy)
