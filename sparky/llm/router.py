"""Many engines as one `Backend`: the least loaded answers, and trouble goes round the others.

What a caller sees of an engine's troubles:

    no room (429, 503)          the call waits, and goes to whichever has room
    reset, timeout, 5xx         the call goes to another engine of the tier; raised when all failed
    wrong key, wrong model      the same
    bad answer                  the call goes to a higher tier, as long as the budget lasts
    prompt too long             raised
    all engines in trouble      Throttled for a quarter of an hour, which burns no attempt;
                                then what the engine last said

An engine in trouble is left alone until its canary sings; so is a new one.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import structlog

from sparky.errors import (
    BadAnswer,
    ContextExceeded,
    EngineError,
    Permanent,
    SparkyError,
    Throttled,
    Transient,
)
from sparky.llm import canary
from sparky.llm.faults import Overloaded
from sparky.llm.pool import Pool
from sparky.llm.seat import Member, Seat
from sparky.llm.wire import utcnow
from sparky.ports import Answer, Clock, Prompt

OUTAGE = 900.0
"""Seconds for which callers wait for a tier that answered before, without burning an attempt."""
REFUSALS = 8
"""How often one call may find no room before that is an error."""
ODD_PAUSE = 60.0
"""Seconds until an engine that refuses us (key, model, canary) is tried again."""
RESTS = (0.25, 8.0)
"""Shortest and longest rest, in seconds, of an engine that had no room."""
FREE_ESCALATIONS = 4
"""Escalations before their share counts."""

log = structlog.get_logger(__name__)


class Unreadable(BadAnswer):
    """The answer is not the JSON that was asked for; a healthy engine may do better."""


class Router(Pool):
    """Asks the engines of a pool. Safe to share between threads; each process finds its own limits.

    Args:
        members: at least one; where there are more, each names its model.
        escalate: the largest share of calls that may go to a higher tier.
        patience: seconds that a first token may take before an engine counts as full.
        clock, now: the time of day, and seconds that never go back.

    Raises:
        UsageError: no members, or two that cannot be told apart.
    """

    def __init__(
        self,
        members: Iterable[Member],
        *,
        escalate: float = 0.1,
        patience: float = 60.0,
        clock: Clock = utcnow,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(members, patience=patience, now=now)
        self._escalate = escalate
        self._clock = clock
        self._calls = 0
        self._escalated = 0

    # ---- answering

    def complete(self, prompt: Prompt) -> Answer:
        """Ask an engine that has room; wait for one where none has.

        Raises: as the table above says.
        """
        with self._lock:
            self._calls += 1
        tier = min((seat.member.tier for seat in self.seats()), default=0)
        tried: set[Seat] = set()
        last: SparkyError | None = None
        refusals = 0
        while True:
            seat = self._take(tier, tried, last)
            try:
                return self._ask(seat, prompt)
            except Overloaded as error:
                refusals += 1
                if refusals == REFUSALS:
                    raise
                last = error
            except ContextExceeded:
                raise
            except BadAnswer as error:
                higher = self._higher(tier)
                if isinstance(error, Unreadable) and self._others(seat, tried):
                    tried |= {seat, *self._others(seat, tried)[1:]}  # one more try, not one each
                elif higher is not None:
                    tier, tried = higher, set()
                else:
                    raise
                last = error
            except (Transient, Throttled, EngineError) as error:
                tried.add(seat)
                last = error

    def _ask(self, seat: Seat, prompt: Prompt) -> Answer:
        """Ask this engine, which was taken, and learn from how it goes."""
        era = seat.limiter.era
        with self._released(seat):
            try:
                answer = seat.member.backend.complete(prompt)
                self._judge(seat, prompt, answer)
            except SparkyError as error:
                with self._lock:
                    self._learn(seat, era, error)
                raise
            with self._lock:
                seat.breaker.succeeded()
                seat.rest, seat.well_at = 0.0, self._now()
                seat.limiter.answered(
                    era,
                    answer.completion_tokens,
                    answer.seconds,
                    answer.first_token_seconds,
                    busy=seat.busy,
                )
        return answer if answer.server else replace(answer, server=seat.member.name)

    @contextmanager
    def _released(self, seat: Seat) -> Iterator[None]:
        before = seat.limiter.limit
        try:
            yield
        finally:
            with self._lock:
                seat.in_flight -= 1
                room = self._rooms[seat.member.tier]
                room.notify(1 + max(0, seat.limiter.limit - before))
                last = seat.unused
            if last:
                seat.member.close()

    def _judge(self, seat: Seat, prompt: Prompt, answer: Answer) -> None:
        if answer.model != seat.model:
            raise EngineError(
                f"the engine at {seat.member.name} answers as {answer.model},"
                f" and was {seat.model} before",
                remedy="Serve one model there, or configure the other one",
            )
        if prompt.schema is not None and not _readable(answer.text):
            raise Unreadable(f"the engine at {seat.member.name} wrote no JSON")

    def _learn(self, seat: Seat, era: int, error: SparkyError) -> None:
        """What an engine's error means for its place."""
        was_closed = seat.breaker.closed
        if isinstance(error, Overloaded):
            seat.limiter.overloaded(era)
            shortest, longest = RESTS
            seat.rest = min(max(seat.rest * 2, shortest), longest)
            seat.rests_until = self._now() + seat.rest
            if seat.limiter.limit == 1:  # it refuses even a single one
                seat.breaker.failed()
        elif isinstance(error, ContextExceeded):
            seat.breaker.succeeded()
        elif isinstance(error, BadAnswer):
            seat.breaker.failed()
            if was_closed and not seat.breaker.closed:
                seat.breaker.open(0.0)  # the canary tells whether it is the engine or the prompts
        elif isinstance(error, Throttled):
            seat.breaker.open((error.until - self._clock()).total_seconds())
        elif isinstance(error, Permanent):
            seat.breaker.open(ODD_PAUSE)
        else:
            seat.limiter.overloaded(era)
            seat.breaker.failed()
        if was_closed and not seat.breaker.closed:
            seat.error = error
            log.warning("engine in trouble", server=seat.member.name, error=str(error))
            self._wake()

    def _others(self, seat: Seat, tried: set[Seat]) -> list[Seat]:
        """The engines of its tier that could be asked as well."""
        with self._lock:
            return [
                other
                for other in self._seats
                if other.member.tier == seat.member.tier
                and other is not seat
                and other not in tried
                and other.breaker.closed
            ]

    def _higher(self, tier: int) -> int | None:
        """The next tier, if there is one and the budget allows; spends of it."""
        with self._lock:
            above = sorted({s.member.tier for s in self._seats if s.member.tier > tier})
            if not above or self._escalated >= max(FREE_ESCALATIONS, self._escalate * self._calls):
                return None
            self._escalated += 1
            return above[0]

    # ---- who gets it

    def _take(self, tier: int, tried: set[Seat], last: SparkyError | None) -> Seat:
        """Wait for the least loaded engine of the tier with room, and take a place there.

        Raises: `last` when all were tried; what is wrong when none can be used.
        """
        with self._lock:
            while True:
                if self._closed:
                    raise Transient("the engines are being closed")
                seats = [s for s in self._seats if s.member.tier == tier and s not in tried]
                if not seats and last is not None:
                    raise last
                self._start_trials(seats)
                now = self._now()
                closed = [seat for seat in seats if seat.breaker.closed]
                free = [seat for seat in closed if seat.has_room and seat.rests_until <= now]
                if free:
                    seat = min(free, key=lambda seat: seat.load)
                    seat.in_flight += 1
                    return seat
                if not closed and not any(seat.trying for seat in seats):
                    raise last or self._outage(seats)
                rests = [seat.rests_until - now for seat in closed if seat.has_room]
                self._rooms[tier].wait(min(rests, default=1.0))

    def _outage(self, seats: list[Seat]) -> SparkyError:
        """What to tell a caller when no engine can be used."""
        # What passes by itself goes before what does not.
        errors = sorted((s.error for s in seats if s.error), key=lambda e: isinstance(e, Permanent))
        error = errors[0] if errors else Transient("the pool has no engine of this tier")
        now = self._now()
        well_at = max((seat.well_at for seat in seats), default=0.0)
        if isinstance(error, Permanent) or not well_at or now - well_at > OUTAGE:
            return error
        pause = max(min(seat.breaker.due for seat in seats) - now, 1.0)
        return Throttled(
            f"no engine can be used: {error.message}",
            until=self._clock() + timedelta(seconds=pause),
            remedy=error.remedy,
        )

    def _start_trials(self, seats: list[Seat]) -> None:
        for seat in seats:
            if seat.breaker.trial and not seat.trying:
                seat.trying = True
                threading.Thread(target=self._try, args=(seat,), name="canary", daemon=True).start()

    def _try(self, seat: Seat) -> None:
        """Let the canary sing, beside the calls: it may take as long as an engine hangs."""
        member = seat.member
        engine, model, error = None, "", None
        try:
            trial = member.trial or member.backend
            trial.forget()
            engine = trial.engine()
            model = canary.sing(trial).model
            if member.trial is not None:
                member.backend.forget()
                engine = member.backend.engine()
        except SparkyError as failure:
            error = failure
        with self._lock:
            seat.trying = False
            if engine is not None and error is None:
                seat.proved(engine, model)
            elif error is not None:
                seat.error = error
                seat.breaker.open(self._pause(error))
            last = seat.unused
            self._wake()
        if last:
            seat.member.close()
        if error is None:
            log.info("engine answers", server=member.name, model=model)
        else:
            log.warning("engine not used", server=member.name, error=str(error))

    def _pause(self, error: SparkyError) -> float | None:
        if isinstance(error, Throttled):
            return (error.until - self._clock()).total_seconds()
        return ODD_PAUSE if isinstance(error, Permanent) else None


def _readable(text: str) -> bool:
    """Whether there is a JSON object in it, alone or between words or fences."""
    try:
        return isinstance(json.loads(text[text.index("{") : text.rindex("}") + 1]), dict)
    except ValueError:
        return False
