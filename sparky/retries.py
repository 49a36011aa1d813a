"""What to do about an error: retry, wait or stop. Policy is data, the decision one function."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from sparky.errors import Changed, Permanent, Throttled


@dataclass(frozen=True, slots=True)
class Policy:
    """How often, and how patiently."""

    attempts: int = 6
    """Attempts in all before a step stops."""
    first: timedelta = timedelta(seconds=2)
    """The pause after the first failure; three times as long after each further one."""
    longest: timedelta = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Retry:
    """Try again after `delay`; an attempt is burned."""

    delay: timedelta


@dataclass(frozen=True, slots=True)
class Wait:
    """Go on at `until`; no attempt is burned."""

    until: datetime


@dataclass(frozen=True, slots=True)
class Anew:
    """Begin the job again, with its first stage."""


@dataclass(frozen=True, slots=True)
class Stop:
    """It will not work; say why and go on without it."""


Decision = Retry | Wait | Anew | Stop


def decide(error: BaseException, failures: int, *, policy: Policy, seed: str) -> Decision:
    """What follows from `error` after `failures` earlier ones.

    The jitter is drawn from `seed` (a step's id), so that a decision can be repeated in a test
    while a thousand steps that fail together do not come back together.
    """
    if isinstance(error, Throttled):
        return Wait(error.until)
    if isinstance(error, Changed):
        return Anew()
    if isinstance(error, Permanent) or failures + 1 >= policy.attempts:
        return Stop()
    pause = min(policy.first * 3**failures, policy.longest)
    return Retry(pause * (0.5 + _fraction(f"{seed}:{failures}")))


def _fraction(text: str) -> float:
    """A number in [0, 1) that looks random and depends on `text` alone."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big") / 2**48
