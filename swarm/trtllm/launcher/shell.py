"""ssh between ranks: one dedicated key pair, which each rank has as a secret and trusts alone."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from swarm.trtllm.launcher.config import Config, Wrong

HOME = Path("/tmp/ssh")
CLIENT = Path.home() / ".ssh"


def prepare(config: Config) -> None:
    """Write the files of sshd and of ssh. The key shows both who calls and who answers.

    Raises:
        Wrong: there is no key, or it is none.
    """
    if not config.key.exists():
        raise Wrong(
            f"there is no key {config.key}; make one with ssh-keygen -t ed25519 and put it into the"
            " Swarm as a secret, as docs/deploy.md shows"
        )
    HOME.mkdir(mode=0o700, exist_ok=True)
    CLIENT.mkdir(mode=0o700, exist_ok=True)
    private = HOME / "key"
    _write(private, config.key.read_text("ascii").rstrip("\n") + "\n")
    made = subprocess.run(
        ["ssh-keygen", "-y", "-f", str(private)], capture_output=True, text=True, check=False
    )
    if made.returncode:
        raise Wrong(f"{config.key} is no private key: {made.stderr.strip()}")
    public = " ".join(made.stdout.split()[:2])
    # No terminal, no forwarding: only commands of mpirun.
    _write(HOME / "authorized_keys", f"restrict {public}\n")
    _write(CLIENT / "known_hosts", f"* {public}\n")
    _write(
        CLIENT / "config",
        f"Host *\n  Port {config.ssh_port}\n  User root\n  IdentityFile {private}\n"
        "  IdentitiesOnly yes\n  StrictHostKeyChecking yes\n  BatchMode yes\n"
        # One that has gone without a word is noticed within half a minute.
        "  ConnectTimeout 5\n  ServerAliveInterval 10\n  ServerAliveCountMax 3\n  LogLevel ERROR\n",
    )
    _write(
        HOME / "sshd_config",
        f"Port {config.ssh_port}\nHostKey {private}\nAuthorizedKeysFile {HOME}/authorized_keys\n"
        f"PidFile {HOME}/sshd.pid\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
        "PermitRootLogin prohibit-password\nAllowUsers root\nUsePAM no\nStrictModes no\n"
        "MaxStartups 64\nMaxSessions 64\nClientAliveInterval 10\nClientAliveCountMax 3\n",
    )


def server(address: str) -> subprocess.Popen[bytes]:
    """An sshd at the rank's own address."""
    program = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if program is None:
        raise Wrong("this image has no sshd; build it from swarm/trtllm/Dockerfile")
    Path("/run/sshd").mkdir(mode=0o755, parents=True, exist_ok=True)
    listen = f"[{address}]" if ":" in address else address
    config = str(HOME / "sshd_config")
    return subprocess.Popen([program, "-D", "-e", "-f", config, "-o", f"ListenAddress={listen}"])


def answers(host: str, command: str = "true", seconds: float = 20.0) -> bool:
    """Whether a rank runs the command and it succeeds."""
    try:
        done = subprocess.run(
            ["ssh", host, command], stdin=subprocess.DEVNULL, check=False, timeout=seconds
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def _write(file: Path, text: str) -> None:
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT, 0o600), "w") as stream:
        stream.write(text)
