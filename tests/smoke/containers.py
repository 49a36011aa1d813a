"""Sparky's worker and its stores as pytest-celery's containers, started as stack.yml starts them."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

from pytest_celery import CeleryTestContainer, CeleryWorkerContainer, RedisContainer

ROOT = Path(__file__).parents[2]
QUEUES = "fetch,chunk,summarize,rollup,publish,sweep,tick,prune"


class Worker(CeleryWorkerContainer):
    """A worker of all queues."""

    @classmethod
    def worker_name(cls) -> str:
        return "smoke"

    @classmethod
    def command(cls, *args: str, **more: Any) -> list[str]:
        del args, more
        words = f"farm worker -n {cls.worker_name()}@%h -Q {QUEUES} -P threads -c 4"
        return [*words.split(), "--without-gossip", "--without-mingle"]

    def is_gone(self) -> bool:
        """Whether none of its processes runs any more."""
        self.reload()
        return bool(self.status == "exited")

    def run(self, *words: str) -> str:
        """What a command says in the container."""
        code, said = self.exec_run(list(words), demux=True)
        out, err = ((part or b"").decode() for part in said)
        assert code == 0, f"{shlex.join(words)}\n{out}{err}"
        return out.strip()


class Broker(RedisContainer):
    """Redis as the farm has it: one user, with a password, who may do what Celery needs."""

    @classmethod
    def command(cls, *args: str, **more: Any) -> list[str]:
        del args, more
        return ["sh", "/etc/sparky/start.sh"]

    @classmethod
    def initial_env(cls) -> dict[str, str]:
        return {"SPARKY_REDIS_MEMORY": "64mb"}

    @property
    def port(self) -> int:
        return 6379

    @property
    def url(self) -> str:
        code, said = self.exec_run(["cat", "/run/secrets/broker_url"])
        assert code == 0, said
        return str(said.decode().strip())

    @property
    def host_url(self) -> str:
        # The tests are in the engine's network, so they need no port of the machine.
        return self.url.replace("@redis:", f"@{self.ips.primary}:")


class Database(CeleryTestContainer):
    """Postgres, which holds the truth."""

    @property
    def ready_prompt(self) -> str:
        return "database system is ready to accept connections"

    def rows(self, query: str) -> list[dict[str, Any]]:
        """Rows that a query gives."""
        wrapped = f"SELECT coalesce(json_agg(q), '[]') FROM ({query}) q"
        words = ["psql", "-h", "/tmp", "-U", "postgres", "sparky", "-XAtc", wrapped]
        code, said = self.exec_run(words)
        assert code == 0, said.decode()
        return list(json.loads(said))
