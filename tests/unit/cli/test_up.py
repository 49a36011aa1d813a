"""How `sparky up` deals with a process of the farm that dies."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from sparky.cli import up
from sparky.cli.watch import Watch
from sparky.settings import Settings


def test_a_process_that_is_started_again_goes_on_with_the_log_that_tells_why_it_died(
    tmp_path: Path,
) -> None:
    """Whoever reads the log that the error names finds the death in it, not the new start alone."""
    settings = Settings(state_dir=tmp_path, cache_dir=tmp_path, broker_url="redis://127.0.0.1:1/0")
    member = up.Member("worker", ["--nonsense"])
    log = tmp_path / "logs" / "worker.log"
    member.start(settings)
    assert member.process is not None
    member.process.popen.wait(60)
    told = log.read_text()
    assert "--nonsense" in told
    up._mend(member, settings, Watch(Console(file=io.StringIO())))
    try:
        member.process.popen.wait(60)
    finally:
        member.process.stop(0)
    assert log.read_text() == told * 2
