"""The logs of the processes that `sparky up` starts."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from sparky.farm import worker
from sparky.farm.worker import Process

PROGRAM = "for line in __import__('sys').stdin: print(line, end='', flush=True)"


def test_a_log_that_is_too_long_is_begun_anew_while_its_process_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of two generations is lost, and two are all that there ever are."""
    monkeypatch.setattr(worker, "LOG_BYTES", 10)
    log = tmp_path / "worker.log"
    with log.open("ab") as output:
        popen = subprocess.Popen(
            [sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=output, bufsize=0
        )
    process = Process("worker", popen, log)
    assert popen.stdin is not None
    for line, kept in (("short\n", None), ("a longer line\n", "short\na longer line\n")):
        popen.stdin.write(line.encode())
        _wait_for(log, line)
        process.bound_log()
        before = tmp_path / "worker.log.1"
        assert (before.read_text() if before.exists() else None) == kept
    popen.stdin.write(b"the third line\n")
    popen.stdin.close()
    popen.wait()
    assert log.read_text() == "the third line\n"
    process.bound_log()
    assert {one.name: one.read_text() for one in tmp_path.iterdir()} == {
        "worker.log": "",
        "worker.log.1": "the third line\n",
    }


def _wait_for(log: Path, line: str) -> None:
    end = time.monotonic() + 30
    while line not in log.read_text():
        assert time.monotonic() < end, "it was not written"
        time.sleep(0.01)
