"""What paths, counts and states stand for, though no message says it."""

from __future__ import annotations

from collections.abc import Iterator

from sparky import paths
from sparky.model import Activity, Kind
from sparky.paths import Sort

_SORTS: dict[Sort, str] = {
    Sort.TESTS: "test tests suite",
    Sort.DOCUMENTATION: "documentation docs guide page section",
    Sort.CHANGELOG: "changelog change log release notes documentation",
    Sort.BUILD: "build project",
    Sort.LOCK: "dependency lock",
}
_EXTENSIONS = {
    "py": "python",
    "rs": "rust crate",
    "ts": "typescript",
    "js": "javascript",
    "md": "markdown",
    "yml": "yaml",
    "rb": "ruby",
    "sh": "shell",
    "zsh": "shell zsh",
    "tcl": "tcl",
    "svg": "image",
    "png": "image",
    "jpg": "image",
}


def of(activity: Activity) -> Iterator[str]:
    """Words that the paths and the counts of an activity stand for."""
    for file in activity.files:
        yield from of_path(file.path)
        if file.renamed_from is not None:
            yield "rename move"
    if activity.additions and not activity.deletions:
        yield "add"
    if activity.deletions and not activity.additions:
        yield "remove"
    yield activity.kind.replace("_", " ")
    yield activity.state
    if activity.is_proposal:
        yield "propose proposal suggest request"
    if activity.kind is Kind.ISSUE:
        yield "report request ask"


def of_path(path: str) -> Iterator[str]:
    """Words that a path stands for."""
    yield _SORTS.get(paths.sort(path), "")
    yield _EXTENSIONS.get(path.rpartition(".")[2].casefold(), "")
    if ".github/workflows" in path:
        yield "workflow ci github actions"
    if ".pre-commit-config" in path:
        yield "hook"
