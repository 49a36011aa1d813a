"""Looks at each engine's node through a job of the Swarm: effects."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sparky.errors import ServiceError
from sparky.stack.docker import Docker
from sparky.stack.hostfile import LABEL

PAUSE: Final = 1.0
"""Seconds between two looks at a job."""
OVER: Final = ("complete", "failed", "rejected", "shutdown", "orphaned", "remove")


@dataclass(frozen=True, slots=True)
class Task:
    """A job's part on one node, when it is over."""

    node: str
    error: str
    """Why it failed, in its own words where it has said some; empty: it did not."""
    lines: Sequence[str] = ()
    """What it has said."""


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
    tasks = run(
        docker,
        name=name,
        image=image,
        options=options,
        command=command,
        patience=patience,
        listen=True,
    )
    well = [task for task in tasks if not task.error]
    told = [json.loads(line) for task in well for line in task.lines if line.startswith("{")]
    return told, errors(tasks)


def starts(docker: Docker, *, image: str, patience: float, name: str) -> dict[str, str]:
    """Start an image on each node that carries the engine's label; the errors, by node."""
    options = ["--entrypoint", "true"]
    return errors(
        run(docker, name=name, image=image, options=options, command=[], patience=patience)
    )


def errors(tasks: Sequence[Task]) -> dict[str, str]:
    """Why a job failed where it did, by node."""
    return {task.node: task.error for task in tasks if task.error}


def run(
    docker: Docker,
    *,
    name: str,
    image: str,
    options: Sequence[str],
    command: Sequence[str],
    patience: float,
    listen: bool = False,
) -> list[Task]:
    """Run a job on each node with the engine's label, until it is over everywhere.

    Args:
        listen: whether it matters what tasks say that do not fail.

    Raises:
        ServiceError: it is not over within `patience` seconds.
    """
    docker.run(
        "service", "create", "--detach", "--quiet", "--name", name,
        "--mode", "global-job", "--restart-condition", "none", "--no-resolve-image",
        "--constraint", f"node.labels.{LABEL}==true", *options, image, *command,
    )  # fmt: skip
    try:
        return [_ended(docker, row, listen) for row in _wait(docker, name, patience)]
    finally:
        docker.run("service", "rm", name)


def _ended(docker: Docker, row: Mapping[str, str], listen: bool) -> Task:
    well = _state(row) == "complete"
    error = "" if well else row["Error"].strip('"') or row["CurrentState"]
    if well and not listen:
        return Task(row["Node"], error)
    try:
        # Each task by itself: one node that cannot be asked would hide what all others said.
        lines = docker.logs(row["ID"]).splitlines()
    except ServiceError as silent:
        return Task(row["Node"], error or silent.message)
    return Task(row["Node"], error and (" ".join(lines) or error), lines)


def _wait(docker: Docker, name: str, patience: float) -> list[dict[str, str]]:
    """The job's task on each node, once all are over.

    Swarm begins a failed one again and again; that it failed once is enough.
    """
    deadline = time.monotonic() + patience
    while True:
        told = docker.run("service", "ps", "--no-trunc", "--format", "{{json .}}", name)
        rows = [json.loads(row) for row in told.splitlines()]
        over: dict[str, dict[str, str]] = {}
        for row in rows:
            if _state(row) in OVER and (row["Node"] not in over or _state(row) == "complete"):
                over[row["Node"]] = row
        if rows and over.keys() == {row["Node"] for row in rows}:
            return list(over.values())
        if time.monotonic() > deadline:
            slow = ", ".join(f"{row['Node']} is {_state(row)}" for row in rows)
            raise ServiceError(
                f"the job {name} is not over after {patience:.0f} s: {slow or 'it has no tasks'}",
                remedy="`sparky stack preflight` tells which nodes are down",
            )
        time.sleep(PAUSE)


def _state(row: Mapping[str, str]) -> str:
    return row["CurrentState"].split()[0].lower()
