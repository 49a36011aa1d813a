"""How much the farm's statements read in a real Postgres, whatever it believes of its tables."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from sparky.model import Window
from sparky.store.connection import connect
from sparky.store.dispatch import MOST, Dispatch
from sparky.store.gauges import snapshot
from sparky.store.runs import Runs
from sparky.store.work import Work
from tests.servers import Servers

WINDOW = Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))
MANY, DONE = 4000, 40

REPOS = sa.text("""
    INSERT INTO repositories (id, name, source, location, url)
    SELECT 'git:' || n, 'me/' || n, 'git', '/srv/' || n, '' FROM generate_series(1, :count) AS n
    RETURNING id
""")
FORGET = sa.text("""
    SELECT pg_clear_attribute_stats(schemaname, tablename, attname, inherited)
    FROM pg_stats WHERE schemaname = 'public'
""")
FLUSH = sa.text("SELECT pg_stat_force_next_flush()")
LOOKS = "ALTER TABLE {} SET (autovacuum_enabled = {})"
READ = sa.text("""
    SELECT (SELECT sum(seq_tup_read) FROM pg_stat_user_tables WHERE relname = ANY(:tables))
         + (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE relname = ANY(:tables))
""")
ENDED = sa.text("""
    WITH run AS (
        INSERT INTO runs (id, farm, since, until, state, pending, finished_at)
        VALUES ('old', 'main', now() - interval '1 day', now(), 'done', 0, now()) RETURNING id
    ), ended AS (
        INSERT INTO jobs (run_id, repository_id, stage, state, finished_at)
        SELECT run.id, repositories.id, 'rollup', 'done', now() FROM run, repositories RETURNING id
    )
    INSERT INTO steps (job_id, farm, stage, state, ended_at)
    SELECT ended.id, 'main', stage, 'done', now()
    FROM ended, unnest(ARRAY['fetch', 'chunk', 'rollup']) AS stage
""")


@pytest.fixture
def unseen(servers: Servers) -> Iterator[str]:
    """A database without a row, of which Postgres knows nothing and at which it looks when told to."""
    servers.empty()
    engine = connect(servers.database_url, pool=1)
    with engine.begin() as connection:
        for table in ("jobs", "steps"):
            connection.execute(sa.text(LOOKS.format(table, "off")))
        connection.execute(FORGET)
    yield servers.database_url
    with engine.begin() as connection:
        for table in ("jobs", "steps"):
            connection.execute(sa.text(LOOKS.format(table, "on")))
    engine.dispose()


class Night:
    """A run over so many repositories, driven by hand over one connection."""

    def __init__(self, url: str, repositories: int, analysed: str) -> None:
        self._url = url
        self.engine = connect(url, pool=1)
        runs = Runs(self.engine, farm="main")
        self._work = Work(self.engine, farm="main")
        self._dispatch = Dispatch(self.engine, farm="main")
        with self.engine.begin() as connection:
            repos = connection.execute(REPOS, {"count": repositories}).scalars().all()
        if analysed == "when there was little":
            self._go(runs.start("first", WINDOW, repos[:3], {})[0].step_id)
            self._analyse()
        if analysed == "while the run was written":
            event.listen(self.engine, "after_cursor_execute", self._analyse_beside, once=True)
        self._bells = [bell.step_id for bell in runs.start("night", WINDOW, repos, {})]
        self._midst = analysed == "in its midst"

    def read(self) -> int:
        """Rows of steps and jobs, and entries of their indexes, read by so many repositories."""
        before = self._read()
        for done in range(DONE):
            if self._midst and done == DONE // 2:
                self._analyse()
            if not self._bells:
                self._bells = [bell.step_id for bell in self._dispatch.wake()]
            self._go(self._bells.pop(0))
        return self._read() - before

    def _go(self, step_id: int) -> None:
        """Take a repository from its first step to its digest, as one worker does."""
        work, keys = self._work, {"fetch": (), "chunk": ("k",), "summarize": (), "rollup": ()}
        claim = work.claim(step_id, worker="w", lease=60)
        while claim is not None:
            assert work.keep([claim], lease=60)
            last = claim.stage == "rollup"
            ended = work.complete(
                claim,
                keys=keys[claim.stage],
                outcome="done" if last else None,
                onward=keys,
                worker="w",
                lease=60,
            )
            assert ended is not None
            claim = ended.onward
            if not last and claim is None:
                claim = work.claim(ended.bells[0].step_id, worker="w", lease=60)

    def _analyse_beside(self, *_: object) -> None:
        """As autovacuum does: it sees the pages of the run and, before the commit, no row of it."""
        beside = connect(self._url, pool=1)
        with beside.begin() as connection:
            connection.execute(sa.text("ANALYZE jobs, steps"))
        beside.dispose()

    def _analyse(self) -> None:
        with self.engine.begin() as connection:
            connection.execute(sa.text("ANALYZE"))

    def _read(self) -> int:
        return so_far(self.engine, "steps", "jobs")


def so_far(engine: sa.Engine, *tables: str) -> int:
    """Rows of these tables and entries of their indexes, read by whoever has told by now."""
    with engine.connect() as connection:
        connection.execute(FLUSH)
        connection.commit()
        return int(connection.execute(READ, {"tables": list(tables)}).scalar_one())


@pytest.mark.parametrize(
    "analysed",
    ["at no time", "when there was little", "while the run was written", "in its midst"],
)
def test_a_repository_costs_no_more_where_many_wait(unseen: str, analysed: str) -> None:
    """Its steps read the steps that are rung for at a time and hardly more, however many wait and
    whenever Postgres last looked by itself what is in the tables."""
    night = Night(unseen, MANY, analysed)
    read = night.read()
    night.engine.dispose()
    assert read / DONE < 2 * MOST


def test_a_look_at_the_farm_reads_nothing_that_has_ended(database: str) -> None:
    """Who watches it asks each few seconds, and what has ended is kept for months."""
    engine = connect(database, pool=1)
    with engine.begin() as connection:
        connection.execute(REPOS, {"count": MANY})
        connection.execute(ENDED)
        connection.execute(sa.text("ANALYZE"))
    before = so_far(engine, "steps")
    assert snapshot(engine, "main").steps == []
    read = so_far(engine, "steps") - before
    engine.dispose()
    assert read < 10
