"""A step's questions to its engine, written down: the `Record` of `sparky.pipeline`."""

from __future__ import annotations

from sparky.ports import Answer, Engine
from sparky.store.calls import Calls, row
from sparky.store.gateway import Gateway


class Ledger:
    """What one step of a job asks. Errors: Transient, StoreError.

    Args:
        store: keeps the answers.
        engine: the one that is asked; an answer names the one that really wrote it.
    """

    def __init__(self, store: Gateway, engine: Engine, *, job_id: int, stage: str) -> None:
        self._store = store
        self._calls = Calls(store.engine)
        self._engine = engine
        self._job_id = job_id
        self._stage = stage

    def __call__(self, answer: Answer | None, seconds: float, outcome: str) -> None:
        """Write down one question that brought no new answer."""
        self._calls.record(
            self._job_id,
            self._stage,
            self._engine.name,
            self._engine.model,
            answer,
            seconds=seconds,
            outcome=outcome,
        )

    def keep(self, key: str, answer: Answer) -> None:
        """Write down a question with the new answer that it brought, and keep that: one statement."""
        call = row(
            self._job_id,
            self._stage,
            self._engine.name,
            self._engine.model,
            answer,
            seconds=answer.seconds,
            outcome="ok",
        )
        self._store.put_answer(key, answer, call)
