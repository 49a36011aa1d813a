"""`sparky db backup` and `restore`: what one database held is in another one, and no less."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sparky.services import Wanted, attach, remove
from sparky.store.gateway import Gateway
from tests.factories import digest, repo


def sparky(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sparky.cli.main", *words],
        env=os.environ | {"SPARKY_CONFIG": os.devnull} | variables,
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture
def full(database: str) -> str:
    """A database with a digest in it."""
    store = Gateway.open(database)
    made = digest()
    store.add_repo(made.repo)
    store.put_digest(made)
    store.close()
    return database


@pytest.fixture(scope="module")
def empty_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The state of a Sparky that starts its own Postgres."""
    state = tmp_path_factory.mktemp("other")
    # Held, so that it starts once.
    with attach(state, Wanted(postgres=True, valkey=False, llama=None)):
        yield state
    remove(state)


def shown(**variables: str) -> object:
    done = sparky("digests", "show", repo().name, "--format", "json", **variables)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_backup_fills_the_database_of_the_next_tier(
    full: str, empty_state: Path, tmp_path: Path
) -> None:
    """From one Postgres to another: the digest is the same, and the schema is this version's."""
    file = str(tmp_path / "backup")
    done = sparky("db", "backup", file, SPARKY_DATABASE_URL=full)
    assert done.returncode == 0, done.stderr
    assert Path(file).stat().st_mode & 0o777 == 0o600
    there = {"SPARKY_STATE_DIR": str(empty_state)}
    done = sparky("db", "restore", file, **there)
    assert done.returncode == 0, done.stderr
    assert shown(**there) == shown(SPARKY_DATABASE_URL=full)
    refused = sparky("db", "restore", file, **there)
    assert refused.returncode == 1
    assert "--replace" in refused.stderr
    replaced = sparky("db", "restore", file, "--replace", **there)
    assert replaced.returncode == 0, replaced.stderr
    assert shown(**there) == shown(SPARKY_DATABASE_URL=full)


def test_a_broken_backup_leaves_the_database_as_it_was(full: str, tmp_path: Path) -> None:
    """A file that ends in the middle is refused, and what was there is still there."""
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert sparky("db", "backup", str(whole), SPARKY_DATABASE_URL=full).returncode == 0
    cut.write_bytes(whole.read_bytes()[:-200])
    before = shown(SPARKY_DATABASE_URL=full)
    done = sparky("db", "restore", str(cut), "--replace", SPARKY_DATABASE_URL=full)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert shown(SPARKY_DATABASE_URL=full) == before


def test_a_backup_overwrites_nothing(full: str, tmp_path: Path) -> None:
    """A file that is there stays."""
    file = tmp_path / "backup"
    file.write_text("something else")
    done = sparky("db", "backup", str(file), SPARKY_DATABASE_URL=full)
    assert done.returncode != 0
    assert file.read_text() == "something else"


def test_wait_ends_when_the_schema_is_there(database: str) -> None:
    """A process of the farm waits for its database, and says what it waited for in vain."""
    assert sparky("db", "wait", SPARKY_DATABASE_URL=database).returncode == 0
    nobody = "postgresql://sparky@127.0.0.1:1/sparky"
    done = sparky("db", "wait", "--seconds", "1", SPARKY_DATABASE_URL=nobody)
    assert done.returncode == 1
    assert "the database does not answer" in done.stderr
