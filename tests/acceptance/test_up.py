"""`sparky up` as a user runs it: services, workers, beat, and Flower that asks for a password."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from sparky.services import remove
from tests.acceptance.test_run import ROOT, Sparky, running, wait_until


@dataclass(frozen=True)
class Farm:
    """A farm that is up."""

    sparky: Sparky
    url: str
    password: str
    published: Path

    def get(self, path: str, *, known: bool) -> httpx.Response:
        auth = ("sparky", self.password) if known else None
        return httpx.get(f"{self.url}{path}", auth=auth, trust_env=False, timeout=30)


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    sparky = Sparky(tmp_path_factory.mktemp("up"))
    published = tmp_path_factory.mktemp("published")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = sparky.environment() | {
        "SPARKY_FLOWER_PORT": str(port),
        "SPARKY_PUBLISH_DIR": str(published),
    }
    said = sparky.state / "said.txt"
    with said.open("wb") as output:
        up = subprocess.Popen(sparky.words("up"), env=environment, stderr=output)
    try:
        wait_until(lambda: b"The farm is up" in said.read_bytes() or up.poll() is not None)
        found = re.search(r"password (\S+)\)", said.read_text())
        assert found, said.read_text()
        made = Farm(sparky, f"http://127.0.0.1:{port}", found[1], published)
        wait_until(lambda: answers(made))
        yield made
    finally:
        up.terminate()
        up.wait(60)
    wait_until(lambda: not running(sparky.state))
    remove(sparky.state)


def answers(farm: Farm) -> bool:
    try:
        return farm.get("/healthcheck", known=False).is_success
    except httpx.TransportError:
        return False


@pytest.mark.parametrize("path", ["/", "/tasks", "/api/workers", "/api/tasks", "/metrics"])
def test_flower_asks_for_the_password_that_was_printed(farm: Farm, path: str) -> None:
    """Nobody sees a page, the API or the metrics without it; with it everything is there."""
    assert farm.get(path, known=False).status_code == 401
    assert farm.get(path, known=True).status_code == 200


def test_no_password_stands_in_the_process_list(farm: Farm) -> None:
    """Everybody on the machine may read the arguments of processes."""
    lines = "\n".join(running(farm.sparky.state))
    assert "celery" in lines
    assert farm.password not in lines


def test_a_run_over_what_is_followed_goes_through_the_farm(farm: Farm, tmp_path: Path) -> None:
    """Add a repository, start a run, watch it end; a quiet one is skipped, Flower knows the name."""
    clone = tmp_path / "followed.git"
    subprocess.run(["git", "clone", "-q", "--bare", str(ROOT), str(clone)], check=True)
    # On a branch also where this checkout is on none, which a digest would have to tell.
    for words in (
        ("update-ref", "refs/heads/main", "HEAD"),
        ("symbolic-ref", "HEAD", "refs/heads/main"),
    ):
        subprocess.run(["git", "-C", str(clone), *words], check=True)
    assert farm.sparky("repos", "add", str(clone)).returncode == 0
    # A window without activity needs no engine, and makes no digest.
    started = farm.sparky("runs", "start", "--since", "2001-01-01", "--until", "2001-01-02")
    assert started.returncode == 0, started.stderr
    run = started.stdout.split()[0]
    watched = farm.sparky("runs", "watch", run)
    assert watched.returncode == 0, watched.stderr
    shown = farm.sparky("runs", "show", run)
    assert "skipped" in shown.stdout
    assert not list(farm.published.glob("*.md"))
    tasks = farm.get("/api/tasks", known=True).json().values()
    fetched = [task for task in tasks if task["name"] == "sparky.fetch"]
    assert any("followed" in task["args"] for task in fetched)


def test_a_port_in_use_is_told_before_anything_starts(farm: Farm, tmp_path: Path) -> None:
    """One line names the port and what to do."""
    other = Sparky(tmp_path / "other")
    port = farm.url.rsplit(":", 1)[1]
    done = subprocess.run(
        other.words("up"),
        env=other.environment() | {"SPARKY_FLOWER_PORT": port},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert f"port {port} of 127.0.0.1: Address already in use" in done.stderr
    assert "SPARKY_FLOWER_PORT" in done.stderr
    assert not running(other.state)


def test_flower_without_a_password_does_not_start(farm: Farm) -> None:
    """Also where somebody starts it by hand."""
    environment = {**os.environ, "SPARKY_BROKER_URL": "redis://127.0.0.1:1/0"}
    celery = shutil.which("celery", path=str(Path(sys.executable).parent))
    assert celery is not None
    done = subprocess.run(
        [celery, "-A", "sparky.farm.app", "flower"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode != 0
    assert "Flower needs a password" in done.stderr
