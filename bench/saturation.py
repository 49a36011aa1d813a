"""How much of the engines' speed Sparky uses: `make bench BENCH=saturation`.

Engines that batch continuously are played by `tests/engines/batching.py`: slots, a queue, and the
published rates of gpt-oss-20b on one DGX Spark, its time run `--scale` times faster. The same
prompts go to them twice: from a closed loop that keeps a fixed number in flight and does nothing
else, at several numbers, of which the best counts; and from Sparky: each call is a step that is
claimed in Postgres, asked for through the router with the cache in front, recorded and completed,
by 64 threads a process, as in the farm. Celery's messages are not in it. Prints a table, and with
`--json FILE` the figures.

`--url URL` takes a real engine instead, one that counts its tokens at `/metrics` (llama.cpp, vLLM),
and `--prompts FILE` real prompts, which `bench/prompts.py` writes. An engine that keeps earlier
prompts outside its slots must not (llama.cpp: `--cache-ram 0`), as each pass asks the same.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import multiprocessing
import random
import re
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import sqlalchemy as sa
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from sparky.errors import BadAnswer, Transient
from sparky.llm.openai import OpenAIBackend
from sparky.llm.router import Router
from sparky.llm.seat import Member
from sparky.llm.wire import Timeouts
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
ATTEMPTS = 5
WINDOW = Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))
REPO = Repo("git:bench", "bench", "git", "/bench")
_WRITTEN = re.compile(
    r"^(?:llamacpp:tokens_predicted_total|vllm:generation_tokens_total)(?:{[^}]*})? ([\d.eE+]+)$",
    re.MULTILINE,
)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--servers", type=int, nargs="+", default=[1, 4, 16])
    options.add_argument("--slots", type=int, nargs="+", default=[32, 16, 8])
    options.add_argument("--scale", type=float, nargs="+", default=[8, 6, 3])
    options.add_argument("--rounds", type=int, default=16, help="calls for each slot")
    options.add_argument("--url", help="a real engine, in place of those that are played")
    options.add_argument("--prompts", type=Path, help="real prompts, as bench/prompts.py writes")
    options.add_argument("--json", type=Path)
    given = options.parse_args()
    table = Table(title="tokens/s of Sparky ÷ tokens/s of a closed loop")
    for column in (
        "servers", "slots", "calls", "loop", "best at", "Sparky", "steady", "whole", "CPU a call",
    ):  # fmt: skip
        table.add_column(column, justify="right")
    if given.url:
        fields = [real(given.url)]
    else:
        shapes = zip(given.servers, given.slots, given.scale, strict=False)
        fields = [played(*shape) for shape in shapes]
    found = []
    with tempfile.TemporaryDirectory() as folder:
        wanted = Wanted(postgres=True, valkey=False, llama=None)
        with attach(Path(folder), wanted) as ends:
            assert ends.database_url is not None
            schema.upgrade(ends.database_url)
            for field in fields:
                calls = field.servers * field.slots * given.rounds
                work = read(given.prompts, calls) if given.prompts else made_up(calls)
                row = compare(ends.database_url, field, work)
                found.append(row)
                table.add_row(
                    str(field.servers), str(field.slots), str(row["calls"]),
                    f"{row['loop']['steady']:.0f}", str(row["loop"]["in_flight"]),
                    f"{row['sparky']['steady']:.0f}", f"{row['steady']:.3f}",
                    f"{row['whole']:.3f}", f"{row['cpu_ms']:.1f} ms",
                )  # fmt: skip
    Console().print(table)
    if given.json:
        given.json.write_text(json.dumps(found, indent=2) + "\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """The engines of one comparison."""

    start: Callable[[], AbstractContextManager[list[str]]]
    """Their URLs, for as long as a block runs."""
    written: Callable[[str], int]
    """How many tokens one has written so far."""
    model: str
    servers: int
    slots: int
    scale: float = 1.0
    """How much faster their time runs than ours."""


def played(servers: int, slots: int, scale: float) -> Field:
    """So many engines of `tests/engines/batching.py`, begun anew for each pass."""
    return Field(
        start=lambda: fleet(servers, slots=slots, scale=scale),
        written=lambda url: int(figures(url)["written"]),
        model=MODEL,
        servers=servers,
        slots=slots,
        scale=scale,
    )


def real(url: str) -> Field:
    """The engine at `url`, after it has answered once."""

    def written(url: str) -> int:
        told = _WRITTEN.search(httpx.get(f"{url}/metrics", timeout=60).raise_for_status().text)
        return int(float(told[1])) if told else 0

    backend = OpenAIBackend(url)
    engine = backend.engine()
    with suppress(BadAnswer):  # a cut one warms it as well
        backend.complete(made_up(1)["k0"])
    backend.close()
    if not written(url):
        raise SystemExit(f"{url}/metrics counts no tokens; start llama.cpp with --metrics")
    return Field(
        start=lambda: nullcontext([url]),
        written=written,
        model=engine.model,
        servers=1,
        slots=engine.slots,
    )


Prompts = Mapping[str, Prompt]
"""A prompt for the key of each chunk."""


def made_up(count: int) -> Prompts:
    """800 to 2500 tokens each, the same in each run."""
    chance = random.Random(7)
    words = (f"{number}\n" + "word " * chance.randint(240, 1600) for number in range(count))
    return {f"k{number}": Prompt(SYSTEM, text, 512) for number, text in enumerate(words)}


def read(path: Path, count: int) -> Prompts:
    """The first `count` of a file of prompts; fewer where it has fewer."""
    found = json.loads(path.read_text(encoding="utf-8"))[:count]
    return {f"k{number}": Prompt(**fields) for number, fields in enumerate(found)}


def compare(database_url: str, field: Field, work: Prompts) -> dict[str, Any]:
    """Sparky and the closed loop over the same prompts. Rates are tokens/s of the engines' time."""
    loops = []
    for factor in (1.0, 1.5):
        in_flight = round(field.slots * factor)
        with field.start() as urls, watched(urls, field) as curve:
            asyncio.run(_loop(urls, field.model, in_flight, work))
        loops.append({"in_flight": in_flight, **curve.rates()})
    best = max(loops, key=lambda loop: loop["steady"])
    with field.start() as urls, watched(urls, field) as curve:
        cpu = farm(database_url, urls, field, work)
    sparky = curve.rates()
    return {
        "model": field.model,
        "servers": field.servers,
        "slots": field.slots,
        "scale": field.scale,
        "calls": len(work),
        "loop": best,
        "loops": loops,
        "sparky": sparky,
        "steady": sparky["steady"] / best["steady"],
        "whole": sparky["whole"] / best["whole"],
        "cpu_ms": 1000 * cpu / len(work),
    }


class Curve:
    """How many tokens the engines had written, over time."""

    def __init__(self, scale: float) -> None:
        self.points: list[tuple[float, int]] = []
        self._scale = scale

    def rates(self) -> dict[str, float]:
        """Tokens/s from the first to the last token, and between a fifth and four of all of them."""
        begin, before = self.points[0]
        points = [(at, written - before) for at, written in self.points]
        last = points[-1][1]
        end = next(at for at, written in points if written == last)
        inner = [(at, w) for at, w in points if 0.2 * last <= w <= 0.8 * last]
        (a, low), (b, high) = inner[0], inner[-1]
        return {
            "tokens": last,
            "seconds": (end - begin) * self._scale,
            "whole": last / (end - begin) / self._scale,
            "steady": (high - low) / (b - a) / self._scale,
        }


@contextmanager
def watched(urls: Sequence[str], field: Field) -> Iterator[Curve]:
    """Look at the engines' counters twice a second while the block runs."""
    curve, done = Curve(field.scale), threading.Event()

    def look() -> None:
        curve.points.append((time.monotonic(), sum(field.written(url) for url in urls)))

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


async def _loop(urls: Sequence[str], model: str, in_flight: int, work: Prompts) -> None:
    """Keep so many in flight at each engine; the lightest client that can be."""
    todo = iter(work.values())

    async def caller(url: str) -> None:
        parts = urlsplit(url)

        async def connected() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            return await asyncio.open_connection(parts.hostname, parts.port, limit=1 << 24)

        reader, writer = await connected()
        for prompt in todo:
            body = json.dumps(_request(prompt, model)).encode()
            head = (
                f"POST /v1/chat/completions HTTP/1.1\r\nHost: {parts.netloc}\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            while True:
                if reader.at_eof():  # llama.cpp closes after each stream
                    writer.close()
                    reader, writer = await connected()
                writer.write(head.encode() + body)
                with suppress(asyncio.IncompleteReadError):
                    answer = await reader.readuntil(b"\r\n\r\n")
                    break
            await reader.readuntil(b"\r\n0\r\n\r\n")
            if not answer.startswith(b"HTTP/1.1 200"):
                raise SystemExit(f"{url} answers {answer.decode('latin-1')}")
        writer.close()

    await asyncio.gather(*(caller(url) for url in urls for _ in range(in_flight)))


def _request(prompt: Prompt, model: str) -> dict[str, Any]:
    """What Sparky sends, too."""
    body: dict[str, Any] = {
        "model": model,
        "messages": [
            {"role": "system", "content": prompt.system},
            {"role": "user", "content": prompt.user},
        ],
        "max_tokens": prompt.max_tokens,
        "temperature": prompt.temperature,
        "seed": prompt.seed,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if prompt.schema is not None:
        wrapped = {"name": "answer", "strict": True, "schema": prompt.schema}
        body["response_format"] = {"type": "json_schema", "json_schema": wrapped}
    return body


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


if __name__ == "__main__":
    main()
