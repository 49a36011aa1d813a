"""What a worker's log says of tasks that fail, on a real broker."""

from __future__ import annotations

from pathlib import Path

from sparky.farm import app as celery
from sparky.farm.bell import send
from sparky.farm.worker import started, worker_words
from sparky.settings import Settings
from tests.faults.machines import wait_until
from tests.servers import Servers


def test_a_database_that_is_away_is_a_line_in_the_log_and_no_traceback(
    servers: Servers, tmp_path: Path
) -> None:
    """It says which task failed, why, and what to do; the worker lives on and takes the next one."""
    settings = Settings(
        state_dir=tmp_path / "state",
        cache_dir=tmp_path / "cache",
        database_url="postgresql://nobody@127.0.0.1:1/nothing",  # type: ignore[arg-type]
        broker_url=servers.broker_url,  # type: ignore[arg-type]
        farm="words",
    )
    app = celery.make(settings)
    log = tmp_path / "worker.log"
    words = worker_words("words", queues=("fetch", "sweep", "tick"), concurrency=1)
    with started("worker", words, settings, log=log):
        assert send(app, "fetch", 1, "me/repo")
        for name in ("sweep", "tick"):
            assert send(app, name)
        wait_until(lambda: log.read_text().count("task failed") == 3, what="three failures")
    app.close()
    text = log.read_text()
    for name in ("fetch", "sweep", "tick"):
        (line,) = [one for one in text.splitlines() if f"sparky.{name}" in one and "failed" in one]
        assert "the database does not answer" in line
        assert "`sparky doctor` tells" in line
    assert "Traceback" not in text
