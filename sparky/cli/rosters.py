"""`sparky repos import` and `sparky repos export`: the repositories as a file."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sparky.cli import discover, opening, output
from sparky.cli.taking import Report, put_into, show
from sparky.errors import Permanent, UsageError
from sparky.rosters import ENDINGS, Entry, Form, read, write

if TYPE_CHECKING:
    from sparky.facts import Listed, Missing
    from sparky.source.directory import Directory
    from sparky.wiring import Wired

FormOption = Annotated[
    Form | None,
    typer.Option("--format", "-f", help="How it is written. [default: by the file's ending]"),
]


def import_file(
    file: Annotated[str, typer.Argument(metavar="FILE", help="The file; `-` is stdin.")],
    form: FormOption = None,
    group: discover.Groups = None,
    dry_run: discover.DryRun = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Follow the repositories of a file: csv, yaml, or a list of locations.

    A repository on GitHub is looked up by its id, where the file names it, else by its name.
    """
    from sparky.store import groups as grouping
    from sparky.store.followed import Followed

    entries = read(_text(file), form or _form(file, Form.LIST))
    for one in group or ():
        grouping.check(one)
    report = Report()
    with opening.wired() as parts:
        followed = Followed(parts.store.engine)
        found: list[Listed] = []
        groups: dict[str, list[str]] = {}
        for entry, led in _found(entries, parts):
            if isinstance(led, str):
                report.failed += 1
                output.problem(f"line {entry.line}: {led}")
                continue
            found.append(led)
            for name in (*entry.groups, *(group or ())):
                groups.setdefault(name, []).append(led.repo.id)
        unique = {one.repo.id: one for one in found}
        report.taken = list(
            followed.follow(list(unique.values()), at=datetime.now(UTC), dry=dry_run)
        )
        if not dry_run:
            put_into(parts.store, groups)
    if report.failed and not report.taken:
        return 1
    show(report, as_json=as_json, dry=dry_run)
    return 3 if report.failed else 0


def export(
    file: Annotated[
        str | None, typer.Argument(metavar="[FILE]", help="Where to; stdout without it.")
    ] = None,
    form: FormOption = None,
    group: Annotated[
        str | None, typer.Option("--group", metavar="GROUP", help="Only those of this group.")
    ] = None,
) -> None:
    """Write the repositories that are followed as csv, yaml, or a list; `import` reads it again."""
    from sparky.cli.groups import members
    from sparky.store.followed import Followed
    from sparky.store.groups import Groups

    chosen = form or (_form(file, Form.CSV) if file else Form.CSV)
    with opening.wired() as parts:
        if group is not None:
            members(Groups(parts.store.engine), group)
        lines = Followed(parts.store.engine).lines(group=group)
    entries = [Entry(line.repo.location, line.groups, line.repo.id) for line in lines]
    text = write(entries, chosen)
    if file is None or file == "-":
        output.write(text) if text else None
    else:
        Path(file).write_text(text, encoding="utf-8")
        output.say(
            f"{output.several(len(entries), 'repository', 'repositories')} written to {file}"
        )
    if chosen is Form.LIST and any(entry.groups for entry in entries):
        output.say("a list has neither groups nor ids; csv and yaml have them")


def _form(file: str, otherwise: Form) -> Form:
    """The form by the file's ending; UsageError if that says nothing."""
    if file == "-":
        return otherwise
    ending = Path(file).suffix.casefold()
    if ending not in ENDINGS:
        raise UsageError(
            f"{file}: {ending} says nothing of what is in it",
            remedy="Give --format csv, yaml or list",
        )
    return ENDINGS[ending]


def _text(file: str) -> str:
    try:
        if file == "-":
            return sys.stdin.buffer.read().decode()
        return Path(file).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UsageError(f"{file} does not exist", remedy="Give the path of a file") from None
    except IsADirectoryError:
        raise UsageError(f"{file} is a folder", remedy="Give the path of a file") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise UsageError(
            f"line {line}: {file} is not in UTF-8", remedy="Save it in UTF-8"
        ) from None


# from an entry to a repository


def _found(entries: Sequence[Entry], parts: Wired) -> Iterator[tuple[Entry, Listed | str]]:
    """What each entry leads to, or why it leads nowhere."""
    from sparky import wiring
    from sparky.facts import Listed

    on_github: dict[Entry, Listed | str] = {}
    if wiring.has_github(parts.settings):
        with closing(wiring.directory(parts.settings, parts.store)) as directory:
            on_github = dict(_on_github(entries, directory))
    with output.Waiting() as waiting:
        for number, entry in enumerate(entries, start=1):
            if entry in on_github:
                yield entry, on_github[entry]
                continue
            if entry.id and not entry.id.startswith("git:"):
                yield entry, f"{entry.location} is known by its id on GitHub, without credentials"
                continue
            known = parts.store.find_repo(entry.id) if entry.id else None
            if known is not None and known.location == entry.location:
                yield entry, Listed(known)
                continue
            waiting(f"looking at {entry.location} ({number:,} of {len(entries):,})")
            try:
                repo = parts.source.identify(entry.location)
            except Permanent as error:
                yield entry, str(error)
                continue
            if entry.id and entry.id != repo.id:
                yield entry, f"{entry.location} is not the repository {entry.id}"
            else:
                yield entry, Listed(repo)


def _on_github(
    entries: Sequence[Entry], directory: Directory
) -> Iterator[tuple[Entry, Listed | str]]:
    """What those entries lead to that are GitHub's: a hundred ids or fifty names at a time."""
    named = {}
    for entry in entries:
        if entry.id:
            continue
        try:
            if (name := directory.name_of(entry.location)) is not None:
                named[entry] = name
        except Permanent as error:
            yield entry, str(error)
    known = {entry: entry.id for entry in entries if entry.id and not entry.id.startswith("git:")}
    with output.Waiting() as waiting:
        waiting(f"looking at {len(named) + len(known):,} repositories on GitHub")
        by_id = directory.of_ids(list(known.values())) if known else {}
        by_name = directory.of_names(list(named.values())) if named else {}
    for entry, key in known.items():
        yield entry, _told(entry, by_id.get(key))
    for entry, name in named.items():
        yield entry, _told(entry, by_name.get(name))


def _told(entry: Entry, one: Listed | Missing | None) -> Listed | str:
    from sparky.facts import Missing

    if one is None:
        return f"GitHub gives no answer for {entry.location} now; import the file again later"
    return f"{entry.location} {one.why}" if isinstance(one, Missing) else one
