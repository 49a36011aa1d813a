"""How `sparky` ends, and how it speaks of errors."""

from __future__ import annotations

import errno
import re
import signal
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import NoReturn

import pytest

from sparky.cli import main
from sparky.errors import ServiceError, Transient, UsageError
from tests.unit.cli.conftest import Sparky

PROGRAM = """
import signal, time
from sparky.cli import main

# Whoever started the tests may ignore these, and a child inherits that.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

@main.app.command("wait")
def wait() -> None:
    try:
        print("ready", flush=True)
        while True:  # a pause would sleep through a signal that comes just before it
            time.sleep(0.05)
    finally:
        print("stopped", flush=True)

main.main()
"""
"""A `sparky` with one more command, which waits until it is ended."""


def failing(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make `sparky config show` end with this error."""

    def load() -> NoReturn:
        raise error

    monkeypatch.setattr("sparky.settings.load", load)


class TestExitCodes:
    def test_done_is_0(self, sparky: Sparky) -> None:
        assert sparky("config", "show").code == 0

    @pytest.mark.parametrize(
        ("error", "code"),
        [
            (ServiceError("Postgres does not start"), 1),
            (Transient("the network is away"), 1),
            (UsageError("that is not a setting"), 2),
            (KeyboardInterrupt(), 130),
            (OSError(errno.ENOSPC, "No space left on device", "/var/lib/x"), 1),
        ],
    )
    def test_each_kind_of_error_has_its_code(
        self, sparky: Sparky, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int
    ) -> None:
        failing(error, monkeypatch)
        assert sparky("config", "show").code == code

    @pytest.mark.parametrize(
        "arguments",
        [
            ["--nonsense"],
            ["nonsense"],
            ["run"],
            ["run", "x", "--format", "pdf"],
            ["db", "downgrade"],
            ["digests", "show", "x", "--revision", "0"],
            [],
            ["repos"],
        ],
    )
    def test_wrong_usage_is_2(self, sparky: Sparky, arguments: list[str]) -> None:
        assert sparky(*arguments).code == 2


class TestErrors:
    def test_an_error_is_one_line_and_a_hint(
        self, sparky: Sparky, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        failing(ServiceError("Postgres does not start", remedy="Free some space"), monkeypatch)
        outcome = sparky("config", "show")
        assert outcome.err == "error: Postgres does not start\nhint: Free some space\n"
        assert outcome.out == ""

    def test_a_long_error_stays_one_line(
        self, sparky: Sparky, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        failing(ServiceError("word " * 200), monkeypatch)
        assert len(sparky("config", "show").err.splitlines()) == 1

    def test_an_error_cannot_command_the_terminal(
        self, sparky: Sparky, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        failing(ServiceError("bad\x1b]0;title\x07 [bold]name[/bold] \udcff"), monkeypatch)
        assert sparky("config", "show").err == "error: bad]0;title [bold]name[/bold] \n"

    @pytest.mark.parametrize("arguments", [[], ["runs"]])
    def test_no_command_shows_what_commands_there_are_and_no_error(
        self, sparky: Sparky, arguments: list[str]
    ) -> None:
        said = sparky(*arguments).err
        assert said.startswith(f"Usage: {' '.join(['sparky', *arguments])} ")
        assert "Commands:" in said
        assert "hint:" not in said

    def test_wrong_usage_names_the_commands_own_help(self, sparky: Sparky) -> None:
        outcome = sparky("digests", "list", "--limt", "3")
        assert "--limt" in outcome.err
        assert "`sparky digests list --help`" in outcome.err

    def test_a_full_disk_is_named(self, sparky: Sparky, monkeypatch: pytest.MonkeyPatch) -> None:
        failing(OSError(errno.ENOSPC, "No space left on device", "/var/lib/x"), monkeypatch)
        outcome = sparky("config", "show")
        assert outcome.err.startswith("error: No space left on device: /var/lib/x\nhint: Free")

    def test_debug_alone_shows_where_an_error_came_from(
        self, sparky: Sparky, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        failing(ServiceError("Postgres does not start"), monkeypatch)
        assert "Traceback" not in sparky("config", "show").err
        assert "Traceback" in sparky("--debug", "config", "show").err

    def test_a_mistake_of_ours_is_told_without_what_it_holds(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        empty: dict[str, str] = {}
        try:
            empty["s3cr3t"]
        except KeyError as error:
            main.unexpected(KeyError, error, error.__traceback__)
        said = capsys.readouterr().err
        assert re.match(r"error: unexpected KeyError in test_main\.py, line \d+\n", said)
        assert "s3cr3t" not in said
        assert "Traceback" not in said


class TestProcess:
    """The command as the shell runs it."""

    def start(self, *arguments: str, folder: Path) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=folder,
        )

    @pytest.mark.parametrize(
        ("number", "code"),
        [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)],
    )
    def test_a_signal_lets_everything_stop_and_tells_its_number(
        self, tmp_path: Path, number: signal.Signals, code: int
    ) -> None:
        with self.start("wait", folder=tmp_path) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            process.send_signal(number)
            out, err = process.communicate()
        assert out == "stopped\n"
        assert process.returncode == code
        assert "Traceback" not in err

    def test_ctrl_c_while_it_is_being_loaded_ends_it_in_one_word(self, tmp_path: Path) -> None:
        program = """
import sys

class Interrupted:
    def find_spec(self, name, path, target=None):
        if name == "sparky.cli.main":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupted())
from sparky.cli import start
start.main()
"""
        done = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            check=False,
        )
        assert (done.returncode, done.stderr) == (130, "interrupted\n")

    def test_ctrl_c_once_more_is_no_mistake_of_ours(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It comes while the first one is being told of."""

        def again(*_: object) -> NoReturn:
            raise KeyboardInterrupt

        failing(KeyboardInterrupt(), monkeypatch)
        monkeypatch.setattr("sparky.cli.output.say", again)
        monkeypatch.setattr("sys.argv", ["sparky", "config", "show"])
        monkeypatch.setattr("signal.signal", lambda *_: None)
        monkeypatch.setattr("sys.excepthook", sys.excepthook)
        with pytest.raises(SystemExit) as end:
            main.main()
        assert end.value.code == 130

    def test_a_reader_that_goes_away_is_no_error(self, tmp_path: Path) -> None:
        with self.start("config", "docs", folder=tmp_path) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.close()
            err = process.stderr.read()
        assert err == ""
        assert process.returncode == 141

    def test_help_loads_none_of_what_only_work_needs(self, tmp_path: Path) -> None:
        """Help is quick because it imports neither the database, the farm nor the wire."""
        program = (
            "import sys; from sparky.cli import main; main.run(['--help']); print(*sys.modules)"
        )
        done = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            check=True,
        )
        loaded = set(done.stdout.splitlines()[-1].split())
        heavy = {"sqlalchemy", "celery", "pydantic", "httpx", "alembic", "redis", "rich", "jinja2"}
        assert loaded & heavy == set()

    def test_an_encoding_that_lacks_a_character_stops_nothing(self, tmp_path: Path) -> None:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, "config", "docs"],
            capture_output=True,
            cwd=tmp_path,
            env={"PYTHONIOENCODING": "ascii", "PATH": "/usr/bin:/bin"},
            check=False,
        )
        assert done.returncode == 0
        assert b'url = "?"' in done.stdout


def test_the_version_is_that_of_the_package(sparky: Sparky) -> None:
    assert sparky("--version").out == f"sparky {version('sparky')}\n"
