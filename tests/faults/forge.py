"""The local GitHub in a process of its own: `python -m tests.faults.forge COUNT` says where it is."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.github.clock import Clock
from tests.github.server import serve
from tests.github.world import World

ROOT = Path(__file__).parents[2]
COMMITS = 6


def main() -> None:
    """Serve until stdin closes."""
    world = World(7, int(sys.argv[1]), commits=COMMITS, private=0.0, clock=Clock.wall())
    with serve(world, enterprise=True) as github:
        repos = [[one.id, one.full_name] for one in world]
        said = {"url": github.host, "token": github.token(), "repositories": repos}
        sys.stdout.write(json.dumps(said) + "\n")
        sys.stdout.flush()
        sys.stdin.read()


@contextmanager
def forge(count: int) -> Iterator[dict[str, Any]]:
    """A GitHub Enterprise Server of so many small repositories, for as long as the block runs."""
    words = [sys.executable, "-m", "tests.faults.forge", str(count)]
    with subprocess.Popen(
        words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())
        finally:
            process.kill()


if __name__ == "__main__":
    main()
