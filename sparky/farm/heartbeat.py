"""Keeps a claim's lease while its task works."""

from __future__ import annotations

import threading
from types import TracebackType

import structlog

from sparky.errors import Transient
from sparky.ports import Claim
from sparky.store.work import Work

log = structlog.get_logger(__name__)


class Heartbeat:
    """A thread that renews the lease until the block ends or the claim is void.

    A database that is away for a moment is not the end: the next beat tries again, and if the
    lease runs out meanwhile, the fence decides.
    """

    def __init__(self, work: Work, claim: Claim, *, every: float, lease: float) -> None:
        self._work, self._claim = work, claim
        self._every, self._lease = every, lease
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def _beat(self) -> None:
        while not self._stop.wait(self._every):
            try:
                if not self._work.heartbeat(self._claim, lease=self._lease):
                    log.warning("claim is void", step=self._claim.step_id)
                    return
            except Transient as error:
                log.warning("heartbeat missed", error=str(error))

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()
