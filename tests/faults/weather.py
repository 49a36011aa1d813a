"""The second run of a storm: its faults, one after another, and what is still felt of them."""

from __future__ import annotations

import random
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress

import sqlalchemy as sa
from sqlalchemy import exc

from sparky.store.tables import STAGES
from tests.faults.crew import Crew, Member, pick
from tests.faults.machines import wait_until
from tests.faults.proxy import Proxy
from tests.faults.report import Felt, Report
from tests.faults.rows import Rows
from tests.faults.sizes import Size
from tests.faults.world import World

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


def say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
