"""A storm over a run: `python -m tests.faults.storm --repositories 1000 --seed 1`.

The same repositories are read twice by real workers on a Postgres, a Valkey, engines and a GitHub
of the test's own. The first time nothing happens. The second time a seeded list of faults does,
each when a certain part of the work is done, so that all of them do however fast the machine is.
Then Postgres' rows are asked what came of it, and how long each fault was felt.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from tests.engines.fleet import asked, trouble
from tests.faults import audit
from tests.faults.crew import ROOT, crew, workers
from tests.faults.machines import NAMESPACE, in_namespace, wait_until
from tests.faults.paid import again, askings, unexplained
from tests.faults.report import Report, table
from tests.faults.rows import Rows
from tests.faults.sizes import Size, away_form, long_form, short_form
from tests.faults.weather import OPEN_RUNS, Storm, say
from tests.faults.world import World, begin, world


def storm(size: Size, seed: int, folder: Path, *, own_disk: bool) -> Report:
    """Both runs, and what came of them."""
    report = Report(size.repositories, seed, size.longest)
    with world(size, folder, own_disk=own_disk) as here:
        rows = Rows(here.engine)
        with crew(workers(here.near, folder, far=here.far)) as hands:
            say(f"{len(here.repos)} repositories; the run without faults")
            report.clean_seconds = _run(here, rows, size)
            clean = audit.digests(here.engine)
            wrong = audit.wrongs(here.engine)
            assert not wrong, f"without any fault: {wrong}"
            expected = rows.all("SELECT count(*) FROM steps")[0][0]
            before = len(asked(here.engine_url))
            say(f"{report.clean_seconds:.0f} s, {expected} steps; the storm")
            trouble(here.engine_url, "slow", slowness=size.slowness)
            began = time.monotonic()
            begin(here)
            raging = Storm(size, seed, here, hands, expected, report)
            zero = time.time()
            raging.rage()
            report.storm_seconds = round(time.monotonic() - began, 1)
        stormy = audit.digests(here.engine)
        report.wrong = audit.wrongs(here.engine)
        report.digests = len(stormy)
        report.different = audit.differences(clean, stormy)
        questions = askings(asked(here.engine_url)[before:], now=time.time())
        lost = again(questions)
        report.prompts, report.again = len(questions), len(lost)
        report.paid = sum(one.whole for one in lost)
        report.unexplained = [
            f"{one.stage}: {one.began - zero:.1f} to {one.ended - zero:.1f} s"
            for one in unexplained(lost, report.blows(zero))
        ]
    return report


def _run(here: World, rows: Rows, size: Size) -> float:
    began = time.monotonic()
    begin(here)

    def over() -> bool:
        return bool(rows.one(OPEN_RUNS) == 0)

    wait_until(over, seconds=size.patience, what="the run without faults", every=0.2)
    return round(time.monotonic() - began, 1)


def apart(arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """This program in a process with mounts of its own, where the kernel allows that."""
    program = [sys.executable, "-m", "tests.faults.storm", *arguments]
    allowed = subprocess.run(in_namespace(["true"]), capture_output=True, check=False)
    own = allowed.returncode == 0
    return subprocess.run(
        in_namespace(program) if own else program,
        cwd=ROOT,
        env=os.environ | ({NAMESPACE: "1"} if own else {}),
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.storm", description=__doc__)
    parser.add_argument("--repositories", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--away",
        type=float,
        help="whatever goes away does so once, alone, for so many seconds",
    )
    parser.add_argument("--short", action="store_true", help="few faults, short leases")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("--keep", type=Path, help="a new folder for everything, logs included")
    options = parser.parse_args()
    own_disk = NAMESPACE in os.environ
    if options.away:
        size = away_form(options.repositories, options.away)
    else:
        size = (short_form if options.short else long_form)(options.repositories)
    with tempfile.TemporaryDirectory(prefix="sparky-storm-") as made:
        folder = options.keep or Path(made)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            report = storm(size, options.seed, folder, own_disk=own_disk)
        except AssertionError:
            for log in sorted(folder.glob("*.log")):
                say(f"--- the end of {log.name}\n{log.read_text(errors='replace')[-3000:]}")
            raise
    text = json.dumps(asdict(report) | {"sound": report.sound}) if options.json else table(report)
    sys.stdout.write(f"{text}\n")
    return 0 if report.sound else 1


if __name__ == "__main__":
    if NAMESPACE in os.environ:
        sys.exit(main())
    done = apart(sys.argv[1:])
    sys.stdout.write(done.stdout)
    sys.exit(done.returncode)
