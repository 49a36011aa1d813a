"""Calls as the farm makes them: each is a step that is claimed in Postgres, asked for through the
router with the cache in front, recorded and completed, by 64 threads a process."""

from __future__ import annotations

import math
import multiprocessing
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime

import sqlalchemy as sa

from bench.field import Field
from bench.prompts import Prompts
from sparky.errors import BadAnswer, Transient
from sparky.llm.openai import OpenAIBackend
from sparky.llm.router import Router
from sparky.llm.seat import Member
from sparky.llm.wire import Timeouts
from sparky.model import Repo, Window
from sparky.pipeline import Record, asking
from sparky.ports import Answer, Claim
from sparky.store.calls import Calls
from sparky.store.connection import connect
from sparky.store.gateway import Gateway
from sparky.store.runs import Runs
from sparky.store.work import Work

THREADS = 64
ATTEMPTS = 5
WINDOW = Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))
REPO = Repo("git:bench", "bench", "git", "/bench")


def farm(
    database_url: str,
    urls: Sequence[str],
    field: Field,
    known: Prompts,
    *,
    patience: float = 300.0,
) -> float:
    """Do the calls as steps of a run; the processor seconds that Sparky spent.

    Args:
        patience: seconds that an engine may be silent.
    """
    engine = connect(database_url)
    with engine.begin() as connection:
        connection.execute(sa.text("TRUNCATE runs, jobs, steps, answers, llm_calls CASCADE"))
    Gateway(engine).add_repo(REPO)
    work = Work(engine, farm="bench")
    (fetch,) = Runs(engine, farm="bench").start("r", WINDOW, [REPO.id], {})
    first = work.claim(fetch.step_id, worker="w", lease=600)
    assert first is not None
    (chunk,) = work.complete(first) or ()
    second = work.claim(chunk.step_id, worker="w", lease=600)
    assert second is not None
    work.complete(second, keys=list(known))
    query = sa.text("SELECT id FROM steps WHERE stage = 'summarize' ORDER BY position")
    with engine.begin() as connection:
        steps = list(connection.execute(query).scalars())
    engine.dispose()
    # A quarter more threads than slots: some are at the database meanwhile.
    in_flight = field.servers * field.slots
    processes = math.ceil(in_flight * 1.25 / THREADS)
    threads = min(THREADS, round(in_flight * 1.5 / processes))
    context = multiprocessing.get_context("spawn")
    with context.Pool(processes) as pool:
        spent = pool.starmap(
            _worker,
            [
                (
                    database_url,
                    urls,
                    field.model,
                    steps[number::processes],
                    known,
                    threads,
                    patience,
                )
                for number in range(processes)
            ],
            chunksize=1,
        )
    return sum(spent)


def _worker(
    database_url: str,
    urls: Sequence[str],
    model: str,
    steps: Sequence[int],
    known: Prompts,
    threads: int,
    patience: float,
) -> float:
    """One process of the farm; its processor seconds, without its start."""
    engine = connect(database_url, pool=10)
    store, work, ledger = Gateway(engine), Work(engine, farm="bench"), Calls(engine)
    times = Timeouts(first=patience, idle=patience, total=3 * patience, probe=min(patience, 30))

    def backend(url: str) -> OpenAIBackend:
        return OpenAIBackend(url, model, timeouts=times)

    router = Router(
        [Member(name=url, backend=backend(url), trial=backend(url), model=model) for url in urls]
    )
    todo, lock = iter(steps), threading.Lock()

    def recorder(claim: Claim) -> Record:
        def record(answer: Answer | None, seconds: float, outcome: str) -> None:
            job = claim.job_id
            ledger.record(job, "summarize", "pool", model, answer, seconds=seconds, outcome=outcome)

        return record

    def work_on() -> None:
        while True:
            with lock:
                step = next(todo, None)
            if step is None:
                return
            claim = work.claim(step, worker="w", lease=600)
            assert claim is not None
            ask = asking(router, store, recorder(claim))
            for _ in range(ATTEMPTS):
                with suppress(Transient):  # a run tries it again
                    with suppress(BadAnswer):  # and repairs or replaces this
                        ask(known[claim.key])
                    break
            work.complete(claim, result=claim.key)

    began = time.process_time()
    callers = [threading.Thread(target=work_on) for _ in range(threads)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    spent = time.process_time() - began
    router.close()
    engine.dispose()
    return spent
