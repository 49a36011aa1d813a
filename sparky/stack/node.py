"""What one node looks like from inside: read on the node itself, told as one line of JSON.

`sparky stack preflight` runs this on every node, in a container that sees the node's files below
`/host` and its network.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import socket
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from sparky.errors import ServiceError
from sparky.services.checkpoint import SUMS

DAEMON: Final = "etc/docker/daemon.json"
TOOLKIT: Final = "etc/nvidia-container-runtime/config.toml"


def look(
    *,
    name: str,
    now: float,
    root: Path,
    models: Path,
    model: str,
    ports: Sequence[int],
    whole: bool,
) -> dict[str, Any]:
    """What is to be known of this node.

    Args:
        name: the node's, as the Swarm calls it.
        now: seconds since 1970.
        root: where the node's root folder is.
        models: the folder of weights, as it is called on the node.
        model: the folder's name below it; empty: none is looked for.
        ports: that the engine will listen on.
        whole: whether weights are read and hashed, or only their presence is checked.
    """
    folder = root / str(models).lstrip("/")
    return {
        "node": name,
        "time": now,
        "daemon": _json(root / DAEMON),
        "toolkit": _toml(root / TOOLKIT),
        "interfaces": interfaces(root / "sys/class/net"),
        "rdma": sorted(path.name for path in _entries(root / "sys/class/infiniband")),
        "busy": [port for port in ports if not _free(port)],
        "disk": shutil.disk_usage(_existing(folder)).free,
        "memory": _memory(root / "proc/meminfo"),
        "weights": weights(folder / model, whole=whole) if model else "",
    }


def interfaces(folder: Path) -> dict[str, dict[str, Any]]:
    """The network interfaces that are hardware: whether each is up, and its bits a second."""
    found = {}
    for path in _entries(folder):
        if not (path / "device").exists():
            continue
        speed = _text(path / "speed").strip()
        found[path.name] = {
            "up": _text(path / "operstate").strip() == "up",
            "mbits": int(speed) if re.fullmatch(r"\d+", speed) else 0,
        }
    return found


def weights(folder: Path, *, whole: bool) -> str:
    """What is wrong with a model's files, in words; empty: nothing."""
    sums = folder / SUMS
    if not sums.exists():
        return f"{folder.name} has no {SUMS}" if folder.exists() else f"{folder.name} is not there"
    for line in sums.read_text("utf-8").splitlines():
        expected, _, name = line.partition("  ")
        file = folder / name
        if not file.is_file():
            return f"{name} is missing"
        if whole:
            with file.open("rb") as stream:
                if hashlib.file_digest(stream, "sha256").hexdigest() != expected:
                    return f"{name} has another sha256 than {SUMS} says"
    return ""


def _memory(file: Path) -> int:
    found = re.search(r"^MemTotal:\s+(\d+) kB", _text(file), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def _free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind(("0.0.0.0", port))  # noqa: S104
        except OSError:
            return False
    return True


def _existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.parents) if path.exists())


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _text(file: Path) -> str:
    # An interface that is down refuses to tell its speed.
    try:
        return file.read_text("utf-8")
    except OSError:
        return ""


def _json(file: Path) -> Any:
    return _parsed(file, json.loads)


def _toml(file: Path) -> Any:
    return _parsed(file, tomllib.loads)


def _parsed(file: Path, parse: Any) -> Any:
    text = _text(file)
    if not text:
        return None
    try:
        return parse(text)
    except ValueError as error:
        raise ServiceError(f"/{file.name} cannot be read: {error}", remedy="Mend it") from None
