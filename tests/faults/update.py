"""A rolling update in the middle of a run: `python -m tests.faults.update --older ../sparky-before`.

The same repositories are read twice, by workers and beat of an older checkout, whose database has the newer
schema already. The second time one after another is told to stop and is followed by one of this checkout.
Then Postgres' rows are asked what came of it. Digests may differ where the older one asks or tells otherwise.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.engines.fleet import trouble
from tests.faults import audit
from tests.faults.crew import ROOT, Crew, Member, crew, workers
from tests.faults.machines import wait_until
from tests.faults.rows import Rows
from tests.faults.sizes import Size, long_form
from tests.faults.weather import OPEN_RUNS, say
from tests.faults.world import World, begin, world

DONE = "SELECT count(*) FROM steps WHERE state = 'done'"
BURNT = "SELECT count(*) FROM steps WHERE failures > 0"


@dataclass(frozen=True, slots=True)
class Updated:
    """What came of a run whose workers were replaced."""

    digests: int
    different: dict[str, list[str]]
    """The repositories whose digests are not those of the older checkout alone, and in what."""
    wrong: dict[str, int]
    together: int
    """Steps that ended while both versions were at work."""
    burnt: int
    """Steps that failed at least once."""


def update(size: Size, folder: Path, *, older: Path) -> Updated:
    """Both runs, and what came of the second."""
    with world(size, folder, own_disk=False) as here:
        rows = Rows(here.engine)
        with crew(_of(older, here)) as hands:
            begin(here)
            _end(rows, size)
            clean = audit.digests(here.engine)
            steps = rows.one(DONE)
            say(f"{len(here.repos)} repositories, {steps} steps; the same with an update")
            trouble(here.engine_url, "slow", slowness=size.slowness)
            begin(here)
            together = _replace(hands, here, steps, size)
            _end(rows, size)
        mixed = audit.digests(here.engine)
        return Updated(
            digests=len(mixed),
            different=audit.differences(clean, mixed),
            wrong=audit.wrongs(here.engine),
            together=together,
            burnt=rows.one(BURNT),
        )


def _of(checkout: Path, here: World) -> list[Member]:
    members = workers(here.near, here.folder, far=here.far)
    for member in members:
        member.root = checkout
    return members


def _replace(hands: Crew, here: World, steps: int, size: Size) -> int:
    """One member after another, over the first half of the work; the steps done meanwhile."""
    rows, fresh = Rows(here.engine), _of(ROOT, here)
    first = last = 0
    for place, member in enumerate(fresh, start=1):
        due = steps * place // (2 * len(fresh))

        def reached(due: int = due) -> bool:
            return int(rows.one(DONE) or 0) >= due

        wait_until(reached, seconds=size.patience, what="work", every=0.02)
        first = first or rows.one(DONE)
        hands.replace(member)
        last = rows.one(DONE)
        say(f"{last:7} steps done; {member.name} is new")
    return last - first


def _end(rows: Rows, size: Size) -> None:
    def over() -> bool:
        return bool(rows.one(OPEN_RUNS) == 0)

    wait_until(over, seconds=size.patience, what="the run's end", every=0.1)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.update", description=__doc__)
    parser.add_argument("--older", type=Path, default=ROOT, help="a checkout; this one by default")
    parser.add_argument("--repositories", type=int, default=300)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sparky-update-") as made:
        size = long_form(options.repositories)
        came = update(size, Path(made), older=options.older.resolve())
    say(
        f"{came.digests} digests of {options.repositories} repositories, {len(came.different)} unlike"
        f" those of one version; {came.together} steps while both were at work, {came.burnt} that"
        f" failed once\nrows that are wrong: {came.wrong or 'none'}"
    )
    for name, what in list(came.different.items())[:10]:
        say(f"{name}: {'; '.join(what)}")
    whole = came.digests == options.repositories and not came.wrong and not came.burnt
    return 0 if whole else 1


if __name__ == "__main__":
    sys.exit(main())
