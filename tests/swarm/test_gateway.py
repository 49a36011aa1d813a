"""HAProxy with stack.yml's own configuration before four engines that fail: no request is lost."""

from __future__ import annotations

import base64
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.swarm.lab import eventually
from tests.swarm.names import name_server

ROOT = Path(__file__).parents[2]
ADDRESSES = [f"127.0.7.{number}" for number in range(1, 5)]
MAXCONN = 4
QUEUE = 40
REQUESTS = 160
KEY = {"Authorization": "Bearer the-key"}


@dataclass
class Gateway:
    """HAProxy, and the engines behind it."""

    url: str
    statistics: str
    page: str
    engines: dict[str, subprocess.Popen[bytes]]
    port: int
    log: Path
    client: httpx.Client

    def ask(self, number: int) -> httpx.Response:
        """One prompt, as an engine's client sends it; never sent twice."""
        body = {"messages": [{"role": "user", "content": f"number {number}"}], "max_tokens": 8}
        return self.client.post(f"{self.url}/v1/chat/completions", json=body, headers=KEY)

    def engine(self, address: str, path: str, **body: str) -> dict[str, Any]:
        """Ask an engine itself, past the gateway."""
        url = f"http://{address}:{self.port}{path}"
        done = (
            httpx.post(url, json=body, trust_env=False) if body else httpx.get(url, trust_env=False)
        )
        return dict(done.json())

    def up(self) -> int:
        """How many engines the gateway holds for alive."""
        lines = self.client.get(f"{self.statistics}/metrics").text.splitlines()
        return sum(
            'state="UP"' in line and line.endswith(" 1")
            for line in lines
            if line.startswith('haproxy_server_status{proxy="engines"')
        )


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens at."""
    with ExitStack() as held:
        wires = [held.enter_context(socket.socket()) for _ in range(count)]
        for wire in wires:
            wire.bind(("127.0.0.1", 0))
        return [wire.getsockname()[1] for wire in wires]


@contextmanager
def engines(port: int) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    made = {}
    try:
        for address in ADDRESSES:
            words = [
                sys.executable,
                str(Path(__file__).with_name("engine.py")),
                address,
                str(port),
                address,
            ]
            made[address] = subprocess.Popen(words, stderr=subprocess.DEVNULL)
        # The gateway takes an engine that it meets for alive until its first probe; a Swarm shows it
        # none that is not healthy.
        eventually(lambda: all(listens(port, address) for address in ADDRESSES), 30)
        yield made
    finally:
        for process in made.values():
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Four engines that are well, and stay so."""
    with started(tmp_path_factory.mktemp("gateway")) as found:
        yield found


@pytest.fixture
def troubled(tmp_path: Path) -> Iterator[Gateway]:
    """Four engines of a test's own."""
    with started(tmp_path) as found:
        yield found


@contextmanager
def started(tmp_path: Path) -> Iterator[Gateway]:
    own, statistics, page, port = free_ports(4)
    (tmp_path / "gateway_key").write_text("the-key\n")
    (tmp_path / "gateway_stats").write_text("sparky:seen")
    log = tmp_path / "log"
    # A socket's path is short.
    run = tempfile.mkdtemp(prefix="gw")
    with engines(port) as made, name_server(ADDRESSES) as dns, log.open("wb") as output:
        environment = {
            **os.environ,
            "SPARKY_SECRETS": str(tmp_path),
            "SPARKY_GATEWAY_RUN": run,
            "SPARKY_LLM_MODEL": "stand-in",
            "SPARKY_GATEWAY_BIND": f"127.0.0.1:{own}",
            "SPARKY_GATEWAY_STATS_BIND": f"127.0.0.1:{statistics}",
            "SPARKY_GATEWAY_PAGE_BIND": f"127.0.0.1:{page}",
            "SPARKY_GATEWAY_DNS": dns,
            "SPARKY_GATEWAY_TARGET": f"engines:{port}",
            "SPARKY_GATEWAY_ENGINES": "6",
            "SPARKY_GATEWAY_MAXCONN": str(MAXCONN),
            "SPARKY_GATEWAY_QUEUE": str(QUEUE),
            "SPARKY_GATEWAY_TIMEOUT": "60s",
            "SPARKY_GATEWAY_PROBE": "Say yes.",
            "SPARKY_GATEWAY_PROBE_TOKENS": "8",
            "SPARKY_GATEWAY_PROBE_EXPECT": '"completion_tokens": ?[1-9]',
            "SPARKY_GATEWAY_PROBE_INTERVAL": "1s",
            "SPARKY_GATEWAY_PROBE_TIMEOUT": "5s",
        }
        words = ["haproxy", "-W", "-db", "-f", str(ROOT / "swarm/haproxy/haproxy.cfg")]
        haproxy = subprocess.Popen(words, env=environment, stdout=output, stderr=output)
        urls = [f"http://127.0.0.1:{number}" for number in (own, statistics, page)]
        limits = httpx.Limits(max_connections=200)
        client = httpx.Client(timeout=90, trust_env=False, limits=limits)
        found = Gateway(*urls, made, port, log, client)
        try:
            eventually(lambda: listens(statistics) and found.up() == 4, 30, log.read_text)
            yield found
        finally:
            client.close()
            haproxy.terminate()
            haproxy.wait()
            shutil.rmtree(run)


def listens(port: int, address: str = "127.0.0.1") -> bool:
    with socket.socket() as wire:
        return wire.connect_ex((address, port)) == 0


def kill(gateway: Gateway, address: str) -> None:
    gateway.engines[address].kill()


def slow(gateway: Gateway, address: str) -> None:
    gateway.engine(address, "/state", state="slow")


def wedge(gateway: Gateway, address: str) -> None:
    gateway.engine(address, "/state", state="wedged")
    # What a check of its address alone would see.
    assert httpx.get(f"http://{address}:{gateway.port}/health", trust_env=False).status_code == 200


@pytest.mark.parametrize(("trouble", "left"), [(kill, 3), (slow, 4), (wedge, 3)])
def test_no_request_is_lost_when_an_engine_fails(
    troubled: Gateway, trouble: Any, left: int
) -> None:
    """One of four is killed, slowed down or wedged in the middle: each request gets its answer."""
    bad = ADDRESSES[1]
    with ThreadPoolExecutor(24) as callers:
        asked = [callers.submit(troubled.ask, number) for number in range(REQUESTS)]
        eventually(lambda: troubled.engine(bad, "/figures")["answered"] > 8, 30)
        trouble(troubled, bad)
        answers = [one.result() for one in asked]
    assert lost(answers) == []
    eventually(lambda: troubled.up() == left, 60, troubled.log.read_text)


def lost(answers: Sequence[httpx.Response]) -> list[tuple[int, str]]:
    """Numbers of requests without their own answer, and what came in its place."""
    return [
        (number, answer.text)
        for number, answer in enumerate(answers)
        if answer.status_code != 200
        or not answer.json()["choices"][0]["message"]["content"].endswith(f": number {number}")
    ]


def test_a_wedged_engine_comes_back_when_it_generates_again(troubled: Gateway) -> None:
    """Out after two probes without a token, in after one with some."""
    troubled.engine(ADDRESSES[0], "/state", state="wedged")
    eventually(lambda: troubled.up() == 3, 60, troubled.log.read_text)
    troubled.engine(ADDRESSES[0], "/state", state="well")
    eventually(lambda: troubled.up() == 4, 30, troubled.log.read_text)


def test_no_engine_gets_more_at_once_than_its_batch(gateway: Gateway) -> None:
    """What is above maxconn waits at the gateway; a probe comes on top, in the place kept for it."""
    with ThreadPoolExecutor(40) as callers:
        answers = list(callers.map(gateway.ask, range(REQUESTS)))
    assert lost(answers) == []
    most = [gateway.engine(address, "/figures")["most"] for address in ADDRESSES]
    assert max(most) <= MAXCONN + 1
    assert min(most) >= MAXCONN


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/models", 200),
        ("GET", "/health", 200),
        ("GET", "/metrics", 404),
        ("POST", "/release_memory", 404),
        ("POST", "/update_weights", 404),
        ("POST", "/props", 404),
        ("POST", "/v1/chat/completions/../../release_memory", 404),
        ("DELETE", "/v1/models", 404),
    ],
)
def test_only_what_asks_for_answers_passes(
    gateway: Gateway, method: str, path: str, status: int
) -> None:
    """Addresses that administer an engine cannot be reached through the gateway."""
    url = httpx.URL(gateway.url).copy_with(raw_path=path.encode())
    body = {"messages": [{"role": "user", "content": "x"}]} if method == "POST" else None
    done = httpx.request(method, url, headers=KEY, json=body, trust_env=False)
    assert done.status_code == status


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Bearer no"}, {"Authorization": "the-key"}]
)
def test_nobody_asks_without_the_key(gateway: Gateway, headers: dict[str, str]) -> None:
    """401, and the engine hears nothing of it."""
    done = gateway.client.get(f"{gateway.url}/v1/models", headers=headers)
    assert done.status_code == 401


def test_engines_do_not_see_the_key(gateway: Gateway) -> None:
    """They have none of their own; what they log cannot hold ours."""
    seen = httpx.get(f"{gateway.url}/health", headers=KEY, trust_env=False).json()["headers"]
    assert "authorization" not in seen


def test_statistics_ask_for_a_password(gateway: Gateway) -> None:
    """What is open to the outside tells nobody addresses and loads; inside, Prometheus reads them."""
    for path in ("/", "/metrics"):
        assert gateway.client.get(f"{gateway.page}{path}").status_code == 401
    word = base64.b64encode(b"sparky:seen").decode()
    page = gateway.client.get(gateway.page, headers={"Authorization": f"Basic {word}"})
    assert "Statistics Report" in page.text
    assert "haproxy_server_status" in gateway.client.get(f"{gateway.statistics}/metrics").text


def test_a_full_queue_is_said_at_once(troubled: Gateway) -> None:
    """Above the limit a caller hears 429 and when to come again, in place of waiting for ever."""
    for address in ADDRESSES:
        troubled.engine(address, "/state", state="slow")
    with ThreadPoolExecutor(REQUESTS) as callers:
        answers = list(callers.map(troubled.ask, range(REQUESTS)))
    refused = [answer for answer in answers if answer.status_code == 429]
    assert 1 <= len(refused) <= REQUESTS - 4 * MAXCONN
    assert all(answer.headers["Retry-After"] == "10" for answer in refused)
    assert all(answer.status_code in (200, 429) for answer in answers)
