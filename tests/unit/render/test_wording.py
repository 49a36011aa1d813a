"""What Markdown and HTML say is what a person would say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from sparky.model import Kind, LedgerEntry, Omission, Window
from sparky.render import wording
from tests import factories
from tests.factories import oid

CET = timezone(timedelta(hours=1))


@pytest.mark.parametrize(
    ("since", "until", "words"),
    [
        (datetime(2026, 3, 2, tzinfo=UTC), datetime(2026, 3, 9, tzinfo=UTC), "2–8 March 2026"),
        (datetime(2026, 3, 2, tzinfo=UTC), datetime(2026, 3, 3, tzinfo=UTC), "2 March 2026"),
        (datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC), "March 2026"),
        (datetime(2025, 12, 1, tzinfo=CET), datetime(2026, 1, 1, tzinfo=CET), "December 2025"),
        (datetime(2025, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC), "2025"),
        (
            datetime(2026, 2, 28, 14, 5, tzinfo=UTC),
            datetime(2026, 3, 6, 14, 5, tzinfo=UTC),
            "28 February – 6 March 2026",
        ),
        (
            datetime(2025, 12, 30, tzinfo=UTC),
            datetime(2026, 1, 6, tzinfo=UTC),
            "30 December 2025 – 5 January 2026",
        ),
        (
            datetime(2026, 3, 2, 9, 0, tzinfo=CET),
            datetime(2026, 3, 2, 17, 30, tzinfo=CET),
            "2 March 2026, 09:00–17:30 UTC+01:00",
        ),
        (
            datetime(2026, 3, 2, 22, 0, tzinfo=UTC),
            datetime(2026, 3, 3, 2, 0, tzinfo=UTC),
            "2 March 2026, 22:00 – 3 March 2026, 02:00 UTC",
        ),
    ],
)
def test_period(since: datetime, until: datetime, words: str) -> None:
    """A window reads as a person would say it; its end is not part of it."""
    assert wording.period(Window(since, until)) == words


def test_facts() -> None:
    """One line counts what there was, and leaves out what there was not."""
    minus = "\N{MINUS SIGN}"
    stats = factories.stats(
        commits=42, merges=0, authors=7, releases=2, additions=1204, deletions=310, files=96
    )
    assert (
        wording.facts(stats) == f"42 commits, 2 releases, 7 authors, +1,204 {minus}310 in 96 files"
    )
    nothing = factories.stats(commits=0, merges=0, authors=0, files=0)
    assert wording.facts(nothing) == "No activity"


def test_accounts_of_a_done_digest() -> None:
    """Where all adds up, one calm sentence says so, with the reasons for what was omitted."""
    omitted = tuple(Omission(f"commit:{oid(n)}", "merge; its commits count") for n in range(3))
    ledger = (
        factories.ledger_entry(expected=42, fetched=42, summarized=39, omitted=omitted),
        LedgerEntry(Kind.ISSUE, 1, 1, 1),
        LedgerEntry(Kind.RELEASE, 0, 0, 0),
    )
    times = "\N{MULTIPLICATION SIGN}"
    assert list(wording.accounts(ledger)) == [
        f"All 42 commits and 1 issue are accounted for: 40 summarised, 3 omitted (3 {times} merge)."
    ]


def test_accounts_of_a_partial_digest() -> None:
    """What was not read, and what was read but not summarised, is said."""
    ledger = (LedgerEntry(Kind.COMMIT, 50, 42, 30), LedgerEntry(Kind.PULL_REQUEST, 1, 1, 1, (), 1))
    assert list(wording.accounts(ledger)) == [
        "The 1 pull request is accounted for: 1 summarised.",
        "Of 50 commits 42 were read: 30 summarised, 12 not summarised.",
        "1 secret was taken out of the text.",
    ]
