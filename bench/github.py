"""What GitHub costs: points and requests for a thousand repositories on three kinds of night.

    python bench/github.py [--repositories 1000] [--commits N] [--no-naive] [--json FILE]

Against the local GitHub of the tests: a first night over 30 days, a quiet night, and a night on
which one repository in twenty has changed. Beside it a naive client, which asks each repository
for fixed pages of a hundred of each kind; that costs the same every night. At last a quiet night
through the real farm: two worker processes, Postgres and Valkey, from the start of the run to its
end.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import httpx

sys.path.insert(0, str(Path(__file__).parents[1]))

import sqlalchemy as sa

from sparky.model import Repo, Window
from sparky.services import Wanted, attach, remove
from sparky.store import schema
from sparky.store.gateway import Gateway
from sparky.store.runs import Runs
from tests.github import Limits, Server, World, serve
from tests.github.clock import Clock
from tests.integration.github_night import farm
from tests.integration.github_world import Reader, reading, repo_of

WORKERS = 2
NAIVE = """
query Naive($owner: String!, $name: String!, $since: GitTimestamp!) {
  repository(owner: $owner, name: $name) {
    defaultBranchRef { target { ... on Commit { history(first: 100, since: $since) {
      pageInfo { hasNextPage }
      nodes { oid parents(first: 10) { nodes { oid } }
              associatedPullRequests(first: 5) { nodes { number } } } } } } }
    pullRequests(first: 100, orderBy: {field: UPDATED_AT, direction: DESC}) { nodes {
      number labels(first: 20) { nodes { name } } reviews(first: 20) { nodes { id } }
      closingIssuesReferences(first: 10) { nodes { number } } } }
    issues(first: 100, orderBy: {field: UPDATED_AT, direction: DESC}) { nodes {
      number labels(first: 20) { nodes { name } } } }
    releases(first: 100) { nodes { tagName } }
  }
}
"""


@contextmanager
def services() -> Iterator[tuple[Path, str, str]]:
    """A folder, and the URLs of a database with Sparky's tables and of a broker."""
    state = Path(tempfile.mkdtemp())
    with attach(state, Wanted(postgres=True, valkey=True, llama=None)) as ends:
        assert ends.database_url is not None
        assert ends.broker_url is not None
        schema.upgrade(ends.database_url)
        yield state, ends.database_url, ends.broker_url
    remove(state)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repositories", type=int, default=1000)
    parser.add_argument("--commits", type=int, help="of every repository; drawn if not given")
    parser.add_argument("--naive", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    # The farm lives in our own time, and comes last.
    clock = Clock.wall()
    clock.advance(hours=-72)
    world = World(
        seed=7,
        repositories=options.repositories,
        commits=options.commits,
        private=0,
        clock=clock,
    )
    limits = Limits(
        **{**vars_of(Limits.primary_only()), "graphql_per_hour": 10**6, "seconds": None}
    )
    with (
        services() as (folder, url, broker),
        serve(world, limits=limits, enterprise=True) as server,
        reading(server, url, tokens=4) as reader,
    ):
        gateway = Gateway.open(url)
        repos = [repo_of(one) for one in world]
        for repo in repos:
            gateway.add_repo(repo)
        nights: list[dict[str, Any]] = []

        def night(name: str, days: float) -> None:
            window = Window(clock.now() - timedelta(days=days), clock.now() + timedelta(seconds=1))
            runs = Runs(gateway.engine, farm="bench")
            runs.start(name, window, [r.id for r in repos], {})
            ours = measured(server, lambda: read(reader, repos, window))
            # The naive client asks the same every night, so once is enough.
            naive = nights[0]["naive"] if nights else None
            if options.naive and naive is None:
                naive = measured(server, lambda: naively(server, world, window))
            nights.append({"night": name, "sparky": ours, "naive": naive})
            print(f"{name}: {ours}", file=sys.stderr, flush=True)
            runs.cancel(name)

        night("first", 30)
        clock.advance(hours=24)
        night("quiet", 1)
        clock.advance(hours=24)
        changed = Random(7).sample(list(world), max(1, len(repos) // 20))
        for repository in changed:
            world.push(repository, 3)
            pull = world.open_pull_request(repository)
            world.merge(repository, pull.number)
        night("ordinary", 1)
        window = Window(clock.now() + timedelta(seconds=2), clock.advance(hours=24))
        whole = through_the_farm(server, folder, url, broker, window, repos)
        gateway.close()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    show(nights, whole, len(repos), peak)
    if options.json:
        found = {"repositories": len(repos), "nights": nights, "farm": whole, "peak_mib": peak}
        options.json.write_text(json.dumps(found, indent=2))


def through_the_farm(
    server: Server, folder: Path, url: str, broker: str, window: Window, repos: list[Repo]
) -> dict[str, Any]:
    """A quiet night by two worker processes of two threads, from the start of the run to its end."""
    server.accounting.reset()
    with farm(server, database=url, broker=broker, folder=folder, workers=WORKERS) as made:
        made.ready()
        before = made.processor_seconds()
        seconds = made.night("whole", window, repos)
        processor = made.processor_seconds() - before
    store = Gateway.open(url)
    with store.engine.connect() as connection:
        query = "SELECT j.state, count(*) FROM jobs AS j WHERE run_id = 'whole' GROUP BY j.state"
        states = {str(row[0]): int(row[1]) for row in connection.execute(sa.text(query))}
        calls = connection.execute(sa.text("SELECT count(*) FROM llm_calls")).scalar_one()
    store.close()
    return {
        "points": server.accounting.points(resource="graphql"),
        "requests": server.accounting.requests(),
        "seconds": round(seconds, 1),
        "worker_processor_seconds": round(processor, 1),
        "jobs": states,
        "engine_calls": calls,
    }


def vars_of(limits: Limits) -> dict[str, Any]:
    return {name: getattr(limits, name) for name in limits.__slots__}


def read(reader: Reader, repos: list[Repo], window: Window) -> int:
    """As the farm's fetch steps do, some at a time."""

    def one(repo: Repo) -> int:
        reader.source.refresh(repo)
        reader.source.census(repo, window)
        return sum(1 for _ in reader.source.activities(repo, window))

    with ThreadPoolExecutor(WORKERS) as pool:
        return sum(pool.map(one, repos))


def naively(server: Server, world: World, window: Window) -> int:
    """Each repository, whatever has happened there; pages of a hundred, and only the first."""
    token = server.token()
    with httpx.Client(headers={"Authorization": f"Bearer {token}"}, timeout=120) as client:
        for repository in list(world):
            variables = {
                "owner": repository.owner.login,
                "name": repository.name,
                "since": window.since.isoformat(),
            }
            client.post(server.graphql_url, json={"query": NAIVE, "variables": variables})
    return 0


def measured(server: Server, work: Callable[[], int]) -> dict[str, Any]:
    server.accounting.reset()
    start = time.perf_counter()
    found = work()
    return {
        "points": server.accounting.points(resource="graphql"),
        "requests": server.accounting.requests(resource="graphql"),
        "seconds": round(time.perf_counter() - start, 1),
        "activities": found,
    }


def show(nights: list[dict[str, Any]], whole: dict[str, Any], count: int, peak: int) -> None:
    print(
        f"{count} repositories, {WORKERS} workers; GitHub and they took {peak} MiB in one process"
    )
    print("| night | points | requests | seconds | naive points | naive requests | points ratio |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for night in nights:
        ours, naive = night["sparky"], night["naive"]
        beside = "| – | – | – |"
        if naive:
            ratio = naive["points"] / max(1, ours["points"])
            beside = f"| {naive['points']} | {naive['requests']} | {ratio:.0f} |"
        print(
            f"| {night['night']} | {ours['points']} | {ours['requests']} | {ours['seconds']} {beside}"
        )
    told = ", ".join(f"{count} {state}" for state, count in whole["jobs"].items())
    print(
        f"quiet, through the farm: {whole['points']} points, {whole['requests']} requests, "
        f"{whole['engine_calls']} engine calls, {whole['seconds']} s, of which the workers "
        f"computed for {whole['worker_processor_seconds']} s; {told}"
    )


if __name__ == "__main__":
    main()
