"""What is old goes, what is needed stays, and tables stop growing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from sparky.model import Repo, Window
from sparky.store.connection import connect
from sparky.store.gateway import Gateway
from sparky.store.retention import Policy, Retention
from tests import factories

REPOS = 10
"""A hundredth of the repositories of which the limits speak."""
NOW = datetime(2027, 1, 1, tzinfo=UTC)
POLICY = Policy()

# One night of all repositories: 10 activities, 6 steps, 4 calls, 3 chunks and two revisions of a
# digest each, as on an ordinary day of a repository in which something happens. The texts do not
# compress, and are half as long as real ones, which do.
_NIGHT = """
    INSERT INTO activities (repository_id, key, at, payload)
    SELECT r.id, 'commit:' || md5(r.id || :id || n), :night,
           jsonb_build_object('title', repeat('x', 900))
    FROM repositories r, generate_series(1, 10) n;
    INSERT INTO runs (id, farm, since, until, state, pending, created_at, finished_at)
    VALUES (:id, 'main', :night - interval '1 day', :night, 'done', 0,
            :night, :night);
    INSERT INTO jobs (run_id, repository_id, stage, state, finished_at)
    SELECT :id, id, 'rollup', 'done', :night FROM repositories;
    INSERT INTO steps (job_id, farm, stage, key, state)
    SELECT j.id, 'main', s.stage, s.key, 'done' FROM jobs j, (VALUES
        ('fetch', ''), ('chunk', ''), ('summarize', '1'), ('summarize', '2'), ('summarize', '3'),
        ('rollup', '')) AS s (stage, key)
    WHERE j.run_id = :id;
    INSERT INTO llm_calls (job_id, stage, engine, model, seconds, outcome, at)
    SELECT j.id, 'summarize', 'e', 'm', 1, 'ok', :night FROM jobs j, generate_series(1, 4)
    WHERE j.run_id = :id;
    INSERT INTO chunks (key, payload, created_at, used_at)
    SELECT md5('c' || r.id || :id || n), jsonb_build_object('text', (SELECT string_agg(md5(:id || r.id || part), '') FROM generate_series(1, 90) part)), :night, :night FROM repositories r, generate_series(1, 3) n;
    INSERT INTO summaries (key, payload, created_at, used_at)
    SELECT md5('s' || r.id || :id || n), jsonb_build_object('text', (SELECT string_agg(md5(:id || r.id || part), '') FROM generate_series(1, 30) part)), :night,
           :night FROM repositories r, generate_series(1, 3) n;
    INSERT INTO answers (key, payload, created_at, used_at)
    SELECT md5('a' || r.id || :id || n), jsonb_build_object('text', (SELECT string_agg(md5(:id || r.id || part), '') FROM generate_series(1, 30) part)), :night,
           :night FROM repositories r, generate_series(1, 4) n;
    INSERT INTO digests (repository_id, since, until, revision, status, headline, content, payload,
                         created_at)
    SELECT r.id, :night - interval '1 day', :night, n, 'done', '', md5(r.id),
           jsonb_build_object('text', (SELECT string_agg(md5(:id || r.id || part), '') FROM generate_series(1, 120) part)), :night
    FROM repositories r, generate_series(1, 2) n
"""


class Store:
    """A database with repositories, and what is in its tables."""

    def __init__(self, url: str) -> None:
        self.engine = connect(url)
        self.retention = Retention(self.engine)
        for n in range(REPOS):
            Gateway(self.engine).add_repo(Repo(f"git:{n}", f"me/{n}", "git", f"/srv/{n}"))

    def sql(self, statement: str, **values: Any) -> None:
        with self.engine.begin() as connection:
            for part in statement.split(";"):
                connection.execute(sa.text(part), values)

    def night(self, at: datetime) -> None:
        """What a night writes, had it been that day."""
        self.sql(_NIGHT, id=at.isoformat(), night=at)

    def count(self, table: str) -> int:
        with self.engine.begin() as connection:
            return int(connection.execute(sa.text(f"SELECT count(*) FROM {table}")).scalar_one())

    def sizes(self) -> dict[str, int]:
        """Bytes of each table with its indexes, after what autovacuum does by itself."""
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(sa.text("VACUUM"))
            rows = connection.execute(
                sa.text("SELECT relname, pg_total_relation_size(relid) FROM pg_stat_user_tables")
            )
            return {row.relname: row.pg_total_relation_size for row in rows}


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    made = Store(database)
    yield made
    made.engine.dispose()


def test_a_year_of_nights_is_bounded(store: Store) -> None:
    """After a year of nights each table holds what the policy keeps, and is no larger than that.

    10 repositories stand for 1000: each row count is a hundredth.
    """
    begin = NOW - timedelta(days=365)
    sizes: dict[int, dict[str, int]] = {}
    for day in range(365):
        store.night(begin + timedelta(days=day))
        if day % 5 == 4:
            store.retention.prune(POLICY, now=begin + timedelta(days=day, hours=1))
        if day % 30 == 29 or day == 364:
            sizes[day] = store.sizes()
    store.retention.prune(POLICY, now=NOW)
    kept = {
        "activities": 180 * 10,
        "runs": 60 / REPOS,
        "jobs": 60,
        "steps": 60 * 6,
        "llm_calls": 60 * 4,
        "chunks": 90 * 3,
        "summaries": 90 * 3,
        "answers": 90 * 4,
        "digests": 365 * 2,
    }
    assert {table: store.count(table) for table in kept} == {
        table: rows * REPOS for table, rows in kept.items()
    }
    grown = {table: sizes[364][table] / sizes[239][table] for table in kept if table != "digests"}
    assert max(grown.values()) < 1.35, grown


def test_open_runs_are_never_pruned(store: Store) -> None:
    """However old a run is: what has not ended is not forgotten."""
    store.night(NOW - timedelta(days=400))
    store.sql(
        "INSERT INTO runs (id, farm, since, until, pending, created_at) VALUES"
        " ('open', 'main', now() - interval '2 years', now() - interval '1 year', 1,"
        " now() - interval '1 year');"
        "INSERT INTO jobs (run_id, repository_id) VALUES ('open', 'git:0')"
    )
    gone = store.retention.prune(POLICY, now=NOW)
    assert (gone["jobs"], gone["runs"]) == (REPOS, 1)
    assert (store.count("jobs"), store.count("runs")) == (1, 1)


def test_what_is_being_worked_on_stays_whole(store: Store) -> None:
    """A run over an old window keeps what it reads until it has ended; other repositories' goes."""
    store.night(NOW - timedelta(days=400))
    store.sql(
        "INSERT INTO runs (id, farm, since, until, pending) VALUES"
        " ('back', 'main', now() - interval '2 years', now() - interval '1 year', 1);"
        "INSERT INTO jobs (run_id, repository_id) VALUES ('back', 'git:0')"
    )
    store.retention.prune(POLICY, now=NOW)
    assert store.count("activities WHERE repository_id = 'git:0'") == 10
    assert store.count("activities") == 10
    store.sql("UPDATE jobs SET state = 'cancelled', finished_at = now() WHERE run_id = 'back'")
    store.retention.prune(POLICY, now=NOW)
    assert store.count("activities") == 0


def test_the_latest_revisions_stay(store: Store) -> None:
    """Of nine revisions the policy keeps two: the last two."""
    store.sql(
        "INSERT INTO digests (repository_id, since, until, revision, status, headline, content,"
        " payload) SELECT 'git:0', now() - interval '1 d', now(), n, 'done', '', '', '{}'"
        " FROM generate_series(1, 9) n"
    )
    gone = store.retention.prune(Policy(revisions=2))
    assert gone["revisions"] == 7
    with store.engine.begin() as connection:
        rows = connection.execute(sa.text("SELECT revision FROM digests ORDER BY 1")).scalars()
        assert list(rows) == [8, 9]


def test_what_is_used_is_not_pruned(store: Store) -> None:
    """A chunk that is packed again, and a summary that is read again, count as new."""
    gateway = Gateway(store.engine)
    used, unused = factories.chunk(factories.history(2)), factories.chunk(factories.history(3))
    gateway.put_chunks(1, [used, unused])
    gateway.put_summary(factories.summary(key="s"), "c")
    old = f"now() - interval '{POLICY.answers_days + 1} days'"
    store.sql(f"UPDATE chunks SET used_at = {old}; UPDATE summaries SET used_at = {old}")
    gateway.put_chunks(1, [used])
    window = Window(NOW - timedelta(days=1), NOW)
    assert gateway.brief("c", "s", "git:a", window).summary is not None
    gone = store.retention.prune(POLICY)
    assert (gone["chunks"], gone["summaries"]) == (1, 0)
    assert gateway.brief(used.key, "other", "git:a", window).chunk == used


def test_a_second_night_finds_nothing(store: Store) -> None:
    store.night(NOW - timedelta(days=400))
    assert sum(store.retention.prune(POLICY, now=NOW).values()) > 0
    assert sum(store.retention.prune(POLICY, now=NOW).values()) == 0


def test_a_policy_that_would_lose_what_runs_need_is_refused() -> None:
    """A retry of a run reads its chunks and summaries."""
    with pytest.raises(ValueError, match="as long as runs"):
        Policy(runs_days=100, answers_days=99)
    with pytest.raises(ValueError, match="at least"):
        Policy(activities_days=0)
