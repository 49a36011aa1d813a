"""Which pull requests and issues a message names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparky.source.references import references


@pytest.mark.parametrize(
    ("title", "body", "keys"),
    [
        ("Add a gauge (#12)", "", ["pull_request:12"]),
        ("Add a gauge (#12) (#15)", "", ["pull_request:12", "pull_request:15"]),
        ("gh-7: Add a gauge (GH-12)", "", ["pull_request:12", "issue:7"]),
        ("Merge pull request #12 from acme/gauge", "Add a gauge", ["pull_request:12"]),
        ("Merge PR #12 into main", "", ["pull_request:12"]),
        ("Merge #12", "", ["pull_request:12"]),
        ("Auto merge of #12 - acme:gauge, r=ada", "", ["pull_request:12"]),
        ("Merged in gauge (pull request #12)", "", ["pull_request:12"]),
        ("Merged PR 12: Add a gauge", "", ["pull_request:12"]),
        (
            "Merge branch 'gauge' into 'main'",
            "See merge request acme/rocket!12",
            ["pull_request:12"],
        ),
        ("Gauge", "PR-URL: https://github.com/acme/rocket/pull/12\n", ["pull_request:12"]),
        ("Gauge", "Reviewed-on: https://review.example.org/c/rocket/+/12", ["pull_request:12"]),
        ("Gauge", "Reviewed-on: https://git.example.org/acme/rocket/pulls/12", ["pull_request:12"]),
        ("Gauge", "PR Close #12", ["pull_request:12"]),
        ("Fix the gauge", "Fixes #12", ["issue:12"]),
        ("Fix the gauge", "closes: #12, #13 and #14", ["issue:12", "issue:13", "issue:14"]),
        ("Fix the gauge", "Fixes #12, fixes #13.", ["issue:12", "issue:13"]),
        ("fix #12", "", ["issue:12"]),
        ("Gauge", "Resolves https://github.com/acme/rocket/issues/12", ["issue:12"]),
        ("Fix the gauge (#12)", "Fixes #12, #11", ["pull_request:12", "issue:11"]),
        ("Fix the gauge (#12)", "Fixes #9\nFixes #9", ["pull_request:12", "issue:9"]),
    ],
)
def test_what_is_named(title: str, body: str, keys: list[str]) -> None:
    """The forges' and tools' ways of naming are known."""
    assert list(references(title, body)) == keys


@pytest.mark.parametrize(
    ("title", "body"),
    [
        ("Mention #12 in passing", "as in #13"),
        ("Use (#12) in the middle", ""),
        ("Add a gauge (acme/other#12)", ""),
        ("Prefix #12", "the suffix #12"),
        ("Fixes acme/other#12", ""),
        ("Add a gauge (#1234567890123)", "Fixes #1234567890123"),
        ("Merge branch 'x' of host:y", "!12"),
        ("Fix 12 bugs", "Closes the gap #"),
    ],
)
def test_what_is_not_named(title: str, body: str) -> None:
    """A number in passing, of another repository, or too long for one, names nothing."""
    assert references(title, body) == ()


@given(st.text("#!()gh-GH123456789 \n\tfixesclo/:", max_size=300), st.text(max_size=100))
def test_keys_are_well_formed(title: str, body: str) -> None:
    """Whatever the text, keys are canonical and unrepeated, and no number is both kinds."""
    found = references(title, body)
    numbers = [key.partition(":")[2] for key in found]
    assert all(key.startswith(("pull_request:", "issue:")) for key in found)
    assert all(number == str(int(number)) for number in numbers)
    assert len(set(numbers)) == len(numbers)


def test_long_hostile_messages_are_read_in_linear_steps() -> None:
    """Messages made to have a pattern start over at each character still come to an end."""
    many = 50_000
    for text in ("(#1)" * many, "fixes #1, " * many, "fix " * many, "fixes" + " " * many):
        references(text + "x", text + "x")
    references("", "PR-URL: https://" + "/" * many)
    references("", "Resolves https://a/" + "/issues/" * many)
