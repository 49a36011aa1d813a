"""Runs the local GitHub by hand: `python -m tests.github --repositories 1000 --port 0`."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from tests.github.clock import Clock
from tests.github.limits import Limits
from tests.github.server import serve
from tests.github.world import World


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.github", description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--repositories", type=int, default=100)
    parser.add_argument("--git", type=Path, action="append", default=[], help="a real repository")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--enterprise", action="store_true", help="as a GitHub Enterprise Server")
    parser.add_argument("--all-limits", action="store_true", help="the limits a minute as well")
    options = parser.parse_args()
    world = World(options.seed, options.repositories, git=options.git, clock=Clock.wall())
    limits = None if options.enterprise or options.all_limits else Limits.primary_only()
    stopping = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, stopping)
    with serve(world, limits=limits, enterprise=options.enterprise, port=options.port) as github:
        out = sys.stdout
        out.write(f"GraphQL   {github.graphql_url}\nREST      {github.url}\n")
        out.write(f"token     {github.token()}\nrepositories such as")
        out.write("".join(f" {one.full_name}" for one in list(world)[:3]))
        out.write(f"\ncounted   {github.host}/_local/accounting\n")
        out.flush()
        signal.sigwait(stopping)


if __name__ == "__main__":
    main()
