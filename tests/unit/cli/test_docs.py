"""docs/cli.md tells of every command, option and exit code."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

import pytest
import typer
from typer.core import TyperGroup

from sparky.cli.main import Code, app

PAGE = (Path(__file__).parents[3] / "docs" / "cli.md").read_text(encoding="utf-8")
FOR_ALL = {"--help", "-h", "--json", "--debug", "--version"}
"""Told of once, outside the sections of the commands."""


class HasNames(Protocol):
    """An option or argument of a command."""

    opts: list[str]


def commands() -> Iterator[tuple[str, str, set[str]]]:
    """Each command's section of the page, its name there, and its options."""
    for section, command in typer.main.get_group(app).commands.items():
        if isinstance(command, TyperGroup):
            for name, inner in command.commands.items():
                yield section, name, options(inner.params)
        else:
            yield section, "", options(command.params)


def printing_json() -> Iterator[str]:
    """The commands with `--json`, as one types them."""
    for section, command in typer.main.get_group(app).commands.items():
        inner = command.commands if isinstance(command, TyperGroup) else {"": command}
        for name, one in inner.items():
            if any("--json" in parameter.opts for parameter in one.params):
                yield f"{section} {name}".strip()


def options(parameters: Iterable[HasNames]) -> set[str]:
    """The names of a command's own options."""
    names = {name for parameter in parameters for name in parameter.opts}
    return {name for name in names if name.startswith("-")} - FOR_ALL


@pytest.mark.parametrize(("section", "name", "known"), list(commands()))
def test_every_command_is_told_of_with_its_options(
    section: str, name: str, known: set[str]
) -> None:
    found = re.search(rf"^## `sparky {section}\b.*?(?=^## )", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None
    text = found[0]
    if name:
        assert name in re.split(r"\W+", text.splitlines()[0])
        text = "\n".join(
            re.findall(rf"^- `sparky {section} {name}\b(?:.|\n  )*", text, re.MULTILINE)
        )
    assert known <= set(re.findall(r"(?<![\w-])--?\w[\w-]*", text))


def test_every_command_that_prints_json_is_listed_as_one_that_does() -> None:
    told = PAGE.partition("## For programs")[2].partition("print JSON with")[0]
    assert set(re.findall(r"`([a-z ]+)`", told)) == set(printing_json())


def test_every_exit_code_is_told_of() -> None:
    table = PAGE.partition("## Exit codes")[2].partition("## ")[0]
    told = {int(number) for number in re.findall(r"\d+", table)}
    assert {int(code) for code in Code} <= told


@pytest.mark.parametrize("option", sorted(FOR_ALL - {"-h"}))
def test_what_holds_for_all_commands_is_told_of(option: str) -> None:
    assert option in PAGE
