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
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import sqlalchemy as sa
from sqlalchemy import exc

from sparky.farm import app as celery
from sparky.farm.bell import ring
from sparky.model import Repo
from sparky.settings import Settings
from sparky.source.gitrepo import GitSource
from sparky.store import schema
from sparky.store.connection import connect
from sparky.store.gateway import Gateway
from sparky.store.runs import Runs
from sparky.store.tables import STAGES, metadata
from tests.engines.fleet import asked, fleet, trouble
from tests.faults import audit
from tests.faults.crew import ROOT, Crew, Member, crew, pick, workers
from tests.faults.forge import forge
from tests.faults.histories import WINDOW, write_histories
from tests.faults.machines import NAMESPACE, Broker, Database, in_namespace, machines, wait_until
from tests.faults.paid import KILLS, Blow, again, askings, unexplained
from tests.faults.proxy import Proxy

LONG = {
    "kill fetch": 12,
    "kill near": 12,
    "kill far": 8,
    "kill rest": 10,
    "beat dies": 8,
    "flush the broker": 3,
    "restart the broker": 2,
    "restart Postgres": 3,
    "engine away": 1,
    "GitHub away": 1,
    "disk full": 1,
    "broker full": 1,
    "half-open connections": 1,
    "beat's clock jumps": 1,
    "two beats": 1,
}
AWAY = dict.fromkeys(
    (
        "GitHub away",
        "engine away",
        "half-open connections",
        "restart Postgres",
        "restart the broker",
    ),
    1,
)
SHORT = dict.fromkeys(LONG, 1) | {"kill fetch": 3, "kill near": 3, "kill rest": 2}
OPEN_RUNS = "SELECT count(*) FROM runs WHERE state = 'running'"
SUCH = """
    FROM steps JOIN jobs ON jobs.id = steps.job_id
    JOIN repositories AS r ON r.id = jobs.repository_id
    WHERE steps.stage = ANY(:stages) AND r.source LIKE :source
"""
DONE_AFTER = f"EXISTS (SELECT {SUCH} AND steps.state = 'done' AND steps.started_at > :since)"
LEFT = f"EXISTS (SELECT {SUCH} AND steps.state IN ('waiting', 'running'))"
NO_ROOM = """
    CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION 'no space left on device' USING ERRCODE = 'disk_full'; END $$;
    CREATE TRIGGER no_room BEFORE INSERT OR UPDATE ON steps EXECUTE FUNCTION no_room()
"""
"""Where the kernel lets nobody mount a small disk: what Postgres says when it has a full one."""
GREEDY = "CREATE TABLE greedy AS SELECT repeat('x', 500) FROM generate_series(1, 10000000)"


@dataclass(frozen=True, slots=True)
class Size:
    """How much of a storm it is."""

    repositories: int
    github: int
    """So many of them are on GitHub."""
    faults: dict[str, int]
    lease: int
    slowness: float
    """Of the engines in the storm, so that there is something to hit."""
    away: float
    """Seconds for which what is away is away."""
    patience: float
    """Seconds to wait for anything at all before it counts as hung."""
    longest: float
    """Seconds after which a fault may be felt no longer."""
    down: float = 2.0
    """Seconds from the end of Postgres or the broker to its start."""
    alone: bool = False
    """Whether each fault waits until nothing is felt of the one before."""


@dataclass(slots=True)
class Felt:
    """A fault, and for how long it was felt."""

    what: str
    at: float
    """Seconds since the storm began."""
    lasted: float = 0.0
    """Seconds for which the test kept it up."""
    seconds: float | None = None
    """From its end until all that it had stopped went on."""

    @property
    def after(self) -> float:
        """Seconds after its end in which it may have cut something off; a kill has none."""
        return 0.0 if self.what.startswith(KILLS) else self.seconds or 0.0


@dataclass(slots=True)
class Report:
    """What came of it."""

    repositories: int
    seed: int
    longest: float
    clean_seconds: float = 0.0
    storm_seconds: float = 0.0
    faults: list[Felt] = field(default_factory=list)
    wrong: dict[str, int] = field(default_factory=dict)
    different: dict[str, list[str]] = field(default_factory=dict)
    """Repositories whose digest is not the one without faults, and in what."""
    digests: int = 0
    kills: int = 0
    prompts: int = 0
    """Questions that the engine got in the storm."""
    again: int = 0
    """Those among them that came to nothing, and were asked again."""
    paid: int = 0
    """Those of them that the engine had answered to the end."""
    unexplained: list[str] = field(default_factory=list)
    """Those of them that no fault has cut off: their stage, and when they began and ended."""

    @property
    def sound(self) -> bool:
        equal = not self.wrong and not self.different
        return equal and not self.unexplained and not self.late

    def blows(self, began: float) -> list[Blow]:
        """The faults of a storm that began at `began`, in seconds since the epoch."""
        return [
            Blow(one.what, began + one.at, began + one.at + one.lasted + one.after)
            for one in self.faults
        ]

    @property
    def late(self) -> list[Felt]:
        """Faults that were felt for too long."""
        return [one for one in self.faults if one.seconds is None or one.seconds > self.longest]


class Rows:
    """What the storm asks the database while it rages; no answer is no error then."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def one(self, query: str, **values: Any) -> Any:
        """The first value, or None while the database does not answer."""
        try:
            with self._engine.begin() as connection:
                return connection.execute(sa.text(query), values).scalar_one_or_none()
        except exc.DBAPIError:
            return None

    def all(self, query: str, **values: Any) -> list[Any]:
        """All rows; waits until the database answers."""
        while True:
            try:
                with self._engine.begin() as connection:
                    return list(connection.execute(sa.text(query), values).all())
            except exc.DBAPIError:
                time.sleep(0.2)


class Storm:
    """The second run: its faults, one after another, and what is still felt of them."""

    def __init__(
        self,
        size: Size,
        seed: int,
        world: World,
        hands: Crew,
        expected: int,
        report: Report,
    ) -> None:
        self.size, self.world, self.hands, self.report = size, world, hands, report
        self.rows = Rows(world.engine)
        self.lots = random.Random(seed)
        self.expected = expected
        self.began = time.monotonic()
        self.open: list[tuple[Felt, float, Callable[[], bool]]] = []

    # ---- the order of events

    def plan(self) -> list[str]:
        kinds = [kind for kind, count in self.size.faults.items() for _ in range(count)]
        self.lots.shuffle(kinds)
        # Its repositories are read first of all; later nobody would miss it.
        return sorted(kinds, key=lambda kind: kind != "GitHub away")

    def rage(self) -> None:
        kinds = self.plan()
        for number, kind in enumerate(kinds):
            # The last fifth of the work is left for what the last faults have stopped.
            self.until_done(0.8 * (number + 0.5) / len(kinds))
            if self.size.alone:
                wait_until(self.calm, seconds=self.size.patience, what="calm", every=0.2)
            self.strike(kind)
        wait_until(self.over, seconds=self.size.patience, what="the run's end", every=0.2)
        self.look()
        wait_until(self.calm, seconds=self.size.patience, what="the last recovery", every=0.2)

    def until_done(self, part: float) -> None:
        def enough() -> bool:
            self.look()
            ended = self.rows.one("SELECT count(*) FROM steps WHERE state = 'done'")
            return ended is not None and ended >= part * self.expected

        wait_until(enough, seconds=self.size.patience, what=f"{part:.0%} of the work", every=0.2)

    def over(self) -> bool:
        self.look()
        self.heal()
        return bool(self.rows.one(OPEN_RUNS) == 0)

    def calm(self) -> bool:
        self.look()
        return not self.open

    def heal(self) -> None:
        """As whoever watches over Postgres does: start it again when it has ended."""
        if not self.world.database.runs:
            self.world.database.start()

    def look(self) -> None:
        """See which faults are felt no longer."""
        still = []
        for felt, since, gone in self.open:
            if gone():
                felt.seconds = round(time.monotonic() - since, 1)
            else:
                still.append((felt, since, gone))
        self.open = still

    # ---- what happens

    def strike(self, kind: str) -> None:
        felt = Felt(kind, round(time.monotonic() - self.began, 3))
        began = time.monotonic()
        gone = self._do(kind)
        felt.lasted = round(time.monotonic() - began, 3)
        say(f"{felt.at:7.1f} s  {kind}")
        self.report.faults.append(felt)
        self.open.append((felt, time.monotonic(), gone))

    def _do(self, kind: str) -> Callable[[], bool]:
        """Let it happen, and return what tells whether all goes on that it has stopped."""
        what, *which = kind.split()
        if what == "kill":
            return self._kill(self.hands.members[which[0]])
        return DEEDS[kind](self)

    def beat_dies(self) -> Callable[[], bool]:
        """And what it would have had swept up is lost at the same moment."""
        self.hands.members["beat"].kill()
        self.report.kills += 1
        return self.flush()

    def flush(self) -> Callable[[], bool]:
        gone = self._sent_again()
        self.world.broker.client.flushall()
        return gone

    def restart_broker(self) -> Callable[[], bool]:
        gone = self._sent_again()
        self.world.broker.end(signal.SIGKILL)
        time.sleep(self.size.down)
        self.world.broker.start()
        return gone

    def restart_postgres(self) -> Callable[[], bool]:
        self.world.database.stop_at_once()
        time.sleep(self.size.down)
        self.world.database.start()
        return self._done_after()

    def engine_away(self) -> Callable[[], bool]:
        self._without(self.world.ways["engine"])
        return self._done_after("summarize", "rollup")

    def github_away(self) -> Callable[[], bool]:
        self._without(self.world.ways["github"])
        return self._done_after("fetch", source="github")

    def disk_full(self) -> Callable[[], bool]:
        database = self.world.database
        self._fill()
        deadline = time.monotonic() + self.size.away
        while time.monotonic() < deadline:
            if not database.runs:
                database.start(wait=False)
            time.sleep(0.5)
        if self.world.own_disk:
            database.free()
            self._revive()
        else:
            self._sql("DROP FUNCTION no_room CASCADE")
        return self._done_after()

    def broker_full(self) -> Callable[[], bool]:
        gone = self._sent_again()
        self.world.broker.full(yes=True)
        time.sleep(self.size.away / 2)
        self.world.broker.full(yes=False)
        return gone

    def clock_jumps(self) -> Callable[[], bool]:
        """Ten minutes back, and then messages are lost that a sweep has to send again."""
        (self.world.folder / "clock").write_text("-600")
        time.sleep(1)
        return self.flush()

    def two_beats(self) -> Callable[[], bool]:
        folder = self.world.folder
        words = ["beat", "--schedule", str(folder / "beat2"), "--pidfile", ""]
        second = Member("beat2", words, self.world.near, folder)
        second.start()
        time.sleep(self.size.away)
        second.end()
        return lambda: True

    def _kill(self, member: Member) -> Callable[[], bool]:
        """What its processes held is taken up by others, or by itself once it is back."""
        part = pick(self.lots, member)
        deadline = time.monotonic() + 3
        # It dies in the middle of something, if it can be had.
        while not (held := self._held(member.name)) and time.monotonic() < deadline:
            time.sleep(0.05)
        member.kill(part)
        self.report.kills += 1
        return self._taken_up(held)

    def _held(self, name: str) -> dict[int, int]:
        """The steps that this worker has now, and at which attempt."""
        query = "SELECT id, attempt FROM steps WHERE state = 'running' AND worker LIKE :who"
        return {row.id: row.attempt for row in self.rows.all(query, who=f"{name}@%")}

    def _taken_up(self, held: dict[int, int]) -> Callable[[], bool]:
        query = "SELECT id, attempt, state FROM steps WHERE id = ANY(:ids)"

        def gone() -> bool:
            rows = self.rows.all(query, ids=list(held))
            return all(row.state != "running" or row.attempt > held[row.id] for row in rows)

        return gone

    def _sent_again(self) -> Callable[[], bool]:
        """Each step whose message may be lost was rung for again, or is being worked on."""
        query = "SELECT id FROM steps WHERE state = 'waiting' AND rung_at IS NOT NULL"
        lost = [row.id for row in self.rows.all(query)]
        since = self.rows.all("SELECT clock_timestamp()")[0][0]
        left = (
            "SELECT count(*) FROM steps WHERE id = ANY(:ids) AND state = 'waiting'"
            " AND rung_at <= :since"
        )
        return lambda: bool(self.rows.one(left, ids=lost, since=since) == 0)

    def _done_after(self, *stages: str, source: str = "%") -> Callable[[], bool]:
        """Such a step that was begun after now has been done, or there is none left."""
        since = self.rows.all("SELECT clock_timestamp()")[0][0]
        which = {"since": since, "stages": list(stages or STAGES), "source": source}

        def gone() -> bool:
            return bool(self.rows.one(f"SELECT {DONE_AFTER} OR NOT {LEFT}", **which))

        return gone

    def cut_off(self) -> Callable[[], bool]:
        """One worker's connections to everything go quiet without an end; later they go on."""
        held = self._held("far")
        quiet = [self.world.ways["far broker"], self.world.ways["far database"]]
        for way in quiet:
            way.stall()
        time.sleep(self.size.away)
        for way in quiet:
            way.heal()
        return self._taken_up(held)

    def _without(self, way: Proxy) -> None:
        """What is behind it is away for a while."""
        way.refuse()
        time.sleep(self.size.away)
        way.heal()

    def _fill(self) -> None:
        """Until Postgres says so itself: it has some room of its own at first."""
        if not self.world.own_disk:
            self._sql(NO_ROOM)
            return
        self.world.database.fill()
        with suppress(exc.DBAPIError), self.world.engine.begin() as connection:
            connection.execute(sa.text(GREEDY))
            raise AssertionError("the disk is not full")

    def _sql(self, statement: str) -> None:
        with self.world.engine.begin() as connection:
            connection.execute(sa.text(statement))

    def _revive(self) -> None:
        """Start Postgres until it stays up."""

        def up() -> bool:
            if not self.world.database.runs:
                self.world.database.start(wait=False)
                time.sleep(1)
            return bool(self.rows.one("SELECT 1") == 1)

        wait_until(up, what="Postgres with room again", every=0.5)


DEEDS: dict[str, Callable[[Storm], Callable[[], bool]]] = {
    "beat dies": Storm.beat_dies,
    "flush the broker": Storm.flush,
    "restart the broker": Storm.restart_broker,
    "restart Postgres": Storm.restart_postgres,
    "engine away": Storm.engine_away,
    "GitHub away": Storm.github_away,
    "disk full": Storm.disk_full,
    "broker full": Storm.broker_full,
    "half-open connections": Storm.cut_off,
    "beat's clock jumps": Storm.clock_jumps,
    "two beats": Storm.two_beats,
}


@dataclass(slots=True)
class World:
    """Everything around the farm."""

    folder: Path
    database: Database
    broker: Broker
    own_disk: bool
    engine_url: str
    ways: dict[str, Proxy]
    repos: list[Repo]
    near: Settings
    far: Settings

    @property
    def engine(self) -> sa.Engine:
        return _engine(self.database.url)


_engines: dict[str, sa.Engine] = {}


def _engine(url: str) -> sa.Engine:
    if url not in _engines:
        _engines[url] = connect(url)
    return _engines[url]


@contextmanager
def world(size: Size, folder: Path, *, own_disk: bool) -> Iterator[World]:
    """Servers, repositories and settings, for as long as the block runs."""
    with ExitStack() as stack:
        megabytes = 400 + size.repositories // 2 if own_disk else 0
        database, broker = stack.enter_context(machines(folder, megabytes=megabytes))
        schema.upgrade(database.url)
        (engine,) = stack.enter_context(fleet(1, slots=16, scale=60))
        hub = stack.enter_context(forge(size.github))
        place = urlsplit(hub["url"])
        ways = {
            "engine": Proxy(("127.0.0.1", urlsplit(engine).port or 0)),
            "github": Proxy(("127.0.0.1", place.port or 0)),
            "far broker": Proxy(("127.0.0.1", broker.port)),
            "far database": Proxy(database.socket),
        }
        for way in ways.values():
            stack.enter_context(way)
        source = GitSource(folder / "cache")
        paths = write_histories(folder / "repositories", size.repositories - size.github)
        repos = [source.identify(str(path)) for path in paths]
        github = f"http://127.0.0.1:{ways['github'].port}"
        repos += [
            Repo(node, name, "github", f"{github}/{name}", f"{github}/{name}")
            for node, name in hub["repositories"]
        ]
        near = Settings(
            state_dir=folder / "state",
            cache_dir=folder / "cache",
            publish_dir=folder / "published",
            database_url=database.url,
            broker_url=broker.url,
            llm_kind="openai",
            llm_url=f"http://127.0.0.1:{ways['engine'].port}",
            github_url=github,
            github_token=hub["token"],
            farm="storm",
            lease_seconds=size.lease,
            heartbeat_seconds=max(1, size.lease // 4),
            attempts=10,
            log_level="warning",
        )
        far = near.with_changes(
            database_url=f"postgresql://sparky@127.0.0.1:{ways['far database'].port}/sparky",
            broker_url=f"redis://:{broker.password}@127.0.0.1:{ways['far broker'].port}/0",
        )
        yield World(folder, database, broker, own_disk, engine, ways, repos, near, far)
        _engine(database.url).dispose()
        _engines.clear()


def begin(here: World) -> None:
    """A run over all the repositories, of a farm that knows nothing yet."""
    names = ", ".join(table.name for table in metadata.sorted_tables)
    with here.engine.begin() as connection:
        connection.execute(sa.text(f"TRUNCATE {names} RESTART IDENTITY"))
    here.broker.client.flushall()
    store = Gateway(here.engine)
    for repo in here.repos:
        store.add_repo(repo)
    runs = Runs(here.engine, farm=here.near.farm)
    ring(celery.make(here.near), runs.start("r", WINDOW, [r.id for r in here.repos], {}))


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


def say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def table(report: Report) -> str:
    """For each kind of fault: how many, and for how long the worst of them was felt."""
    kinds: dict[str, list[float]] = {}
    for felt in report.faults:
        kinds.setdefault(felt.what, []).append(felt.seconds or 0.0)
    lines = [f"{'fault':24} {'times':>5} {'felt for (median, longest)':>28}"]
    for kind, seconds in sorted(kinds.items()):
        middle, longest = sorted(seconds)[len(seconds) // 2], max(seconds)
        lines.append(f"{kind:24} {len(seconds):5} {middle:19.1f} s {longest:5.1f} s")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
    unlike = "".join(f"\n{name}: {what}" for name, what in report.different.items())
    return (
        "\n".join(lines)
        + f"""
{report.digests} digests of {report.repositories} repositories, {len(report.different)} unlike those \
without faults{unlike}
{report.clean_seconds:.0f} s without faults, {report.storm_seconds:.0f} s with them; the largest \
process had {peak} MB
{report.kills} kills; {report.prompts} questions to the engine, {report.again} of them in vain, of \
which it had answered {report.paid} to the end; {len(report.unexplained)} that no fault explains\
{"".join(f"{chr(10)}  {one}" for one in report.unexplained)}
rows that are wrong: {report.wrong or "none"}"""
    )


def long_form(repositories: int) -> Size:
    """Settings as they are by default, and faults by the dozen."""
    return Size(
        repositories=repositories,
        github=max(8, repositories // 20),
        faults=LONG,
        lease=20,
        slowness=12.0,
        away=20.0,
        patience=900.0,
        longest=60.0,
    )


def short_form(repositories: int) -> Size:
    """Each kind at least once, in a minute or two; leases are short."""
    return Size(
        repositories=repositories,
        github=8,
        faults=SHORT,
        lease=5,
        slowness=12.0,
        away=6.0,
        patience=240.0,
        longest=120.0,
    )


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
    size = (short_form if options.short else long_form)(options.repositories)
    if options.away:
        size = replace(
            size,
            faults=AWAY,
            away=options.away,
            down=options.away,
            alone=True,
            # So that there is work left for the others while one thing is away.
            slowness=size.slowness * max(1.0, options.away / 60),
        )
    with tempfile.TemporaryDirectory(prefix="sparky-storm-") as made:
        folder = options.keep or Path(made)
        folder.mkdir(parents=True, exist_ok=True)
        report = storm(size, options.seed, folder, own_disk=own_disk)
    text = json.dumps(asdict(report) | {"sound": report.sound}) if options.json else table(report)
    sys.stdout.write(f"{text}\n")
    return 0 if report.sound else 1


if __name__ == "__main__":
    if NAMESPACE in os.environ:
        sys.exit(main())
    done = apart(sys.argv[1:])
    sys.stdout.write(done.stdout)
    sys.exit(done.returncode)
