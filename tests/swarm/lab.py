"""Docker Engines on this machine, each in a network of its own as if on another machine.

Nothing of them is left behind: they have a data folder, sockets, hostnames, a bridge and network
namespaces of their own, and are stopped by their process ids. Needs root and the Debian packages
that `tools/bootstrap lab` installs.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BRIDGE = "sparky-lab"
NETWORK = "10.213.0"
"""Beyond what Docker gives its own networks."""
LOCK = Path(tempfile.gettempdir()) / "sparky-lab.lock"

START = """
set -e
hostname {name}
mkdir -p {folder}/cgroup
mount --rbind /sys/fs/cgroup {folder}/cgroup
mount -t sysfs sysfs /sys
mount --rbind {folder}/cgroup /sys/fs/cgroup
mount -t tmpfs tmpfs /run
mount --bind {folder}/etc /etc
mount --bind {folder}/srv /srv
mkdir -p /run/docker/netns
setpriv --pdeathsig=TERM {names} &
exec dockerd --host unix://{folder}/docker.sock --data-root {data} --exec-root {folder}/exec \
    --pidfile {folder}/docker.pid {options}
"""


@dataclass(slots=True)
class Node:
    """A Docker Engine with its own hostname and address."""

    name: str
    address: str
    folder: Path
    """Its sockets and its log."""
    data: Path
    """Its images, containers and volumes."""
    options: Sequence[str] = ()
    etc: Mapping[str, str] = field(default_factory=dict)
    """Files of its own below /etc; of /srv nothing is shared."""
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def begin(self) -> None:
        """Start the engine; it ends with the thread that did."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.data.mkdir(parents=True, exist_ok=True)
        self._furnish()
        script = START.format(
            name=self.name, folder=self.folder, data=self.data, options=" ".join(self.options),
            names=f"{sys.executable} {Path(__file__).with_name('names.py')}",
        )  # fmt: skip
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                # It goes with whoever started it, also where that is killed.
                ["setpriv", "--pdeathsig=TERM", "nsenter", f"--net=/var/run/netns/{self.name}",
                 "unshare", "--mount", "--uts", "sh", "-c", script],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def ready(self) -> None:
        """Wait for the engine to answer, and take away what an earlier one has left."""
        eventually(self.answers, 120, lambda: f"{self.name} does not answer:\n{self.log()[-3000:]}")
        # Those of Compose come back with an engine that was killed.
        if containers := self.ask("ps", "--all", "--quiet").split():
            self.run("rm", "--force", *containers)
        for kind in ("network", "image"):
            self.run(kind, "prune", "--force")
        if volumes := self.ask("volume", "ls", "--quiet").split():
            self.run("volume", "rm", "--force", *volumes)

    def _furnish(self) -> None:
        etc = self.folder / "etc"
        if etc.exists():
            return
        (self.folder / "srv").mkdir()
        shutil.copytree("/etc", etc, symlinks=True)
        (etc / "resolv.conf").unlink(missing_ok=True)
        for name, text in ({"resolv.conf": "nameserver 127.0.0.1\n"} | dict(self.etc)).items():
            (etc / name).parent.mkdir(parents=True, exist_ok=True)
            (etc / name).write_text(text)

    def answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"{self.name} ended:\n{self.log()[-3000:]}"
        return self.run("version", check=False).returncode == 0

    def stop(self) -> None:
        """End the engine, which ends its containers."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.process = None

    @property
    def command(self) -> list[str]:
        """`docker`, speaking to this engine."""
        return ["docker", "--host", f"unix://{self.folder}/docker.sock"]

    def run(
        self, *words: str, check: bool = True, stdin: str | None = None, **more: Any
    ) -> subprocess.CompletedProcess[str]:
        """`docker <words>` on this engine."""
        done = subprocess.run(
            [*self.command, *words],
            input=stdin, capture_output=True, text=True, check=False, **more,
        )  # fmt: skip
        assert not check or done.returncode == 0, f"docker {' '.join(words)}\n{done.stderr}"
        return done

    def ask(self, *words: str) -> str:
        """What `docker <words>` says."""
        return self.run(*words).stdout.strip()

    def unplug(self) -> None:
        """Pull its cable: everything on it goes on, and nobody hears of it."""
        _ip("link", "set", _cable(self.name), "down")

    def plug(self) -> None:
        """Put its cable back."""
        _ip("link", "set", _cable(self.name), "up")

    def firewall(self, how: str, port: int) -> None:
        """Let nobody reach a port (`--insert`), or let them again (`--delete`)."""
        rule = ["--protocol", "tcp", "--dport", str(port), "--jump", "REJECT"]
        _ip("netns", "exec", self.name, "iptables", "--wait", how, "INPUT", *rule)

    def inspect(self, *words: str) -> list[dict[str, Any]]:
        """What `docker inspect`, of whichever kind, says."""
        return list(json.loads(self.ask(*words)))

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")


class Lab:
    """Machines on one bridge, each with its engine, as they are asked for.

    Args:
        folder: short, as a socket's path may not be long; its content is lost.
        cache: where images are kept between runs.
    """

    def __init__(self, folder: Path, cache: Path) -> None:
        self._folder = folder
        self._cache = cache
        self.nodes: list[Node] = []

    def start(self, *options: str) -> Node:
        """One more machine, without containers, volumes or a Swarm.

        Args:
            options: further arguments of its `dockerd`.
        """
        node = self._begun({}, options)
        node.ready()
        return node

    def start_all(self, *etcs: Mapping[str, str]) -> tuple[Node, ...]:
        """A machine for each of these, all at once.

        Args:
            etcs: files of its own below /etc.
        """
        nodes = tuple(map(self._begun, etcs))
        with ThreadPoolExecutor() as pool:
            list(pool.map(Node.ready, nodes))
        return nodes

    def _begun(self, etc: Mapping[str, str], options: Sequence[str] = ()) -> Node:
        number = len(self.nodes) + 1
        data = self._cache / f"engine{number}"
        place = self._folder / str(number)
        node = Node(f"node{number}", f"{NETWORK}.{number}", place, data, options, etc)
        self.nodes.append(node)
        # What an earlier run left when it was killed.
        shutil.rmtree(data / "swarm", ignore_errors=True)
        _connect(node)
        node.begin()
        return node


@contextmanager
def opened(folder: Path, cache: Path) -> Iterator[Lab]:
    """A lab for as long as the block runs; a second one waits for the first to end."""
    assert os.getuid() == 0, "engines are started as root alone"
    for program in ("dockerd", "docker", "ip", "iptables", "nsenter", "unshare"):
        assert shutil.which(program), f"{program} is missing: tools/bootstrap lab"
    with LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        shutil.rmtree(folder, ignore_errors=True)
        # What a lab left that was killed; nobody else has one now.
        _ip("link", "del", BRIDGE, check=False)
        for number in range(1, 10):
            _ip("netns", "del", f"node{number}", check=False)
            # While a process is left in the namespace, the cable stays.
            _ip("link", "del", _cable(f"node{number}"), check=False)
        _ip("link", "add", BRIDGE, "type", "bridge")
        # Where Docker runs already, it has closed every bridge but its own.
        _pass("--delete", check=False)
        _pass("--insert")
        lab = Lab(folder, cache)
        try:
            _ip("addr", "add", f"{NETWORK}.254/24", "dev", BRIDGE)
            _ip("link", "set", BRIDGE, "up")
            yield lab
        finally:
            with ThreadPoolExecutor() as pool:
                list(pool.map(Node.stop, lab.nodes))
            for node in lab.nodes:
                _ip("netns", "del", node.name, check=False)
            _ip("link", "del", BRIDGE)
            _pass("--delete")
            shutil.rmtree(folder, ignore_errors=True)


def _cable(name: str) -> str:
    """The end of a node's cable that is in the bridge."""
    return name.replace("node", "sparky-lab")


def _connect(node: Node) -> None:
    """Give the node a network namespace with its address on the bridge, and no way further.

    So what asks the internet, as Swarm does for each image, hears no at once.
    """
    outer, inner = _cable(node.name), "eth0"
    _ip("netns", "add", node.name)
    _ip("link", "add", outer, "type", "veth", "peer", "name", inner, "netns", node.name)
    _ip("link", "set", outer, "master", BRIDGE, "up")
    for words in (
        ("addr", "add", f"{node.address}/24", "dev", inner),
        ("link", "set", inner, "up"),
        ("link", "set", "lo", "up"),
    ):
        _ip("-n", node.name, *words)


def _pass(how: str, *, check: bool = True) -> None:
    """Let nodes reach each other, or no longer."""
    rule = ["--in-interface", BRIDGE, "--out-interface", BRIDGE, "--jump", "ACCEPT"]
    _do("iptables", "--wait", how, "FORWARD", *rule, check=check)


def _ip(*words: str, check: bool = True) -> None:
    _do("ip", *words, check=check)


def _do(*words: str, check: bool) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, f"{' '.join(words)}: {done.stderr}"


def eventually(
    condition: Callable[[], object],
    seconds: float,
    problem: Callable[[], str] = lambda: "",
    *,
    pause: float = 0.2,
) -> None:
    """Wait until something holds; fail with what is wrong when it does not in time.

    Args:
        pause: least seconds between two looks; as long as a look took, so that looking leaves the machine half
            of its time.
    """
    end = time.monotonic() + seconds
    while True:
        begun = time.monotonic()
        if condition():
            return
        assert begun < end, problem() or "it did not happen in time"
        time.sleep(max(pause, time.monotonic() - begun))


def environment(**more: str) -> Mapping[str, str]:
    """The environment for a deploy: this process's, without variables of a stack, and these."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SPARKY_")}
    return kept | more
