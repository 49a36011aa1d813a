"""What every source behind `ports.Source` does, whichever it is.

To let another source join, add a function that gives its `Case` to `CASES`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from sparky.errors import SourceError
from sparky.model import Activity, Kind, Repo, Window
from sparky.ports import Source
from sparky.source.gitrepo import GitSource
from tests.repositories import DAY_1, Repository

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
    made.git("mv", "a", "z")
    made.commit("Move", at=DAY_1 + 4 * DAY, author="dependabot[bot] <bot@example.org>")
    made.tag("v2")
    return made


def _path(folder: Path) -> Case:
    location = str(_history(folder).path)
    window = Window(DAY_1, DAY_1 + 7 * DAY)
    return Case(GitSource(folder / "cache"), location, window, str(folder / "nothing"))


def _url(folder: Path) -> Case:
    location = _history(folder).url
    window = Window(DAY_1, DAY_1 + 7 * DAY)
    return Case(GitSource(folder / "cache"), location, window, f"file://{folder}/nothing")


CASES: dict[str, Callable[[Path], Case]] = {"git by path": _path, "git by URL": _url}


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    return CASES[request.param](tmp_path_factory.mktemp("source"))


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
    """Cut at the very time of each activity, two windows hold what the whole one held."""
    for time in {activity.at for activity in found} - {case.window.since}:
        earlier = list(case.source.activities(repo, Window(case.window.since, time)))
        later = list(case.source.activities(repo, Window(time, case.window.until)))
        assert {a.key for a in later}.isdisjoint(a.key for a in earlier)
        assert sorted(later + earlier, key=lambda a: a.key) == sorted(found, key=lambda a: a.key)


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
