"""tools/bootstrap makes .venv once, again when it must, and never in part."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# A project of the same name that needs no package: its own build backend writes the wheel.
PROJECT = """
[project]
name = "sparky"
version = "0"
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""
BACKEND = '''
"""Builds an empty package."""
import zipfile

FILES = {
    "METADATA": "Metadata-Version: 2.1\\nName: sparky\\nVersion: 0\\n",
    "WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    "RECORD": "",
}


def build_editable(folder, config_settings=None, metadata_directory=None):
    with zipfile.ZipFile(f"{folder}/sparky-0-py3-none-any.whl", "w") as wheel:
        for name, text in FILES.items():
            wheel.writestr(f"sparky-0.dist-info/{name}", text)
    return "sparky-0-py3-none-any.whl"
'''


def bootstrap(
    checkout: Path, part: str = "run", env: dict[str, str] | None = None
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        ["tools/bootstrap", part],
        cwd=checkout,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=env,
    )


def finish(process: subprocess.Popen[str]) -> str:
    said, _ = process.communicate()
    assert process.returncode == 0, said
    return said


def new_checkout(folder: Path) -> Path:
    (folder / "tools").mkdir(parents=True)
    shutil.copy(ROOT / "tools/bootstrap", folder / "tools")
    (folder / "pyproject.toml").write_text(PROJECT)
    (folder / "backend.py").write_text(BACKEND)
    for lock in ("requirements.txt", "requirements-dev.txt"):
        (folder / lock).write_text("# nothing is needed\n")
    return folder


@pytest.fixture(scope="module")
def said_at_first(checkout: Path) -> list[str]:
    """What two said that were started together on the bare checkout."""
    return [finish(process) for process in [bootstrap(checkout), bootstrap(checkout)]]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small checkout, shared because each set-up takes seconds."""
    return new_checkout(tmp_path_factory.mktemp("checkout") / "sparky")


@pytest.fixture
def planted(checkout: Path, said_at_first: list[str]) -> Iterator[Path]:
    """A file in a whole .venv that only a set-up from scratch removes."""
    path = checkout / ".venv/planted"
    path.touch()
    yield path
    path.unlink(missing_ok=True)


def test_two_at_once_make_it_once(said_at_first: list[str]) -> None:
    """One of two that start together works, and the other waits and is satisfied."""
    assert sorted("setting up" in said for said in said_at_first) == [False, True]


def test_a_second_run_does_nothing(checkout: Path, planted: Path) -> None:
    """What is whole is left alone, and nothing is said."""
    assert finish(bootstrap(checkout)) == ""
    assert planted.exists()


def test_packages_for_tests_are_added_to_what_is_there(checkout: Path, planted: Path) -> None:
    """`make test` after `make run` keeps .venv, and `make run` after that is satisfied with it."""
    assert "requirements-dev.txt" in finish(bootstrap(checkout, "dev"))
    assert finish(bootstrap(checkout, "run")) == ""
    assert planted.exists()


def test_a_new_lock_makes_it_anew(checkout: Path, planted: Path) -> None:
    """Nothing that an old lock installed outlives it."""
    for lock in ("requirements.txt", "requirements-dev.txt"):
        with (checkout / lock).open("a") as file:
            file.write("# raised\n")
    assert "setting up" in finish(bootstrap(checkout))
    assert not planted.exists()


@pytest.mark.parametrize("lost", ["bin/python", "made-run"])
def test_what_is_broken_or_half_made_is_made_anew(checkout: Path, planted: Path, lost: str) -> None:
    """A .venv whose Python has gone, or whose making was cut off, is not built upon."""
    (checkout / ".venv" / lost).unlink()
    finish(bootstrap(checkout))
    assert not planted.exists()
    assert finish(bootstrap(checkout)) == ""


def test_missing_packages_are_named_to_who_may_not_install_them(tmp_path: Path) -> None:
    """Without git and without root, the message is the line that root must run, and nothing is made."""
    folder = new_checkout(tmp_path / "sparky")
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("bash", "cat", "cut", "dirname", "env", "flock", "grep", "rm", "sha256sum"):
        (programs / name).symlink_to(shutil.which(name) or name)
    (programs / "id").write_text("#!/bin/sh\necho 1000\n")
    (programs / "id").chmod(0o755)
    process = bootstrap(folder, env={**os.environ, "PATH": str(programs)})
    said, _ = process.communicate()
    assert process.returncode == 1
    assert "as root: apt-get update && apt-get install --yes" in said
    assert {"git", "python3-venv"} <= set(said.split())
    assert not (folder / ".venv").exists()
