"""What the tests of the command line share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from sparky.cli import main


class Outcome(NamedTuple):
    """What a user sees of a command that has ended."""

    code: int
    out: str
    err: str


Sparky = Callable[..., Outcome]


@pytest.fixture
def sparky(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Sparky:
    """Runs `sparky` with these arguments, with folders of its own and no settings file."""
    monkeypatch.setenv("SPARKY_CONFIG", "/dev/null")
    monkeypatch.setenv("SPARKY_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("SPARKY_CACHE_DIR", str(tmp_path / "cache"))

    def call(*arguments: str) -> Outcome:
        code = main.run(arguments)
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return call
