"""Lists of repositories as files: read with the number of every line that is wrong, and written.

    csv     a line that names the columns `location`, `groups`, `id`; then a repository a line
    yaml    `repositories:` with a location, or a mapping with these keys, for each
    list    a location a line; `#` begins a comment

Pure: text goes in and values come out, and the other way round; what is written reads the same.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from sparky.errors import UsageError

if TYPE_CHECKING:
    import yaml

COLUMNS: Final = ("location", "groups", "id")
GROUP: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""What can be a group's name."""
_SHOWN: Final = 10
"""So many lines are told of at once."""


class Form(StrEnum):
    """How a roster is written."""

    CSV = "csv"
    YAML = "yaml"
    LIST = "list"


ENDINGS: Final = {
    ".csv": Form.CSV,
    ".yaml": Form.YAML,
    ".yml": Form.YAML,
    ".txt": Form.LIST,
    ".list": Form.LIST,
    "": Form.LIST,
}


@dataclass(frozen=True, slots=True)
class Entry:
    """A repository of a roster."""

    location: str
    """A path, a git URL or `owner/name`."""
    groups: tuple[str, ...] = ()
    id: str = ""
    """Its immutable id, if whoever wrote the file knew it."""
    line: int = 0


class _Wrong(Exception):
    """A line that cannot be read."""

    def __init__(self, line: int, why: str) -> None:
        super().__init__(f"line {line}: {why}")


def read(text: str, form: Form) -> tuple[Entry, ...]:
    """The repositories of a roster, each once, with all groups that it is given.

    Raises:
        UsageError: with every line that is wrong; then nothing of it should be used.
    """
    reading = {Form.CSV: _from_csv, Form.YAML: _from_yaml, Form.LIST: _from_list}[form]
    found: dict[tuple[str, str], Entry] = {}
    wrong: list[str] = []
    try:
        for one in reading(text.removeprefix("\ufeff")):
            if isinstance(one, _Wrong):
                wrong.append(str(one))
                continue
            key = ("id", one.id) if one.id else ("location", one.location)
            before = found.get(key)
            groups = (*before.groups, *one.groups) if before else one.groups
            first = before or one
            found[key] = Entry(first.location, tuple(dict.fromkeys(groups)), one.id, first.line)
    except _Wrong as error:
        wrong.append(str(error))
    if wrong:
        more = f"; and {len(wrong) - _SHOWN} lines more" if len(wrong) > _SHOWN else ""
        raise UsageError(
            f"{'; '.join(wrong[:_SHOWN])}{more}",
            remedy="Nothing was imported; mend the file and import it again",
        )
    return tuple(found.values())


def write(entries: Iterable[Entry], form: Form) -> str:
    """The roster as text that `read` understands; a list has no groups and no ids."""
    listed = sorted(entries, key=lambda one: (one.location.casefold(), one.location))
    if form is Form.LIST:
        return "".join(f"{one.location}\n" for one in listed)
    if form is Form.YAML:
        import yaml  # not for every command

        rows = [
            {"location": one.location}
            | ({"groups": sorted(one.groups)} if one.groups else {})
            | ({"id": one.id} if one.id else {})
            for one in listed
        ]
        return yaml.safe_dump({"repositories": rows}, sort_keys=False, allow_unicode=True)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for one in listed:
        writer.writerow((one.location, " ".join(sorted(one.groups)), one.id))
    return out.getvalue()


def _entry(location: str, groups: Sequence[str], repo_id: str, line: int) -> Entry | _Wrong:
    """An entry whose parts may be what they are said to be."""
    if not location:
        return _Wrong(line, "there is no location")
    if not (location + repo_id).isprintable():
        return _Wrong(line, "there are characters that cannot be shown")
    if any(character.isspace() for character in repo_id):
        return _Wrong(line, "the id has spaces in it")
    bad = next((group for group in groups if not GROUP.fullmatch(group)), None)
    if bad is not None:
        return _Wrong(line, f"{bad!a} is not a name for a group")
    return Entry(location, tuple(dict.fromkeys(groups)), repo_id, line)


def _from_list(text: str) -> Iterator[Entry | _Wrong]:
    for number, line in enumerate(text.splitlines(), start=1):
        # A location may hold a number sign, a comment follows a space.
        location = re.split(r"(?:^|\s)#", line, maxsplit=1)[0].strip()
        if location:
            yield _entry(location, (), "", number)


def _from_csv(text: str) -> Iterator[Entry | _Wrong]:
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    columns: list[str] = []
    number = 1
    try:
        for row in rows:
            cells = [cell.strip() for cell in row]
            if not any(cells):
                pass
            elif not columns:
                columns = [cell.casefold() for cell in cells]
                _check_names(columns, number)
            elif len(cells) > len(columns):
                yield _Wrong(number, f"it has {len(cells)} columns, the first line {len(columns)}")
            else:
                cell = dict(zip(columns, cells, strict=False))
                groups = re.split(r"[\s;,]+", cell.get("groups", ""))
                yield _entry(
                    cell.get("location", ""), [g for g in groups if g], cell.get("id", ""), number
                )
            # A cell may hold line ends: the next row begins after all of them.
            number = rows.line_num + 1
    except csv.Error as error:
        raise _Wrong(number, f"this is not CSV ({error})") from None


def _check_names(names: Sequence[str], line: int) -> None:
    if "location" not in names:
        raise _Wrong(line, f"the columns must be named {', '.join(COLUMNS)}; location is missing")
    if len(set(names)) != len(names):
        raise _Wrong(line, "a column is there twice")
    for name in names:
        _check_name(name, line)


def _check_name(name: str, line: int) -> None:
    if name not in COLUMNS:
        near = get_close_matches(name, COLUMNS, n=1)
        meant = f"did you mean {near[0]}" if near else f"there are {', '.join(COLUMNS)}"
        raise _Wrong(line, f"{name[:40]!a} is not known; {meant}")


def _from_yaml(text: str) -> Iterator[Entry | _Wrong]:
    import yaml  # not for every command

    try:
        # Nodes and not values: they know their lines, and nothing in them is made or run.
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = mark.line + 1 if mark else 1
        raise _Wrong(line, f"this is not YAML ({error.problem or error.context})") from None
    except yaml.YAMLError as error:
        raise _Wrong(1, f"this is not YAML ({' '.join(str(error).split())[:200]})") from None
    if root is None:
        return
    if isinstance(root, yaml.MappingNode):
        known = {key.value: value for key, value in root.value}
        for key, _ in root.value:
            if key.value != "repositories":
                raise _Wrong(_line(key), f"{str(key.value)[:40]!a} is not known; use repositories")
        root = known["repositories"] if known else None
    if not isinstance(root, yaml.SequenceNode):
        raise _Wrong(_line(root) if root else 1, "there must be a list of repositories")
    for node in root.value:
        try:
            yield _from_node(node)
        except _Wrong as error:
            yield error


def _from_node(node: yaml.Node) -> Entry | _Wrong:
    import yaml

    if isinstance(node, yaml.ScalarNode):
        return _entry(node.value.strip(), (), "", _line(node))
    if not isinstance(node, yaml.MappingNode):
        raise _Wrong(_line(node), "a repository is a location, or a mapping with one")
    values: dict[str, Any] = {}
    for key, value in node.value:
        _check_name(str(key.value), _line(key))
        values[key.value] = value
    groups = values.get("groups")
    named = groups.value if isinstance(groups, yaml.SequenceNode) else [groups] if groups else []
    return _entry(
        _word(values.get("location")),
        [_word(one) for one in named],
        _word(values.get("id")),
        _line(node),
    )


def _word(node: yaml.Node | None) -> str:
    if node is None:
        return ""
    if not isinstance(node.value, str):
        raise _Wrong(_line(node), "there should be a single word here")
    return node.value.strip()


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1
