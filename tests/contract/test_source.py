"""What every source behind `ports.Source` does, whichever it is.

To let another source join, add a function that gives its `Case` to `CASES`.

By nature GitHub differs from git in this: it names no files, and applies no mailmap; it knows
logins, and which pull request brought a commit; and it has pull requests and issues, which stand in
one window as opened and in a later one as merged or closed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from sparky.errors import SourceError
from sparky.model import Activity, Kind, Repo, Role, Window
from sparky.ports import Source
from sparky.source.gitrepo import GitSource
from tests.github import Limits, World, serve
from tests.integration.github_world import reading
from tests.repositories import DAY_1, Repository
from tests.servers import Servers

DAY = timedelta(days=1)
NEVER = Window(datetime(2001, 1, 1, tzinfo=UTC), datetime(2001, 2, 1, tzinfo=UTC))


@dataclass(frozen=True, slots=True)
class Case:
    """A source, and a repository in which enough has happened."""

    source: Source
    location: str
    window: Window
    """Holds activities on at least three different times, with well-set clocks; since 2002."""
    missing: str
    """A location of the same sort at which nothing is."""


def _history(folder: Path) -> Repository:
    """A history of commits, a merge, a move and tags, over a week."""
    made = Repository(folder / "rocket")
    made.git("config", "uploadpack.allowFilter", "true")
    made.commit("Begin", {"a": "1\n" * 9, "bin": b"\0\1"}, at=DAY_1)
    made.git("switch", "-q", "-c", "side")
    made.commit("On the side\n\nFixes #1", {"b": "1\n"}, at=DAY_1 + DAY)
    made.git("switch", "-q", "main")
    made.commit(b"Caf\xe9 \xff\n\n\x1b[1m", {"a": "2\n" * 9}, at=DAY_1 + 2 * DAY)
    made.tag("v1", "One", at=DAY_1 + 2.5 * DAY)
    made.merge("side", "Merge pull request #2 from acme/side", at=DAY_1 + 3 * DAY)
    made.commit(
        "Add a gauge (#5)\n\nAs asked for.\n\nCo-authored-by: Lin Mason <lin@example.org>",
        {"b": "2\n"},
        at=DAY_1 + 3.5 * DAY,
        author="Eva Dyer <eva@example.org>",
        committer="GitHub <noreply@github.com>",
    )
    made.git("mv", "a", "z")
    made.commit("Move", at=DAY_1 + 4 * DAY, author="dependabot[bot] <bot@example.org>")
    made.tag("v2")
    return made


def _path(folder: Path, stack: ExitStack, servers: Servers) -> Case:
    location = str(_history(folder).path)
    window = Window(DAY_1, DAY_1 + 7 * DAY)
    return Case(GitSource(folder / "cache"), location, window, str(folder / "nothing"))


def _url(folder: Path, stack: ExitStack, servers: Servers) -> Case:
    location = _history(folder).url
    window = Window(DAY_1, DAY_1 + 7 * DAY)
    return Case(GitSource(folder / "cache"), location, window, f"file://{folder}/nothing")


def _github(folder: Path, stack: ExitStack, servers: Servers) -> Case:
    world = World(seed=1, repositories=0, organizations=1, git=[_history(folder).path])
    (repository,) = world
    repository.size = replace(repository.size, pull_requests=4, issues=4)
    github = stack.enter_context(serve(world, limits=Limits.primary_only()))
    servers.empty()
    reader = stack.enter_context(reading(github, servers.database_url))
    window = Window(DAY_1, DAY_1 + 7 * DAY)
    return Case(reader.source, repository.full_name, window, "org-0/nothing")


CASES: dict[str, Callable[[Path, ExitStack, Servers], Case]] = {
    "git by path": _path,
    "git by URL": _url,
    "github": _github,
}


@pytest.fixture(scope="module", params=CASES)
def case(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, servers: Servers
) -> Iterator[Case]:
    with ExitStack() as stack:
        yield CASES[request.param](tmp_path_factory.mktemp("source"), stack, servers)


@pytest.fixture(scope="module")
def repo(case: Case) -> Repo:
    """The repository, as up to date as it gets."""
    found = case.source.identify(case.location)
    case.source.refresh(found)
    return found


@pytest.fixture(scope="module")
def found(case: Case, repo: Repo) -> list[Activity]:
    """All that happened in the window."""
    return list(case.source.activities(repo, case.window))


def test_a_repository_is_identified_the_same_each_time(case: Case) -> None:
    """Two looks at one location give one repository, that has an id and a name."""
    first = case.source.identify(case.location)
    assert first == case.source.identify(case.location)
    assert first.id
    assert first.name
    assert first.url is None or first.url.startswith("https://")


def test_what_was_identified_can_be_found_again(case: Case) -> None:
    """The location that a repository has now leads to the same repository."""
    first = case.source.identify(case.location)
    assert case.source.identify(first.location) == first


def test_nothing_is_an_error_with_a_remedy(case: Case) -> None:
    """A location at which nothing is, is named, and so is what to do."""
    with pytest.raises(SourceError) as caught:
        case.source.identify(case.missing)
    assert case.missing in caught.value.message
    assert caught.value.remedy


def test_the_census_agrees_with_what_is_read(case: Case, repo: Repo, found: list[Activity]) -> None:
    """For every kind there is a number, and it is how many come."""
    expected = case.source.census(repo, case.window).expected
    counted = Counter(activity.kind for activity in found)
    assert expected == {kind: counted[kind] for kind in Kind}
    assert sum(expected.values()) >= 3


def test_no_activity_comes_twice(found: list[Activity]) -> None:
    """Keys are unique, and begin with the kind."""
    keys = [activity.key for activity in found]
    assert len(set(keys)) == len(keys)
    assert all(activity.key.startswith(f"{activity.kind}:") for activity in found)


def test_the_newest_come_first(case: Case, found: list[Activity]) -> None:
    """Times are zone-aware, within the window, and never go up."""
    times = [activity.at for activity in found]
    assert all(case.window.since <= time < case.window.until for time in times)
    assert all(later >= earlier for later, earlier in pairwise(times))


def test_windows_that_touch_neither_lose_nor_double(
    case: Case, repo: Repo, found: list[Activity]
) -> None:
    """Cut at the very time of each activity, two windows hold what the whole one held; and what
    ended in the later one may stand in the earlier one as opened."""
    for time in {activity.at for activity in found} - {case.window.since}:
        earlier = list(case.source.activities(repo, Window(case.window.since, time)))
        later = list(case.source.activities(repo, Window(time, case.window.until)))
        ended = {a.key for a in later if a.state in {"merged", "closed"}}
        twice = {a.key for a in later} & {a.key for a in earlier}
        assert twice <= ended
        assert {a.state for a in earlier if a.key in twice} <= {"opened"}
        once = later + [a for a in earlier if a.key not in twice]
        assert sorted(once, key=lambda a: a.key) == sorted(found, key=lambda a: a.key)


def test_reading_again_gives_the_same(case: Case, repo: Repo, found: list[Activity]) -> None:
    """A second reading, after another refresh too, differs in nothing."""
    case.source.refresh(repo)
    assert list(case.source.activities(repo, case.window)) == found


def test_a_window_without_activities_is_empty(case: Case, repo: Repo) -> None:
    """Where nothing happened there is nothing, and no error."""
    assert list(case.source.activities(repo, NEVER)) == []
    assert set(case.source.census(repo, NEVER).expected.values()) == {0}


def test_every_text_can_be_stored(found: list[Activity]) -> None:
    """No NUL and no lone surrogate comes through, whatever the repository holds."""
    for activity in found:
        names = [credit.person.name for credit in activity.credits]
        paths = [file.path for file in activity.files]
        for text in (activity.title, activity.body, *names, *paths):
            assert "\0" not in text
            text.encode()


def test_what_is_said_of_files_is_consistent(found: list[Activity]) -> None:
    """At most all files are named, and their lines are part of the sum."""
    for activity in found:
        assert len(activity.files) <= activity.files_total
        assert sum(file.additions or 0 for file in activity.files) <= activity.additions
        assert sum(file.deletions or 0 for file in activity.files) <= activity.deletions


def test_everybody_has_a_name(found: list[Activity]) -> None:
    """Nobody is credited without a name, or twice for the same part."""
    for activity in found:
        parts = [(credit.person.key, credit.role) for credit in activity.credits]
        assert all(key for key, _ in parts)
        assert len(set(parts)) == len(parts)


def test_git_and_github_give_the_same_commits(tmp_path: Path, servers: Servers) -> None:
    """Over one history with a merge, a squash, a co-author, a bot and bytes that are no text: the
    same keys, times, texts, people, lines, parents and numbers of files."""
    with ExitStack() as stack:
        there = _github(tmp_path, stack, servers)
        by_github = commits(there, there.location)
    here = Case(GitSource(tmp_path / "cache"), str(tmp_path / "rocket"), there.window, "")
    by_git = commits(here, here.location)
    assert len(by_git) == 6
    assert by_github.keys() == by_git.keys()
    for key, one in by_github.items():
        other = by_git[key]
        assert one.files == (), "GitHub names no files of a commit"
        assert replace(one, files=(), references=()) == replace(other, files=(), references=())
        # GitHub knows of more pull requests than the messages name.
        assert set(other.references) - set(one.references) <= {"issue:1"}
    squashed = next(one for one in by_github.values() if one.title == "Add a gauge (#5)")
    assert [(c.role, c.person.name) for c in squashed.credits] == [
        (Role.AUTHOR, "Eva Dyer"),
        (Role.CO_AUTHOR, "Lin Mason"),
    ]


def commits(case: Case, location: str) -> dict[str, Activity]:
    """The commits of a case's window, by key."""
    repo = case.source.identify(location)
    case.source.refresh(repo)
    found = case.source.activities(repo, case.window)
    return {one.key: one for one in found if one.kind is Kind.COMMIT}
