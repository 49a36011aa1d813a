"""The command `sparky`: its options, its exit codes, and how it speaks of errors.

Commands import what they need when they run, so that `sparky --help` is quick.
"""

from __future__ import annotations

import errno
import signal
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from io import TextIOWrapper
from pathlib import Path
from types import FrameType, TracebackType
from typing import Annotated

import typer
from typer.exceptions import TyperException

from sparky.cli import (
    bench,
    cache,
    configuration,
    database,
    digests,
    doctor,
    github,
    groups,
    metrics,
    models,
    output,
    repos,
    running,
    runs,
    schedules,
    stack,
    usage,
)
from sparky.errors import SparkyError, UsageError


class Code(IntEnum):
    """How `sparky` ends; docs/cli.md tells when."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    PARTIAL = 3
    INTERRUPTED = 128 + signal.SIGINT


@dataclass(slots=True)
class Options:
    """What holds for all commands."""

    debug: bool = False


app = typer.Typer(
    name="sparky",
    help="Reads what happened in git repositories and writes a true, short digest of it.",
    epilog="Exit codes: 0 done, 1 failed, 2 wrong usage, 3 partial. More: docs/cli.md.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("run")(running.run)
app.command("up")(running.up)
app.add_typer(digests.app, name="digests")
app.add_typer(repos.app, name="repos")
app.add_typer(groups.app, name="groups")
app.add_typer(schedules.app, name="schedules")
app.add_typer(runs.app, name="runs")
app.add_typer(github.app, name="github")
app.command("doctor")(doctor.doctor)
app.command("usage")(usage.usage)
app.command("metrics")(metrics.metrics)
app.add_typer(models.app, name="models")
app.add_typer(stack.app, name="stack")
app.add_typer(bench.app, name="bench")
app.add_typer(cache.app, name="cache")
app.add_typer(database.app, name="db")
app.add_typer(configuration.app, name="config")


def _print_version(wanted: bool) -> None:
    if wanted:
        from sparky import __version__

        output.write(f"sparky {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error came from.")] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show the version and end."
        ),
    ] = False,
) -> None:
    context.obj.debug = debug


def run(arguments: Sequence[str]) -> int:
    """Run one command line. Returns its exit code; errors are told on stderr."""
    options = Options()
    command = typer.main.get_command(app)
    try:
        with command.make_context("sparky", list(arguments), obj=options) as context:
            return command.invoke(context) or Code.DONE
    except typer.Exit as end:
        return end.exit_code
    except TyperException as error:
        _tell_usage(error)
        return Code.USAGE
    except (KeyboardInterrupt, typer.Abort):
        output.say("interrupted")
        return Code.INTERRUPTED
    except SparkyError as error:
        if options.debug:
            traceback.print_exc()
        output.problem(error.message, error.remedy)
        return Code.USAGE if isinstance(error, UsageError) else Code.FAILED
    except OSError as error:
        if options.debug:
            traceback.print_exc()
        output.problem(*_from_system(error))
        return Code.FAILED


def _tell_usage(error: TyperException) -> None:
    """What is wrong with the arguments; the help alone, where a command group has no command."""
    context: typer.Context | None = getattr(error, "ctx", None)
    message = error.format_message()
    if context is not None and message == context.get_help():
        output.say(message)
        return
    path = context.command_path if context is not None else "sparky"
    output.problem(message, f"`{path} --help` tells what there is.")


def _from_system(error: OSError) -> tuple[str, str]:
    """What the operating system refused, and what to do about it."""
    what = error.strerror or type(error).__name__
    message = f"{what}: {error.filename}" if error.filename else what
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return message, "Free some disk space; `sparky doctor` tells where it is short."
    return message, "`sparky doctor` checks each part; `sparky --debug …` tells where it happened."


def unexpected(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Tell of an error in Sparky itself in one line; its text is left out, it may hold anything."""
    frames = traceback.extract_tb(trace)
    where = f" in {Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else ""
    output.problem(
        f"unexpected {kind.__name__}{where}",
        "This is a mistake in Sparky; `sparky --debug …` shows more to report.",
    )


def _end(number: int, frame: FrameType | None) -> None:
    """End as after Ctrl-C, so that whatever was started is stopped."""
    sys.exit(128 + number)


def main() -> None:
    """The entry point of the command `sparky`."""
    for stream in (sys.stdout, sys.stderr):
        # No character of a repository may stop us, whatever the terminal's encoding.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end)
    if "--debug" not in sys.argv:
        sys.excepthook = unexpected
    try:
        code = run(sys.argv[1:])
    except KeyboardInterrupt:
        # Once more, while the first one was told of.
        code = Code.INTERRUPTED
    sys.exit(code)


if __name__ == "__main__":
    main()
