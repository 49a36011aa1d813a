"""Run the smoke tests on a Docker Engine of their own: `python -m tests.smoke [arguments for pytest]`.

The tests run in the network of that engine, as its neighbours, and in an environment that has
pytest-celery and not Sparky.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.swarm import build
from tests.swarm.lab import environment, opened

ROOT = Path(__file__).parents[2]


def main() -> int:
    """Build Sparky's image and that of its stores, and test them; the status of pytest."""
    with opened(Path(tempfile.mkdtemp(prefix="lab")), build.CACHE) as lab:
        node = lab.start()
        build.farm(node)
        pytest = [
            str(ROOT / ".venv-smoke/bin/python"),
            "-m",
            "pytest",
            "-c",
            "tests/smoke/pytest.ini",
        ]
        return subprocess.run(
            ["nsenter", f"--net=/var/run/netns/{node.name}", *pytest, "tests/smoke", *sys.argv[1:]],
            cwd=ROOT,
            env=environment(
                DOCKER_HOST=f"unix://{node.folder}/docker.sock",
                SMOKE_IMAGE=build.SPARKY,
                SMOKE_STORES=build.STORES,
                # The settings of git that belong to whoever runs the tests.
                GIT_CONFIG_GLOBAL=os.devnull,
                GIT_CONFIG_NOSYSTEM="1",
            ),
            check=False,
        ).returncode


if __name__ == "__main__":
    sys.exit(main())
