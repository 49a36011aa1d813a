"""Keeps the leases of all that this process works on: one thread and one statement for all."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog

from sparky.errors import StoreError, Transient
from sparky.ports import Claim
from sparky.store.work import Work

log = structlog.get_logger(__name__)


class Heart:
    """Renews the leases of the claims that are held, until each block ends.

    A database that is away for a moment is not the end: the next beat tries again, and if a lease
    runs out meanwhile, the fence decides. The thread begins with the first claim, after any fork.

    Args:
        every: seconds between two beats.
        lease: seconds for which each beat keeps a claim.
        also: done with every beat.
    """

    def __init__(
        self, work: Work, *, every: float, lease: float, also: Callable[[], None] = lambda: None
    ) -> None:
        self._work = work
        self._also = also
        self._every, self._lease = every, lease
        self._held: dict[int, Claim] = {}
        """By the step's number: this process works on a step once at a time."""
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    @contextmanager
    def holding(self, claim: Claim) -> Iterator[None]:
        """Keep the claim for as long as the block runs."""
        with self._lock:
            self._held[claim.step_id] = claim
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
                self._thread.start()
        try:
            yield
        finally:
            with self._lock:
                # A later attempt of the same step may be held by now.
                if self._held.get(claim.step_id) is claim:
                    del self._held[claim.step_id]

    def beat(self) -> None:
        """Renew all leases once."""
        with self._lock:
            held = list(self._held.values())
        if not held:
            return
        try:
            kept = self._work.keep(held, lease=self._lease)
        except (Transient, StoreError) as error:
            log.warning("heartbeat missed", error=str(error))
            return
        void = [claim.step_id for claim in held if claim.step_id not in kept]
        if void:
            # Or being ended in this moment. What works on it finds out when it comes to its end.
            log.info("claims are void", steps=void)

    def _run(self) -> None:
        pause = threading.Event()
        while True:
            pause.wait(self._every)
            self.beat()
            self._also()
