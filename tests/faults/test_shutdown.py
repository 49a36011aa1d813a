"""Workers that are told to stop, in the middle of something: real processes, both kinds of pool."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sparky.farm.worker import worker_words
from tests.engines.fleet import fleet, trouble
from tests.faults import audit
from tests.faults.crew import Member
from tests.faults.machines import wait_until
from tests.faults.test_edges import Edge, edge

__all__ = ["edge"]

POOLS = ("prefork", "threads")
BUSY = "SELECT count(DISTINCT worker) FROM steps WHERE state = 'running' AND stage = 'summarize'"
HELD = "SELECT count(*) FROM steps WHERE lease_until IS NOT NULL"


@contextmanager
def busy(here: Edge, *, slowness: float, grace: int) -> Iterator[Sequence[Member]]:
    """A worker of each pool that waits for an engine's answer."""
    with fleet(1, slots=8, scale=200) as (url,):
        settings = here.settings.with_changes(llm_url=url, grace_seconds=grace)
        members = [
            Member(pool, worker_words(pool, pool=pool, concurrency=1), settings, here.folder)
            for pool in POOLS
        ]
        here.begin()
        # The first prompt only tries it out.
        trouble(url, "slow", after=1, slowness=slowness)
        try:
            for member in members:
                member.start()
            wait_until(lambda: here.value(BUSY) == len(POOLS), what="work for both")
            yield members
        finally:
            for member in members:
                member.end()


def term(members: Sequence[Member]) -> None:
    for member in members:
        assert member.process is not None
        member.process.send_signal(signal.SIGTERM)


def codes(members: Sequence[Member]) -> list[int]:
    """How they ended, which they must do soon."""
    return [member.process.wait(90) for member in members if member.process is not None]


def shutting_down(member: Member) -> bool:
    return "Warm shutdown" in member.log.read_text(errors="replace")


def test_what_ends_in_time_is_ended(edge: Edge) -> None:
    """After TERM a worker takes nothing new, ends what it has begun, and leaves before its time."""
    with busy(edge, slowness=60, grace=3000) as members:
        term(members)
        assert codes(members) == [0, 0]
    done = "SELECT count(*) FROM steps WHERE state = 'done' AND stage = 'summarize'"
    assert edge.value(done) >= len(POOLS)
    assert edge.value(HELD) == 0
    assert edge.value("SELECT max(attempt) FROM steps") == 1


def test_what_does_not_end_in_time_is_handed_back(edge: Edge) -> None:
    """At the end of its grace time it is free for others, who finish it, and no failure is counted."""
    with busy(edge, slowness=1e6, grace=1) as members:
        term(members)
        assert codes(members) == [0, 0]
    goes_on(edge)


def test_a_second_term_hands_back_at_once(edge: Edge) -> None:
    """Who cannot wait for the grace time loses nothing by it."""
    with busy(edge, slowness=1e6, grace=3000) as members:
        term(members)
        # Two signals of a kind at once would be one.
        wait_until(lambda: all(map(shutting_down, members)), what="the first TERM's effect")
        term(members)
        assert codes(members) == [0, 0]
    goes_on(edge)


def goes_on(here: Edge) -> None:
    """Nothing is held, nothing failed, and another worker brings the run to its end."""
    assert here.value(HELD) == 0
    assert here.value("SELECT sum(failures) FROM steps") == 0
    here.finish()
    assert audit.wrongs(here.engine) == {}
