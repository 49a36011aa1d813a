"""A Swarm of three machines: a manager without a GPU, and two machines with one each."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.swarm.lab import Lab, Node, eventually
from tests.swarm.stack import NAME, Stack

ROOT = Path(__file__).parents[2]
GPUS = ("GPU-5b8f6f0c-8d0f-4c6e-9a43-2f6f3c1d7e02", "GPU-c1d2a9be-47a0-4f5c-b3b1-70d86a5e9f03")
PORT, SSH = 8355, 2233
"""Of the engine, and of its ranks' sshd."""
ASK = """curl -s --max-time 60 http://gateway:8000/v1/chat/completions \
-H "Authorization: Bearer $(cat /run/secrets/gateway_key)" -H 'Content-Type: application/json' \
-d '{"messages": [{"role": "user", "content": "What is the capital of France?"}], "max_tokens": 9}'"""


def with_gpu(uuid: str) -> dict[str, str]:
    """The files of a machine with a GPU, as docs/deploy.md has them; runc goes by NVIDIA's name."""
    daemon = {
        "default-runtime": "nvidia",
        "runtimes": {"nvidia": {"path": "runc", "args": []}},
        "node-generic-resources": [f"NVIDIA_GPU={uuid}"],
    }
    return {
        "docker/daemon.json": json.dumps(daemon),
        "nvidia-container-runtime/config.toml": 'swarm-resource = "DOCKER_RESOURCE_NVIDIA_GPU"\n',
    }


@dataclass(frozen=True)
class Swarm:
    """The machines, and the stack that the first of them manages."""

    nodes: tuple[Node, ...]
    stack: Stack
    folder: Path
    """Where the operator keeps files."""

    @classmethod
    def of(cls, lab: Lab, folder: Path) -> Swarm:
        """Three machines that have joined, without labels, secrets or images."""
        nodes = lab.start_all({}, *map(with_gpu, GPUS))
        manager = nodes[0]
        advertised = ("--advertise-addr", manager.address, "--data-path-addr", manager.address)
        # A node is lost that is silent for three times as long, which one of a busy machine may be for 15 seconds.
        manager.run("swarm", "init", "--dispatcher-heartbeat", "10s", *advertised)
        token = manager.ask("swarm", "join-token", "--quiet", "worker")
        for node in nodes[1:]:
            own = ("--advertise-addr", node.address, "--data-path-addr", node.address)
            node.run("swarm", "join", "--token", token, *own, f"{manager.address}:2377")
        return cls(nodes, Stack(manager), folder)

    def node(self, name: str) -> Node:
        return next(node for node in self.nodes if node.name == name)

    def label(self, name: str, *labels: str) -> None:
        """Give a node labels, which say what it does."""
        words = [word for label in labels for word in ("--label-add", f"sparky.{label}=true")]
        self.stack.node.run("node", "update", *words, name)

    def sparky(self, *words: str) -> subprocess.CompletedProcess[str]:
        """`sparky <words>` as the operator gives it on the manager."""
        return subprocess.run(
            [str(Path(sys.executable).with_name("sparky")), *words],
            cwd=self.folder, capture_output=True, text=True, check=False,
            env=self.stack.environment() | {"SPARKY_STATE_DIR": str(self.folder / "state")},
        )  # fmt: skip

    def rendered(self, *words: str) -> dict[str, str]:
        """The variables that `sparky stack <words> --into` has written."""
        done = self.sparky("stack", *words, "--into", "stack")
        assert done.returncode == 0, done.stderr
        file = {"render": "stack.env", "hostfile": "hostfile.env"}[words[0]]
        lines = (self.folder / "stack" / file).read_text().splitlines()
        exports = [shlex.split(line)[1] for line in lines if line.startswith("export ")]
        return {name: value for name, _, value in (one.partition("=") for one in exports)}

    def preflight(self, *words: str) -> Mapping[str, Mapping[str, str]]:
        """What it finds, by the part that it is about."""
        done = self.sparky(
            "stack", "preflight", "--json", "--stack", str(ROOT / "stack.yml"), *words
        )
        told = json.loads(done.stdout)
        assert done.returncode == (0 if told["ok"] else 1), done.stderr
        found: dict[str, dict[str, str]] = {}
        for one in told["findings"]:
            # More than one thing may be wrong with a part.
            before = found.get(one["part"], {"health": "ok", "what": "", "remedy": ""})
            worse = one["health"] if before["health"] == "ok" else before["health"]
            found[one["part"]] = {
                "health": worse,
                "what": f"{before['what']}\n{one['what']}".strip(),
                "remedy": f"{before['remedy']}\n{one['remedy']}".strip(),
            }
        return found

    def placed(self, service: str) -> list[str]:
        """Names of the nodes on which tasks of a service run."""
        rows = self.stack.node.ask(
            "service", "ps", "--format", "{{.Node}} {{.CurrentState}}",
            "--filter", "desired-state=running", f"{NAME}_{service}",
        ).splitlines()  # fmt: skip
        running = [row.split() for row in rows]
        return sorted(row[0] for row in running if row[1] == "Running")

    def container(self, service: str, node: Node) -> str:
        """The id of a service's running container on a node; empty where there is none."""
        label = f"label=com.docker.swarm.service.name={NAME}_{service}"
        words = ("ps", "--quiet", "--latest", "--filter", label, "--filter", "status=running")
        return node.ask(*words)

    def log(self, service: str, node: Node) -> str:
        """What a service's running container on a node has said; nothing where there is none."""
        # It may go meanwhile.
        said = node.run("logs", self.container(service, node), check=False)
        return said.stdout + said.stderr

    def follow(self, service: str, node: Node) -> str:
        """What the container says until it ends."""
        words = ("logs", "--follow", self.container(service, node))
        said = node.run(*words, check=False, timeout=300)
        return said.stdout + said.stderr

    def answers(self) -> bool:
        """Whether a worker gets the engines' answer through the gateway."""
        worker = self.stack.container("worker-default")
        done = self.stack.node.run("exec", worker, "sh", "-c", ASK, check=False)
        return "Paris." in done.stdout

    def served(self, node: Node) -> dict[str, Any]:
        """What the server on a node's own network tells of itself; nothing where there is none."""
        try:
            said = httpx.get(f"http://{node.address}:{PORT}/", trust_env=False, timeout=5)
        except httpx.TransportError:
            return {}
        return dict(said.json())

    def ranks(self, head: str) -> list[list[str]]:
        """Node, time of start and network of each rank of the server; none where it does not serve."""
        told = self.served(self.node(head)).get("ranks", "")
        return [rank.split() for rank in told.split("; ") if rank]

    def comes_back(self, head: str, before: Sequence[Sequence[str]]) -> None:
        """Wait for a server on all nodes with a GPU, none of whose ranks is among those before, and its answer."""
        old = {start for _, start, _ in before}
        wanted = [node.name for node in self.nodes[1:]]

        def new() -> bool:
            found = self.ranks(head)
            return [node for node, _, _ in found] == wanted and old.isdisjoint(
                start for _, start, _ in found
            )

        eventually(new, 300, self.said)
        eventually(self.answers, 120, self.said)

    def rests(self, service: str, seconds: float = 15) -> None:
        """Wait until a service's containers have been the same for so long."""
        seen: tuple[list[str], float] = ([], time.monotonic())

        def same() -> bool:
            nonlocal seen
            now, at = [self.container(service, node) for node in self.nodes[1:]], time.monotonic()
            if now != seen[0]:
                seen = (now, at)
            return all(now) and at - seen[1] >= seconds

        eventually(same, 180, self.said, pause=1)

    def said(self) -> str:
        """The tasks of the server over all nodes, and what each of its ranks says."""
        service = "trtllm-mpi"
        logs = (f"{node.name}:\n{self.log(service, node)}" for node in self.nodes[1:])
        return "\n".join((self.stack.tasks(service), *logs))

    def state(self, name: str) -> str:
        """Whether the manager holds a node for ready or down."""
        return self.stack.node.ask("node", "inspect", "--format", "{{.Status.State}}", name)

    def lose(self, name: str) -> None:
        """Let a machine be gone: its cable is pulled, and the manager has seen it."""
        self.node(name).unplug()
        eventually(lambda: self.state(name) == "down", 120)

    def find(self, name: str) -> None:
        """Put the cable back, and wait until the machine takes part again, with new networks."""
        node = self.node(name)
        old = self.container("anchor", node)
        node.plug()
        eventually(lambda: self.state(name) == "ready", 120)
        # What ran there is replaced. As its networks go and come, an old Docker takes the GPU once more.
        eventually(lambda: self.container("anchor", node) not in ("", old), 180)
