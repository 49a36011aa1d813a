"""stack.yml on a Swarm of the lab: deployed as an operator does it, with other variables."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.swarm import bucket, build
from tests.swarm.lab import Node, environment, eventually

ROOT = Path(__file__).parents[2]
NAME = "sparky"
STACK_LABEL = f"label=com.docker.stack.namespace={NAME}"
LABELS = ("engine", "head", "edge", "farm", "store", "standby")

SMALL = {
    "SPARKY_IMAGE": build.SPARKY,
    "SPARKY_TRTLLM_IMAGE": build.ENGINE,
    "SPARKY_HAPROXY_IMAGE": build.BASE,
    "SPARKY_REDIS_IMAGE": build.STORES,
    "SPARKY_POSTGRES_IMAGE": build.STORES,
    "SPARKY_PROMETHEUS_IMAGE": build.STORES,
    "SPARKY_POSTGRES_EXPORTER_IMAGE": build.STORES,
    "SPARKY_REDIS_EXPORTER_IMAGE": build.STORES,
    "SPARKY_GRAFANA_IMAGE": build.GRAFANA,
    # A model of 135 million parameters on the processor.
    "SPARKY_TRTLLM_MODEL": f"/srv/models/{build.MODEL}",
    "SPARKY_LLM_MODEL": build.MODEL,
    "SPARKY_LLM_CONTEXT": "8192",
    "SPARKY_LLM_REASONING_TOKENS": "0",
    # Where llama.cpp has its figures.
    "SPARKY_ENGINE_METRICS": "/metrics",
    "SPARKY_GATEWAY_MAXCONN": "2",
    "SPARKY_GATEWAY_PROBE_TOKENS": "2",
    "SPARKY_GATEWAY_PROBE_TIMEOUT": "60s",
    # A machine of two processors.
    "SPARKY_ENGINE_MEMLOCK": "8388608",
    "SPARKY_FETCH_PROCESSES": "2",
    # One question at a time, so that a second worker finds one too.
    "SPARKY_SUMMARIZE_THREADS": "1",
    "SPARKY_DEFAULT_THREADS": "4",
    "SPARKY_POSTGRES_BUFFERS": "64MB",
    "SPARKY_POSTGRES_MEMORY_RESERVED": "128M",
    "SPARKY_LEASE_SECONDS": "20",
    # An answer takes longer, so what a stopped worker has begun is handed back.
    "SPARKY_GRACE_SECONDS": "5",
    # A worker's first question to an engine may take 30 s, which a busy machine can miss.
    "SPARKY_ATTEMPTS": "10",
    "SPARKY_HEALTH_INTERVAL": "4s",
    "SPARKY_UPDATE_MONITOR": "2s",
    "SPARKY_PROMETHEUS_INTERVAL": "3s",
} | {
    f"SPARKY_{name}_CPUS{suffix}": value
    for name in ("FETCH", "SUMMARIZE", "DEFAULT", "POSTGRES")
    for suffix, value in (("", "2"), ("_RESERVED", "0.05"))
}
"""Variables that fit the stack into the lab."""


@dataclass
class Stack:
    """A stack on a manager's Swarm."""

    node: Node
    variables: dict[str, str] = field(default_factory=lambda: dict(SMALL))
    primary: str = "postgres"
    """The service whose Postgres is written to."""

    def prepare(self) -> None:
        """Make a Swarm of the node, with every label, and the secrets."""
        self.node.run("swarm", "init", "--advertise-addr", self.node.address)
        labels = [word for name in LABELS for word in ("--label-add", f"sparky.{name}=true")]
        self.node.run("node", "update", *labels, self.node.name)
        self.secrets("1")

    def secrets(self, version: str) -> None:
        """Make a version of the secrets, with the key of a bucket."""
        key = self.node.folder / "bucket-key"
        key.write_text(f"{bucket.KEY}:{bucket.SECRET}\n")
        done = subprocess.run(
            [str(ROOT / "swarm/secrets"), version],
            env=self.environment() | {"SPARKY_BACKUP_S3_KEY_FILE": str(key)},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    def environment(self) -> dict[str, str]:
        """What an operator has exported."""
        socket = f"unix://{self.node.folder}/docker.sock"
        return dict(environment(**self.variables, DOCKER_HOST=socket))

    def deploy(self, *files: str, **variables: str) -> None:
        """`docker stack deploy`, with these variables from now on."""
        self.variables |= variables
        words = [word for file in ("stack.yml", *files) for word in ("--compose-file", file)]
        done = subprocess.run(
            ["docker", "stack", "deploy", "--resolve-image", "never", *words, NAME],
            cwd=ROOT, env=self.environment(), capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        # Swarm names what it leaves out.
        assert "Ignoring" not in done.stderr, done.stderr

    def remove(self) -> None:
        """`docker stack rm`, waiting until its networks are gone and its containers have ended."""
        self.node.run("stack", "rm", NAME)
        networks = ("network", "ls", "--filter", f"name={NAME}_")
        running = ("ps", "--filter", STACK_LABEL)
        for listed in (networks, running):
            eventually(
                lambda listed=listed: not self.node.ask(*listed, "--quiet"),
                180,
                lambda listed=listed: self.node.ask(*listed),
                pause=0.5,
            )
        # Old engines forget an ended container now and then.
        self.node.run("container", "prune", "--force", "--filter", STACK_LABEL)

    def missing(self) -> list[str]:
        """Names of services that do not run as they should."""
        form = "{{.Name}} {{.Replicas}}"
        bad = []
        for line in self.node.ask("service", "ls", "--format", form).splitlines():
            name, _, replicas = line.partition(" ")
            # `1/1`, `1/1 (max 1 per node)`, or of a job `0/1 (1/1 completed)`.
            found = re.search(r"(\d+)/(\d+) completed", replicas) or re.match(
                r"(\d+)/(\d+)", replicas
            )
            if not found or found[1] != found[2]:
                bad.append(name.removeprefix(f"{NAME}_"))
        return bad

    def tasks(self, service: str) -> str:
        """The tasks of a service with their state and error."""
        form = "{{.Name}} {{.CurrentState}} {{.Error}}"
        return self.node.ask("service", "ps", "--no-trunc", "--format", form, f"{NAME}_{service}")

    def healthy(self, seconds: float = 600) -> None:
        """Wait until every service runs all its tasks, which is when they are healthy."""
        eventually(
            lambda: not self.missing(), seconds,
            lambda: "\n".join(map(self.tasks, self.missing())), pause=0.5,
        )  # fmt: skip

    def settled(self, seconds: float = 600) -> None:
        """Wait until what a deploy has changed is carried out everywhere, and all is healthy."""

        def open_updates() -> list[str]:
            services = self.node.inspect(
                "service", "inspect", *self.node.ask("service", "ls", "--quiet").split()
            )
            states = {one["Spec"]["Name"]: one.get("UpdateStatus", {}) for one in services}
            wrong = {
                name: state
                for name, state in states.items()
                if state.get("State", "completed") not in ("completed", "updating")
            }
            assert not wrong, wrong
            return [name for name, state in states.items() if state.get("State") == "updating"]

        eventually(lambda: not open_updates(), seconds, lambda: str(open_updates()), pause=0.5)
        self.healthy(seconds)

    def container(self, service: str) -> str:
        """The id of a running container of a service."""
        label = f"label=com.docker.swarm.service.name={NAME}_{service}"
        return self.node.ask(
            "ps", "--quiet", "--latest", "--filter", label, "--filter", "status=running"
        )

    def run(self, service: str, *words: str) -> str:
        """What a command says in a container of a service."""
        return self.node.ask("exec", self.container(service), *words)

    def fails(self, service: str, *words: str) -> str:
        """What a command that fails says in a container of a service."""
        done = self.node.run("exec", self.container(service), *words, check=False)
        assert done.returncode != 0, done.stdout
        return done.stdout + done.stderr

    def sparky(self, *words: str) -> str:
        """What the command `sparky` says in the stack."""
        return self.run("worker-default", "sparky", *words)

    def rows(self, query: str) -> list[dict[str, Any]]:
        """Rows of the database."""
        wrapped = f"SELECT coalesce(json_agg(q), '[]') FROM ({query}) q"
        return list(json.loads(self.psql(wrapped)))

    def psql(self, statement: str, *, on: str = "", database: str = "sparky") -> str:
        """What the server says that is the primary; or the one of that service."""
        words = ["psql", "-h", "/tmp", "-U", "postgres", database, "-XAtc", statement]
        return self.run(on or self.primary, *words)

    def digests(self, database: str = "sparky") -> str:
        """A hash of all digests in a database."""
        every = "SELECT md5(string_agg(d::text, '|' ORDER BY d::text)) FROM digests d"
        return self.psql(every, database=database)

    def secret(self, service: str, name: str) -> str:
        """What a service's container reads in its file."""
        return self.run(service, "cat", f"/run/secrets/{name}")

    def update(self, service: str, *words: str) -> None:
        """`docker service update` of a service, until it has come through."""
        self.node.run("service", "update", "--quiet", *words, f"{NAME}_{service}")

    def scale(self, service: str, replicas: int) -> None:
        """`docker service scale` of a service, until it has come through."""
        self.node.run("service", "scale", f"{NAME}_{service}={replicas}")

    @contextmanager
    def held(self) -> Iterator[None]:
        """The engine answers nobody as long as the block runs: what it is asked stays under way."""
        engine = self.container("trtllm")
        self.node.run("pause", engine)
        try:
            yield
        finally:
            # Swarm may have replaced it.
            self.node.run("unpause", engine, check=False)

    def kept_secrets(self, version: str) -> list[str]:
        """Names of the secrets of a version that are there."""
        names = self.node.ask("secret", "ls", "--format", "{{.Name}}").split()
        return [name for name in names if name.endswith(f"-{version}")]

    def logs(self, services: Sequence[str]) -> str:
        """All that services have said so far."""
        both = [self.node.run("service", "logs", "--raw", f"{NAME}_{name}") for name in services]
        return "".join(done.stdout + done.stderr for done in both)


def commits(start: int, count: int) -> tuple[str, str]:
    """A window that holds so many of this repository's commits, from the one with this number on."""
    words = ["git", "-C", str(ROOT), "log", "--format=%ct"]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    dates = sorted(map(int, said.split()))[start : start + count]
    ends = (dates[0], dates[-1] + 1)
    since, until = (datetime.fromtimestamp(end, UTC).isoformat() for end in ends)
    return since, until
