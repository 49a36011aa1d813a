"""What happens in a night: how much in each repository, drawn from days of real histories.

`bench/nights.json` holds the distribution. It was made of the whole histories of seven public
repositories, each counting the same, by

    python bench/nightload.py ripgrep.git celery.git git.git flask.git requests.git redis.git vite.git

`served` plays a GitHub in a process of its own: its repositories are as large as
`tests/github/sizes.py` says, and had a quiet past until `happen` gives each the commits of a day
drawn from the distribution, with messages as long as they were. To a hundred commits come about 30
pull requests, of which three quarters are merged, and 20 issues.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from sparky.model import Repo, Window
from tests.github import Limits, Server, World, serve, sizes, words
from tests.github.clock import Clock
from tests.github.repository import Repository

DISTRIBUTION = Path(__file__).with_name("nights.json")
STEPS = 100
"""Quantiles of the length of messages that are kept."""


@dataclass(frozen=True, slots=True)
class Load:
    """The distribution: commits of a day, and bytes below a commit's first line."""

    days: tuple[tuple[int, float], ...]
    """Commits of a day, and the share of days that had so many."""
    body_bytes: tuple[int, ...]
    """Quantiles, from the shortest to the longest."""

    @classmethod
    def read(cls) -> Load:
        found = json.loads(DISTRIBUTION.read_text())
        days = tuple((int(commits), share) for commits, share in found["days"].items())
        return cls(days, tuple(found["body_bytes"]))

    def commits(self, random: Random) -> int:
        counts, shares = zip(*self.days, strict=True)
        return int(random.choices(counts, shares)[0])

    def message(self, random: Random) -> str:
        """A title, and sentences of the length that is drawn."""
        title, want = words.title(random), random.choice(self.body_bytes)
        body = ""
        while len(body) < want:
            sentence = f"{words.title(random)}. {random.choice(words.REASONS)} "
            body += sentence[: max(want - len(body), 0)]
        return f"{title}\n\n{body}".strip()


# ---- the distribution, of real histories


def derived(histories: list[Path]) -> dict[str, Any]:
    """The distribution of these histories, each of which counts the same."""
    days: Counter[int] = Counter()
    shares: dict[int, float] = {}
    lengths: list[list[int]] = []
    for path in histories:
        words = ["git", "-C", str(path), "log", "-z", "--format=%cs%n%b", "HEAD"]
        text = subprocess.run(words, check=True, capture_output=True).stdout.decode(
            errors="replace"
        )
        found = [commit.partition("\n")[::2] for commit in text.split("\0") if commit]
        a_day = Counter(day for day, _ in found)
        first, last = (date.fromisoformat(pick(a_day)) for pick in (min, max))
        total = (last - first).days + 1
        days = Counter(a_day.values())
        days[0] = total - len(a_day)
        for commits, number in days.items():
            shares[commits] = shares.get(commits, 0.0) + number / total / len(histories)
        lengths.append(_quantiles([len(body.encode()) for _, body in found]))
    return {
        "histories": [path.name.removesuffix(".git") for path in histories],
        "days": {str(commits): round(shares[commits], 9) for commits in sorted(shares)},
        "body_bytes": _quantiles([value for one in lengths for value in one]),
    }


def _quantiles(values: list[int]) -> list[int]:
    ordered = sorted(values)
    return [ordered[(2 * i + 1) * len(ordered) // (2 * STEPS)] for i in range(STEPS)]


# ---- the GitHub of a night


@dataclass(frozen=True, slots=True)
class Place:
    """Where the GitHub is, and what it has."""

    url: str
    token: str
    pid: int
    repos: tuple[Repo, ...]


class Night:
    """The other side of `served`: lets the night happen."""

    def __init__(self, place: Place, line: Connection) -> None:
        self.place = place
        self._line = line

    def happen(self) -> dict[str, int]:
        """Everything at once; what there is of each kind, and the most commits of one repository."""
        self._line.send("happen")
        return dict(self._line.recv())

    def requests(self) -> int:
        """Requests that the GitHub has answered so far."""
        self._line.send("requests")
        return int(self._line.recv())


@contextmanager
def served(repositories: int, window: Window, seed: int) -> Iterator[Night]:
    """A GitHub whose clock stands at the window's begin, until the night happens."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, repositories, window, seed), daemon=True)
    process.start()
    try:
        yield Night(ours.recv(), ours)
    finally:
        process.kill()
        process.join()


def _serve(line: Connection, repositories: int, window: Window, seed: int) -> None:
    random, load, clock = Random(seed), Load.read(), Clock(window.since)
    world = World(seed, 0, organizations=max(1, repositories // 250), clock=clock)
    for number in range(repositories):
        size = sizes.draw(random, window.since - timedelta(days=1))
        world.add(random.choice(world.organizations), f"{random.choice(NOUNS)}-{number + 1}", size)
    with serve(world, limits=Limits.off(), enterprise=True) as server:
        line.send(_place(server, world))
        while True:
            match line.recv():
                case "happen":
                    line.send(_happen(world, window, load, random))
                case "requests":
                    line.send(server.accounting.requests(resource="graphql"))


NOUNS = "anchor beacon cedar delta ember falcon garnet harbor island juniper kernel lantern".split()


def _place(server: Server, world: World) -> Place:
    repos = tuple(
        Repo(one.id, one.full_name, "github", f"{server.host}/{one.full_name}", None)
        for one in world
    )
    return Place(server.host, server.token(), multiprocessing.current_process().pid or 0, repos)


def _happen(world: World, window: Window, load: Load, random: Random) -> dict[str, int]:
    told: Counter[str] = Counter()
    drawn = {one: load.commits(random) for one in world}
    events = sum(drawn.values()) * 3 // 2 + 1
    pace = (window.until - window.since).total_seconds() * 0.9 / events
    for repository, commits in drawn.items():
        told["active"] += bool(commits)
        told["largest"] = max(told["largest"], commits)
        for _ in range(commits):
            told.update(_event(world, repository, load, random))
            world.clock.advance(seconds=pace)
            if random.random() < 0.2:
                world.open_issue(repository, words.title(random))
                told["issues"] += 1
                world.clock.advance(seconds=pace / 2)
    world.clock.advance(seconds=max(0.0, (datetime.now(UTC) - world.clock.now()).total_seconds()))
    return dict(told)


def _event(world: World, repository: Repository, load: Load, random: Random) -> Counter[str]:
    """A commit: pushed, or by a pull request that is merged; and now and then one that is not."""
    message = load.message(random)
    title, _, body = message.partition("\n\n")
    if random.random() >= 0.3:
        author = random.choice(world.bots) if random.random() < 0.08 else None
        world.push(repository, author=author, message="" if author else message)
        return Counter(commits=1)
    pull = world.open_pull_request(repository, title)
    world.edit_pull_request(repository, pull.number, body=body)
    if random.random() < 0.75:
        world.merge(repository, pull.number)
    else:
        world.push(repository, message=load.message(random))
    return Counter(commits=1, pull_requests=1)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("histories", type=Path, nargs="+", help="git repositories")
    DISTRIBUTION.write_text(json.dumps(derived(options.parse_args().histories), indent=1) + "\n")


if __name__ == "__main__":
    main()
