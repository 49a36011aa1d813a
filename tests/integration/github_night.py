"""A night over the local GitHub through the real farm: workers, Postgres, broker, real settings."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from sparky.farm import app as celery
from sparky.farm.bell import ring, send
from sparky.farm.worker import Process, started, worker_words
from sparky.model import Repo, Window
from sparky.settings import Settings
from sparky.store.connection import connect
from sparky.store.gateway import Gateway
from sparky.store.runs import Runs
from tests.github import Server
from tests.integration.github_world import Reader, reading

SWEEP_SECONDS = 2.0
START_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Farm:
    """Workers on a database and a broker, that read the local GitHub as an own server."""

    settings: Settings
    workers: tuple[Process, ...]

    def night(
        self,
        name: str,
        window: Window,
        repos: list[Repo],
        *,
        seconds: float = 180,
        **options: object,
    ) -> float:
        """One run over the repositories, from its start to its end; the seconds that it took."""
        engine = connect(self._url)
        app, runs = celery.make(self.settings), Runs(engine, farm=self.settings.farm)
        start = swept = time.monotonic()
        try:
            ring(app, runs.start(name, window, [repo.id for repo in repos], options))
            while self._state(engine, name) == "running":
                for worker in self.workers:
                    worker.check()
                now = time.monotonic()
                if now - start > seconds:
                    raise AssertionError(f"run {name} is not done after {seconds:g} s")
                if now - swept > SWEEP_SECONDS:
                    send(app, "sweep")
                    swept = now
                time.sleep(0.05)
            return time.monotonic() - start
        finally:
            engine.dispose()
            app.close()

    def ready(self) -> None:
        """Wait until every worker has asked the broker for work."""
        app = celery.make(self.settings)
        deadline = time.monotonic() + START_SECONDS
        try:
            while len(app.control.ping(timeout=0.5)) < len(self.workers):
                for worker in self.workers:
                    worker.check()
                if time.monotonic() > deadline:
                    raise AssertionError("the workers do not answer")
        finally:
            app.close()

    def processor_seconds(self) -> float:
        """What the workers have used of the processors so far."""
        ticks = 0
        leaders = {worker.popen.pid for worker in self.workers}
        for process in Path("/proc").glob("[0-9]*"):
            try:
                _, _, rest = (process / "stat").read_text().rpartition(") ")
            except OSError:
                continue  # it has ended
            fields = rest.split()
            if int(fields[2]) in leaders:
                ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    @property
    def _url(self) -> str:
        url = self.settings.database_url
        return url.get_secret_value() if url else ""

    def _state(self, engine: sa.Engine, run_id: str) -> str:
        with engine.connect() as connection:
            query = sa.text("SELECT state FROM runs WHERE id = :id")
            return str(connection.execute(query, {"id": run_id}).scalar_one())


@contextmanager
def farm(
    github: Server,
    *,
    database: str,
    broker: str,
    folder: Path,
    workers: int = 1,
    threads: int = 2,
    **settings: object,
) -> Iterator[Farm]:
    """A farm whose workers have a fresh token; no engine is configured unless `settings` say so."""
    made = Settings(
        state_dir=folder / "state",
        cache_dir=folder / "cache",
        database_url=database,  # type: ignore[arg-type]
        broker_url=broker,  # type: ignore[arg-type]
        github_url=github.host,
        github_token=github.token(),  # type: ignore[arg-type]
        farm="night",
        **settings,  # type: ignore[arg-type]
    )
    made.cache_dir.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        processes = [
            stack.enter_context(
                started(
                    f"worker {number}",
                    worker_words(f"night-{number}", concurrency=threads),
                    made,
                    log=folder / f"worker-{number}.log",
                )
            )
            for number in range(workers)
        ]
        yield Farm(made, tuple(processes))


def first_night(github: Server, database: str, repos: list[Repo], window: Window) -> None:
    """Read the window of all repositories, in this process and at the world's time."""
    store = Gateway.open(database)
    for repo in repos:
        store.add_repo(repo)

    def one(repo: Repo) -> None:
        reader.source.refresh(repo)
        reader.source.census(repo, window)

    with reading(github, database, tokens=4) as reader, ThreadPoolExecutor(2) as pool:
        list(pool.map(one, repos))
    store.close()


__all__ = ["Farm", "Reader", "farm", "first_night"]
