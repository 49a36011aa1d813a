"""The real Triton server from a package, with a model of its Python backend for each layout.

The package is installed once into the cache folder, apart from everything else. Its backend runs
on Debian's own Python 3.11, whose library is fetched beside it where the system lacks it.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

HERE = Path(__file__).parent
CACHE = Path.home() / ".cache/sparky/tests"
LIBRARY = "libpython3.11.so.1.0"
LAYOUTS = {"llmapi": "tensorrt_llm", "inflight": "ensemble"}
"""Layout → the model that takes text in it."""
CONTEXT = 384
"""Tokens that the models read, as model.py has it."""


@dataclass(frozen=True, slots=True)
class Urls:
    """Where a server answers."""

    http: str
    grpc: str


@contextmanager
def triton(layout: str, folder: Path) -> Iterator[Urls]:
    """A server of this layout until the block ends; gives its URLs.

    Args:
        folder: an empty folder for its models and its log.
    """
    home = _installed()
    models = _models(layout, folder / "models")
    port, other = _free_ports()
    command = [
        str(home / "pytriton/tritonserver/bin/tritonserver"),
        f"--model-repository={models}",
        f"--backend-directory={home / 'pytriton/tritonserver/backends'}",
        "--http-address=127.0.0.1",
        f"--http-port={port}",
        "--grpc-address=127.0.0.1",
        f"--grpc-port={other}",
        "--allow-metrics=false",
        "--exit-timeout-secs=2",
    ]
    environment = {"PATH": "/usr/bin:/bin", "LD_LIBRARY_PATH": str(home / "lib")}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        try:
            url = f"http://127.0.0.1:{port}"
            _wait(url, folder / "log")
            yield Urls(url, f"grpc://127.0.0.1:{other}")
        finally:
            process.terminate()
            process.wait(30)


def _installed() -> Path:
    """The folder with the server; filled at the first use."""
    wanted = HERE / "triton.txt"
    home = CACHE / f"triton-{hashlib.sha256(wanted.read_bytes()).hexdigest()[:12]}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "triton.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / "whole").exists():
            shutil.rmtree(home, ignore_errors=True)
            _install(wanted, home)
            (home / "whole").touch()
    return home


def _install(wanted: Path, home: Path) -> None:
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    pin = ["--no-deps", "--require-hashes", "--only-binary=:all:", "--python-version=3.11"]
    where = ["--root-user-action=ignore", f"--target={home}", f"--requirement={wanted}"]
    subprocess.run([*pip, *pin, *where], check=True)
    server = home / "pytriton/tritonserver"
    # What lies beside the backend is what its Python can import.
    backend = server / "backends/python"
    for name in ("numpy", "numpy.libs"):
        (backend / name).symlink_to(home / name)
    stub = "triton_python_backend_stub"
    shutil.copy(server / "python_backend_stubs/3.11" / stub, backend / stub)
    for program in (server / "bin/tritonserver", backend / stub):
        program.chmod(0o755)
    (home / "lib").mkdir()
    if LIBRARY not in subprocess.check_output(["/sbin/ldconfig", "-p"], text=True):
        subprocess.run(["apt-get", "download", "libpython3.11"], cwd=home, check=True)
        package = next(home.glob("libpython3.11_*.deb"))
        subprocess.run(["dpkg-deb", "--extract", package, home / "deb"], check=True)
        library = next((home / "deb").rglob(LIBRARY))
        (home / "lib" / LIBRARY).symlink_to(library)


def _models(layout: str, folder: Path) -> Path:
    """A model repository with the one model of this layout."""
    model = folder / LAYOUTS[layout]
    (model / "1").mkdir(parents=True)
    shutil.copy(HERE / "triton_model/model.py", model / "1/model.py")
    config = (HERE / f"triton_model/{layout}.pbtxt").read_text()
    root = f'parameters {{ key: "root" value: {{ string_value: "{HERE.parents[1]}" }} }}\n'
    (model / "config.pbtxt").write_text(config + root)
    return folder


def _free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as other:
        for probe in (one, other):
            probe.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


def _wait(url: str, log: Path) -> None:
    """Until the server answers, which it does once its models are loaded."""
    with httpx.Client(transport=httpx.HTTPTransport(retries=8), trust_env=False) as client:
        try:
            client.get(f"{url}/v2/health/ready").raise_for_status()
        except httpx.HTTPError as error:
            said = log.read_text(errors="replace")[-4000:]
            raise RuntimeError(f"Triton did not start:\n{said}") from error
