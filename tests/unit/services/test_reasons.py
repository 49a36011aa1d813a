"""A service that does not start says why, in one line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import sparky
from sparky.services.child import Log
from sparky.services.cluster import Cluster, failure
from sparky.services.llama import physical_cores


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    log = Log(tmp_path / "some.log")
    yield log
    log.close()


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (
            ["LOG:  starting", "FATAL:  could not create lock file: No space left on device", ""],
            "no disk space left for /data. Free some",
        ),
        (
            ["FATAL:  could not map memory: Cannot allocate memory", "HINT:  buy more"],
            "it failed: FATAL: could not map memory: Cannot allocate memory. See",
        ),
        (["initdb: error: could not look up user"], "it failed: initdb: error: could not look up"),
        (["Segmentation fault"], "it failed: Segmentation fault. See"),
        ([], "it failed. See"),
    ],
)
def test_postgres_gives_its_own_reason(log: Log, said: list[str], expected: str) -> None:
    for words in said:
        log.write(words)
    cluster = Cluster(data=Path("/data"), socket=Path(), programs=Path(), account=None)
    assert str(failure("it failed", cluster, log)).startswith(expected)


def test_a_log_stays_small_and_remembers_its_end(log: Log) -> None:
    for number in range(40_000):
        log.write(f"{number} " + "x" * 100)
    size = sum(path.stat().st_size for path in log.path.parent.iterdir())
    assert 1_000_000 < size < 2_100_000
    assert log.tail[-1].startswith("39999 ")


@pytest.mark.parametrize(
    ("raised", "remedy"),
    [
        (
            "libgomp.so.1: cannot open shared object file: No such file or directory",
            "Run: apt-get install libgomp1",
        ),
        ("No module named 'xllamacpp'", "Run: pip install xllamacpp"),
    ],
)
def test_an_engine_that_cannot_be_loaded_names_what_to_install(
    tmp_path: Path, raised: str, remedy: str
) -> None:
    (tmp_path / "xllamacpp.py").write_text(f"raise ImportError({raised!r})")
    receive, send = os.pipe()
    ended = subprocess.run(
        [sys.executable, "-m", "sparky.services.llama_server", str(send)],
        input=b"{}",
        pass_fds=[send],
        env={"PYTHONPATH": f"{tmp_path}:{Path(sparky.__file__).parent.parent}"},
        check=False,
    )
    os.close(send)
    with os.fdopen(receive, "rb") as report:
        assert json.loads(report.read())["remedy"] == remedy
    assert ended.returncode == 1


def test_the_engine_uses_no_more_threads_than_this_process_may() -> None:
    assert 1 <= physical_cores() <= len(os.sched_getaffinity(0))
