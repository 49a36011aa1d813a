"""`sparky up`: the whole farm on one machine, until Ctrl-C."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from sparky import wiring
from sparky.cli import logs, machine
from sparky.cli.watch import Watch
from sparky.errors import ServiceError
from sparky.farm.worker import THREADS, Process, start, worker_words
from sparky.settings import Settings
from sparky.wiring import Wired

LOOK_SECONDS = 1.0
RESTARTS = 5
"""How often one process may die in a row before the farm gives up."""
WELL_SECONDS = 600.0
"""A process that has run for so long is well again: earlier deaths count no longer."""
GRACE_SECONDS = 10
"""How long workers may go on after Ctrl-C before they hand back what they have begun."""


@dataclass(slots=True)
class Member:
    """A process of the farm: how it is started, and how often it has died."""

    name: str
    words: list[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    deaths: int = 0
    started: float = 0.0
    process: Process | None = None

    def start(self, settings: Settings) -> None:
        """Start it, or start it again: then its log goes on, as it tells why it has died."""
        log = settings.state_dir / "logs" / f"{self.name}.log"
        self.started = time.monotonic()
        told = settings.with_changes(grace_seconds=GRACE_SECONDS)
        again = self.process is not None
        self.process = start(
            self.name, self.words, told, log=log, again=again, environment=self.environment
        )


def up(settings: Settings, watch: Watch) -> None:
    """Run services, workers, beat and Flower until Ctrl-C."""
    password = (
        settings.flower_password.get_secret_value()
        if settings.flower_password
        else secrets.token_urlsafe(12)
    )
    _free(settings.flower_host, settings.flower_port)
    logs.to_stderr()
    with wiring.open(settings, on_event=watch.event, on_progress=watch.download) as wired:
        members = _members(wired, password)
        try:
            for member in members:
                member.start(wired.settings)
            watch.say(
                f"The farm is up. Flower: http://{settings.flower_host}:{settings.flower_port} "
                f"(user {settings.flower_user}, password {password}). Ctrl-C stops it."
            )
            while True:
                time.sleep(LOOK_SECONDS)
                for member in members:
                    _mend(member, wired.settings, watch)
        except KeyboardInterrupt:
            watch.say("Stopping; what is being worked on is handed back.")
        finally:
            running = [member.process for member in members if member.process is not None]
            with ThreadPoolExecutor() as together:
                list(together.map(lambda process: process.stop(GRACE_SECONDS + 10), running))


def _members(wired: Wired, password: str) -> list[Member]:
    slots = wired.backend.engine().slots
    state = wired.settings.state_dir
    flower = {
        "FLOWER_ADDRESS": wired.settings.flower_host,
        "FLOWER_PORT": str(wired.settings.flower_port),
        # In the environment, as everybody may read a process's arguments.
        "SPARKY_FLOWER_PASSWORD": password,
        "FLOWER_PERSISTENT": "true",
        "FLOWER_DB": str(state / "flower.db"),
    }
    fetching = worker_words("fetch", queues=("fetch", "chunk"), pool="prefork", concurrency=2)
    writing = worker_words("summarize", queues=("summarize",), concurrency=min(slots + 1, THREADS))
    others = ("rollup", "publish", "sweep", "tick", "prune")
    rest = worker_words("default", queues=others, concurrency=2)
    return [
        Member("worker-fetch", fetching),
        Member("worker-summarize", writing),
        Member("worker-default", rest),
        Member("beat", ["beat", "--schedule", str(state / "beat")]),
        Member("flower", ["flower"], flower),
    ]


def _mend(member: Member, settings: Settings, watch: Watch) -> None:
    """Start a process anew that has died, but not for ever; keep its log within bounds."""
    if member.process is None:
        return
    member.process.bound_log()
    try:
        member.process.check()
    except ServiceError as error:
        well = time.monotonic() - member.started > WELL_SECONDS
        member.deaths = 1 if well else member.deaths + 1
        if member.deaths > RESTARTS:
            raise
        watch.problem(error)
        member.start(settings)


def _free(host: str, port: int) -> None:
    """Raise ServiceError when Flower cannot listen there."""
    why = machine.refusal(host, port)
    if why is not None:
        raise ServiceError(
            f"Flower cannot have port {port} of {host}: {why}",
            remedy="Stop what listens there, or set SPARKY_FLOWER_PORT or SPARKY_FLOWER_HOST",
        )
