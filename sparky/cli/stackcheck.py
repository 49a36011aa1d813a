"""What `sparky stack preflight` looks at, in order: managers, images, each node."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from sparky.cli import output
from sparky.errors import SparkyError
from sparky.findings import Finding, fail, failed, ok, warn
from sparky.stack import granted, preflight, survey
from sparky.stack.docker import Docker
from sparky.stack.plan import Plan

PORTS = (8355, 2233)
"""Where the engine answers, and the ssh of its ranks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One examination; empty images are not tried."""

    plan: Plan
    memory: int
    models: Path
    image: str
    engine_image: str
    stack: Path
    quick: bool
    patience: float
    host: str

    def findings(self, waiting: output.Waiting) -> Iterator[Finding]:
        """All of them, as soon as each is made."""
        docker = Docker(self.host)
        try:
            yield from self._all(docker, waiting)
        except SparkyError as error:
            yield failed("Swarm", error)

    def _all(self, docker: Docker, waiting: output.Waiting) -> Iterator[Finding]:
        document = docker.stack(self.stack) if self.stack.exists() else {}
        need = preflight.Need(
            engines=self.plan.nodes,
            mpi=self.plan.shape == "mpi",
            secrets=granted.secrets(document),
            labels=granted.labels(document),
            disk=self.plan.format.bytes,
            memory=self.memory,
        )
        yield ok("plan", f"{self.plan.checkpoint} with TensorRT-LLM {self.plan.release}")
        for text in self.plan.warnings:
            yield warn("plan", text, "`sparky stack plan` tells the sum")
        waiting("asking the managers")
        nodes = docker.nodes()
        there = docker.listed("secret", by="{{.Name}}")
        yield from preflight.judge_swarm(nodes, need, there)
        if not any(map(preflight.is_engine, nodes)):
            return
        if self.engine_image:
            waiting("starting the engine's image on each node")
            yield from self._starts(docker)
        if self.image:
            waiting("looking at each node")
            yield from self._looks(docker, need)
        else:
            yield warn(
                "nodes",
                "runtime, network, clock, disk and weights were not looked at",
                "Give --image with Sparky's image, as the nodes know it",
            )

    def _starts(self, docker: Docker) -> Iterator[Finding]:
        errors = survey.starts(
            docker, image=self.engine_image, patience=self.patience, name=_name()
        )
        for node, why in errors.items():
            yield fail(f"{node}: engine image", why, f"docker pull {self.engine_image} there")
        if not errors:
            yield ok("engine image", f"{self.engine_image} starts on each node")

    def _looks(self, docker: Docker, need: preflight.Need) -> Iterator[Finding]:
        arguments = ["--models", str(self.models)]
        arguments += ["--model", self.plan.checkpoint.rpartition("/")[2]]
        for port in PORTS:
            arguments += ["--port", str(port)]
        if self.quick:
            arguments.append("--quick")
        asked = time.time()
        told, errors = survey.nodes(
            docker, image=self.image, arguments=arguments, patience=self.patience, name=_name()
        )
        for node, why in errors.items():
            yield fail(f"{node}: Sparky's image", why, f"docker pull {self.image} there")
        for seen in told:
            yield from preflight.judge_node(seen, need, asked=asked, told=time.time())


def _name() -> str:
    return f"sparky-preflight-{uuid4().hex[:8]}"
