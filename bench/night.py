"""A night of the whole farm, simulated: `make bench BENCH=night`, `ARGS="--repositories 50"` first.

What is real: beat and a schedule, Celery workers (prefork for fetch and chunk, threads for the
rest), Valkey, Postgres, the GitHub client and its mirror of the days before, the roll-up, the
published files. What is played: GitHub (`tests/github`, without its latency), and four DGX Sparks
that serve gpt-oss-120b (`tests/engines/batching.py`): 32 slots each, rates as llama.cpp's page
publishes them for one Spark. What happens in each repository is drawn from days of real histories
(`bench/nightload.py`).

Time is not scaled unless `--scale` says so: a second of the engines is a second of ours.
The bound is what the engines themselves need: afterwards fresh ones get the very same requests,
in the same order, from a closed loop that keeps a fixed number in flight and does nothing else, at
several numbers, of which the best counts; its engines run `--loop-scale` times faster, as it costs next to
no processor time. A night waits for fetches first and for roll-ups last;
the loop waits for nothing.

Prints a table, and with `--json FILE` all figures with a look at each second.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import closedloop
from bench.meter import Meter, metered
from bench.nightload import Night, served
from sparky import settings as configuration
from sparky import wiring
from sparky.errors import Throttled
from sparky.farm.worker import THREADS, Process, start, worker_words
from sparky.model import Window
from sparky.schedules import Schedule, upcoming
from sparky.services import Wanted, attach, remove
from sparky.settings import Settings
from sparky.source.credentials import Keyring, Token
from sparky.source.git import utc_now
from sparky.source.github import GitHubSource
from sparky.source.githubwire import Wire
from sparky.store import schema
from sparky.store.budget import PostgresBudget
from sparky.store.cache import for_client
from sparky.store.groups import Groups
from sparky.store.mirror import PostgresMirror
from sparky.store.overview import Overview
from sparky.store.schedules import Schedules
from tests.engines.fleet import asked, fleet

MODEL = "gpt-oss-120b"
SLOTS = 32
THOUGHT = 300
"""Tokens that an answer may think before it begins: the engines take 50 to 250."""
FARM = "night"
DEADLINE = 3600.0
BOTH = Wanted(postgres=True, valkey=True, llama=None)

JUDGE = sa.text("""
    SELECT (SELECT count(*) FROM jobs WHERE run_id = :run) AS jobs,
           (SELECT count(*) FROM (SELECT repository_id FROM digests WHERE revision = 1
            GROUP BY repository_id HAVING count(*) = 1) AS one) AS digests,
           (SELECT count(*) FROM steps WHERE farm = :farm AND lease_until IS NOT NULL) AS leases,
           (SELECT sum(activities) FROM jobs WHERE run_id = :run) AS activities,
           (SELECT sum(chunks) FROM jobs WHERE run_id = :run) AS chunks,
           (SELECT max(chunks) FROM jobs WHERE run_id = :run) AS most_chunks,
           (SELECT coalesce(sum(failures), 0) FROM steps WHERE farm = :farm) AS failures
""")
SPANS = sa.text("""
    SELECT stage, count(*) AS steps,
           extract(epoch FROM min(started_at) - :begin) AS began,
           extract(epoch FROM max(ended_at) - :begin) AS ended,
           extract(epoch FROM avg(ended_at - started_at)) AS each
    FROM steps WHERE farm = :farm AND state = 'done' GROUP BY stage ORDER BY 3
""")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--repositories", type=int, default=1000)
    options.add_argument("--sparks", type=int, default=4)
    options.add_argument("--scale", type=float, default=1.0, help="the engines' seconds in one")
    options.add_argument("--seed", type=int, default=7)
    options.add_argument("--loop-scale", type=float, default=8.0, help="the same, in the loop")
    options.add_argument("--fetchers", type=int, default=4, help="processes for fetch and chunk")
    options.add_argument("--state", type=Path, help="keep the farm's state in this folder")
    options.add_argument("--flower", type=int, help="run Flower on this port, user and word bench")
    options.add_argument("--json", type=Path)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        state = given.state or Path(folder)
        try:
            figures = simulate(state, given)
        finally:
            if given.state is None:
                # As root, Postgres keeps its files outside the folder.
                remove(state)
    show(figures)
    if given.json:
        given.json.write_text(json.dumps(figures, indent=1) + "\n")


def simulate(state: Path, given: argparse.Namespace) -> dict[str, Any]:
    """One night and its bound."""
    window = upcoming(_schedule(datetime.now(UTC)), datetime.now(UTC), 1)[0].window
    with ExitStack() as stack:
        _say(f"making {given.repositories} repositories")
        night = stack.enter_context(served(given.repositories, window, given.seed))
        ends = stack.enter_context(attach(state, BOTH))
        urls = stack.enter_context(fleet(given.sparks, slots=SLOTS, scale=given.scale, model=MODEL))
        settings = configured(state, ends.database_url, ends.broker_url, night, urls)
        schema.upgrade(wiring.database_url(settings))
        cluster = Cluster(settings, given.sparks, given.fetchers, given.flower)
        _say("reading the days before")
        warm(cluster, night, window)
        happened = night.happen()
        _say(f"what happens tonight: {happened}")
        before = night.requests()
        figures = asleep(cluster, night, urls, given.scale)
        figures |= {"happened": happened, "github_requests": night.requests() - before}
        bodies = [one["body"] for url in urls for one in asked(url)]
    figures["bound"] = bound(bodies, given.sparks, given.loop_scale)
    best = min(figures["bound"], key=lambda one: one["seconds"])
    return {
        "repositories": given.repositories,
        "sparks": given.sparks,
        "scale": given.scale,
        "seed": given.seed,
        **figures,
        "requests": len(bodies),
        "bound_s": best["seconds"],
        "of_bound": best["seconds"] / figures["night_s"],
    }


def configured(
    state: Path, database: str | None, broker: str | None, night: Night, urls: Sequence[str]
) -> Settings:
    """The settings of the night's farm."""
    engines = [{"url": url, "model": MODEL, "reasoning_tokens": THOUGHT} for url in urls]
    os.environ |= {
        "SPARKY_DATABASE_URL": database or "",
        "SPARKY_BROKER_URL": broker or "",
        "SPARKY_STATE_DIR": str(state),
        "SPARKY_CACHE_DIR": str(state / "cache"),
        "SPARKY_PUBLISH_DIR": str(state / "digests"),
        "SPARKY_CONFIG": os.devnull,
        "SPARKY_FARM": FARM,
        "SPARKY_GITHUB_URL": night.place.url,
        "SPARKY_GITHUB_TOKEN": night.place.token,
        "SPARKY_ENGINES": json.dumps(engines),
        "SPARKY_FLOWER_PASSWORD": "bench",
        "SPARKY_FLOWER_USER": "bench",
    }
    return configuration.load()


@dataclass(slots=True)
class Cluster:
    """The farm's processes."""

    settings: Settings
    sparks: int
    fetchers: int
    flower: int | None

    @contextmanager
    def running(self) -> Iterator[dict[str, list[int]]]:
        """All of them; the process ids by name, Postgres and Valkey among them."""
        with ExitStack() as stack:
            processes = [stack.enter_context(self._started(*one)) for one in self._members()]
            yield {one.name: [one.popen.pid] for one in processes}

    def _members(self) -> Iterator[tuple[str, list[str]]]:
        yield (
            "fetch",
            worker_words(
                "fetch", queues=("fetch", "chunk"), pool="prefork", concurrency=self.fetchers
            ),
        )
        # A quarter more threads than slots: some are at the database meanwhile. Roll-ups ask the
        # same engines, so the same workers do them: whichever there is more of gets more of them.
        threads = self.sparks * SLOTS * 5 // 4
        processes = math.ceil(threads / THREADS)
        for number in range(1, processes + 1):
            name, queues = f"write-{number}", ("summarize", "rollup", "publish")
            concurrency = math.ceil(threads / processes)
            yield name, worker_words(name, queues=queues, concurrency=concurrency)
        yield "clock", worker_words("clock", queues=("sweep", "tick", "prune"), concurrency=2)
        yield "beat", ["beat", "--schedule", str(self.settings.state_dir / "beat")]
        if self.flower:
            yield "flower", ["flower"]

    @contextmanager
    def _started(self, name: str, words: list[str]) -> Iterator[Process]:
        log = self.settings.state_dir / "logs" / f"{name}.log"
        flower = {
            "FLOWER_ADDRESS": "127.0.0.1",
            "FLOWER_PORT": str(self.flower),
            "FLOWER_PERSISTENT": "true",
            "FLOWER_DB": str(self.settings.state_dir / "flower.db"),
        }
        more = flower if name == "flower" else {}
        process = start(name, words, self.settings, log=log, environment=more)
        try:
            yield process
        finally:
            process.stop(10.0)


def warm(cluster: Cluster, night: Night, window: Window) -> None:
    """What the nights before have left: known repositories, a group, a mirror up to yesterday."""
    store = wiring.store(cluster.settings)
    day = Window(window.since - (window.until - window.since), window.since)
    for repo in night.place.repos:
        store.add_repo(repo)
    Groups(store.engine).add("all", [repo.id for repo in night.place.repos])
    wire = Wire(
        api=f"{night.place.url}/api/v3",
        graphql=f"{night.place.url}/api/graphql",
        keyring=Keyring(lambda: [Token(night.place.token)]),
        budget=PostgresBudget(store.engine, reserve=0.0),
        clock=utc_now,
    )
    source = GitHubSource(wire, PostgresMirror(store.engine), clock=lambda: window.since)
    for repo in night.place.repos:
        try:
            source.census(repo, day)
        except Throttled as error:  # so many points a minute, and no more
            time.sleep((error.until - utc_now()).total_seconds() + 1)
            source.census(repo, day)
    wire.close()
    store.close()


def asleep(cluster: Cluster, night: Night, urls: Sequence[str], scale: float) -> dict[str, Any]:
    """The schedule fires, and the farm works until the run has ended."""
    settings = cluster.settings
    store = wiring.store(settings)
    overview, console = Overview(store.engine, farm=FARM), Console(stderr=True)
    with cluster.running() as groups:
        groups |= _services(store.engine, settings) | {"github (played)": [night.place.pid]}
        time.sleep(10)  # so that their start is not the night's
        Schedules(store.engine, farm=FARM).add(_schedule(datetime.now(UTC)))
        broker = for_client(settings.broker_url.get_secret_value() if settings.broker_url else "")
        _say("waiting for the schedule to fire")
        began = time.monotonic()
        while not (runs := overview.runs(1)):
            _in_time(began)
            time.sleep(0.2)
        run = runs[0]
        meter = Meter(groups, database=store.engine, broker=broker, farm=FARM, engines=urls)
        _say(f"run {run.id}; to look: SPARKY_STATE_DIR={settings.state_dir} SPARKY_FARM={FARM}")
        with metered(meter):
            while not run.ended:
                _in_time(began)
                time.sleep(0.5)
                run = overview.run(run.id)
    assert run.finished_at is not None
    seconds = (run.finished_at - run.created_at).total_seconds()
    with store.engine.begin() as connection:
        judged = connection.execute(JUDGE, {"run": run.id, "farm": FARM}).mappings().one()
        given = {"farm": FARM, "begin": run.created_at}
        spans = [dict(row) for row in connection.execute(SPANS, given).mappings()]
    store.close()
    console.print(f"the run ended as {run.state}: {dict(run.jobs)}")
    return {
        "night_s": seconds * scale,
        "state": run.state,
        "jobs": dict(run.jobs),
        "judged": {name: int(value or 0) for name, value in judged.items()},
        "stages": [{k: v if k == "stage" else float(v) for k, v in row.items()} for row in spans],
        **meter.summary(),
        "looks": meter.looks,
    }


def _services(engine: sa.Engine, settings: Settings) -> dict[str, list[int]]:
    import redis

    with engine.begin() as connection:
        backend = connection.execute(sa.text("SELECT pg_backend_pid()")).scalar_one()
    fields = Path(f"/proc/{backend}/stat").read_text().rpartition(")")[2].split()
    url = for_client(settings.broker_url.get_secret_value() if settings.broker_url else "")
    valkey = redis.Redis.from_url(url).info("server")["process_id"]
    return {"postgres": [int(fields[1])], "valkey": [int(valkey)]}


def _schedule(now: datetime) -> Schedule:
    """Every night at the next minute that is not about to begin."""
    at = now + timedelta(seconds=70)
    return Schedule(name="nightly", cron=f"{at.minute} {at.hour} * * *", group="all")


# ---- the bound


def bound(bodies: Sequence[Any], sparks: int, scale: float) -> list[dict[str, Any]]:
    """Engine seconds for these requests from a closed loop, by the number in flight at each."""
    found = []
    for in_flight in (SLOTS * 3 // 4, SLOTS, SLOTS * 5 // 4):
        _say(f"the same requests from a closed loop, {in_flight} in flight at each engine")
        with fleet(sparks, slots=SLOTS, scale=scale, model=MODEL) as urls:
            began = time.monotonic()
            closedloop.run(urls, in_flight, bodies)
            seconds = (time.monotonic() - began) * scale
        found.append({"in_flight": in_flight, "seconds": seconds})
    return found


# ---- what it came to


def show(figures: dict[str, Any]) -> None:
    """The figures as tables."""
    console, judged = Console(), figures["judged"]
    table = Table("", "", box=None, show_header=False)
    for name, value in (
        ("repositories, of them active", f"{figures['repositories']:,}, {figures['happened']['active']:,}"),
        ("run", f"{figures['state']}: {figures['jobs']}"),
        ("activities, chunks, most of one", f"{judged['activities']:,}, {judged['chunks']:,}, {judged['most_chunks']}"),
        ("digests, leases left, failed attempts", f"{judged['digests']:,}, {judged['leases']}, {judged['failures']}"),
        ("requests to engines, to GitHub", f"{figures['requests']:,}, {figures['github_requests']:,}"),
        ("night", f"{figures['night_s']:.1f} s ({figures['night_s'] / 60:.1f} min), time scaled by {figures['scale']:g}"),
        ("bound of the engines", f"{figures['bound_s']:.1f} s"),
        ("of the bound", f"{figures['of_bound']:.3f}"),
        ("most in flight at the engines", f"{figures['in_flight']}"),
        ("connections to Postgres, at work", f"{figures['connections']}, {figures['active']}"),
        ("transactions for a repository", f"{figures['transactions'] / figures['repositories']:.1f}"),
        ("processor time of others meanwhile", f"{figures['others_s']:.0f} s"),
        ("broker", f"{figures['broker_mb'][0]} to {figures['broker_mb'][1]} MB, {figures['messages']} messages"),
    ):  # fmt: skip
        table.add_row(name, value)
    console.print(table)
    stages = Table("stage", "steps", "from s", "to s", "each s", box=None)
    for row in figures["stages"]:
        stages.add_row(
            row["stage"], f"{row['steps']:,.0f}",
            f"{row['began']:.1f}", f"{row['ended']:.1f}", f"{row['each']:.2f}",
        )  # fmt: skip
    console.print(stages)
    processes = Table("processes", "MB at first", "half way", "at last", "CPU s", box=None)
    for name, looks in figures["memory_mb"].items():
        memory = (f"{look:,.0f}" for look in looks)
        processes.add_row(name, *memory, f"{figures['cpu_s'][name]:,.1f}")
    console.print(processes)


def _in_time(began: float) -> None:
    if time.monotonic() - began > DEADLINE:
        raise SystemExit("the night does not end")


def _say(text: str) -> None:
    Console(stderr=True).print(f"{datetime.now(UTC):%H:%M:%S} {text}", highlight=False)


if __name__ == "__main__":
    main()
