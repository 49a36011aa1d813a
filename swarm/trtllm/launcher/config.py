"""What the launcher is told by its environment."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


class Wrong(Exception):
    """What is wrong, and what to do, in one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """All settings, checked."""

    model: str
    port: int
    flags: tuple[str, ...]
    """Of trtllm-serve."""
    engine: Path
    """The YAML file that trtllm-serve reads."""
    ranks: int
    hostfile: Path
    hosts_name: str
    """A DNS name that has all ranks' addresses, used where there is no hostfile; empty: none."""
    key: Path
    """The private key of all ranks."""
    ssh_port: int
    deadline: float
    """Seconds that the head waits for all ranks."""
    grace: float
    """Seconds that the server has to stop."""
    nics: tuple[str, ...]
    """Interfaces to use; empty: the fastest that are up."""
    forward: tuple[str, ...]
    """More variables that every rank gets from the head, by name."""

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Config:
        """From variables.

        Raises:
            Wrong: one is missing or no number.
        """

        def text(name: str, default: str = "") -> str:
            return environment.get(name, "").strip() or default

        def number(name: str, default: str) -> float:
            try:
                return float(text(name, default))
            except ValueError:
                raise Wrong(f"{name} is {text(name)}, which is no number") from None

        if not (model := text("SPARKY_TRTLLM_MODEL")):
            raise Wrong("SPARKY_TRTLLM_MODEL is not set; it names the folder of the model")
        return cls(
            model=model,
            port=int(number("SPARKY_TRTLLM_PORT", "8355")),
            flags=tuple(shlex.split(text("SPARKY_TRTLLM_FLAGS"))),
            engine=Path(text("SPARKY_TRTLLM_ENGINE", "/etc/sparky/engine.yml")),
            ranks=int(number("SPARKY_TRTLLM_RANKS", "1")),
            hostfile=Path(text("SPARKY_TRTLLM_HOSTFILE", "/etc/sparky/hostfile")),
            hosts_name=text("SPARKY_TRTLLM_HOSTS_NAME"),
            key=Path(text("SPARKY_TRTLLM_KEY", "/run/secrets/mpi_key")),
            ssh_port=int(number("SPARKY_TRTLLM_SSH_PORT", "2233")),
            deadline=number("SPARKY_TRTLLM_DEADLINE", "600"),
            grace=number("SPARKY_TRTLLM_GRACE", "60"),
            nics=tuple(text("SPARKY_TRTLLM_NICS").replace(",", " ").split()),
            forward=tuple(text("SPARKY_TRTLLM_FORWARD").replace(",", " ").split()),
        )

    def serve(self) -> list[str]:
        """The command of the server; ours are the address, the port and the file."""
        return [
            "trtllm-serve", self.model, "--host", "0.0.0.0", "--port", str(self.port),
            "--config", str(self.engine), *self.flags,
        ]  # fmt: skip
