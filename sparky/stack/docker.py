"""Docker's own command, asked as a person would: effects, with typed errors."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sparky.errors import ServiceError

SECONDS = 60.0
"""A command that takes longer has failed."""


@dataclass(frozen=True, slots=True)
class Docker:
    """The `docker` program, speaking to one daemon."""

    host: str = ""
    """As `DOCKER_HOST`, such as `unix:///run/docker.sock`; empty: docker's own choice."""

    def run(self, *arguments: str, stdin: str = "", seconds: float = SECONDS) -> str:
        """What the command prints.

        Raises:
            ServiceError: there is no docker, it failed or it took too long.
        """
        return self._call(arguments, stdin, seconds).stdout

    def logs(self, task: str) -> str:
        """All that a task has said, wherever it ran.

        Raises:
            ServiceError: as `run`; its node cannot be asked.
        """
        done = self._call(("service", "logs", "--raw", task), "", SECONDS)
        # What it wrote on stderr comes on stderr.
        return done.stdout + done.stderr

    def _call(
        self, arguments: Sequence[str], stdin: str, seconds: float
    ) -> subprocess.CompletedProcess[str]:
        told = f"docker {' '.join(arguments[:2])}"
        command = ["docker", *(("--host", self.host) if self.host else ()), *arguments]
        try:
            done = subprocess.run(
                command, input=stdin, capture_output=True, text=True, timeout=seconds, check=False
            )
        except FileNotFoundError:
            raise ServiceError(
                "there is no docker on this machine", remedy="Install Docker Engine 27 or newer"
            ) from None
        except subprocess.TimeoutExpired:
            raise ServiceError(f"`{told}` did not end within {seconds:.0f} s") from None
        if done.returncode:
            raise ServiceError(f"`{told}` failed: {done.stderr.strip() or done.stdout.strip()}")
        return done

    def inspect(self, kind: str, names: Sequence[str]) -> list[dict[str, Any]]:
        """What docker knows of some nodes, services or secrets."""
        found: list[dict[str, Any]] = json.loads(self.run(kind, "inspect", *names)) if names else []
        return found

    def listed(self, kind: str, *, by: str = "{{.ID}}") -> list[str]:
        """The ids, or another column, of all nodes, secrets, configs …."""
        return self.run(kind, "ls", "--format", by).split()

    def stack(self, file: Path) -> dict[str, Any]:
        """A stack's file as docker reads it, with the variables that are set here."""
        document: dict[str, Any] = yaml.safe_load(
            self.run("stack", "config", "--compose-file", str(file))
        )
        return document

    def nodes(self) -> list[dict[str, Any]]:
        """All nodes of the Swarm.

        Raises:
            ServiceError: also if this is no manager.
        """
        return self.inspect("node", self.listed("node"))
