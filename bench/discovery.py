"""What it costs to find an organization's repositories on GitHub: points, requests and seconds.

    python -m bench.discovery [--repositories 1400] [--json FILE]

Against the local GitHub of the tests: the whole list of an organization, then the same
repositories by id and by name, as `sparky repos import` looks them up.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

from bench.github import services
from sparky.source.directory import Directory
from tests.github import Limits, World, serve
from tests.github.clock import Clock
from tests.integration.github_world import reading

ORG = "org-0"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repositories", type=int, default=1400)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    world = World(7, options.repositories, organizations=1, clock=Clock.wall())
    rows: list[dict[str, object]] = []
    with (
        services() as (_, database, _),
        serve(world, limits=Limits.primary_only()) as github,
        reading(github, database) as reader,
    ):
        directory = Directory(reader.wire, clock=world.clock.now)

        def measure(what: str, work: Callable[[], int]) -> None:
            github.accounting.reset()
            start = time.monotonic()
            found = work()
            seconds = time.monotonic() - start
            asked = sum(one.resource == "graphql" for one in github.accounting.log)
            points = github.accounting.points()
            rows.append(
                {"what": what, "found": found, "points": points, "requests": asked}
                | {"seconds": round(seconds, 1)}
            )

        reader.wire.learn()
        whole = directory.account(ORG, "Organization", lambda *_: None).listed
        names = [one.repo.name.split("/") for one in whole.values()]
        measure("list", lambda: len(directory.account(ORG, "Organization", lambda *_: None).listed))
        measure("by id", lambda: len(directory.of_ids(list(whole))))
        measure("by name", lambda: len(directory.of_names([(o, n) for o, n in names])))
    for row in rows:
        print(
            f"{row['what']:8} {row['found']:>6} repositories {row['points']:>4} points "
            f"{row['requests']:>4} requests {row['seconds']:>6} s"
        )
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
