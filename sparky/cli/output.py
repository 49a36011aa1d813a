"""What goes to stdout and stderr: results to the one, everything else to the other.

What came from a repository may hold control characters that move a terminal's cursor, write its
title or reverse its text; none of them gets through.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, NoReturn, TextIO

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.status import Status

    from sparky.model import Digest

BROKEN_PIPE: Final = 128 + 13
"""The exit code of a program that SIGPIPE ended: whoever read its output has gone."""

_CONTROL: Final = re.compile(
    # C0 without tab and newline, DEL and C1, marks of direction, lone surrogates.
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def harmless(text: str) -> str:
    """The text without what a terminal would obey instead of show."""
    return _CONTROL.sub("", text)


def harmless_json(text: str) -> str:
    """The JSON text, saying the same, with control characters in its strings escaped."""
    return _CONTROL.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def stderr() -> Console:
    """The console for progress, errors and hints; in a file, lines are never broken."""
    from rich.console import Console

    return Console(
        stderr=True, highlight=False, emoji=False, markup=False, width=_width(sys.stderr)
    )


def several(count: int, one: str, more: str) -> str:
    """So many of them, as a person says it."""
    return f"{count:,} {one if count == 1 else more}"


def write(text: str) -> None:
    """Write a result to stdout as it is, and end calmly if nobody reads it any more."""
    try:
        sys.stdout.write(text if text.endswith("\n") else text + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        _leave_quietly()


def show(what: RenderableType, *, wrap: bool = True) -> None:
    """Write a result to stdout as rich draws it: with colours and broken lines in a terminal.

    Args:
        wrap: whether lines are broken between words; else the terminal breaks them anywhere.
    """
    from rich.console import Console

    console = Console(highlight=False, emoji=False, markup=False, width=_width(sys.stdout))
    with console.capture() as drawn:
        console.print(what, soft_wrap=not wrap)
    write(drawn.get())


def as_json(value: Any) -> None:
    """Write a value to stdout as JSON."""
    write(harmless_json(json.dumps(value, indent=2, ensure_ascii=False)))


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Write rows to stdout: as a table in a terminal, else a line a row with tabs in between.

    Without a name for any column, the table has no head.
    """
    if not sys.stdout.isatty():
        for row in rows:
            write("\t".join(" ".join(harmless(cell).split()) for cell in row))
        return
    from rich.table import Table
    from rich.text import Text

    named = any(columns)
    drawn = Table(*columns, box=None, pad_edge=False, header_style="bold", show_header=named)
    for row in rows:
        drawn.add_row(*(Text(harmless(cell)) for cell in row))
    show(drawn)


def digests(found: Sequence[Digest], form: str, as_text: Callable[[Digest], str]) -> None:
    """Write digests to stdout, one after another.

    Args:
        form: `md`, drawn in a terminal; `json`, one document after another; or `html`.
        as_text: renders one digest in that form.
    """
    for digest in found:
        text = as_text(digest)
        if form == "json":
            write(harmless_json(text))
        elif form == "md" and sys.stdout.isatty():
            from rich.markdown import Markdown

            show(Markdown(harmless(text)))
        else:
            write(harmless(text))


def problem(message: str, remedy: str = "") -> None:
    """Tell on stderr what went wrong, and what to do next."""
    from rich.text import Text

    console = stderr()
    console.print(Text.assemble(("error: ", "bold red"), harmless(message)))
    if remedy:
        console.print(Text.assemble(("hint: ", "bold"), harmless(remedy)))


def say(text: str) -> None:
    """Tell something on stderr."""
    stderr().print(harmless(text))


class Waiting:
    """A spinner in a terminal with a few words on what is being waited for; else nothing."""

    def __init__(self) -> None:
        self._console = stderr()
        self._status: Status | None = None

    def __call__(self, text: str) -> None:
        """Show that this is being waited for now."""
        if self._console.is_terminal:
            if self._status is None:
                self._status = self._console.status("")
                self._status.start()
            self._status.update(harmless(text))

    def stop(self) -> None:
        """Leave the terminal to others."""
        if self._status is not None:
            self._status.stop()
            self._status = None

    def __enter__(self) -> Waiting:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()


def _width(stream: TextIO) -> int | None:
    """The width to break lines at: the terminal's, or none to speak of."""
    return None if stream.isatty() else 100_000


def _leave_quietly() -> NoReturn:
    # The interpreter flushes stdout once more at its end, which must not complain.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise SystemExit(BROKEN_PIPE)
