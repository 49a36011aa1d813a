"""llama.cpp from the package `xllamacpp`: one server for each model, on loopback, with an API key."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import sparky
from sparky.errors import ServiceError
from sparky.services.child import Child, Log, spawn

START_SECONDS = 180.0
"""A cold disk reads a gigabyte in a minute or two; a warm one in seconds."""

CONTEXT = 8192
"""Tokens for each slot: prompt and answer together."""


REASONS = ("gguf_init_from_reader: ", "gguf_init_from_file: ", "error loading model: ", "start: ")
"""What stands before the reason in llama.cpp's log."""


class Llama:
    """The engine service for one model."""

    name = "llama.cpp"

    def __init__(self, model: Path, alias: str, log: Log, say: Callable[[str], None]) -> None:
        self._model = model
        self._alias = alias or model.stem
        self._log = log
        self._say = say
        self._port = 0
        self.api_key = secrets.token_urlsafe(32)

    @property
    def url(self) -> str:
        """The server's address, known once it has started; the same after a restart."""
        return f"http://127.0.0.1:{self._port}"

    async def start(self) -> Child:
        """Load the model and wait until the server answers.

        Raises:
            ServiceError: it does not start; the message says why.
        """
        self._say(f"loading the model {self._alias}")
        receive, send = os.pipe()
        try:
            child = await spawn(
                [sys.executable, "-P", "-m", "sparky.services.llama_server", str(send)],
                log=self._log,
                on_parent_death=signal.SIGKILL,
                stdin=json.dumps(self._options()).encode(),
                environment={
                    "PYTHONPATH": str(Path(sparky.__file__).parent.parent),
                    # Threads that wait by spinning starve each other as soon as anything else
                    # wants a core: 1.3 tokens/s instead of 20 on two busy cores.
                    "OMP_WAIT_POLICY": "passive",
                },
                pass_fds=[send],
            )
        finally:
            os.close(send)
        try:
            answer = await asyncio.wait_for(_read(receive), START_SECONDS)
        except TimeoutError:
            await self.stop(child)
            raise self._failure(f"it was not ready after {START_SECONDS:.0f} s") from None
        except BaseException:
            await self.stop(child)
            raise
        if "port" not in answer:
            await child.wait()
            raise self._failure(str(answer.get("error", "")), str(answer.get("remedy", "")))
        self._port = int(answer["port"])
        return child

    async def stop(self, child: Child) -> None:
        """Stop it; it has nothing to save."""
        await child.stop()

    def _options(self) -> dict[str, object]:
        cores = physical_cores()
        slots = max(1, cores // 4)
        return {
            "model": str(self._model),
            "alias": self._alias,
            "api_key": self.api_key,
            "port": self._port,
            "slots": slots,
            "context": CONTEXT * slots,
            "threads": cores,
        }

    def _failure(self, reason: str, remedy: str = "") -> ServiceError:
        said = [
            words.partition(mark)[2].strip()
            for words in self._log.tail
            for mark in REASONS
            if mark in words
        ]
        return ServiceError(
            f"llama.cpp did not start with {self._model}: {(said or [reason])[0]}",
            remedy=remedy or f"See {self._log.path}.",
        )


def physical_cores() -> int:
    """Cores this process may use, hyper-threads counted once: they slow llama.cpp down."""
    mine = os.sched_getaffinity(0)
    siblings = set()
    for cpu in mine:
        path = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        try:
            siblings.add(path.read_text().strip())
        except OSError:  # not told here: count each
            siblings.add(str(cpu))
    return max(1, min(len(siblings), _quota()))


def _quota() -> int:
    """Cores' worth of time that a container's limit leaves to us."""
    try:
        limit, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
    except (OSError, ValueError):  # no such limit here
        return sys.maxsize
    return sys.maxsize if limit == "max" else max(1, int(limit) // int(period))


async def _read(pipe: int) -> dict[str, str | int]:
    """The one JSON object that the server writes; empty if it dies before."""
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(pipe, "rb")
    )
    try:
        raw = await reader.read()
    finally:
        transport.close()
    answer: dict[str, str | int] = json.loads(raw) if raw else {}
    return answer
