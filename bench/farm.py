"""What the farm itself costs: `make bench BENCH=farm`, with `ARGS="--sizes 1000 10000"` for both.

So many repositories go through fetch, chunk, summarize and roll-up on a real worker, Postgres and
Valkey; the source and the engine answer at once (`bench/instant.py`). The worker takes every queue,
so that it goes on with a repository it has begun; with `--apart` there are two, each for every other
stage, and each step is a message. Beside it, in the same run, as many bare Celery chains of four
tasks that do nothing, on the same Valkey with the same pool, before and after. Prints a table, and
with `--json FILE` the figures.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import redis
import sqlalchemy as sa
from celery import Celery
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from sparky import settings as configuration
from sparky.farm.app import QUEUES, make
from sparky.farm.bell import ring
from sparky.model import Repo, Window
from sparky.services import Wanted, attach, remove
from sparky.settings import Settings
from sparky.store import schema
from sparky.store.cache import for_client
from sparky.store.connection import connect, statement
from sparky.store.gateway import Gateway
from sparky.store.runs import Runs

ROOT = Path(__file__).resolve().parent.parent
WINDOW = Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC))
WARM = 40
"""Repositories or chains that go first, unmeasured."""
DEADLINE = 3600.0
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")

BOTH = Wanted(postgres=True, valkey=True, llama=None)

STATEMENTS = sa.text("""
    SELECT sum(calls) AS all, sum(calls) FILTER (WHERE query ~ '^(BEGIN|COMMIT|ROLLBACK)') AS edges
    FROM pg_stat_statements
    WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND query NOT LIKE '%bench%'
""")
SLOWEST = sa.text("""
    SELECT calls, round(total_exec_time) AS ms, left(regexp_replace(query, '\\s+', ' ', 'g'), 90)
    FROM pg_stat_statements ORDER BY calls DESC, total_exec_time DESC LIMIT 60
""")
TOOK = sa.text("""
    SELECT extract(epoch FROM finished_at - created_at) AS bench FROM runs WHERE id = :run
""")
STATES = sa.text("SELECT state, count(*) AS bench FROM jobs WHERE run_id = :run GROUP BY state")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--sizes", type=int, nargs="+", default=[1000])
    options.add_argument("--processes", type=int, default=2)
    options.add_argument("--apart", action="store_true", help="a message for each step")
    options.add_argument("--no-bare", action="store_true", help="measure the farm alone")
    options.add_argument("--statements", action="store_true", help="show the statements")
    options.add_argument("--json", type=Path)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder)
        _count_statements(state)
        with attach(state, BOTH) as ends:
            assert ends.database_url is not None
            assert ends.broker_url is not None
            schema.upgrade(ends.database_url)
            figures = measure(
                ends.database_url, ends.broker_url, state, given.sizes, given.processes,
                apart=given.apart, bare=not given.no_bare, statements=given.statements,
            )  # fmt: skip
        # As root, Postgres keeps its files outside the folder.
        remove(state)
    show(figures)
    if given.json:
        given.json.write_text(json.dumps(figures, indent=2) + "\n")


def measure(
    database: str,
    broker: str,
    state: Path,
    sizes: Sequence[int],
    processes: int,
    *,
    apart: bool,
    bare: bool,
    statements: bool,
) -> list[dict[str, Any]]:
    """A row of figures for each size."""
    first = sizes[0]
    before = chains(broker, first, processes) if bare else None
    rows = farm(database, broker, state, sizes, processes, apart=apart, statements=statements)
    after = chains(broker, first, processes) if bare else None
    if before and after:
        each = (before + after) / 2 / first
        for row in rows:
            row |= {"bare_s": [round(before, 2), round(after, 2)], "bare_each_ms": 1000 * each}
            row["ratio"] = row["seconds"] / row["repositories"] / each
    return rows


# ---- bare chains


def chains(broker: str, count: int, processes: int) -> float:
    """Seconds for so many chains of four, from the first one's sending to the last one's end."""
    os.environ["BENCH_BROKER_URL"] = broker
    os.environ["BENCH_REDIS_URL"] = for_client(broker)
    from bench import barechain

    client = redis.Redis.from_url(for_client(broker))
    with worker("bench.barechain", ["-c", str(processes)], dict(os.environ), barechain.app):
        seconds = 0.0
        for size in (WARM, count):
            client.delete(barechain.DONE)
            began = time.monotonic()
            barechain.send(size)
            while int(client.get(barechain.DONE) or 0) < size:
                _in_time(began)
                time.sleep(0.05)
            seconds = time.monotonic() - began
    client.flushall()
    return seconds


# ---- the farm


def farm(
    database: str,
    broker: str,
    state: Path,
    sizes: Sequence[int],
    processes: int,
    *,
    apart: bool,
    statements: bool,
) -> list[dict[str, Any]]:
    """A row of figures for each size, all on the same workers and beat."""
    os.environ |= {
        "SPARKY_DATABASE_URL": database,
        "SPARKY_BROKER_URL": broker,
        "SPARKY_STATE_DIR": str(state),
        "SPARKY_CONFIG": os.devnull,
        "SPARKY_LOG_LEVEL": "warning",
    }
    settings = configuration.load()
    app, engine = make(settings), connect(database)
    # Of two that stand beside each other in the order of work, each has one.
    teams = (QUEUES[::2], QUEUES[1::2]) if apart else (QUEUES,)
    rows = []
    with ExitStack() as stack:
        working = []
        for number, queues in enumerate(teams):
            share = str(processes // len(teams))
            words = ["-n", f"w{number}@%h", "-c", share, "-Q", ",".join(queues)]
            one = stack.enter_context(worker("bench.instant", words, dict(os.environ), app, number))
            working.append(one.pid)
        words = ["-A", "bench.instant", "beat", "--schedule", str(state / "beat")]
        beat = stack.enter_context(process(words))
        night(settings, app, engine, tracked(engine, "warm", WARM))
        for size in sizes:
            repos = tracked(engine, f"n{len(rows)}", size)
            with _as_superuser(database) as connection:
                connection.execute(sa.text("SELECT pg_stat_statements_reset()"))
            with watched(for_client(broker), [*working, beat.pid]) as watch:
                seconds = night(settings, app, engine, repos)
            rows.append(
                {
                    "repositories": size,
                    "seconds": seconds,
                    **watch.figures(size),
                    **counted(database, size),
                }
            )
            if statements:
                with _as_superuser(database) as connection:
                    for line in connection.execute(SLOWEST):
                        print(f"{line[0] / size:8.3f} {line[1] / size:7.3f} ms  {line[2]}")
    engine.dispose()
    return rows


def tracked(engine: sa.Engine, name: str, count: int) -> list[str]:
    """So many new repositories; their ids."""
    store = Gateway(engine)
    repos = [Repo(f"bench:{name}-{n}", f"{name}/{n}", "git", f"/bench/{n}") for n in range(count)]
    for repo in repos:
        store.add_repo(repo)
    return [repo.id for repo in repos]


def night(settings: Settings, app: Celery, engine: sa.Engine, repos: Sequence[str]) -> float:
    """Seconds from the start of a run over these repositories until all are done."""
    run = f"run-{repos[0]}"
    began = time.monotonic()
    ring(app, Runs(engine, farm=settings.farm).start(run, WINDOW, repos, {}))
    seconds: float | None = None
    while seconds is None:
        _in_time(began)
        time.sleep(1)
        with statement(engine) as connection:
            seconds = connection.execute(TOOK, {"run": run}).scalar_one()
    with statement(engine) as connection:
        states = {state: int(n) for state, n in connection.execute(STATES, {"run": run})}
    if states != {"done": len(repos)}:
        raise SystemExit(f"the run ended with {states}, not with {len(repos)} done")
    return float(seconds)


def counted(database: str, count: int) -> dict[str, float]:
    """Statements that Postgres was sent for each repository."""
    with _as_superuser(database) as connection:
        row = connection.execute(STATEMENTS).one()
    return {
        "statements_each": float(row.all) / count,
        "begins_and_commits_each": float(row.edges or 0) / count,
    }


# ---- processes


@contextmanager
def worker(
    module: str, words: Sequence[str], environment: dict[str, str], app: Celery, others: int = 0
) -> Iterator[subprocess.Popen[bytes]]:
    """A prefork worker that answers, as so many others do, for as long as the block runs."""
    quiet = ["--without-gossip", "--without-mingle", "-P", "prefork"]
    with process(["-A", module, "worker", *quiet, *words], environment) as started:
        began = time.monotonic()
        while len(app.control.ping(timeout=0.5)) <= others:
            if started.poll() is not None:
                raise SystemExit(f"the worker of {module} ended")
            _in_time(began)
        yield started


@contextmanager
def process(
    words: Sequence[str], environment: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A `celery` process, ended with the block."""
    with subprocess.Popen(
        [sys.executable, "-m", "celery", "--quiet", *words],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
    ) as popen:
        try:
            yield popen
        finally:
            popen.terminate()


class Watch:
    """What the processes and the broker needed while a block ran."""

    def __init__(self, broker: str, pids: Sequence[int]) -> None:
        self._client = redis.Redis.from_url(broker)
        self._pids = pids
        self._before = self._broker()
        self._peak = self._before
        self._cpu = self._spent()
        self.rss: list[int] = []
        self._end = 0.0

    def look(self) -> None:
        self._peak = max(self._peak, self._broker())
        self.rss.append(max(_rss(pid) for pid in _tree(self._pids)))
        self._end = self._spent()

    def figures(self, count: int) -> dict[str, float]:
        quarter = max(1, len(self.rss) // 4)
        return {
            "cpu_each_ms": 1000 * (self._end - self._cpu) / count,
            "rss_begin_mb": sum(self.rss[:quarter]) / quarter / 1e6,
            "rss_end_mb": sum(self.rss[-quarter:]) / quarter / 1e6,
            "broker_mb": (self._peak - self._before) / 1e6,
        }

    def _broker(self) -> int:
        return int(self._client.info("memory")["used_memory"])

    def _spent(self) -> float:
        return sum(_cpu(pid) for pid in _tree(self._pids))


@contextmanager
def watched(broker: str, pids: Sequence[int]) -> Iterator[Watch]:
    """Look twice a second while the block runs."""
    watch, done = Watch(broker, pids), threading.Event()

    def look() -> None:
        while not done.wait(0.5):
            watch.look()

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield watch
    finally:
        done.set()
        watcher.join()
        watch.look()


def _tree(pids: Sequence[int]) -> list[int]:
    """Those processes and their children."""
    found = list(pids)
    for pid in pids:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        found += [int(word) for word in text.split()]
    return found


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _rss(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE


def _count_statements(state: Path) -> None:
    """Have this folder's Postgres count what it is sent, from its next start on."""
    with attach(state, BOTH) as ends:
        assert ends.database_url is not None
        with _as_superuser(ends.database_url) as connection:
            wanted = "ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements'"
            connection.execute(sa.text(wanted))
            connection.execute(sa.text("CREATE EXTENSION pg_stat_statements"))


@contextmanager
def _as_superuser(database: str) -> Iterator[sa.Connection]:
    """Whoever owns the embedded Postgres may also be its superuser."""
    url = sa.make_url(database).set(username="postgres").render_as_string(hide_password=False)
    engine = connect(url).execution_options(isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def _in_time(began: float) -> None:
    if time.monotonic() - began > DEADLINE:
        raise SystemExit(f"not done after {DEADLINE:g} s")


def show(rows: Sequence[dict[str, Any]]) -> None:
    """The figures as a table."""
    table = Table("", *(f"{row['repositories']} repositories" for row in rows), box=None)
    for name, key, form in (
        ("seconds", "seconds", "{:.1f}"),
        ("milliseconds a repository", "each_ms", "{:.1f}"),
        ("÷ bare Celery chains", "ratio", "{:.2f}"),
        ("÷ the first size", "growth", "{:.2f}"),
        ("processor ms a repository (worker, beat)", "cpu_each_ms", "{:.1f}"),
        ("Postgres statements a repository", "statements_each", "{:.1f}"),
        ("of them BEGIN and COMMIT", "begins_and_commits_each", "{:.1f}"),
        ("largest worker process, first quarter, MB", "rss_begin_mb", "{:.1f}"),
        ("largest worker process, last quarter, MB", "rss_end_mb", "{:.1f}"),
        ("broker's memory, most, MB", "broker_mb", "{:.1f}"),
    ):
        for row in rows:
            row["each_ms"] = 1000 * row["seconds"] / row["repositories"]
            row["growth"] = row["each_ms"] / rows[0]["each_ms"]
        if key in rows[0]:
            table.add_row(name, *(form.format(row[key]) for row in rows))
    console = Console()
    console.print(table)
    if "bare_s" in rows[0]:
        before, after = rows[0]["bare_s"]
        console.print(
            f"{rows[0]['repositories']} bare chains of four took {before} s before and {after} s after."
        )


if __name__ == "__main__":
    main()
