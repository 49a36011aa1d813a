"""Calls as the farm makes them: each is a step that is claimed in Postgres, asked for through the
router with the cache in front, recorded and completed, by 64 threads a process. The processes are up
before the first call, as a night finds its workers; they have not seen the engines yet."""

from __future__ import annotations

import math
import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from multiprocessing.synchronize import Barrier
from typing import Any

import sqlalchemy as sa

from bench.field import Field
from bench.prompts import Prompts
from sparky.errors import BadAnswer, Transient
from sparky.llm.openai import OpenAIBackend
from sparky.llm.router import Router
from sparky.llm.seat import Member
from sparky.llm.wire import Timeouts
from sparky.model import Repo, Window
from sparky.pipeline import asking
from sparky.store.connection import connect
from sparky.store.gateway import Gateway
from sparky.store.ledger import Ledger
from sparky.store.runs import Runs
from sparky.store.work import Work

THREADS = 64
ATTEMPTS = 5
WINDOW = Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))
REPO = Repo("git:bench", "bench", "git", "/bench")


@contextmanager
def crew(
    database_url: str,
    urls: Sequence[str],
    field: Field,
    known: Prompts,
    *,
    patience: float = 300.0,
) -> Iterator[Callable[[], float]]:
    """Workers that are up. What it gives lets them do the calls as steps of a run, and returns the
    processor seconds that Sparky spent.

    Args:
        patience: seconds that an engine may be silent.
    """
    steps = _steps(database_url, known)
    processes = crew_size(field)
    threads = min(THREADS, round(field.servers * field.slots * 1.5 / processes))
    context = multiprocessing.get_context("spawn")
    up = context.Barrier(processes + 1)
    given = (up, database_url, urls, field.model, known, threads, patience)
    with context.Pool(processes, _begin, given) as pool:
        up.wait(60)
        parts = [steps[number::processes] for number in range(processes)]
        yield lambda: sum(pool.map(_work, parts, chunksize=1))


def crew_size(field: Field) -> int:
    """Processes; a quarter more threads than slots, as some are at the database meanwhile."""
    return math.ceil(field.servers * field.slots * 1.25 / THREADS)


def _steps(database_url: str, known: Prompts) -> list[int]:
    """A run with a chunk for each prompt, up to where these wait to be summarised."""
    engine = connect(database_url)
    with engine.begin() as connection:
        connection.execute(sa.text("TRUNCATE runs, jobs, steps, answers, llm_calls CASCADE"))
    Gateway(engine).add_repo(REPO)
    work = Work(engine, farm="bench")
    (fetch,) = Runs(engine, farm="bench").start("r", WINDOW, [REPO.id], {})
    first = work.claim(fetch.step_id, worker="w", lease=600)
    assert first is not None
    ended = work.complete(first, onward={"chunk"}, worker="w", lease=600)
    assert ended is not None
    assert ended.onward is not None
    work.complete(ended.onward, keys=list(known))
    query = sa.text("SELECT id FROM steps WHERE stage = 'summarize' ORDER BY position")
    with engine.begin() as connection:
        steps = list(connection.execute(query).scalars())
    engine.dispose()
    return steps


class Worker:
    """One process of the farm."""

    def __init__(
        self,
        database_url: str,
        urls: Sequence[str],
        model: str,
        known: Prompts,
        threads: int,
        patience: float,
    ) -> None:
        self.model, self.known, self.threads = model, known, threads
        self.engine = connect(database_url, pool=10)
        self.store = Gateway(self.engine)
        self.work = Work(self.engine, farm="bench")
        times = Timeouts(first=patience, idle=patience, total=3 * patience, probe=min(patience, 30))

        def backend(url: str) -> OpenAIBackend:
            return OpenAIBackend(url, model, timeouts=times)

        self.router = Router(
            Member(name=url, backend=backend(url), trial=backend(url), model=model) for url in urls
        )

    def do(self, steps: Sequence[int]) -> float:
        """Do these steps; the processor seconds that it took."""
        todo, lock = iter(steps), threading.Lock()

        def call() -> None:
            while True:
                with lock:
                    step = next(todo, None)
                if step is None:
                    return
                self._do(step)

        began = time.process_time()
        callers = [threading.Thread(target=call) for _ in range(self.threads)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
        return time.process_time() - began

    def _do(self, step: int) -> None:
        claim = self.work.claim(step, worker="w", lease=600)
        assert claim is not None
        ledger = Ledger(self.store, self.router.engine(), job_id=claim.job_id, stage="summarize")
        ask = asking(self.router, self.store, ledger)
        for _ in range(ATTEMPTS):
            with suppress(Transient):  # a run tries it again
                with suppress(BadAnswer):  # and repairs or replaces this
                    ask(self.known[claim.key])
                break
        self.work.complete(claim, result=claim.key)


_here: list[Worker] = []
"""The one of this process."""


def _begin(up: Barrier, *given: Any) -> None:
    _here.append(Worker(*given))
    up.wait(60)


def _work(steps: Sequence[int]) -> float:
    return _here[0].do(steps)
