"""An engine's place in a pool: what it is, how it fares, and how much it gets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sparky.errors import BadAnswer, SparkyError
from sparky.llm.breaker import Breaker
from sparky.llm.limiter import Limiter
from sparky.ports import Backend, Engine

_START = 16
"""Requests that an engine gets at first where it tells fewer: those that batch tell none at all."""

CALLERS = 64
"""Callers at once for an engine that takes what comes, from one process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """An engine that a pool may use, as somebody configured it."""

    name: str
    """Where it is: unlike any other's in the pool."""
    backend: Backend
    trial: Backend | None = None
    """The same engine with less patience, for the canary; the backend itself when left out."""
    model: str = ""
    """What it is to serve; needed where there is more than one member."""
    tier: int = 0
    """Prompts go to the lowest tier; those that it fails at may go to the next."""
    weight: float = 1.0
    """How large a part it gets, compared with others of its tier."""
    max_in_flight: int | None = None

    def close(self) -> None:
        """Close its connections."""
        self.backend.close()
        if self.trial is not None:
            self.trial.close()


class Seat:
    """What a pool knows of a member. The pool's lock guards it.

    Args:
        patience: seconds that a first token may take before the engine counts as full.
    """

    def __init__(self, member: Member, *, now: Callable[[], float], patience: float) -> None:
        self.member = member
        self.breaker = Breaker(now)
        self.limiter = Limiter(1)
        self.in_flight = 0
        self.engine: Engine | None = None
        """What it was when it last proved itself."""
        self.model = ""
        """The name under which it answers; another one later is another model."""
        self.trying = False
        """Whether its canary is under way."""
        self.gone = False
        """Whether it has left the pool."""
        self.error: SparkyError | None = None
        """Why it is not used."""
        self.rests_until = 0.0
        """When it may be asked again after it had no room."""
        self.rest = 0.0
        self.well_at = 0.0
        """When it last answered; 0 for never."""
        self.mute_until = 0.0
        """When it may be asked for counts again."""
        self._patience = patience

    @property
    def has_room(self) -> bool:
        return self.in_flight < self.limiter.limit

    @property
    def load(self) -> float:
        """How full it would be with one request more, for its weight."""
        return (self.in_flight + 1) / (self.limiter.limit * self.member.weight)

    @property
    def busy(self) -> bool:
        """Whether it has about what it may have, so that its speed tells what the limit is worth."""
        return self.in_flight >= 0.9 * self.limiter.limit

    @property
    def unused(self) -> bool:
        """Whether it has left and ended all that it had begun."""
        return self.gone and not self.in_flight and not self.trying

    def callers(self, engine: Engine) -> int:
        """How many callers at once are worth having: the limit is found by what they ask."""
        most = self.member.max_in_flight or CALLERS
        return min(engine.slots if _exact(engine) else CALLERS, most)

    def proved(self, engine: Engine, model: str) -> None:
        """The canary sang: this is what answers now."""
        if engine != self.engine or not isinstance(self.error, BadAnswer):
            # Another engine, or one that was away: what it could do before says little.
            start = engine.slots if _exact(engine) else max(engine.slots, _START)
            most = self.member.max_in_flight
            self.limiter = Limiter(start, most=most, patience=self._patience)
        self.engine, self.model = engine, model
        self.error = None
        self.breaker.passed()


def _exact(engine: Engine) -> bool:
    """Whether its slots are a fact: llama.cpp tells them, Ollama is told them."""
    return engine.name in ("llama.cpp", "ollama")
