"""What the launcher does, a function a command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from swarm.trtllm.launcher import hosts, mpi, nics, shell
from swarm.trtllm.launcher.config import Config, Wrong

ROLE = Path("/tmp/sparky-role")
LAUNCHER = "/usr/local/bin/launch"
"""This, as ssh and mpirun start it on every rank."""


class Stop(BaseException):
    """The container is to end."""


def log(text: str) -> None:
    """A line on stderr, for `docker service logs`."""
    sys.stderr.write(f"launch: {text}\n")
    sys.stderr.flush()


def replica(config: Config) -> None:
    """Become the server."""
    command = config.serve()
    log(f"one server on this node: {' '.join(command)}")
    os.execvp(command[0], command)


def rank(config: Config) -> int:
    """Be one rank until the container is told to stop; the head also runs the server.

    Returns:
        0 if it was told to stop, 1 if the server or the sshd ended: Swarm then starts it anew.
    """
    with _told_to_stop():
        try:
            found = hosts.find(config, log)
            here = nics.present()
            own = hosts.place(found, [one for nic in here for one in nic.addresses])
            chosen = nics.choose(here, own, config.nics)
            head = own == found[0]
            log(f"{'head' if head else 'worker'} of {len(found)} ranks at {own}")
            log(f"network: {'; '.join(map(str, chosen))}")
            shell.prepare(config)
            (shell.HOME / "launch.pid").write_text(str(os.getpid()), "ascii")
            ROLE.write_text("head" if head else "worker", "ascii")
            sshd = shell.server(own)
        except Stop:
            return 0
        try:
            return _lead(config, found, chosen, sshd) if head else _follow(config, found[0], sshd)
        except Stop:
            log("told to stop")
            return 0
        finally:
            sweep()
            _end(sshd, 5.0)


def member(config: Config, command: Sequence[str]) -> None:
    """Choose this node's network, then become the command: names of interfaces differ by node."""
    found = hosts.find(config, log)
    here = nics.present()
    own = hosts.place(found, [one for nic in here for one in nic.addresses])
    for name, value in nics.environment(nics.choose(here, own, config.nics)).items():
        # What somebody has set for all nodes goes before.
        os.environ.setdefault(name, value)
        log(f"{name}={os.environ[name]}")
    os.execvp(command[0], list(command))


def sweep() -> None:
    """Kill everything in this container but the first process, sshd and whoever asks.

    A server that died may leave processes that hold the GPU; the next one would not load.
    """
    for pid, name in _others().items():
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
            log(f"killed {name}, which was left over")


def end() -> None:
    """Ask the server in this container to stop: it answers what it has begun, and all ranks end behind it."""
    for pid in _running("trtllm-serve"):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)


def healthy(config: Config) -> int:
    """0 if the head's server answers, or the worker's sshd runs."""
    role = ROLE.read_text("ascii") if ROLE.exists() else "replica"
    if role == "worker":
        pid = (shell.HOME / "sshd.pid").read_text("ascii").strip()
        return 0 if Path(f"/proc/{pid}").exists() else 1
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{config.port}/health", timeout=20):
            return 0
    except (urllib.error.URLError, OSError):
        return 1


def _lead(
    config: Config,
    found: Sequence[str],
    chosen: Sequence[nics.Nic],
    sshd: subprocess.Popen[bytes],
) -> int:
    _gather(config, found)
    for host in found[1:]:
        if not shell.answers(host, f"{LAUNCHER} sweep"):
            raise Wrong(f"{host} could not be swept of an earlier server")
    hostfile = shell.HOME / "hostfile"
    hostfile.write_text("".join(f"{host} slots=1\n" for host in found), "ascii")
    names = mpi.forwarded(os.environ, config.forward)
    command = mpi.command(config, mpi.find(), hostfile, nics.subnets(chosen), names, LAUNCHER)
    log(f"all ranks are there: {' '.join(command)}")
    server = subprocess.Popen(command)
    try:
        while server.poll() is None:
            if sshd.poll() is not None:
                log(f"sshd ended with {sshd.returncode}")
                return 1
            time.sleep(0.5)
    except Stop:
        end()
        with suppress(subprocess.TimeoutExpired):
            server.wait(config.grace)
        raise
    finally:
        _end(server, 10.0)
    log(f"the server ended with {server.returncode}; all of it is started anew")
    return 1


def _follow(config: Config, head: str, sshd: subprocess.Popen[bytes]) -> int:
    try:
        code = sshd.wait()
    except Stop:
        # The server needs this rank until it has ended its answers. It is told as well, as this one may be the
        # only one that is to end: without that, it would go on until this rank is killed beneath it.
        if _others() and not shell.answers(head, f"{LAUNCHER} end"):
            log(f"{head} could not be told")
        # What goes on needs no listener, and whoever follows here needs the port.
        _end(sshd, 5.0)
        until = time.monotonic() + config.grace
        while _others() and time.monotonic() < until:
            time.sleep(0.2)
        raise
    log(f"sshd ended with {code}")
    return 1


def _gather(config: Config, found: Sequence[str]) -> None:
    """Wait until every rank answers over ssh."""
    until = time.monotonic() + config.deadline
    missing = list(found)
    while missing := [host for host in missing if not shell.answers(host)]:
        if time.monotonic() > until:
            raise Wrong(
                f"{', '.join(missing)} did not answer on port {config.ssh_port} within"
                f" {config.deadline:.0f} s; look at `docker service ps` and at that node's log"
            )
        log(f"waiting for {', '.join(missing)}")
        time.sleep(hosts.PAUSE)


def _end(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Ask the process to end, and make it end."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        log(f"{process.args!r} did not end within {seconds:.0f} s and is killed")
        process.kill()
        process.wait()


@contextmanager
def _told_to_stop() -> Iterator[None]:
    """Raise Stop at TERM or INT, once; a second one changes nothing."""

    def stop(number: int, frame: FrameType | None) -> None:
        del frame
        for one in (signal.SIGTERM, signal.SIGINT):
            signal.signal(one, signal.SIG_IGN)
        log(f"{signal.Signals(number).name}")
        raise Stop

    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, stop)
    yield


def _others() -> dict[int, str]:
    """The processes of a server: all but the first, sshd, the launcher and whoever asks; by name."""
    spared = {1, _leader(), *_ancestors(os.getpid())}
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (pid := int(entry.name)) not in spared:
            with suppress(OSError):
                name = (entry / "comm").read_text("utf-8", "replace").strip()
                if name != "sshd":
                    found[pid] = name
    return found


def _leader() -> int:
    """The launcher that this container was started with; the sweep over ssh must spare it."""
    try:
        return int((shell.HOME / "launch.pid").read_text("ascii"))
    except (FileNotFoundError, ValueError):
        return 1


def _running(program: str) -> list[int]:
    """The processes of this container that run the program, itself or through an interpreter."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                words = (entry / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
                if any(Path(word).name == program for word in words[:2]):
                    found.append(int(entry.name))
    return found


def _ancestors(pid: int) -> list[int]:
    found = []
    while pid > 0:
        found.append(pid)
        try:
            status = Path(f"/proc/{pid}/status").read_text("utf-8")
        except FileNotFoundError:
            break
        pid = int(status.partition("PPid:")[2].split()[0])
    return found
