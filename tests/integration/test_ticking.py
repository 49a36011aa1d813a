"""What beat's tasks do, on a real database and a real broker."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from sparky.farm import app as celery
from sparky.farm import context, ticking
from sparky.farm.app import key_prefix
from sparky.farm.bell import send
from sparky.farm.context import Context
from sparky.farm.worker import started, worker_words
from sparky.model import Repo
from sparky.schedules import Schedule
from sparky.settings import Settings
from sparky.store.schedules import Schedules
from tests.servers import Servers


@pytest.fixture
def at(servers: Servers, database: str, tmp_path: Path) -> Iterator[Context]:
    """A worker's context, with one repository that is followed."""
    settings = Settings(
        state_dir=tmp_path / "state",
        cache_dir=tmp_path / "cache",
        database_url=database,  # type: ignore[arg-type]
        broker_url=servers.broker_url,  # type: ignore[arg-type]
        farm="ticking",
        retain_runs_days=7,
        retain_answers_days=7,
    )
    made = context.of(settings)
    made.store.add_repo(Repo("git:a", "me/a", "git", "/srv/a"))
    yield made
    made.store.close()


def sql(at: Context, statement: str) -> None:
    with at.store.engine.begin() as connection:
        for part in statement.split(";"):
            connection.execute(sa.text(part))


def test_what_is_due_reaches_the_queue(at: Context) -> None:
    """The message names the step and what a person calls it; a second tick sends nothing."""
    schedules = Schedules(at.store.engine, farm="ticking")
    schedules.add(Schedule(name="nightly", cron="30 2 * * *", repo_id="git:a"))
    sql(
        at,
        "UPDATE schedules SET next_due = next_due - interval '1 day',"
        " fires_at = fires_at - interval '1 day'",
    )
    app = celery.make(at.settings)
    assert ticking.tick(app, at) == "1 due, 1 runs"
    assert ticking.tick(app, at) == "0 due, 0 runs"
    with app.connection_for_read() as connection:
        client = connection.default_channel.client  # type: ignore[attr-defined]
        queue = f"{key_prefix('ticking')}fetch"
        (raw,) = client.execute_command("LRANGE", queue, 0, -1)
        client.execute_command("DEL", queue)
    headers = json.loads(raw)["headers"]
    assert headers["task"] == "sparky.fetch"
    assert "me/a" in headers["argsrepr"]


def test_pruning_follows_the_settings(at: Context) -> None:
    """A run of eight days ago goes where seven are kept; one of today stays."""
    for name, days in (("old", 8), ("new", 0)):
        finished = datetime.now(UTC) - timedelta(days=days)
        sql(
            at,
            "INSERT INTO runs (id, farm, since, until, state, pending, finished_at) VALUES"
            f" ('{name}', 'ticking', now() - interval '1 d', now(), 'done', 0, '{finished}')",
        )
    assert ticking.prune(at) == "1 runs"
    assert ticking.prune(at) == "nothing to prune"


def test_beat_sends_what_workers_do(at: Context) -> None:
    """A real worker takes what beat sends from its queues, and does it."""
    app = celery.make(at.settings)
    sent = [entry["task"] for entry in app.conf.beat_schedule.values()]
    assert sorted(sent) == ["sparky.prune", "sparky.sweep", "sparky.tick"]
    schedules = Schedules(at.store.engine, farm="ticking")
    schedules.add(Schedule(name="nightly", cron="30 2 * * *", repo_id="git:a"))
    sql(
        at,
        "UPDATE schedules SET next_due = next_due - interval '1 day',"
        " fires_at = fires_at - interval '1 day';"
        "INSERT INTO runs (id, farm, since, until, state, pending, finished_at) VALUES ('old',"
        " 'ticking', now() - interval '9 d', now(), 'done', 0, now() - interval '8 d')",
    )
    queues = [app.conf.task_routes[name]["queue"] for name in sent]
    words = worker_words("beating", queues=queues, concurrency=1)
    log = at.settings.state_dir / "worker.log"
    with started("worker", words, at.settings, log=log, grace=2.0) as worker:
        for name in queues:
            assert send(app, name)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and states(at) != ["running"]:
            worker.check()
            time.sleep(0.1)
    assert states(at) == ["running"]


def states(at: Context) -> list[str]:
    """The states of all runs."""
    with at.store.engine.begin() as connection:
        return list(connection.execute(sa.text("SELECT state FROM runs ORDER BY id")).scalars())
