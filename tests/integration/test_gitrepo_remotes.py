"""How the git source keeps what it clones: small, whole, up to date, and for one user alone."""

from __future__ import annotations

import fcntl
import random
import socket
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sparky.errors import SourceError, Transient
from sparky.model import Activity, Kind, Window
from sparky.source.gitrepo import GitSource, Limits
from tests.repositories import DAY_1, Repository

DAY = timedelta(days=1)
ALL = Window(datetime(1970, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))
NOISE = random.Random(7).randbytes(200_000)
"""Does not get smaller by compression."""


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def source(cache: Path) -> GitSource:
    return GitSource(cache)


@pytest.fixture
def remote(tmp_path: Path) -> Repository:
    """A repository whose server offers partial clones: six commits, one a day, and two tags."""
    found = Repository(tmp_path / "rocket")
    found.git("config", "uploadpack.allowFilter", "true")
    for n in range(6):
        files: dict[str, str | bytes | None] = {f"f{n}": f"{n}\n" * 50, "all": f"{n}\n"}
        found.commit(f"Commit {n}", files, at=DAY_1 + n * DAY)
    found.tag("v1", "One", at=DAY_1 + 1.5 * DAY)
    found.tag("v2", at=DAY_1)
    return found


def read(source: GitSource, url: str, window: Window = ALL) -> list[Activity]:
    """Refresh, and read a window, after a census that agrees."""
    repo = source.identify(url)
    source.refresh(repo)
    found = list(source.activities(repo, window))
    census = source.census(repo, window)
    assert {kind: sum(a.kind is kind for a in found) for kind in Kind} == census.expected
    assert census.notes == ()
    return found


def titles(found: list[Activity]) -> list[str]:
    return [a.title for a in found if a.kind is Kind.COMMIT]


def packs(cache: Path) -> int:
    """How many times something was fetched."""
    return len(list(cache.glob("*.git/objects/pack/*.pack")))


def contents(cache: Path) -> int:
    """Bytes of packs."""
    return sum(file.stat().st_size for file in cache.glob("*.git/objects/pack/*.pack"))


def test_a_clone_tells_what_the_repository_tells(source: GitSource, remote: Repository) -> None:
    """Read by its URL, a repository has the same activities as read by its path."""
    remote.commit("Mailmap", {".mailmap": "Countess <ada@example.org>\n"}, at=DAY_1 + 9 * DAY)
    remote.git("mv", "f1", "moved")
    remote.commit("Move", at=DAY_1 + 10 * DAY)
    local = source.identify(str(remote.path))
    assert read(source, remote.url) == list(source.activities(local, ALL))


def test_a_remote_repository_is_identified(source: GitSource, remote: Repository) -> None:
    """It has the URL for a location, and the folder's name."""
    found = source.identify(remote.url)
    assert (found.location, found.name, found.url) == (remote.url, "rocket", None)
    assert found == source.identify(remote.url)


def test_contents_are_fetched_for_the_window_alone(
    source: GitSource, cache: Path, remote: Repository
) -> None:
    """Old contents stay away, and those of a window come in one fetch, once."""
    remote.commit("Big", {"big": NOISE}, at=DAY_1 - DAY)
    remote.commit("Small", {"big": None}, at=DAY_1 - DAY)
    window = Window(DAY_1, DAY_1 + 30 * DAY)
    repo = source.identify(remote.url)
    assert packs(cache) == 1
    assert len(list(source.activities(repo, window))) == 8
    assert packs(cache) == 2
    assert contents(cache) < len(NOISE)
    source.census(repo, window)
    assert len(list(source.activities(repo, window))) == 8
    assert packs(cache) == 2
    assert len(list(source.activities(repo, ALL))) == 10
    assert contents(cache) > len(NOISE)


def test_a_server_without_partial_clones_will_do(
    source: GitSource, cache: Path, remote: Repository
) -> None:
    """Where the server sends everything, everything is read."""
    remote.git("config", "--unset", "uploadpack.allowFilter")
    assert len(read(source, remote.url)) == 8
    assert packs(cache) == 1


def test_new_commits_and_tags_are_fetched(
    source: GitSource, cache: Path, remote: Repository
) -> None:
    """A refresh brings what is new, a deleted tag goes, a moved one follows."""
    read(source, remote.url)
    size = contents(cache)
    new = remote.commit("New", {"new": "1\n"}, at=DAY_1 + 20 * DAY)
    remote.git("tag", "-d", "v1")
    remote.git("tag", "-f", "v2")
    remote.tag("v3")
    found = read(source, remote.url)
    assert found[0].title == "New"
    assert {a.title: a.target for a in found if a.kind is Kind.RELEASE} == {"v2": new, "v3": new}
    assert contents(cache) - size < size


def test_without_a_refresh_nothing_changes(source: GitSource, remote: Repository) -> None:
    """The census and the activities are of the last refresh, and need no network."""
    read(source, remote.url)
    known = source.identify(remote.url)
    remote.commit("New", at=DAY_1 + 20 * DAY)
    remote.path.rename(remote.path.with_name("away"))
    assert source.census(known, ALL).expected[Kind.COMMIT] == 6
    assert len(list(source.activities(known, ALL))) == 8


def test_a_force_push_is_followed(source: GitSource, remote: Repository) -> None:
    """What was taken back has not happened."""
    read(source, remote.url)
    remote.git("reset", "-q", "--hard", "HEAD~3")
    remote.commit("Instead", {"x": "1\n"}, at=DAY_1 + 20 * DAY)
    assert titles(read(source, remote.url)) == ["Instead", "Commit 2", "Commit 1", "Commit 0"]


def test_a_new_default_branch_is_followed(source: GitSource, remote: Repository) -> None:
    """A renamed or another default branch is read, and the old one is no more."""
    read(source, remote.url)
    remote.git("branch", "-m", "main", "trunk")
    remote.commit("On trunk", at=DAY_1 + 20 * DAY)
    assert titles(read(source, remote.url))[0] == "On trunk"
    remote.git("switch", "-q", "-c", "other", "HEAD~4")
    assert titles(read(source, remote.url)) == ["Commit 2", "Commit 1", "Commit 0"]


def test_a_branch_where_a_folder_was_is_followed(source: GitSource, remote: Repository) -> None:
    """A tag `v/1` may take the place of a tag `v`."""
    remote.tag("v")
    read(source, remote.url)
    remote.git("tag", "-d", "v")
    remote.tag("v/1")
    assert "release:v/1" in [a.key for a in read(source, remote.url)]


def test_many_refreshes_are_tidied(source: GitSource, cache: Path, remote: Repository) -> None:
    """Packs do not pile up for ever, and a tidied clone is still whole."""
    for n in range(25):
        remote.commit(f"More {n}", {"more": f"{n}\n"}, at=DAY_1 + (20 + n) * DAY)
        source.refresh(source.identify(remote.url))
    assert packs(cache) < 25
    assert len(titles(read(source, remote.url))) == 31


def test_a_cache_is_for_its_user_alone(source: GitSource, cache: Path, remote: Repository) -> None:
    """Private code in the cache is not for others on the machine."""
    read(source, remote.url)
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700


def test_a_lost_cache_is_made_anew(source: GitSource, cache: Path, remote: Repository) -> None:
    """Whoever deletes the cache loses time and nothing else."""
    known = source.identify(remote.url)
    for file in sorted(cache.rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    assert len(list(source.activities(known, ALL))) == 8


# Trouble


def test_what_a_killed_git_left_does_not_matter(
    source: GitSource, cache: Path, remote: Repository
) -> None:
    """Half a clone, stale locks and half a pack are cleared away."""
    source.identify(remote.url)
    (clone,) = cache.glob("*.git")
    half = clone.with_suffix(".new")
    half.mkdir()
    (half / "HEAD").write_text("half")
    for stale in ("HEAD.lock", "config.lock", "packed-refs.lock", "refs/heads/default.lock"):
        (clone / stale).touch()
    junk = clone / "objects/pack/tmp_pack_abc"
    junk.write_bytes(NOISE)
    remote.commit("New", at=DAY_1 + 20 * DAY)
    assert titles(read(source, remote.url))[0] == "New"
    assert not junk.exists()
    assert not list(clone.rglob("*.lock"))
    clone.rename(cache / "gone")
    assert titles(read(source, remote.url))[0] == "New"
    assert not half.exists()


def test_two_at_once_do_not_collide(cache: Path, remote: Repository) -> None:
    """Several readers of one URL that is not cloned yet all get everything."""
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: read(GitSource(cache), remote.url), range(4)))
    assert [len(one) for one in found] == [8] * 4


def test_another_process_is_waited_for_but_not_for_ever(cache: Path, remote: Repository) -> None:
    """A cache that somebody else writes to for too long is an error that passes."""
    source = GitSource(cache, limits=Limits(seconds=0.2))
    cache.mkdir()
    known = GitSource(cache).identify(remote.url)
    (lock,) = cache.glob("*.lock")
    with lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(Transient, match="another process"):
            source.refresh(known)
    GitSource(cache).refresh(known)


def test_a_repository_that_is_too_large_is_refused(cache: Path, remote: Repository) -> None:
    """Above the limit a clone is given up, with nothing kept."""
    remote.git("config", "--unset", "uploadpack.allowFilter")
    remote.commit("Big", {"big": NOISE})
    source = GitSource(cache, limits=Limits(bytes=100_000))
    with pytest.raises(SourceError, match=r"larger than it may be.*SPARKY_GIT_MAX_BYTES"):
        source.identify(remote.url)
    assert [file.suffix for file in cache.iterdir()] == [".lock"]


def test_contents_that_are_too_large_are_refused(cache: Path, remote: Repository) -> None:
    """The limit holds for what comes later too, and what was there stays whole."""
    remote.commit("Big", {"big": NOISE}, at=DAY_1 + 20 * DAY)
    source = GitSource(cache, limits=Limits(bytes=100_000))
    known = source.identify(remote.url)
    with pytest.raises(SourceError, match="larger than it may be"):
        list(source.activities(known, ALL))
    assert len(list(source.activities(known, Window(DAY_1, DAY_1 + 9 * DAY)))) == 8


@pytest.fixture
def silent() -> Iterator[str]:
    """The URL of a host that takes calls and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"git://127.0.0.1:{server.getsockname()[1]}/rocket"


def test_a_silent_host_is_given_up(cache: Path, silent: str) -> None:
    """A clone that takes too long ends, leaves nothing, and may be tried again."""
    source = GitSource(cache, limits=Limits(seconds=0.3))
    with pytest.raises(Transient, match=r"for more than 0\.3 s"):
        source.identify(silent)
    assert [file.suffix for file in cache.iterdir()] == [".lock"]


def test_no_network_is_an_error_that_passes(source: GitSource) -> None:
    """A host that cannot be reached may be reached later."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"git://127.0.0.1:{server.getsockname()[1]}/rocket"
    with pytest.raises(Transient, match=r"connection to git://127\.0\.0\.1"):
        source.identify(url)


def test_a_url_without_a_repository_is_refused(source: GitSource, tmp_path: Path) -> None:
    """A URL at which no repository is, is named with a remedy."""
    with pytest.raises(SourceError, match="is not a git repository"):
        source.identify(f"file://{tmp_path}/nothing")


def test_a_remote_without_commits_is_refused(source: GitSource, tmp_path: Path) -> None:
    """An empty remote repository is named as such, and leaves no clone behind."""
    empty = Repository(tmp_path / "empty")
    with pytest.raises(SourceError, match="has no commits yet"):
        source.identify(empty.url)
    empty.commit("Begin")
    assert titles(read(source, empty.url)) == ["Begin"]


def test_a_remote_with_long_oids_is_refused_clearly(source: GitSource, tmp_path: Path) -> None:
    """Git cannot mix oids of two lengths, and the remedy is to clone it oneself."""
    long = Repository(tmp_path / "long", "--object-format=sha256")
    long.commit("Begin")
    with pytest.raises(SourceError, match=r"SHA-256.*give the clone's path"):
        source.identify(long.url)


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, remote: Repository) -> None:
    """The error names the cache, which is at fault, and not the repository."""
    (tmp_path / "file").touch()
    with pytest.raises(SourceError, match="file/cache cannot be read"):
        GitSource(tmp_path / "file" / "cache").identify(remote.url)
