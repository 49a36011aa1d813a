"""How much of the engines' speed Sparky uses: `make bench BENCH=saturation`.

Engines that batch continuously are played by `tests/engines/batching.py`: slots, a queue, and the
published rates of gpt-oss-20b on one DGX Spark, its time run `--scale` times faster. The same
prompts go to them twice: from a closed loop that keeps a fixed number in flight and does nothing
else, at several numbers, of which the best counts; and from Sparky: each call is a step that is
claimed in Postgres, asked for through the router with the cache in front, recorded and completed,
by 64 threads a process, as in the farm. Celery's messages are not in it. Prints a table, and with
`--json FILE` the figures.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import multiprocessing
import random
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import sqlalchemy as sa
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from sparky.llm.openai import OpenAIBackend
from sparky.llm.router import Router
from sparky.llm.seat import Member
from sparky.model import Repo, Window
from sparky.pipeline import Record, asking
from sparky.ports import Answer, Claim, Prompt
from sparky.services import Wanted, attach
from sparky.store import schema
from sparky.store.calls import Calls
from sparky.store.connection import connect
from sparky.store.gateway import Gateway
from sparky.store.runs import Runs
from sparky.store.work import Work
from tests.engines.fleet import figures, fleet

MODEL = "gpt-oss-20b"
SYSTEM = "You are an editor. " * 100
THREADS = 64
WINDOW = Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))
REPO = Repo("git:bench", "bench", "git", "/bench")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--servers", type=int, nargs="+", default=[1, 4, 16])
    options.add_argument("--slots", type=int, nargs="+", default=[32, 16, 8])
    options.add_argument("--scale", type=float, nargs="+", default=[8, 6, 3])
    options.add_argument("--rounds", type=int, default=16, help="calls for each slot")
    options.add_argument("--json", type=Path)
    given = options.parse_args()
    table = Table(title="tokens/s of Sparky ÷ tokens/s of a closed loop")
    for column in (
        "servers", "slots", "calls", "loop", "best at", "Sparky", "steady", "whole", "CPU a call",
    ):  # fmt: skip
        table.add_column(column, justify="right")
    found = []
    with tempfile.TemporaryDirectory() as folder:
        wanted = Wanted(postgres=True, valkey=False, llama=None)
        with attach(Path(folder), wanted) as ends:
            assert ends.database_url is not None
            schema.upgrade(ends.database_url)
            for servers, slots, scale in zip(given.servers, given.slots, given.scale, strict=False):
                row = compare(ends.database_url, servers, slots, scale, given.rounds)
                found.append(row)
                table.add_row(
                    str(servers), str(slots), str(row["calls"]),
                    f"{row['loop']['steady']:.0f}", str(row["loop"]["in_flight"]),
                    f"{row['sparky']['steady']:.0f}", f"{row['steady']:.3f}",
                    f"{row['whole']:.3f}", f"{row['cpu_ms']:.1f} ms",
                )  # fmt: skip
    Console().print(table)
    if given.json:
        given.json.write_text(json.dumps(found, indent=2) + "\n")


def compare(
    database_url: str, servers: int, slots: int, scale: float, rounds: int
) -> dict[str, Any]:
    """Sparky and the closed loop over the same prompts. Rates are tokens/s of the engines' time."""
    calls = servers * slots * rounds
    loops = []
    for factor in (1.0, 1.5):
        in_flight = round(slots * factor)
        with fleet(servers, slots=slots, scale=scale) as urls, watched(urls, scale) as curve:
            asyncio.run(_loop(urls, in_flight, calls))
        loops.append({"in_flight": in_flight, **curve.rates()})
    best = max(loops, key=lambda loop: loop["steady"])
    with fleet(servers, slots=slots, scale=scale) as urls, watched(urls, scale) as curve:
        cpu = _farm(database_url, urls, calls, in_flight=servers * slots)
    sparky = curve.rates()
    return {
        "servers": servers,
        "slots": slots,
        "scale": scale,
        "calls": calls,
        "loop": best,
        "loops": loops,
        "sparky": sparky,
        "steady": sparky["steady"] / best["steady"],
        "whole": sparky["whole"] / best["whole"],
        "cpu_ms": 1000 * cpu / calls,
    }


def prompts(count: int) -> Iterator[tuple[str, Prompt]]:
    """A key and a prompt for each chunk; 800 to 2500 tokens each, the same in each run."""
    chance = random.Random(7)
    for number in range(count):
        text = f"{number}\n" + "word " * chance.randint(240, 1600)
        yield f"k{number}", Prompt(SYSTEM, text, 512)


class Curve:
    """How many tokens the engines had written, over time."""

    def __init__(self, scale: float) -> None:
        self.points: list[tuple[float, int]] = []
        self._scale = scale

    def rates(self) -> dict[str, float]:
        """Tokens/s from the first to the last token, and between a fifth and four of all of them."""
        last = self.points[-1][1]
        ended = next(i for i, (_, written) in enumerate(self.points) if written == last)
        (begin, _), (end, _) = self.points[0], self.points[ended]
        inner = [(at, w) for at, w in self.points if 0.2 * last <= w <= 0.8 * last]
        (a, low), (b, high) = inner[0], inner[-1]
        return {
            "whole": last / (end - begin) / self._scale,
            "steady": (high - low) / (b - a) / self._scale,
        }


@contextmanager
def watched(urls: Sequence[str], scale: float) -> Iterator[Curve]:
    """Look at the engines' counters twice a second while the block runs."""
    curve, done = Curve(scale), threading.Event()

    def look() -> None:
        curve.points.append((time.monotonic(), sum(figures(url)["written"] for url in urls)))

    def watch() -> None:
        while not done.wait(0.5):
            look()

    look()
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield curve
    finally:
        done.set()
        watcher.join()
        look()


async def _loop(urls: Sequence[str], in_flight: int, calls: int) -> None:
    """Keep so many in flight at each engine; the lightest client that can be."""
    todo = prompts(calls)

    async def caller(url: str) -> None:
        parts = urlsplit(url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        for _, prompt in todo:
            messages = [
                {"role": "system", "content": prompt.system},
                {"role": "user", "content": prompt.user},
            ]
            body = json.dumps({"messages": messages, "max_tokens": prompt.max_tokens}).encode()
            head = f"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
            await reader.readuntil(b"\r\n0\r\n\r\n")
        writer.close()

    await asyncio.gather(*(caller(url) for url in urls for _ in range(in_flight)))


def _farm(database_url: str, urls: Sequence[str], calls: int, *, in_flight: int) -> float:
    """Do the calls as steps of a run; the processor seconds that Sparky spent."""
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
    work.complete(second, keys=[key for key, _ in prompts(calls)])
    query = sa.text("SELECT id FROM steps WHERE stage = 'summarize' ORDER BY position")
    with engine.begin() as connection:
        steps = list(connection.execute(query).scalars())
    engine.dispose()
    # A quarter more threads than slots: some are at the database meanwhile.
    processes = math.ceil(in_flight * 1.25 / THREADS)
    threads = min(THREADS, round(in_flight * 1.5 / processes))
    context = multiprocessing.get_context("spawn")
    with context.Pool(processes) as pool:
        spent = pool.starmap(
            _worker,
            [
                (database_url, urls, steps[number::processes], calls, threads)
                for number in range(processes)
            ],
            chunksize=1,
        )
    return sum(spent)


def _worker(
    database_url: str, urls: Sequence[str], steps: Sequence[int], calls: int, threads: int
) -> float:
    """One process of the farm; its processor seconds, without its start."""
    engine = connect(database_url, pool=10)
    store, work, ledger = Gateway(engine), Work(engine, farm="bench"), Calls(engine)
    known = dict(prompts(calls))
    router = Router(
        [Member(name=url, backend=OpenAIBackend(url, MODEL), model=MODEL) for url in urls]
    )
    todo, lock = iter(steps), threading.Lock()

    def recorder(claim: Claim) -> Record:
        def record(answer: Answer | None, seconds: float, outcome: str) -> None:
            job = claim.job_id
            ledger.record(job, "summarize", "pool", MODEL, answer, seconds=seconds, outcome=outcome)

        return record

    def work_on() -> None:
        while True:
            with lock:
                step = next(todo, None)
            if step is None:
                return
            claim = work.claim(step, worker="w", lease=600)
            assert claim is not None
            asking(router, store, recorder(claim))(known[claim.key])
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


if __name__ == "__main__":
    main()
