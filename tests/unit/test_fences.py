"""The fences around the house stand, and would be seen to fall."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOLS = Path(sys.executable).parent


def call(*command: str | Path, cwd: Path, stdin: str = "") -> tuple[int, str]:
    """Exit status and everything that the command said."""
    done = subprocess.run(
        command, cwd=cwd, input=stdin, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A copy of the code to damage."""
    shutil.copytree(
        ROOT / "sparky", tmp_path / "sparky", ignore=shutil.ignore_patterns("__pycache__")
    )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def lint_imports(house: Path) -> tuple[int, str]:
    return call(TOOLS / "lint-imports", "--no-cache", "--no-logo", cwd=house)


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("model", "import sparky.ports", "A line imports only lines below it"),
        ("ports", "import sparky.settings", "A line imports only lines below it"),
        ("store/intruder", "import sparky.services", "A line imports only lines below it"),
        ("pipeline", "import sparky.settings", "The story is handed its values"),
        ("model", "import celery", "Celery is behind one door"),
        ("services/intruder", "from psycopg import connect", "The database is behind one door"),
        ("store/intruder", "import gql", "GraphQL is behind one door"),
    ],
)
def test_a_forbidden_import_is_found(house: Path, module: str, line: str, contract: str) -> None:
    """An import over a fence breaks the contract that forbids it."""
    with (house / "sparky" / f"{module}.py").open("a") as file:
        file.write(f"\n{line}\n")
    status, said = lint_imports(house)
    assert status == 1
    assert [row for row in said.splitlines() if row.startswith(contract) and "BROKEN" in row]


def test_a_module_without_a_place_is_found(house: Path) -> None:
    """A new module must be given its layer before the checks pass."""
    (house / "sparky" / "stray.py").touch()
    status, said = lint_imports(house)
    assert status == 1
    assert "sparky.stray" in said


def ruff(file: str, code: str) -> tuple[int, str]:
    return call(
        TOOLS / "ruff", "check", "--no-cache", "--stdin-filename", file, "-", cwd=ROOT, stdin=code
    )


@pytest.mark.parametrize(
    "code",
    [
        'import os\n\nHOME = os.environ["HOME"]\n',
        'import os\n\nHOME = os.getenv("HOME")\n',
        'from os import environ as env\n\nHOME = env["HOME"]\n',
    ],
)
def test_reading_the_environment_is_found(code: str) -> None:
    """The linter refuses the environment wherever it is not excused."""
    status, said = ruff("sparky/farm/app.py", code)
    assert status == 1
    assert "sparky.settings alone reads the environment" in said


@pytest.mark.parametrize(
    ("rule", "home"), [("TID251", "sparky/settings/"), ("BLE001", "sparky/farm/")]
)
def test_a_fence_has_one_gate(rule: str, home: str) -> None:
    """Reading the environment and catching everything are each excused once, in their one place."""
    excused = [
        path.relative_to(ROOT).as_posix()
        for path in sorted((ROOT / "sparky").rglob("*.py"))
        for line in path.read_text().splitlines()
        if "noqa" in line and rule in line
    ]
    assert len(excused) <= 1
    assert [path for path in excused if not path.startswith(home)] == []


def test_only_the_task_base_may_catch_everything() -> None:
    """The linter refuses a broad except."""
    status, said = ruff("sparky/pipeline.py", "try:\n    print()\nexcept Exception:\n    print()\n")
    assert status == 1
    assert "BLE001" in said
