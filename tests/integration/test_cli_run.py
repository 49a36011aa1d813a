"""What a run of its own leaves behind, on a real database and a real broker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from sparky.store.cache import for_client
from tests.engines.vllm import Vllm
from tests.integration.test_cli import Sparky, checkout, sparky
from tests.servers import Servers

__all__ = ["checkout", "sparky"]


class Roomy(Vllm):
    """An engine with room for a prompt."""

    context = 8192


@pytest.fixture(autouse=True)
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with Roomy() as server:
        monkeypatch.setenv("SPARKY_LLM_KIND", "openai")
        monkeypatch.setenv("SPARKY_LLM_URL", server.url)
        yield


def own_keys(servers: Servers) -> list[bytes]:
    """What is in the broker of farms that were there for a run alone."""
    broker: Any = redis.Redis.from_url(for_client(servers.broker_url))
    with broker:
        return list(broker.scan_iter(match="sparky:run-*"))


def logs(tmp_path: Path) -> list[str]:
    return [path.name for path in (tmp_path / "state" / "logs").glob("run-*")]


def test_a_run_leaves_nothing_of_its_farm(
    sparky: Sparky, checkout: Path, servers: Servers, tmp_path: Path
) -> None:
    """A Redis that many use would fill up with the queues and counts of runs of long ago."""
    done = sparky("run", str(checkout))
    assert done.code == 0, done.err
    assert own_keys(servers) == []
    assert logs(tmp_path) == []


def test_a_run_that_comes_to_nothing_leaves_no_log(
    sparky: Sparky, servers: Servers, tmp_path: Path
) -> None:
    """A worker's log is kept where the worker has died, and only there."""
    done = sparky("run", str(tmp_path))
    assert done.code == 1
    assert "is not a git repository" in done.err
    assert logs(tmp_path) == []
    assert own_keys(servers) == []
