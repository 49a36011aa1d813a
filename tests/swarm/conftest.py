"""One lab for all tests of the stack, and one stack on it for those that share it."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.swarm import build
from tests.swarm.lab import Lab, Node, opened
from tests.swarm.stack import Stack

USER = 10001
"""Who Sparky is in its image."""


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    with opened(Path(tempfile.mkdtemp(prefix="lab")), build.CACHE) as found:
        yield found


@pytest.fixture(scope="session")
def node(lab: Lab) -> Node:
    """A machine with a GPU, as far as Swarm can tell, and with every image."""
    node = lab.start("--node-generic-resource", "NVIDIA_GPU=GPU-0")
    build.images(node)
    return node


@pytest.fixture(scope="session")
def shared(lab: Lab) -> Iterator[Path]:
    """A folder of the machine that the stack sees, with repositories in it; Sparky owns them."""
    folder = Path(tempfile.mkdtemp(prefix="shared"))
    (folder / "models").mkdir()
    repositories = folder / "repositories"
    repositories.mkdir()
    folder.chmod(0o755)
    for name in ("one", "two"):
        subprocess.run(
            ["git", "clone", "-q", "--bare", str(build.ROOT), str(repositories / f"{name}.git")],
            check=True,
        )
    subprocess.run(["chown", "-R", f"{USER}:{USER}", str(repositories)], check=True)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def stack(node: Node, shared: Path) -> Stack:
    """The stack on one machine, up and healthy."""
    stack = Stack(node)
    stack.prepare()
    stack.deploy(
        SPARKY_MODELS=str(shared / "models"), SPARKY_REPOSITORIES=str(shared / "repositories")
    )
    stack.healthy()
    return stack
