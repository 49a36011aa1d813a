"""The main job on real input: a real repository, real services, a real engine, nothing mocked.

The repository is this one, with its own history; the engine is llama.cpp with a model of 135
million parameters, which writes poorly: its points are refused, and the digest is still true.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from sparky.services import remove

ROOT = Path(__file__).resolve().parents[2]
COMMITS = 4
"""How many of the first commits the window holds."""


def git(*words: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@dataclass(frozen=True)
class Sparky:
    """The command as a user runs it, with state of its own."""

    state: Path

    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "SPARKY_STATE_DIR": str(self.state),
            "SPARKY_LLM_MODEL": "smollm2-135m-instruct",
            "SPARKY_CONFIG": os.devnull,
        }

    def words(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "sparky.cli.main", *words]

    def __call__(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.words(*words), env=self.environment(), capture_output=True, text=True, check=False
        )


@pytest.fixture(scope="module")
def sparky(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sparky]:
    made = Sparky(tmp_path_factory.mktemp("state"))
    yield made
    remove(made.state)


@pytest.fixture(scope="module")
def window() -> tuple[str, str]:
    """A window that holds the repository's first commits."""
    dates = sorted(int(line) for line in git("log", "--format=%ct").splitlines())
    last = dates[:COMMITS][-1]
    return at(dates[0]), at(last + 1)


@pytest.fixture(scope="module")
def first(sparky: Sparky, window: tuple[str, str]) -> subprocess.CompletedProcess[str]:
    since, until = window
    return sparky("run", str(ROOT), "--since", since, "--until", until, "--format", "json")


@pytest.fixture(scope="module")
def digest(first: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert first.returncode == 0, first.stderr
    found: dict[str, Any] = json.loads(first.stdout)
    return found


def test_the_digest_keeps_the_published_schema(digest: dict[str, Any]) -> None:
    """What scripts read is what docs/digest.schema.json promises."""
    schema = json.loads((ROOT / "docs" / "digest.schema.json").read_text())
    jsonschema.validate(digest, schema, format_checker=jsonschema.FormatChecker())


def test_every_commit_of_the_window_is_accounted_for(
    digest: dict[str, Any], window: tuple[str, str]
) -> None:
    """The ledger adds up, and to the number that git itself counts."""
    since, until = (datetime.fromisoformat(end).timestamp() for end in window)
    dates = [int(line) for line in git("log", "--format=%ct").splitlines()]
    (entry,) = [e for e in digest["ledger"] if e["kind"] == "commit"]
    assert entry["expected"] == sum(since <= date < until for date in dates)
    assert entry["expected"] == entry["fetched"] == entry["summarized"] + len(entry["omitted"])
    assert digest["stats"]["commits"] == entry["expected"]
    assert digest["status"] == "done"


def test_every_cite_resolves(digest: dict[str, Any]) -> None:
    """Each point names commits that exist, and each commit of the ledger is named or explained."""
    cites = {cite for point in digest["points"] for cite in point["cites"]}
    assert cites
    for cite in cites:
        kind, _, name = cite.partition(":")
        assert kind in ("commit", "release")
        assert git("cat-file", "-t", name) in ("commit", "tag")


def test_the_engine_was_really_asked(digest: dict[str, Any]) -> None:
    """The digest says what answered, and that it cost tokens."""
    provenance = digest["provenance"]
    assert provenance["engine"] == "llama.cpp"
    assert "135m" in provenance["model"].lower()
    assert provenance["engine_calls"] > 0
    assert provenance["prompt_tokens"] > 100


def test_a_second_run_asks_the_engine_nothing(
    sparky: Sparky, digest: dict[str, Any], window: tuple[str, str]
) -> None:
    """The same window again gives the same digest, without a call, and says so."""
    since, until = window
    again = sparky("run", str(ROOT), "--since", since, "--until", until, "--format", "json")
    assert again.returncode == 0, again.stderr
    second = json.loads(again.stdout)
    assert second["provenance"]["engine_calls"] == 0
    assert second["provenance"]["cache_hits"] > 0
    assert "no engine call" in again.stderr
    for made in (digest, second):
        made.pop("provenance")
    assert second == digest


def test_out_writes_one_file_a_digest(
    sparky: Sparky, digest: dict[str, Any], window: tuple[str, str], tmp_path: Path
) -> None:
    """With --out the digest is a file, and nothing is printed on stdout."""
    since, until = window
    done = sparky(
        "run", str(ROOT), "--since", since, "--until", until, "--format", "html",
        "--out", str(tmp_path / "out"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    (page,) = (tmp_path / "out").iterdir()
    assert page.suffix == ".html"
    assert "<!doctype html>" in page.read_text().lower()


def test_nothing_is_left_running(sparky: Sparky, digest: dict[str, Any]) -> None:
    """When the run has ended, so has everything that it started."""
    assert not running(sparky.state)


def test_a_killed_run_leaves_nothing_and_the_next_one_works(
    sparky: Sparky, digest: dict[str, Any]
) -> None:
    """Kill -9 in the middle: all services go, and no lock blocks the run after it."""
    words = sparky.words("run", str(ROOT), "--since", "2000-01-01", "--format", "json")
    run = subprocess.Popen(
        words, env=sparky.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    wait_until(lambda: any("celery" in line for line in running(sparky.state)))
    run.send_signal(signal.SIGKILL)
    run.wait()
    wait_until(lambda: not running(sparky.state))
    done = sparky("digests", "list", "--json")
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)) >= 1


def at(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def running(state: Path) -> list[str]:
    """Command lines and state folders of processes that belong to this state folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            environment = (process / "environ").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if str(state) in command or f"SPARKY_STATE_DIR={state}\0" in environment:
            found.append(command)
    return found


def wait_until(condition: Any, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.1)
