"""Looks at each engine's node through a job of the Swarm: effects."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from sparky.errors import ServiceError
from sparky.stack.docker import Docker
from sparky.stack.hostfile import LABEL

PAUSE: Final = 1.0
"""Seconds between two looks at a job."""
OVER: Final = ("complete", "failed", "rejected", "shutdown", "orphaned", "remove")


def nodes(
    docker: Docker,
    *,
    image: str,
    arguments: Sequence[str],
    patience: float,
    name: str,
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Run `sparky stack node …` on each node that carries the engine's label.

    Returns:
        What the nodes told, and the errors of those that told nothing, by node.
    """
    command = ["sparky", "stack", "node", *arguments]
    options = [
        "--network", "host",
        "--user", "0",
        "--hostname", "{{.Node.Hostname}}",
        "--mount", "type=bind,source=/,target=/host,readonly",
    ]  # fmt: skip
    with job(docker, name=name, image=image, options=options, command=command) as started:
        failed = wait(docker, started, patience)
        lines = docker.run("service", "logs", "--raw", started).splitlines()
    told = [json.loads(line) for line in lines if line.startswith("{")]
    return told, failed


def starts(docker: Docker, *, image: str, patience: float, name: str) -> dict[str, str]:
    """Start an image on each node that carries the engine's label; the errors, by node."""
    options = ["--entrypoint", "true"]
    with job(docker, name=name, image=image, options=options, command=[]) as started:
        return wait(docker, started, patience)


@contextmanager
def job(
    docker: Docker, *, name: str, image: str, options: Sequence[str], command: Sequence[str]
) -> Iterator[str]:
    """A job on each node with the engine's label, removed at the end."""
    docker.run(
        "service", "create", "--detach", "--quiet", "--name", name,
        "--mode", "global-job", "--restart-condition", "none", "--no-resolve-image",
        "--constraint", f"node.labels.{LABEL}==true", *options, image, *command,
    )  # fmt: skip
    try:
        yield name
    finally:
        docker.run("service", "rm", name)


def wait(docker: Docker, name: str, patience: float) -> dict[str, str]:
    """Wait until the job is over everywhere.

    Returns:
        Why it failed, by node; empty where it did not.

    Raises:
        ServiceError: it is not over within `patience` seconds.
    """
    deadline = time.monotonic() + patience
    while True:
        rows = docker.run(
            "service", "ps", "--no-trunc", "--format", "{{json .}}", name
        ).splitlines()
        tasks = [json.loads(row) for row in rows]
        states = {task["Node"]: task["CurrentState"].split()[0].lower() for task in tasks}
        if states and all(state in OVER for state in states.values()):
            return {
                task["Node"]: task["Error"].strip('"') or task["CurrentState"]
                for task in tasks
                if states[task["Node"]] != "complete"
            }
        if time.monotonic() > deadline:
            slow = ", ".join(f"{node} is {state}" for node, state in states.items())
            raise ServiceError(
                f"the job {name} is not over after {patience:.0f} s: {slow or 'it has no tasks'}",
                remedy=f"`docker service ps --no-trunc {name}` tells more",
            )
        time.sleep(PAUSE)
