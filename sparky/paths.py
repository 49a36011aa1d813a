"""What a path says of a file: code, tests, documentation, build, lock file; and where it stands."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum
from fnmatch import translate
from functools import lru_cache
from itertools import takewhile

from sparky.model import FileChange


class Sort(StrEnum):
    """What a file is for, as far as its path says."""

    CODE = "code"
    TESTS = "tests"
    DOCUMENTATION = "documentation"
    CHANGELOG = "changelog"
    BUILD = "build"
    LOCK = "lock"
    """Versions of dependencies, or code of others that is kept in the repository."""


# The first sort that fits wins: names of folders on the way, then patterns for the file's name.
_FOLDERS: tuple[tuple[Sort, str], ...] = (
    (Sort.LOCK, "requirements vendor third_party third-party node_modules godeps"),
    (Sort.CHANGELOG, "relnotes changelogs newsfragments release-notes release_notes .changeset"),
    (Sort.BUILD, ".github .circleci .buildkite .gitlab .husky .devcontainer .vscode build-aux"),
    (Sort.TESTS, "test tests t spec specs testing testdata test-data fixtures __tests__"),
    (Sort.TESTS, "__snapshots__ e2e playground bench benches benchmark benchmarks benchsuite"),
    (Sort.BUILD, "ci packaging cmake docker azure-pipelines _azure-pipelines"),
    (Sort.DOCUMENTATION, "doc docs documentation man example examples website guides"),
)
_NAMES: tuple[tuple[Sort, str], ...] = (
    (Sort.LOCK, "*requirements*.txt *requirements*.in constraints*.txt .gitmodules"),
    (Sort.LOCK, "*.lock *-lock.json *-lock.yaml *.lockb .terraform.lock.hcl npm-shrinkwrap.json"),
    (Sort.LOCK, "go.sum package.resolved"),
    (Sort.CHANGELOG, "changes changelog history news changes.* changelog*.* history.* news.*"),
    (Sort.CHANGELOG, "whatsnew* release-notes* release_notes* relnotes*"),
    (Sort.TESTS, "test_*.* *_test.* *_tests.* *.test.* *.spec.* *_spec.rb conftest.py"),
    (Sort.DOCUMENTATION, "*.md *.mdx *.rst *.adoc *.asciidoc *.[1-9] readme* license* licence*"),
    (Sort.DOCUMENTATION, "copying* authors* contributors* contributing* notice* maintainers* todo"),
    (Sort.BUILD, ".* makefile* gnumakefile *.mk *dockerfile* docker-compose* cmakelists.txt"),
    (
        Sort.BUILD,
        "meson.build meson_options.txt build.bazel workspace build.rs build.sbt build.xml",
    ),
    (Sort.BUILD, "*.gradle *.gradle.kts configure configure.ac setup.py setup.cfg pyproject.toml"),
    (Sort.BUILD, "manifest.in tox.ini noxfile.py pytest.ini mypy.ini pipfile environment.yml"),
    (Sort.BUILD, "package.json _package.json lerna.json pnpm-workspace.yaml tsconfig*.json"),
    (Sort.BUILD, "*.config.js *.config.ts *.config.mjs cargo.toml rust-toolchain* go.mod"),
    (Sort.BUILD, "gopkg.toml pom.xml *.gemspec gemfile composer.json jenkinsfile codeowners"),
    (Sort.BUILD, "appveyor.yml azure-pipelines.yml codecov.yml netlify.toml renovate.json*"),
)
_PUBLIC_FOLDERS = frozenset("include public api apis cli cmd command commands proto schema".split())
_PUBLIC_NAMES = "__init__.py __main__.py lib.rs index.ts index.js *.proto *.graphql *.d.ts openapi*"

_FOLDER_SORTS = tuple((sort, frozenset(names.split())) for sort, names in _FOLDERS)


def _any(globs: str) -> re.Pattern[str]:
    return re.compile("|".join(translate(glob) for glob in globs.split()))


_NAME_SORTS = tuple((sort, _any(globs)) for sort, globs in _NAMES)
_PUBLIC_NAME = _any(_PUBLIC_NAMES)


@lru_cache(maxsize=16_384)
def sort(path: str) -> Sort:
    """What the file at `path` is for; `Sort.CODE` where the path says nothing else."""
    *folders, name = path.casefold().split("/")
    for found, names in _FOLDER_SORTS:
        if not names.isdisjoint(folders):
            return found
    return next((found for found, pattern in _NAME_SORTS if pattern.match(name)), Sort.CODE)


def is_public(path: str) -> bool:
    """Whether others may build on the file: headers, command lines, schemas, entry points."""
    *folders, name = path.casefold().split("/")
    shown = not _PUBLIC_FOLDERS.isdisjoint(folders) or _PUBLIC_NAME.match(name) is not None
    return shown and sort(path) is Sort.CODE


def lines(file: FileChange) -> int:
    """Lines added and taken away; a binary file counts as none."""
    return (file.additions or 0) + (file.deletions or 0)


def directory(paths: Iterable[str], *, levels: int = 2) -> str:
    """The deepest directory that all paths are in, at most `levels` deep; "" is the root."""
    columns = zip(*(path.split("/")[:-1] for path in paths), strict=False)
    shared = takewhile(lambda names: len(set(names)) == 1, columns)
    return "/".join([names[0] for names in shared][:levels])
