"""What `sparky doctor` looks at on this machine: programs, libraries, folders, room, ports."""

from __future__ import annotations

import ctypes
import os
import platform
import re
import shutil
import socket
import stat
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

from sparky.findings import Finding, fail, ok, warn
from sparky.settings import SECRETS, Settings, base_env

GIT_NEEDED = (2, 36)
"""GIT_CONFIG_GLOBAL came with 2.32, `cat-file --batch-command` with 2.36."""
STATE_BYTES = 1_000_000_000
"""A new database takes a fifth of it; the rest is for what it will hold."""
MEMORY_BYTES = 2_500_000_000
"""What the embedded engine needs with its default model, and some room."""


def programs(settings: Settings | None) -> Iterator[Finding]:
    """Python, git, and the libraries that come from the system."""
    yield ok("python", f"{platform.python_version()} at {sys.executable}")
    yield git()
    if settings is None or settings.llm_kind == "embedded":
        yield library("libgomp.so.1", "libgomp1")


def git() -> Finding:
    """The git that is found on PATH."""
    remedy = "Install git {}.{} or newer: apt-get install git".format(*GIT_NEEDED)
    try:
        done = subprocess.run(
            ["git", "--version"],
            env=base_env(),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    except FileNotFoundError:
        return fail("git", "not found", remedy)
    except (OSError, subprocess.TimeoutExpired) as error:
        return fail("git", f"does not run: {error}", remedy)
    said = done.stdout.strip()
    found = re.search(r"(\d+)\.(\d+)", said)
    if found is None:
        return fail("git", f"says {said or 'nothing'} when asked for its version", remedy)
    if (int(found[1]), int(found[2])) < GIT_NEEDED:
        return fail("git", f"{said} is too old", remedy)
    return ok("git", said)


def library(name: str, package: str) -> Finding:
    """A shared library that the embedded engine needs."""
    try:
        ctypes.CDLL(name)
    except OSError:
        return fail(
            f"library {name}", "not found", f"Install it as root: apt-get install {package}"
        )
    return ok(f"library {name}", "found")


def settings_file(settings: Settings) -> Finding:
    """Where the settings come from, and whether others can read them."""
    path = settings.config
    if path is None:
        return ok("settings", "the environment and the defaults; there is no settings file")
    open_to_others = path.is_file() and path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH)
    if open_to_others and holds_secrets(tomllib.loads(path.read_text(encoding="utf-8"))):
        return warn("settings", f"{path} holds secrets that others can read", f"chmod 600 {path}")
    return ok("settings", str(path))


def holds_secrets(values: Mapping[str, object], table: str = "") -> bool:
    """Whether a settings file holds a secret itself, and not only the name of a file with it.

    Args:
        table: what a name in `values` has before it, as `llm_` under `[llm]`.
    """
    for name, value in values.items():
        tables = value if isinstance(value, list) else [value]
        inner = (one for one in tables if isinstance(one, dict))
        if table + name in {*SECRETS, "engines_api_key"}:
            return True
        if any(holds_secrets(one, f"{table}{name}_") for one in inner):
            return True
    return False


def folders(settings: Settings) -> Iterator[Finding]:
    """State and cache: writable, private, and with room."""
    yield folder("state folder", settings.state_dir, STATE_BYTES, "SPARKY_STATE_DIR")
    yield folder(
        "cache folder", settings.cache_dir, int(settings.git_max_bytes), "SPARKY_CACHE_DIR"
    )


def folder(part: str, path: Path, room: int, variable: str) -> Finding:
    """A folder of ours, which need not exist yet."""
    elsewhere = f"or name another with {variable}"
    nearest = path
    while not nearest.exists():
        nearest = nearest.parent
    if not nearest.is_dir():
        return fail(part, f"{nearest} is not a folder", f"Move it away, {elsewhere}.")
    if not os.access(nearest, os.W_OK | os.X_OK):
        return fail(
            part, f"{nearest} cannot be written to", f"Change its access rights, {elsewhere}."
        )
    if nearest == path and path.stat().st_mode & 0o077:
        return warn(part, f"{path} is open to others", f"chmod 700 {path}")
    free = shutil.disk_usage(nearest).free
    if free < room:
        return warn(
            part,
            f"{path} has {free / 1e9:.1f} GB of room, less than the {room / 1e9:.1f} GB it may need",
            f"Free some disk space, {elsewhere}.",
        )
    return ok(
        part, f"{path}, {free / 1e9:.1f} GB free{'' if nearest == path else ', not made yet'}"
    )


def memory(settings: Settings, meminfo: Path = Path("/proc/meminfo")) -> Iterator[Finding]:
    """Whether the embedded engine fits into what is free."""
    if settings.llm_kind != "embedded" or settings.model_path or not meminfo.exists():
        return
    found = re.search(r"MemAvailable:\s+(\d+) kB", meminfo.read_text())
    if found is None:
        return
    free = int(found[1]) * 1024
    said = f"{free / 1e9:.1f} GB free"
    if free < MEMORY_BYTES:
        yield warn(
            "memory",
            f"{said}, less than the {MEMORY_BYTES / 1e9:.1f} GB that the embedded engine needs",
            "Stop other programs, or use an engine elsewhere: SPARKY_LLM_KIND and SPARKY_LLM_URL.",
        )
    else:
        yield ok("memory", said)


def ports(settings: Settings) -> Finding:
    """Whether `sparky up` can give Flower its port."""
    part = f"port {settings.flower_port}"
    why = refusal(settings.flower_host, settings.flower_port)
    if why is not None:
        return warn(
            part,
            f"not to be had for Flower: {why}",
            "If this is not `sparky up` itself, stop what listens there or set "
            "SPARKY_FLOWER_PORT to another.",
        )
    return ok(part, "free for Flower")


def refusal(host: str, port: int) -> str | None:
    """Why nobody can begin to listen there; None where somebody can."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        return error.strerror or type(error).__name__
    return None
