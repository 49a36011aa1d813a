"""Related activities: parts of one change come together, everything else stays apart."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparky import activity, related
from sparky.model import Activity, Change
from tests import factories as make


def titles(*lines: str, **more: object) -> list[list[str]]:
    """The groups that commits of some titles make, as titles."""
    activities = [make.commit(n, line, **more) for n, line in enumerate(lines, 1)]
    traits = {one.key: activity.traits(one) for one in activities}
    return [[one.title for one in group] for group in related.groups(activities, traits)]


@pytest.mark.parametrize(
    "lines",
    [
        ("types: add Zig", "types: add Gleam", "types: add Typst"),
        (
            "docs: convert the mail synopsis to the new style",
            "docs: convert the push synopsis to the new style",
        ),
        ("fix mypy findings", "fix mypy findings"),
        ("Add notification support for hash fields", "Add defragment support for hash fields"),
    ],
)
def test_parts_of_one_change_come_together(lines: tuple[str, ...]) -> None:
    """Terse titles of one area and verb, and titles of nearly the same words, are one group."""
    assert titles(*lines) == [list(lines)]


@pytest.mark.parametrize(
    "lines",
    [
        ("types: add Zig", "types: remove Gleam"),
        ("fix: stop the worker on SIGTERM", "fix: read the log backwards"),
        ("Add the lamp", "Add the gauge"),
        ("wip", "wip"),
        ("feat: add a lamp to the deck", "feat!: add a lamp to the deck"),
    ],
)
def test_what_only_looks_alike_stays_apart(lines: tuple[str, ...]) -> None:
    """Another verb, another subject, empty titles and a breaking change are groups of their own."""
    assert titles(*lines) == [[line] for line in lines]


def test_commits_of_one_pull_request_come_together() -> None:
    """Commits that name the same pull request, and no other, are one group."""
    lines = ("Mend the mast", "Mend the keel below the water")
    assert titles(*lines, references=("pull_request:12",)) == [list(lines)]
    assert len(titles(*lines, references=("pull_request:12", "pull_request:13"))) == 2


def test_what_is_proposed_stays_apart_from_what_is_done() -> None:
    """A request that is open is not told in one sentence with a merged one of the same title."""
    both = [make.pull_request(1, "Add a green lamp"), make.pull_request(2, "Add a green lamp")]
    opened = [both[0], make.pull_request(2, "Add a green lamp", state="opened")]
    for activities, groups in ((both, 1), (opened, 2)):
        traits = {one.key: activity.traits(one) for one in activities}
        assert len(related.groups(activities, traits)) == groups


@given(
    lines=st.lists(st.sampled_from(["add x y", "add x y z", "fix a: b", "wip", ""]), max_size=16),
    changes=st.lists(st.sampled_from(Change), min_size=16, max_size=16),
)
def test_each_activity_is_in_one_group(lines: Sequence[str], changes: Sequence[Change]) -> None:
    """Groups hold each activity once, are never empty, and have at most as many as allowed."""
    activities: list[Activity] = [make.commit(n, line) for n, line in enumerate(lines, 1)]
    traits = {a.key: make.traits(c) for a, c in zip(activities, changes, strict=False)}
    groups = related.groups(activities, traits)
    assert sorted(a.key for a in related.flat(groups)) == sorted(a.key for a in activities)
    assert all(1 <= len(group) <= related.MOST for group in groups)
