"""What GitHub costs: points and requests for a thousand repositories on three kinds of night.

    python bench/github.py [--repositories 1000] [--json FILE]

Against the local GitHub of the tests: a first night over 30 days, a quiet night, and a night on
which one repository in twenty has changed. Beside it a naive client, which asks each repository
for fixed pages of a hundred of each kind; that costs the same every night.
"""

from __future__ import annotations

import argparse
import json
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

from sparky.model import Repo, Window
from sparky.services import Wanted, attach, remove
from sparky.store import schema
from sparky.store.gateway import Gateway
from sparky.store.runs import Runs
from tests.github import Limits, Server, World, serve
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
def database() -> Iterator[str]:
    state = Path(tempfile.mkdtemp())
    with attach(state, Wanted(postgres=True, valkey=False, llama=None)) as ends:
        assert ends.database_url is not None
        schema.upgrade(ends.database_url)
        yield ends.database_url
    remove(state)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repositories", type=int, default=1000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    world = World(seed=7, repositories=options.repositories, private=0)
    limits = Limits(
        **{**vars_of(Limits.primary_only()), "graphql_per_hour": 10**6, "seconds": None}
    )
    with database() as url, serve(world, limits=limits) as server, reading(server, url) as reader:
        gateway = Gateway.open(url)
        repos = [repo_of(one) for one in world]
        for repo in repos:
            gateway.add_repo(repo)
        nights: list[dict[str, Any]] = []

        def night(name: str, days: float) -> None:
            window = Window(
                world.clock.now() - timedelta(days=days), world.clock.now() + timedelta(seconds=1)
            )
            Runs(gateway.engine, farm="bench").start(name, window, [r.id for r in repos], {})
            ours = measured(server, lambda: read(reader, repos, window))
            # The naive client asks the same every night, so once is enough.
            naive = (
                nights[0]["naive"]
                if nights
                else measured(server, lambda: naively(server, world, window))
            )
            nights.append({"night": name, "sparky": ours, "naive": naive})
            print(f"{name}: {ours}", file=sys.stderr, flush=True)
            Runs(gateway.engine, farm="bench").cancel(name)

        night("first", 30)
        world.clock.advance(hours=24)
        night("quiet", 1)
        world.clock.advance(hours=24)
        changed = Random(7).sample(list(world), max(1, len(repos) // 20))
        for repository in changed:
            world.push(repository, 3)
            pull = world.open_pull_request(repository)
            world.merge(repository, pull.number)
        night("ordinary", 1)
        gateway.close()
    show(nights, len(repos))
    if options.json:
        options.json.write_text(
            json.dumps({"repositories": len(repos), "nights": nights}, indent=2)
        )


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


def show(nights: list[dict[str, Any]], count: int) -> None:
    print(f"{count} repositories, {WORKERS} workers")
    print("| night | points | requests | seconds | naive points | naive requests | points ratio |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for night in nights:
        ours, naive = night["sparky"], night["naive"]
        print(
            f"| {night['night']} | {ours['points']} | {ours['requests']} | {ours['seconds']} "
            f"| {naive['points']} | {naive['requests']} "
            f"| {naive['points'] / max(1, ours['points']):.0f} |"
        )


if __name__ == "__main__":
    main()
