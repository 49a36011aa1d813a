"""The second tier as Compose starts it: one box, its stores, its workers, and a run on it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.swarm import build
from tests.swarm.lab import Node, environment, eventually
from tests.swarm.stack import SMALL, commits

pytestmark = pytest.mark.timeout(1500)


@dataclass(frozen=True)
class Box:
    """A machine on which Compose has started the tier."""

    node: Node
    file: str
    variables: dict[str, str]

    def compose(self, *words: str, check: bool = True) -> str:
        done = subprocess.run(
            ["docker-compose", "--project-name", "box", "--file", "-", *words],
            # Paths of a file that comes through a pipe count from here.
            cwd=build.ROOT / "swarm", input=self.file, text=True, capture_output=True, check=False,
            env=environment(**self.variables, DOCKER_HOST=f"unix://{self.node.folder}/docker.sock"),
        )  # fmt: skip
        assert not check or done.returncode == 0, done.stderr[-3000:]
        return done.stdout.strip()

    def sparky(self, *words: str, service: str = "worker-default") -> str:
        return self.compose("exec", "-T", service, "sparky", *words)

    def states(self) -> dict[str, str]:
        """Health of each service's container, or its exit code."""
        found = {}
        ids = self.node.ask(
            "ps", "--all", "--quiet", "--filter", "label=com.docker.compose.project=box"
        )
        for container in self.node.inspect("inspect", *ids.split()) if ids else ():
            state: dict[str, Any] = container["State"]
            health = state.get("Health", {}).get("Status", f"exit {state['ExitCode']}")
            found[container["Config"]["Labels"]["com.docker.compose.service"]] = health
        return found


@pytest.fixture(scope="module")
def box(node: Node, shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    document = yaml.safe_load((build.ROOT / "swarm/compose.vllm.yml").read_text())
    # The one thing that is not there: a GPU.
    assert document["services"]["vllm"]["deploy"].pop("resources")
    secrets = tmp_path_factory.mktemp("secrets")
    variables = SMALL | {
        "SPARKY_VLLM_IMAGE": build.ENGINE,
        "SPARKY_LLM_MODEL": "stand-in",
        "SPARKY_REPOSITORIES": str(shared / "repositories"),
        "SPARKY_SECRETS_DIR": str(secrets),
        # A stack may be up beside it.
        "SPARKY_FLOWER_PORT": "5556",
    }
    made = Box(node, yaml.safe_dump(document), variables)
    script = str(build.ROOT / "swarm/secrets")
    subprocess.run([script], env=environment(**variables), check=True, capture_output=True)
    try:
        made.compose("up", "--detach")
        yield made
    finally:
        made.compose("down", "--volumes", "--timeout", "10")


def test_every_service_comes_up_after_what_it_needs(box: Box) -> None:
    """The migration ends well, and everything else is healthy."""
    wanted = dict.fromkeys(yaml.safe_load(box.file)["services"], "healthy") | {"migrate": "exit 0"}
    eventually(lambda: box.states() == wanted, 300, lambda: str(box.states()))


def test_a_run_ends_in_a_digest(box: Box) -> None:
    """One repository, a real model, the box's own stores."""
    box.sparky("repos", "add", "/srv/repositories/one.git", service="worker-fetch")
    since, until = commits(0, 3)
    run = box.sparky("runs", "start", "--since", since, "--until", until).split()[0]
    eventually(
        lambda: json.loads(box.sparky("runs", "show", run, "--json"))["state"] == "done", 1200,
        lambda: box.sparky("runs", "show", run),
    )  # fmt: skip
    (digest,) = json.loads(box.sparky("digests", "list", "--json"))
    assert digest
