"""Several batching engines in a process of their own, so that their time is not the tests'."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parents[2]


@contextmanager
def fleet(
    count: int, *, slots: int = 32, scale: float = 1.0, model: str = "gpt-oss-20b"
) -> Iterator[list[str]]:
    """The URLs of so many engines, for as long as the block runs."""
    words = [sys.executable, "-m", "tests.engines.batching", str(count), str(slots), str(scale)]
    words.append(model)
    with subprocess.Popen(
        words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())
        finally:
            process.kill()


def trouble(url: str, kind: str, **more: float) -> None:
    """Give an engine trouble: `hang`, `corrupt`, `reset`, `slow` with a `slowness`, or none.

    It begins at once, or with the prompt after the first `after`.
    """
    httpx.post(f"{url}/trouble", json={"kind": kind, **more}).raise_for_status()


def figures(url: str) -> dict[str, Any]:
    """What an engine has done so far."""
    return dict(httpx.get(f"{url}/figures").raise_for_status().json())


def asked(url: str) -> list[dict[str, Any]]:
    """Every request that an engine was sent so far: its `body` as it came, when it `began` and
    `ended`, in seconds since the epoch, and whether it was answered to the end, `whole`."""
    return list(httpx.get(f"{url}/asked", timeout=60).raise_for_status().json())
