"""`sparky repos discover`: follow what an account or a topic has on GitHub."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from sparky.cli import opening, output, when
from sparky.cli.taking import Report, in_words, put_into, show
from sparky.errors import SparkyError, UsageError
from sparky.selection import Keep, Selection

if TYPE_CHECKING:
    from sparky.facts import Listed
    from sparky.source.directory import Directory
    from sparky.source.lister import Found
    from sparky.store.followed import Followed

Groups = Annotated[
    list[str] | None,
    typer.Option("--group", metavar="GROUP", help="Put them into this group; may be repeated."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would come of it.")]


def discover(
    org: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="An organization's repositories.")
    ] = None,
    user: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A user's repositories.")
    ] = None,
    topic: Annotated[
        list[str] | None, typer.Option(metavar="TOPIC", help="The repositories of a topic.")
    ] = None,
    archived: Annotated[Keep, typer.Option(help="What becomes of archived ones.")] = Keep.EXCLUDE,
    forks: Annotated[Keep, typer.Option(help="What becomes of forks.")] = Keep.EXCLUDE,
    private: Annotated[Keep, typer.Option(help="What becomes of private ones.")] = Keep.INCLUDE,
    pushed_since: Annotated[
        str | None, typer.Option(metavar="DATE", help=f"Pushed to since then: {when.EXAMPLES}.")
    ] = None,
    language: Annotated[
        list[str] | None, typer.Option(metavar="LANGUAGE", help="In this main language.")
    ] = None,
    name: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN", help="Named so: `api-*`, `acme/api-*`; in any case."),
    ] = None,
    not_name: Annotated[
        list[str] | None, typer.Option(metavar="PATTERN", help="Not named so.")
    ] = None,
    min_size: Annotated[
        str | None, typer.Option(metavar="SIZE", help="As large as this: 100KB, 2GB.")
    ] = None,
    max_size: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Not larger than this.")
    ] = None,
    group: Groups = None,
    prune: Annotated[
        bool,
        typer.Option("--prune", help="Follow no longer what is not there any more; digests stay."),
    ] = False,
    dry_run: DryRun = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Follow the repositories on GitHub of organizations, users and topics that pass the filters.

    All that is given is put together; filters that may be repeated let pass what fits one of them.
    """
    from sparky import wiring
    from sparky.store import groups as grouping
    from sparky.store.followed import Followed

    wanted = Selection(
        archived=archived,
        forks=forks,
        private=private,
        pushed_since=when.moment(pushed_since, datetime.now(UTC)) if pushed_since else None,
        languages=tuple(language or ()),
        names=tuple(name or ()),
        but_not=tuple(not_name or ()),
        at_least=_bytes(min_size) if min_size else 0,
        at_most=_bytes(max_size) if max_size else None,
    )
    places = list(_places(org or (), user or (), topic or ()))
    if not places:
        raise UsageError("nobody says where to look", remedy="Give --org, --user or --topic")
    for one in group or ():
        grouping.check(one)
    report = Report()
    with (
        opening.wired() as parts,
        closing(wiring.directory(parts.settings, parts.store)) as directory,
    ):
        followed = Followed(parts.store.engine)
        now = datetime.now(UTC)
        chosen: dict[str, Listed] = {}
        for place in places:
            found = _look(place, directory, wanted, report)
            if found is None:
                continue
            passed, refused = _sort(found, wanted)
            chosen |= passed
            report.left_out.update(refused.values())
            others = [one for key, one in found.listed.items() if key in refused]
            _turn(report, followed, others, now, dry=dry_run)
            if place.login is not None:
                _absent(report, followed, directory, place.login, found, now, dry_run, prune)
        report.taken = list(followed.follow(list(chosen.values()), at=now, dry=dry_run))
        if not dry_run:
            put_into(parts.store, {one: list(chosen) for one in group or ()})
    if report.failed == len(places):
        return 1
    show(report, as_json=as_json, dry=dry_run)
    return 3 if report.failed or report.gaps else 0


@dataclass(frozen=True, slots=True)
class _Place:
    """Where to look."""

    text: str
    login: str | None = None
    topic: str = ""
    organization: bool = False


def _places(orgs: Iterable[str], users: Iterable[str], topics: Iterable[str]) -> Iterator[_Place]:
    for login in dict.fromkeys(orgs):
        yield _Place(login, login=login, organization=True)
    for login in dict.fromkeys(users):
        yield _Place(login, login=login)
    for topic in dict.fromkeys(topics):
        yield _Place(f"topic {topic}", topic=topic)


def _look(place: _Place, directory: Directory, wanted: Selection, report: Report) -> Found | None:
    """What there is; None when nothing can be had, of which the report tells."""
    with output.Waiting() as waiting:

        def tell(seen: int, total: int) -> None:
            waiting(f"{place.text}: {seen:,} of {total:,} repositories")

        waiting(f"looking at {place.text}")
        try:
            if place.login is None:
                found = directory.topic(place.topic, wanted, tell)
            else:
                kind = "Organization" if place.organization else "User"
                found = directory.account(place.login, kind, tell)  # type: ignore[arg-type]
        except UsageError:
            raise
        except SparkyError as error:
            # The others may be fine.
            waiting.stop()
            report.failed += 1
            output.problem(error.message, error.remedy)
            return None
    report.gaps += found.gaps
    return found


def _sort(found: Found, wanted: Selection) -> tuple[dict[str, Listed], dict[str, str]]:
    """What passes, and why the rest does not, by id."""
    refused = {key: why for key, one in found.listed.items() if (why := wanted.refuses(one))}
    return {key: one for key, one in found.listed.items() if key not in refused}, refused


def _turn(
    report: Report,
    followed: Followed,
    found: Sequence[Listed],
    now: datetime,
    *,
    dry: bool,
) -> None:
    """Write down what has become of repositories that were not chosen now."""
    from sparky.store.sights import Sight

    sights = [
        Sight(
            repo_id=one.repo.id,
            at=now,
            name=one.repo.name,
            url=one.repo.url or "",
            facts=one.facts,
        )
        for one in found
    ]
    names = {one.repo_id: one.name for one in sights}
    for key, events in followed.saw(sights, dry=dry).items():
        if events:
            report.turned.append((key, names[key], f"{in_words(events)}; still followed"))


def _absent(
    report: Report,
    followed: Followed,
    directory: Directory,
    login: str,
    found: Found,
    now: datetime,
    dry: bool,
    prune: bool,
) -> None:
    """What is followed of an account, and not in its list any more: moved, or not to be read."""
    from sparky.facts import Listed
    from sparky.store.sights import Sight

    absent = {
        line.repo.id: line for line in followed.of_owner(login) if line.repo.id not in found.listed
    }
    led = directory.of_ids(list(absent), login) if absent else {}
    moved = [one for one in led.values() if isinstance(one, Listed)]
    _turn(report, followed, moved, now, dry=dry)
    lost = {key: one for key, one in led.items() if not isinstance(one, Listed)}
    followed.saw(
        [Sight(repo_id=key, at=now, missing=one.why) for key, one in lost.items()], dry=dry
    )
    gone = [key for key, one in lost.items() if not one.denied] if prune else []
    if gone and not dry:
        followed.unfollow(gone)
    for key, one in lost.items():
        end = "not followed any longer" if key in gone else "still followed"
        report.turned.append((key, absent[key].repo.name, f"unreadable: it {one.why}; {end}"))


def _bytes(text: str) -> int:
    from pydantic import ByteSize, TypeAdapter, ValidationError

    try:
        return int(TypeAdapter(ByteSize).validate_python(text))
    except ValidationError:
        raise UsageError(f"{text} is not a size", remedy="Write it as 100KB or 2GiB") from None
