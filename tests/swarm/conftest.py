"""One lab for all tests of the stack, and one stack on it for those that share it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.swarm import build
from tests.swarm.lab import Lab, Node, opened
from tests.swarm.runs import Begin, Run
from tests.swarm.stack import Stack, commits

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
        clone = ["git", "clone", "-q", "--bare", str(build.ROOT), str(repositories / f"{name}.git")]
        subprocess.run(clone, check=True)
    _replay(repositories / "two.git", 40)
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


@pytest.fixture(scope="session")
def begin(stack: Stack) -> Begin:
    """Start a run over these commits, of both repositories or of one."""
    # The farm's workers all see the folder's names; the one that fetches sees what is in it.
    both = [f"/srv/repositories/{name}.git" for name in ("one", "two")]
    stack.run("worker-fetch", "sparky", "repos", "add", *both)

    def start(first: int, count: int, only: str = "") -> Run:
        words = ["--repo", f"/srv/repositories/{only}.git"] if only else []
        since, until = commits(first, count)
        said = stack.sparky("runs", "start", "--since", since, "--until", until, *words)
        return Run(stack, said.split()[0])

    return start


def _replay(repository: Path, count: int) -> None:
    """Let a repository hold its first commits again, under other ids: a repository is its root."""

    def git(*words: str, **variables: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(repository), *words],
            env=os.environ | variables, capture_output=True, text=True, check=True,
        )  # fmt: skip
        return done.stdout.strip()

    tip: list[str] = []
    lines = git("log", "--reverse", "--date-order", "--format=%T %ct %an <%ae> %H").splitlines()
    for line in lines[:count]:
        tree, seconds, who = line.split(" ", 2)
        author, _, rest = who.partition(" <")
        mail, _, old = rest.partition("> ")
        people = {"NAME": author, "EMAIL": mail, "DATE": f"{seconds} +0000"}
        both = {f"GIT_{role}_{k}": v for role in ("AUTHOR", "COMMITTER") for k, v in people.items()}
        parent = ["-p", tip[-1]] if tip else []
        message = git("log", "-1", "--format=%B", old)
        tip.append(git("commit-tree", tree, *parent, "-m", f"{message}\n\nTwice", **both))
    git("update-ref", "HEAD", tip[-1])
