"""The engines that are in a pool, and what they are together."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from sparky.errors import EngineError, SparkyError, Throttled, Transient, UsageError
from sparky.llm.seat import Member, Seat
from sparky.ports import Engine

MUTE = 30.0
"""Seconds for which an engine that could not be probed or counted with is not asked again."""


class Pool:
    """Engines, each with a seat. Safe to share between threads.

    Args:
        members: at least one; where there are more, each names its model.
        patience: seconds that a first token may take before an engine counts as full.
        now: seconds that never go back.

    Raises:
        UsageError: no members, or two that cannot be told apart.
    """

    def __init__(
        self, members: Iterable[Member], *, patience: float, now: Callable[[], float]
    ) -> None:
        self._patience = patience
        self._now = now
        self._lock = threading.Lock()
        self._rooms: dict[int, threading.Condition] = defaultdict(
            lambda: threading.Condition(self._lock)
        )
        """By tier: a caller that waits for one is of no use to another."""
        self._seats: list[Seat] = []
        self._closed = False
        for member in members:
            self.join(member)
        if not self._seats:
            raise UsageError("the pool has no engines", remedy="Name one under [[engines]]")

    # ---- who is in

    def join(self, member: Member) -> None:
        """Take an engine in; it is used once its canary has sung."""
        with self._lock:
            if any(seat.member.name == member.name for seat in self._seats):
                raise UsageError(f"the engine {member.name} is in the pool twice")
            self._seats.append(Seat(member, now=self._now, patience=self._patience))
            self._wake()

    def leave(self, name: str) -> None:
        """Let an engine go. It may finish what it has begun, and gets nothing more."""
        with self._lock:
            gone = [seat for seat in self._seats if seat.member.name == name]
            self._seats = [seat for seat in self._seats if seat.member.name != name]
            for seat in gone:
                seat.gone = True
            idle = [seat for seat in gone if seat.unused]
            self._wake()
        for seat in idle:
            seat.member.close()

    def seats(self) -> tuple[Seat, ...]:
        """The engines with how they fare, for people who look."""
        with self._lock:
            return tuple(self._seats)

    def close(self) -> None:
        """Close all connections. Callers that wait are sent away."""
        with self._lock:
            self._closed = True
            seats = tuple(self._seats)
            self._wake()
        for seat in seats:
            seat.member.close()

    def _wake(self) -> None:
        for room in self._rooms.values():
            room.notify_all()

    # ---- what it is

    def engine(self) -> Engine:
        """The first tier as one engine. Its model is a name for what was configured.

        So keys made of it stay the same whichever engine is up: one model's name, or the names of
        all that the tier may answer with. The context is the smallest of those that are up. Its
        slots are the callers that are worth having at once.
        """
        seats = self._first()
        if len(self.seats()) == 1:
            (seat,) = seats
            engine = seat.member.backend.engine()
            model = seat.member.model or engine.model
            return replace(engine, model=model, slots=seat.callers(engine))
        known = list(self._known(seats))
        found = [engine for _, engine in known]
        return Engine(
            name="+".join(sorted({engine.name for engine in found})),
            model=" | ".join(sorted({seat.member.model for seat in seats})),
            context=min(engine.context for engine in found),
            slots=sum(seat.callers(engine) for seat, engine in known),
        )

    def forget(self) -> None:
        for seat in self.seats():
            seat.member.backend.forget()

    def count(self, text: str) -> int:
        """As the first engine of the first tier counts that can be asked."""
        return self.count_all([text])[0]

    def count_all(self, texts: Sequence[str]) -> list[int]:
        """As the first engine of the first tier counts that can be asked."""
        error: SparkyError | None = None
        for seat in self._audible(self._first()):
            try:
                return seat.member.backend.count_all(texts)
            except (Transient, Throttled, EngineError) as failure:
                seat.mute_until = self._now() + MUTE
                error = error or failure
        raise error or Transient("no engine of the first tier can be asked")

    def _first(self) -> list[Seat]:
        seats = self.seats()
        tier = min((seat.member.tier for seat in seats), default=0)
        return [seat for seat in seats if seat.member.tier == tier]

    def _audible(self, seats: list[Seat]) -> list[Seat]:
        """Those that were not found silent just now; all, where every one was."""
        return [seat for seat in seats if seat.mute_until <= self._now()] or seats

    def _known(self, seats: list[Seat]) -> Iterator[tuple[Seat, Engine]]:
        error: SparkyError | None = None
        found = False
        for seat in self._audible(seats):
            try:
                engine = seat.member.backend.engine()
            except (Transient, Throttled, EngineError) as failure:
                seat.mute_until = self._now() + MUTE
                error = error or failure
                continue
            found = True
            yield seat, engine
        if not found:
            raise error or Transient("the pool has no engine")
