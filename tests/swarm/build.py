"""The images that the lab runs: Debian from packages, Sparky from the wheelhouse, and stand-ins.

No registry is asked. Debian's base system is kept in the cache between runs.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from sparky.services import weights
from tests.swarm.lab import Node

ROOT = Path(__file__).parents[2]
CACHE = Path.home() / ".cache/sparky/lab"
MODEL = "smollm2-135m-instruct"

PACKAGES = (
    # What swarm/Dockerfile wants of its base.
    "ca-certificates curl git libgomp1 python3 python3-venv tzdata "
    # In the place of public images.
    "haproxy prometheus prometheus-postgres-exporter prometheus-redis-exporter redis-server wget "
    # What swarm/trtllm wants of TensorRT-LLM's image.
    "iproute2 openmpi-bin openssh-client openssh-server procps "
    # What its stand-in over several nodes speaks.
    "python3-mpi4py"
).split()
UNWANTED = [f"/usr/share/{name}/*" for name in ("doc", "javascript", "locale", "man")]

BASE = "lab-base"
BUILT = "lab-built"
SPARKY = "sparky:lab"
STORES = "lab-stores"
ENGINE = "lab-engine"
GRAFANA = "lab-grafana"
OLLAMA = "lab-ollama"
TRTLLM = "sparky-trtllm:lab"
STANDIN = "sparky-trtllm:standin"


def base(node: Node) -> None:
    """Debian 12 with what the images stand on."""
    made = hashlib.sha256(f"{PACKAGES}{UNWANTED}".encode()).hexdigest()[:12]
    archive = CACHE / f"bookworm-{made}.tar"
    if not archive.exists():
        _bootstrap(archive)
    # Imported twice it would be another image, and everything on it be built anew.
    form = ("--format", "{{.Config.Labels.archive}}")
    there = node.run("image", "inspect", *form, BASE, check=False)
    if there.stdout.strip() != archive.stem:
        node.run("import", "--change", f"LABEL archive={archive.stem}", str(archive), BASE)


def _bootstrap(archive: Path) -> None:
    CACHE.mkdir(parents=True, exist_ok=True)
    for old in CACHE.glob("bookworm-*"):
        shutil.rmtree(old) if old.is_dir() else old.unlink()
    unfinished = archive.with_suffix(".part.tar")
    _do(
        "mmdebstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}",
        *(f"--dpkgopt=path-exclude={one}" for one in UNWANTED), "bookworm", str(unfinished),
    )  # fmt: skip
    unfinished.rename(archive)


def images(node: Node) -> None:
    """Everything that stack.yml and the compose files name, built on this engine."""
    files = ROOT / "tests/swarm/images"
    with ThreadPoolExecutor() as pool:
        engine = pool.submit(_engine)
        farm(node)
        _all(
            pool.submit(_build, node, TRTLLM, ROOT, ROOT / "swarm/trtllm/Dockerfile", BASE=BASE),
            pool.submit(
                _build, node, GRAFANA, ROOT / "swarm", files / "grafana.Dockerfile", BASE=BASE
            ),
            pool.submit(
                _build, node, ENGINE, engine.result(), files / "engine.Dockerfile", SPARKY=SPARKY
            ),
            pool.submit(
                _build, node, OLLAMA, ROOT / "tests", files / "ollama.Dockerfile", BASE=BASE
            ),
        )


def farm(node: Node) -> None:
    """Sparky and its stores alone."""
    with ThreadPoolExecutor() as pool:
        _all(pool.submit(wheelhouse), pool.submit(base, node))
    file = ROOT / "swarm/Dockerfile"
    # A stage without a name of its own would go with what is pruned, and be built anew each time.
    _build(node, BUILT, ROOT, file, target="build", BASE=BASE)
    _build(node, SPARKY, ROOT, file, BASE=BASE)
    _build(
        node, STORES, ROOT / "swarm", ROOT / "tests/swarm/images/stores.Dockerfile", SPARKY=SPARKY
    )


def _all(*parts: Future[None]) -> None:
    for part in parts:
        part.result()


def _engine() -> Path:
    """A folder with what the image of the engine is built from."""
    context = CACHE / "engine"
    context.mkdir(parents=True, exist_ok=True)
    gguf = weights.ensure(
        MODEL,
        cache=Path.home() / ".cache/sparky",
        path=None,
        sha256=None,
        on_progress=lambda progress: None,
    )
    (context / "weights.gguf").unlink(missing_ok=True)
    (context / "weights.gguf").hardlink_to(gguf)
    shutil.copy(ROOT / "tests/swarm/images/engine.py", context)
    return context


def standin(node: Node) -> None:
    """TensorRT-LLM's image of ours, with stand-ins for what NVIDIA's image brings."""
    context = CACHE / "standin"
    context.mkdir(parents=True, exist_ok=True)
    programs = (ROOT / "tests/swarm/standin").glob("trtllm-*")
    for file in (*programs, ROOT / "tests/engines/speech.py"):
        shutil.copy(file, context)
    _build(node, TRTLLM, ROOT, ROOT / "swarm/trtllm/Dockerfile", BASE=BASE)
    _build(node, STANDIN, context, ROOT / "tests/swarm/images/standin.Dockerfile", TRTLLM=TRTLLM)


def copy(source: Node, targets: Sequence[Node], *names: str) -> None:
    """Have an engine's images on others too; what is there already is not sent again."""
    form = ("image", "inspect", "--format", "{{.Id}}", *names)
    known = source.run(*form).stdout
    needed = [node for node in targets if node.run(*form, check=False).stdout != known]
    if not needed:
        return
    archive = CACHE / "copied.tar"
    source.run("save", "--output", str(archive), *names)
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda node: node.run("load", "--input", str(archive)), needed))
    archive.unlink()


def wheelhouse() -> None:
    """Fetch what the image is built from."""
    # The environment that runs the tests is set up already.
    _do("make", "--directory", str(ROOT), "--old-file=setup-dev", "wheelhouse")


def _build(
    node: Node, name: str, context: Path, file: Path, target: str = "", **arguments: str
) -> None:
    words = [word for pair in arguments.items() for word in ("--build-arg", "=".join(pair))]
    words += ["--target", target] if target else []
    # The new builder wants a plugin that Debian does not have.
    node.run(
        "build", "--quiet", "--network=none", "--tag", name, "--file", str(file), *words, str(context),
        env={"PATH": "/usr/bin:/bin:/usr/local/bin", "HOME": "/root", "DOCKER_BUILDKIT": "0"},
    )  # fmt: skip


def _do(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
