"""What GitHub answers becomes the same activities that git would give."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sparky.model import Kind, Role, Window
from sparky.source.githubparse import item, split

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def page(*nodes: dict[str, Any]) -> dict[str, Any]:
    return {"pageInfo": {"endCursor": None, "hasNextPage": False}, "nodes": list(nodes)}


def hand(name: str, login: str | None = None) -> dict[str, Any]:
    return {"name": name, "email": f"{name}@example.org", "user": login and {"login": login}}


def commit(message: str, *, pulls: tuple[int, ...] = (), **changes: Any) -> dict[str, Any]:
    return {
        "oid": "a" * 40,
        "committedDate": "2026-03-02T12:00:00Z",
        "message": message,
        "additions": 3,
        "deletions": 1,
        "changedFilesIfAvailable": 2,
        "author": hand("ada", "ada-b"),
        "committer": hand("ada", "ada-b"),
        "parents": page({"oid": "b" * 40}),
        "associatedPullRequests": page(*({"number": number} for number in pulls)),
    } | changes


def pull_request(**changes: Any) -> dict[str, Any]:
    return {
        "number": 12,
        "title": "Add a gauge",
        "body": "",
        "createdAt": "2026-03-01T12:00:00Z",
        "closedAt": "2026-03-02T12:00:00Z",
        "mergedAt": "2026-03-02T12:00:00Z",
        "updatedAt": "2026-03-02T12:00:00Z",
        "additions": 3,
        "deletions": 1,
        "changedFiles": 2,
        "author": {"__typename": "User", "login": "ada-b", "name": "Ada"},
        "mergedBy": {"__typename": "Bot", "login": "mergify"},
        "labels": page({"name": "bug"}),
        "closingIssuesReferences": page({"number": 7}),
        "reviews": page(
            {"author": {"__typename": "User", "login": "lin", "name": None}},
            {"author": {"__typename": "User", "login": "lin", "name": None}},
            {"author": None},
        ),
    } | changes


@pytest.mark.parametrize(
    ("message", "subject", "body"),
    [
        ("One", "One", ""),
        ("One\n\nTwo\n\nThree\n", "One", "Two\n\nThree"),
        ("One\ngoes on\n\nTwo", "One goes on", "Two"),
        ("\n\nOne\n \nTwo", "One", "Two"),
        ("", "", ""),
    ],
)
def test_a_message_is_split_as_git_does_it(message: str, subject: str, body: str) -> None:
    assert split(message) == (subject, body)


def test_a_commit_names_its_pull_request_and_keeps_its_co_authors() -> None:
    message = "Add a gauge (#12)\n\nFixes #7\n\nCo-authored-by: Lin <lin@example.org>"
    found = item(Kind.COMMIT, commit(message, pulls=(12,))).activity
    assert found.references == ("pull_request:12", "issue:7")
    assert [(c.person.name, c.person.login, c.role) for c in found.credits] == [
        ("ada", "ada-b", Role.AUTHOR),
        ("Lin", None, Role.CO_AUTHOR),
    ]


def test_a_merge_counts_no_lines_twice() -> None:
    parents = page({"oid": "b" * 40}, {"oid": "c" * 40})
    found = item(Kind.COMMIT, commit("Merge", parents=parents)).activity
    assert (found.additions, found.deletions, found.files_total) == (0, 0, 0)
    assert found.is_merge


def test_a_merged_pull_request_credits_everybody_once() -> None:
    found = item(Kind.PULL_REQUEST, pull_request()).activity
    assert (found.state, found.at, found.labels) == ("merged", NOON, ("bug",))
    assert found.references == ("issue:7",)
    assert [(c.person.login, c.role, c.person.bot) for c in found.credits] == [
        ("ada-b", Role.AUTHOR, False),
        ("lin", Role.REVIEWER, False),
        ("mergify[bot]", Role.MERGER, True),
    ]


def test_a_window_shows_what_happened_in_it() -> None:
    """In the window of its opening it is opened, without the merger; later it is merged."""
    found = item(Kind.PULL_REQUEST, pull_request())
    day = timedelta(days=1)
    before = found.within(Window(NOON - 2 * day, NOON))
    assert (before.state, before.at) == ("opened", NOON - day)
    assert Role.MERGER not in {c.role for c in before.credits}
    assert found.within(Window(NOON, NOON + day)).state == "merged"


def test_a_deleted_account_is_a_ghost() -> None:
    found = item(Kind.PULL_REQUEST, pull_request(author=None)).activity
    assert found.credits[0].person.login == "ghost"
