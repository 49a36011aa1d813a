"""What is known, in a real Postgres."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from sparky.errors import StoreError, Transient
from sparky.model import (
    Activity,
    Chunk,
    Credit,
    Digest,
    FileChange,
    Item,
    Kind,
    LedgerEntry,
    Omission,
    Origin,
    Person,
    Point,
    Provenance,
    Repo,
    Role,
    Section,
    Stats,
    Status,
    Summary,
    Usage,
    Window,
)
from sparky.ports import Answer, Brief
from sparky.store import schema
from sparky.store.connection import connect, translated
from sparky.store.gateway import Gateway

WINDOW = Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))
REPO = Repo("git:a", "me/a", "git", "/srv/a", "https://forge.example/me/a")


def activity(number: int, *, at: datetime | None = None, title: str = "Änder — 改") -> Activity:
    return Activity(
        key=f"commit:{number:040x}",
        kind=Kind.COMMIT,
        at=at or WINDOW.since + timedelta(hours=number),
        title=title,
        credits=(Credit(Person("Ann", "ann@example.org"), Role.AUTHOR),),
        parents=("0" * 40,),
        files=(FileChange("a b/ü.py", 3, None, "old.py"),),
        files_total=1,
        references=("pull_request:12",),
    )


def digest(headline: str = "All is well.") -> Digest:
    return Digest(
        repo=REPO,
        window=WINDOW,
        revision=1,
        status=Status.DONE,
        headline=headline,
        points=(Point("Added x.", Section.FEATURES, ("commit:1",), Origin.ENGINE, 0.5),),
        stats=Stats(commits=1),
        people=(),
        ledger=(LedgerEntry(Kind.COMMIT, 2, 2, 1, (Omission("commit:2", "merge"),)),),
        provenance=Provenance("llama.cpp", "m", "1", engine_calls=3),
    )


@pytest.fixture
def store(database: str) -> Iterator[Gateway]:
    made = Gateway.open(database)
    made.add_repo(REPO)
    yield made
    made.close()


def test_activities_come_back_as_they_went_in(store: Gateway) -> None:
    """Nothing of an activity is lost or changed in the database, oldest first."""
    given = [activity(n) for n in range(1200)]
    assert store.replace_activities(REPO.id, WINDOW, iter(reversed(given))) == 1200
    assert store.activities(REPO.id, WINDOW) == tuple(given[: 31 * 24])


def test_a_window_is_replaced_whole(store: Gateway) -> None:
    """A commit that a force-push took away is gone, one outside the window stays."""
    before = activity(1, at=WINDOW.since - timedelta(days=1))
    year = Window(WINDOW.since - timedelta(days=99), WINDOW.until)
    store.replace_activities(REPO.id, year, iter([before, activity(2), activity(3)]))
    store.replace_activities(REPO.id, WINDOW, iter([activity(3), activity(4)]))
    assert store.activities(REPO.id, year) == (before, activity(3), activity(4))


def test_a_broken_stream_changes_nothing(store: Gateway) -> None:
    """When a source fails in the middle, the window is as it was."""
    store.replace_activities(REPO.id, WINDOW, iter([activity(1)]))

    def broken() -> Iterator[Activity]:
        for number in range(700):
            yield activity(number + 5)
        raise Transient("reset")

    with pytest.raises(Transient):
        store.replace_activities(REPO.id, WINDOW, broken())
    assert store.activities(REPO.id, WINDOW) == (activity(1),)


def test_a_repository_keeps_its_id_over_a_rename(store: Gateway) -> None:
    """The same id under a new name is the same repository."""
    store.add_repo(replace(REPO, name="you/b", location="/srv/b"), tracked=False)
    assert [repo.name for repo in store.repos()] == ["you/b"]
    assert store.find_repo("me/a") is None
    assert store.find_repo("/srv/b") == store.find_repo("you/b") == store.find_repo(REPO.id)


def test_a_removed_repository_is_forgotten(store: Gateway) -> None:
    """With it go its activities and digests."""
    store.replace_activities(REPO.id, WINDOW, iter([activity(1)]))
    store.put_digest(digest())
    assert store.remove_repo(REPO.id)
    assert not store.remove_repo(REPO.id)
    assert store.digests() == ()
    assert store.activities(REPO.id, WINDOW) == ()


def test_chunks_summaries_and_answers_are_written_once(store: Gateway) -> None:
    """The first value under a content key stays."""
    chunk = Chunk("c1", "dir:src", (Item("a1", "commit:1", "text"),), 12)
    store.put_chunks(1, [chunk])
    store.put_chunks(1, [replace(chunk, tokens=99)])
    assert store.brief("c1", "s1", REPO.id, WINDOW) == Brief(None, chunk)
    with pytest.raises(StoreError, match="c2"):
        store.brief("c2", "s1", REPO.id, WINDOW)
    summary = Summary("s1", digest().points, (), Usage(calls=1))
    store.put_summary(summary, "c")
    assert store.brief("c1", "s1", REPO.id, WINDOW).summary == summary
    assert store.brief("c", "s2", REPO.id, WINDOW).summary == summary, (
        "another prompt's of its chunk"
    )
    assert store.brief("c1", "s2", REPO.id, WINDOW).summary is None
    assert store.summaries(["s2", "s1"]) == (summary,)
    answer = Answer("yes", "m", 10, 2)
    store.put_answer("q", answer)
    store.put_answer("q", replace(answer, text="no"))
    assert store.answer("q") == replace(answer, cached=True)


def test_a_digest_gets_a_revision_only_when_it_says_something_new(store: Gateway) -> None:
    """What it cost is not what it says."""
    first = store.put_digest(digest())
    same = store.put_digest(replace(digest(), provenance=Provenance("x", "y", "1")))
    other = store.put_digest(digest("All is different."))
    assert [first.revision, same.revision, other.revision] == [1, 1, 2]
    assert store.digest(REPO.id) == other
    assert store.digest(REPO.id, WINDOW, revision=1) == first
    newest, oldest = store.digests(REPO.id)
    assert (newest.revision, oldest.headline) == (2, "All is well.")


def test_the_schema_goes_down_and_up_again(database: str) -> None:
    """Each migration can be taken back, and the tables then equal those of the code."""
    schema.downgrade(database, "base")
    assert schema.current(database) is None
    with pytest.raises(StoreError, match="sparky db upgrade"):
        schema.check(database)
    schema.upgrade(database)
    schema.upgrade(database)
    schema.check(database)
    assert schema.differences(database) == []


def test_a_newer_database_is_refused(database: str) -> None:
    """Old code does not touch a database that newer code has migrated."""
    engine = connect(database)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    try:
        for action in (schema.check, schema.upgrade):
            with pytest.raises(StoreError, match="newer than this version"):
                action(database)
    finally:
        with engine.begin() as connection:
            connection.execute(
                sa.text("UPDATE alembic_version SET version_num = :head"), {"head": schema.head()}
            )
        engine.dispose()


def test_a_database_that_is_not_there_is_a_passing_error() -> None:
    """The message names the remedy and no password."""
    engine = connect("postgresql://me:hunter2@127.0.0.1:1/x")
    with pytest.raises(Transient) as caught, translated(), engine.connect():
        pass
    assert "sparky doctor" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_another_kind_of_database_is_refused() -> None:
    """Sparky needs Postgres and says so."""
    with pytest.raises(StoreError, match="needs Postgres"):
        connect("sqlite:///x.db")


def test_a_pull_request_stands_in_each_window_in_which_something_happened(store: Gateway) -> None:
    """Opened in one window and merged in the next: neither takes it from the other."""
    day = timedelta(days=1)
    first = Window(WINDOW.since, WINDOW.since + day)
    second = Window(first.until, first.until + day)
    opened = replace(
        activity(1), key="pull_request:1", kind=Kind.PULL_REQUEST, at=first.since, state="opened"
    )
    merged = replace(opened, at=second.since, state="merged")
    store.replace_activities(REPO.id, first, iter([opened]))
    store.replace_activities(REPO.id, second, iter([merged]))
    assert store.activities(REPO.id, first) == (opened,)
    store.put_chunks(1, [Chunk("c", "dir:src", (Item("a1", opened.key, "text"),), 12)])
    assert store.brief("c", "s", REPO.id, first).members == {opened.key: opened}
    assert store.brief("c", "s", REPO.id, second).members == {opened.key: merged}
    assert store.members(REPO.id, [opened.key]) == (opened, merged)


def test_windows_that_overlap_take_nothing_from_each_other(store: Gateway) -> None:
    """Opened in both, merged in the later one alone; then never opened at all."""
    day = timedelta(days=1)
    earlier = Window(WINDOW.since, WINDOW.since + 2 * day)
    later = Window(WINDOW.since + day, WINDOW.since + 3 * day)
    opened = replace(
        activity(1),
        key="pull_request:1",
        kind=Kind.PULL_REQUEST,
        at=later.since + day / 2,
        state="opened",
    )
    merged = replace(opened, at=earlier.until + day / 2, state="merged")
    store.replace_activities(REPO.id, earlier, iter([opened]))
    store.replace_activities(REPO.id, later, iter([merged]))
    assert store.activities(REPO.id, earlier) == (opened,)
    assert store.activities(REPO.id, later) == (merged,)
    store.replace_activities(REPO.id, later, iter([]))
    assert store.activities(REPO.id, earlier) == ()
