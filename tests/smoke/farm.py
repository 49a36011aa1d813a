"""The farm as a test sees it: what it is told through Celery, and what Postgres says of it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from celery import Celery
from pytest_celery import CeleryTestSetup, CeleryTestWorker

from tests.engines.vllm import Vllm
from tests.smoke.containers import Database, Worker

PREFIX = "sparky:main:"
"""What every key of the farm `main` begins with in the broker."""
OPEN = ("waiting", "running")
PATIENCE = 120.0
"""Seconds that anything may take."""


class Engine(Vllm):
    """An engine beside the containers, which a test can let fail."""

    model = "stand-in"
    context = 8192
    address = "0.0.0.0"


class Setup(CeleryTestSetup):
    """Sends to the farm's queues, as beat does."""

    @classmethod
    def name(cls) -> str:
        return "sparky"

    @classmethod
    def update_app_config(cls, app: Celery) -> None:
        app.conf.broker_transport_options = {"global_keyprefix": PREFIX}
        app.conf.task_ignore_result = True


@dataclass(frozen=True)
class Farm:
    """A worker, its broker, its database and its engine."""

    setup: CeleryTestSetup
    database: Database
    engine: Engine

    @property
    def node(self) -> CeleryTestWorker:
        """The worker, to be killed and started again."""
        assert self.setup.worker is not None
        return self.setup.worker

    @property
    def worker(self) -> Worker:
        """Its container."""
        found = self.node.container
        assert isinstance(found, Worker)
        return found

    @property
    def name(self) -> str:
        """What Celery calls it."""
        return str(self.node.hostname())

    def start(self, day: str) -> Run:
        """Begin a run over a day of the repository."""
        until = str(date.fromisoformat(day) + timedelta(days=1))
        said = self.worker.run("sparky", "runs", "start", "--since", day, "--until", until)
        return Run(self, said.split()[0])

    def send(self, *tasks: str) -> None:
        """Send tasks of these names, as beat does."""
        for task in tasks:
            self.setup.app.send_task(f"sparky.{task}", queue=task)

    def done(self) -> set[str]:
        """The tasks that the worker has done, by its own account."""
        answer = self.setup.app.control.inspect(destination=[self.name], timeout=5).stats()
        return set((answer or {}).get(self.name, {}).get("total", {}))

    def waiting(self, queue: str) -> list[dict[str, Any]]:
        """The messages that wait in a queue."""
        assert self.setup.broker is not None
        with self.setup.broker.container.client as client:
            return [json.loads(one) for one in client.lrange(f"{PREFIX}{queue}", 0, -1)]


@dataclass(frozen=True)
class Run:
    """A run of the farm, as Postgres has it."""

    farm: Farm
    id: str

    def state(self) -> str:
        (row,) = self.farm.database.rows(f"SELECT state FROM runs WHERE id = '{self.id}'")
        return str(row["state"])

    def steps(self, stage: str = "%") -> list[dict[str, Any]]:
        return self.farm.database.rows(
            "SELECT s.* FROM steps s JOIN jobs j ON j.id = s.job_id"
            f" WHERE j.run_id = '{self.id}' AND s.stage LIKE '{stage}' ORDER BY s.id"
        )

    def step(self, stage: str) -> dict[str, Any]:
        """The one step of a stage."""
        (found,) = self.steps(stage)
        return found

    def digests(self) -> list[str]:
        """How what came of it ended."""
        rows = self.farm.database.rows(
            "SELECT d.status FROM digests d JOIN jobs j USING (repository_id)"
            " JOIN runs r ON r.id = j.run_id AND r.since = d.since AND r.until = d.until"
            f" WHERE r.id = '{self.id}'"
        )
        return [row["status"] for row in rows]

    def ends(self) -> str:
        """Sweep, as beat does, until it has ended; its state."""

        def ended() -> bool:
            self.farm.send("sweep")
            return self.state() not in OPEN

        self.until(ended, pause=1)
        return self.state()

    def until(self, condition: Callable[[], object], pause: float = 0.2) -> None:
        """Wait for something; fail with the steps and the worker's log when it does not come."""
        end = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > end:
                raise AssertionError(f"{self.steps()}\n{self.farm.worker.logs()[-3000:]}")
            time.sleep(pause)
