"""The dependencies: declared, locked and described in one voice."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = ("requirements.txt", "requirements-dev.txt", "requirements-smoke.txt")


def plain(name: str) -> str:
    """A package's name as an index compares it, without extras."""
    return re.sub(r"[-_.]+", "-", name.partition("[")[0]).lower()


def declared() -> dict[str, str]:
    """Each requirement of pyproject.toml without its bounds, by plain name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    lists = [
        project["project"]["dependencies"],
        *project["project"]["optional-dependencies"].values(),
        *project["dependency-groups"].values(),
    ]
    names = [re.split(r"[<>=!~ ;]", line)[0] for group in lists for line in group]
    return {plain(name): name for name in names}


def locked(lock: str) -> dict[str, set[str]]:
    """The versions that a lock pins, by plain name."""
    pins: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([\w.-]+)==(\S+)", (ROOT / lock).read_text(), re.MULTILINE):
        pins.setdefault(plain(name), set()).add(version)
    return pins


def described() -> list[tuple[str, str]]:
    """Name and version of each row of docs/dependencies.md, in order."""
    page = (ROOT / "docs/dependencies.md").read_text()
    return re.findall(r"^\| ([\w.\[\]-]+) \| (\d\S*) \| \d{4}-\d\d-\d\d \|", page, re.MULTILINE)


def imported() -> set[str]:
    """The top-level modules that the code imports, without its own and Python's."""
    found = set()
    for folder in ("sparky", "swarm", "migrations"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Import):
                    found |= {alias.name.partition(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and node.module:
                    found.add(node.module.partition(".")[0])
    return found - sys.stdlib_module_names - {"sparky", "swarm"}


def test_what_the_code_imports_is_declared() -> None:
    """No import rests on what another package happens to bring along."""
    providers = packages_distributions()
    undeclared = {
        module
        for module in imported()
        if not {plain(name) for name in providers.get(module, [])} & declared().keys()
    }
    assert undeclared == set()


def test_the_page_describes_exactly_the_declared_dependencies() -> None:
    """Whoever adds or drops a dependency says so in docs/dependencies.md."""
    assert sorted(name for name, _ in described()) == sorted(declared().values())


def test_the_page_shows_the_locked_versions() -> None:
    """The dates in docs/dependencies.md belong to the versions that are installed."""
    pins = locked("requirements-smoke.txt") | locked("requirements-dev.txt")
    assert [(name, {version}) for name, version in described()] == [
        (name, pins[plain(name)]) for name, _ in described()
    ]


def test_tests_run_on_the_versions_that_users_run() -> None:
    """The lock for tests holds the lock for production, unchanged; the one for smoke has no other."""
    production, development, smoke = (locked(lock) for lock in LOCKS)
    assert production.items() <= development.items()
    assert {name: smoke[name] for name in smoke.keys() & development.keys()}.items() <= (
        development.items()
    )


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_pins_hashes_and_names_no_host(lock: str) -> None:
    """A lock serves any index, and what it installs cannot be swapped."""
    entries = (ROOT / lock).read_text().replace("\\\n", " ").splitlines()
    assert [entry for entry in entries if "--hash=sha256:" not in entry] == []
    assert re.findall(r"://|--index|--find-links", "\n".join(entries)) == []
