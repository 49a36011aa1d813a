"""The smaller tiers as Compose starts them: a laptop, and a box that takes over what it knew."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.swarm import build
from tests.swarm.lab import Node, environment, eventually
from tests.swarm.stack import SMALL, commits

# The first test builds Debian and the images.
pytestmark = pytest.mark.timeout(1500)


@dataclass(frozen=True)
class Tier:
    """A machine on which Compose has started a tier."""

    node: Node
    name: str
    file: str
    variables: dict[str, str]

    def compose(self, *words: str, check: bool = True) -> str:
        done = subprocess.run(
            ["docker-compose", "--project-name", self.name, "--file", "-", *words],
            # Paths of a file that comes through a pipe count from here.
            cwd=build.ROOT / "swarm", input=self.file, text=True, capture_output=True, check=False,
            env=environment(**self.variables, DOCKER_HOST=f"unix://{self.node.folder}/docker.sock"),
        )  # fmt: skip
        assert not check or done.returncode == 0, done.stderr[-3000:]
        return done.stdout.strip()

    def sparky(self, service: str, *words: str) -> str:
        return self.node.ask("exec", self.container(service), "sparky", *words)

    def run(self, reader: str, service: str, first: int, count: int) -> list[Any]:
        """Read one repository's commits to the end; all digests that there are then.

        Args:
            reader: the service that sees what is in repositories.
            service: the one that is asked everything else.
        """
        self.sparky(reader, "repos", "add", "/srv/repositories/one.git")
        since, until = commits(first, count)
        run = self.sparky(service, "runs", "start", "--since", since, "--until", until).split()[0]
        eventually(
            lambda: json.loads(self.sparky(service, "runs", "show", run, "--json"))["state"] == "done",
            600,
            lambda: self.sparky(service, "runs", "show", run),
            pause=1,
        )  # fmt: skip
        return self.digests(service)

    def digests(self, service: str) -> list[Any]:
        return list(json.loads(self.sparky(service, "digests", "list", "--json")))

    def container(self, service: str) -> str:
        project, own = f"project={self.name}", f"service={service}"
        labels = (f"label=com.docker.compose.{one}" for one in (project, own))
        return self.node.ask("ps", "--quiet", *(w for one in labels for w in ("--filter", one)))

    def states(self) -> dict[str, str]:
        """Health of each service's container, or its exit code."""
        found = {}
        label = f"label=com.docker.compose.project={self.name}"
        ids = self.node.ask("ps", "--all", "--quiet", "--filter", label)
        for container in self.node.inspect("inspect", *ids.split()) if ids else ():
            state: dict[str, Any] = container["State"]
            health = state.get("Health", {}).get("Status", f"exit {state['ExitCode']}")
            found[container["Config"]["Labels"]["com.docker.compose.service"]] = health
        return found

    def comes_up(self, job: str) -> None:
        """Wait until the job has ended well, and everything else is healthy."""
        wanted = dict.fromkeys(yaml.safe_load(self.file)["services"], "healthy") | {job: "exit 0"}
        eventually(lambda: self.states() == wanted, 300, lambda: str(self.states()), pause=0.5)


@contextmanager
def started(name: str, tier: str, engine: str, node: Node, **variables: str) -> Iterator[Tier]:
    """A tier, up for as long as the block runs."""
    document = yaml.safe_load((build.ROOT / f"swarm/compose.{tier}.yml").read_text())
    # The one thing that is not there: a GPU.
    assert document["services"][engine]["deploy"].pop("resources")
    made = Tier(node, name, yaml.safe_dump(document), SMALL | variables)
    script = str(build.ROOT / "swarm/secrets")
    subprocess.run([script], env=environment(**made.variables), check=True, capture_output=True)
    try:
        made.compose("up", "--detach")
        yield made
    finally:
        made.compose("down", "--volumes", "--timeout", "0")


@pytest.fixture(scope="module")
def laptop(node: Node, shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tier]:
    with started(
        "laptop", "ollama", "ollama", node,
        SPARKY_OLLAMA_IMAGE=build.OLLAMA,
        SPARKY_LLM_MODEL="qwen2.5-coder:7b",
        SPARKY_REPOSITORIES=str(shared / "repositories"),
        SPARKY_SECRETS_DIR=str(tmp_path_factory.mktemp("secrets")),
        SPARKY_FLOWER_PORT="5557",
    ) as tier:  # fmt: skip
        yield tier


@pytest.fixture(scope="module")
def box(node: Node, shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tier]:
    with started(
        "box", "vllm", "vllm", node,
        SPARKY_VLLM_IMAGE=build.ENGINE,
        SPARKY_LLM_MODEL="stand-in",
        SPARKY_REPOSITORIES=str(shared / "repositories"),
        SPARKY_SECRETS_DIR=str(tmp_path_factory.mktemp("secrets")),
        # A stack may be up beside it.
        SPARKY_FLOWER_PORT="5556",
    ) as tier:  # fmt: skip
        yield tier


def test_the_laptop_pulls_its_model_and_comes_up(laptop: Tier) -> None:
    """Ollama first, then the model, then Sparky with stores of its own."""
    laptop.comes_up("model")


def test_a_run_on_the_laptop_ends_in_a_digest(laptop: Tier) -> None:
    """One container is the whole farm."""
    (digest,) = laptop.run("sparky", "sparky", 0, 1)
    assert digest["status"] == "done"


def test_the_box_comes_up_in_order(box: Tier) -> None:
    """The migration ends well, and everything else is healthy."""
    box.comes_up("migrate")


def test_moving_from_the_laptop_to_the_box_keeps_what_was_known(laptop: Tier, box: Tier) -> None:
    """The commands that docs/deploy.md tells: the digests of the one are those of the other."""
    script = "cd /srv/digests && sparky db backup moving && cat moving && rm moving"
    file = laptop.node.folder / "moving"
    with file.open("wb") as into:
        docker = ["docker", "--host", f"unix://{laptop.node.folder}/docker.sock"]
        words = ["exec", laptop.container("sparky"), "sh", "-c", script]
        subprocess.run([*docker, *words], stdout=into, check=True)
    script = "cd /srv/digests && cat >moving && sparky db restore --replace moving && rm moving"
    words = ["exec", "--interactive", box.container("worker-default"), "sh", "-c", script]
    with file.open("rb") as source:
        subprocess.run([*docker, *words], stdin=source, check=True)
    assert box.digests("worker-default") == laptop.digests("sparky") != []


def test_a_run_on_the_box_ends_in_a_further_digest(box: Tier) -> None:
    """One repository, a real model, the box's own stores."""
    known = len(box.digests("worker-default"))
    assert len(box.run("worker-fetch", "worker-default", 4, 1)) == known + 1
