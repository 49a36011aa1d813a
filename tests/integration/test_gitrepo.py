"""What the git source says of repositories on this machine."""

from __future__ import annotations

import errno
import os
import subprocess
import tempfile
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import NoReturn

import pytest

from sparky.errors import SourceError, Transient
from sparky.model import Activity, FileChange, Kind, Role, Window
from sparky.ports import Census
from sparky.source.gitrepo import GitSource, Limits
from tests.faults.machines import wait_until
from tests.repositories import ADA, DAY_1, Repository, who

DAY = timedelta(days=1)
ALL = Window(datetime(1970, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))
GRACE = "Grace Hopper <grace@example.org>"


@pytest.fixture
def source(tmp_path: Path) -> GitSource:
    return GitSource(tmp_path / "cache")


@pytest.fixture
def repo(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "rocket")


def read(source: GitSource, location: Path | str, window: Window = ALL) -> list[Activity]:
    """All activities of a window, after a census that agrees with them."""
    repo = source.identify(str(location))
    found = list(source.activities(repo, window))
    expected = source.census(repo, window).expected
    assert {kind: sum(a.kind is kind for a in found) for kind in Kind} == expected
    return found


def only(source: GitSource, repo: Repository) -> Activity:
    """The newest activity of a repository."""
    return read(source, repo.path)[0]


def census(source: GitSource, location: Path | str, window: Window = ALL) -> Census:
    return source.census(source.identify(str(location)), window)


# Commits


def test_a_commit_is_told_whole(source: GitSource, repo: Repository) -> None:
    """A commit has its key, date, texts, people, parents, files and counts."""
    first = repo.commit("Begin", {"a.txt": "1\n2\n"})
    second = repo.commit(
        "Change a\nand b\n\nBecause.\n\nFixes #7\n",
        {"a.txt": "1\nzwei\ndrei\n", "src/b.txt": "b\n"},
        at=DAY_1 + DAY,
        committer=GRACE,
    )
    found = only(source, repo)
    assert found.key == f"commit:{second}"
    assert found.kind is Kind.COMMIT
    assert found.at == DAY_1 + DAY
    assert found.title == "Change a and b"
    assert found.body == "Because.\n\nFixes #7"
    assert [(credit.person.name, credit.role) for credit in found.credits] == [
        ("Ada Byron", Role.AUTHOR),
        ("Grace Hopper", Role.COMMITTER),
    ]
    assert found.parents == (first,)
    assert found.files == (FileChange("a.txt", 2, 1), FileChange("src/b.txt", 1, 0))
    assert (found.files_total, found.additions, found.deletions) == (2, 3, 1)
    assert found.references == ("issue:7",)


def test_the_window_is_half_open(source: GitSource, repo: Repository) -> None:
    """A commit at `since` is in the window, one at `until` is not, to the second."""
    oids = [repo.commit(str(n), at=DAY_1 + timedelta(seconds=n)) for n in range(5)]
    window = Window(DAY_1 + timedelta(seconds=1), DAY_1 + timedelta(seconds=3))
    assert [a.oid for a in read(source, repo.path, window)] == [oids[2], oids[1]]


def test_a_window_may_begin_and_end_within_a_second(source: GitSource, repo: Repository) -> None:
    """Fractions of a second count: what happened at a whole second before `since` is not in."""
    oid = repo.commit(at=DAY_1)
    half = timedelta(milliseconds=500)
    assert read(source, repo.path, Window(DAY_1 + half, DAY_1 + DAY)) == []
    assert read(source, repo.path, Window(DAY_1 + half, DAY_1 + 1.5 * half)) == []
    assert [a.oid for a in read(source, repo.path, Window(DAY_1 - half, DAY_1 + half))] == [oid]


def test_an_empty_window_is_no_error(source: GitSource, repo: Repository) -> None:
    """A window in which nothing happened gives nothing."""
    repo.commit()
    assert read(source, repo.path, Window(DAY_1 + DAY, DAY_1 + 2 * DAY)) == []


def test_a_wrong_clock_hides_nothing(source: GitSource, repo: Repository) -> None:
    """A commit in the window is found behind others that seem much older."""
    wanted = repo.commit("In the window", at=DAY_1)
    for n in range(20):
        repo.commit(f"Old clock {n}", at=DAY_1 - 1000 * DAY)
    assert [a.oid for a in read(source, repo.path, Window(DAY_1, DAY_1 + DAY))] == [wanted]


def test_newest_come_first(source: GitSource, repo: Repository) -> None:
    """Commits and releases come in one order, from new to old."""
    for n in range(6):
        repo.commit(str(n), at=DAY_1 + n * DAY)
        repo.tag(f"v{n}", f"Version {n}", at=DAY_1 + (n + 0.5) * DAY)
    titles = [a.title for a in read(source, repo.path)]
    assert titles == [t for n in reversed(range(6)) for t in (f"v{n}: Version {n}", str(n))]


def test_a_merge_is_told_apart(source: GitSource, repo: Repository) -> None:
    """A merge has two parents and no files of its own; what it brought is there by itself."""
    repo.commit("Begin", {"a": "1\n"})
    repo.git("switch", "-q", "-c", "side")
    side = repo.commit("On the side", {"b": "1\n"}, at=DAY_1 + DAY)
    repo.git("switch", "-q", "main")
    main = repo.commit("On main", {"a": "2\n"}, at=DAY_1 + DAY)
    repo.merge("side", "Merge pull request #12 from acme/side", at=DAY_1 + 2 * DAY)
    found = read(source, repo.path)
    assert (found[0].parents, found[0].files_total) == ((main, side), 0)
    assert found[0].is_merge
    assert found[0].references == ("pull_request:12",)
    assert sorted(a.title for a in found[1:]) == ["Begin", "On main", "On the side"]


def test_only_the_current_branch_is_read(source: GitSource, repo: Repository) -> None:
    """What cannot be reached from HEAD did not happen."""
    repo.commit("Kept")
    repo.git("switch", "-q", "-c", "draft")
    repo.commit("Draft")
    repo.git("switch", "-q", "main")
    assert [a.title for a in read(source, repo.path)] == ["Kept"]


def test_a_rename_names_both_paths(source: GitSource, repo: Repository) -> None:
    """A moved file is one change, with where it came from."""
    text = "".join(f"line {n}\n" for n in range(20))
    repo.commit("Begin", {"old name.txt": text})
    repo.commit("Move", {"old name.txt": None, "new/näme.txt": text + "more\n"})
    assert only(source, repo).files == (FileChange("new/näme.txt", 1, 0, "old name.txt"),)


def test_a_binary_file_has_no_counts(source: GitSource, repo: Repository) -> None:
    """Lines of a binary file are not counted, the file is."""
    repo.commit("Begin", {"picture": b"\0\1\2", "text": "1\n"})
    found = only(source, repo)
    assert found.files == (FileChange("picture", None, None), FileChange("text", 1, 0))
    assert (found.files_total, found.additions) == (2, 1)


def test_a_huge_file_is_not_compared(tmp_path: Path, repo: Repository) -> None:
    """A file above the limit counts as binary, so that it costs neither time nor memory."""
    repo.commit("Begin", {"big": "x\n" * 5000, "small": "x\n"})
    source = GitSource(tmp_path / "cache", limits=Limits(blob_bytes=4096))
    assert only(source, repo).files == (FileChange("big", None, None), FileChange("small", 1, 0))


@pytest.mark.parametrize(
    "path", ["a\tb", "a\nb", 'a"b', "a\\b", " a ", "é", "1\t1\tx", "-x", ":(top)x", "*"]
)
def test_any_path_is_read_as_it_is(source: GitSource, repo: Repository, path: str) -> None:
    """Tabs, line feeds, quotes and what looks like an option or a count stay in a path."""
    repo.commit("Begin", {path: "1\n"})
    assert only(source, repo).files == (FileChange(path, 1, 0),)


def test_a_broken_encoding_survives(source: GitSource, repo: Repository) -> None:
    """Bytes that are no text do not stop the reading, and do not reach the model."""
    tree = repo.git(
        "mktree", "-z", given=b"100644 blob " + repo.write("blob", b"1\n").encode() + b"\tf\xff\0"
    )
    commit = (
        f"tree {tree}\nauthor \udcff\udcfe <a\udcff@x> 1772366400 +0000\n"
        "committer C <c@x> 1772366400 +0000\n\nT\udcff\n\nbefore\0after\n"
    )
    repo.git(
        "update-ref",
        "refs/heads/main",
        repo.write("commit", commit.encode("utf-8", "surrogateescape")),
    )
    found = only(source, repo)
    assert found.title == "T\ufffd"
    assert found.files[0].path == "f\ufffd"
    assert found.credits[0].person.name == "\ufffd\ufffd"
    assert "\0" not in repr(found)
    repr(found).encode()


def test_a_declared_encoding_is_followed(source: GitSource, repo: Repository) -> None:
    """A message in Latin-1 that says so is read as such."""
    repo.git("config", "i18n.commitEncoding", "ISO-8859-1")
    repo.commit("Größe".encode("latin-1"))
    assert only(source, repo).title == "Größe"


@pytest.mark.parametrize(
    "message",
    ["", "\n\n", "commit 1234\n\n\0", "1\t2\tfile\n\n:100644 100644 a b M", "x" * 300_000],
)
def test_odd_messages_do_not_confuse(source: GitSource, repo: Repository, message: str) -> None:
    """An empty, a huge or a misleading message leaves the files and the next commit alone."""
    repo.commit("Begin")
    repo.commit(message.replace("\0", ""), {"f": "1\n"}, at=DAY_1 + DAY)
    newest, oldest = read(source, repo.path)
    assert newest.files == (FileChange("f", 1, 0),)
    assert oldest.title == "Begin"


def test_a_date_that_nothing_can_hold_is_outside(source: GitSource, repo: Repository) -> None:
    """A committer date beyond all calendars is in no window, and stops nothing."""
    repo.commit("Begin")
    tree = repo.git("rev-parse", "HEAD^{tree}")
    people = "\n".join(f"{role} A <a@x> 99999999999999 +0000" for role in ("author", "committer"))
    commit = f"tree {tree}\nparent {repo.tip}\n{people}\n\nFar away\n"
    repo.git("update-ref", "refs/heads/main", repo.write("commit", commit.encode()))
    assert [a.title for a in read(source, repo.path)] == ["Begin"]


def test_a_submodule_is_a_changed_path(source: GitSource, repo: Repository) -> None:
    """A submodule counts as the one line that names its commit; nobody looks into it."""
    repo.git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},module")
    repo.git("commit", "-q", "-m", "Add a module", env=who(ADA, None, DAY_1))
    assert only(source, repo).files == (FileChange("module", 1, 0),)


def test_sha256_repositories_are_read(source: GitSource, tmp_path: Path) -> None:
    """Longer oids are oids too."""
    repo = Repository(tmp_path / "long", "--object-format=sha256")
    oid = repo.commit("Begin", {"f": "1\n"})
    assert len(oid) == 64
    assert only(source, repo).key == f"commit:{oid}"


def test_replaced_commits_are_told_as_they_are(source: GitSource, repo: Repository) -> None:
    """`git replace` cannot put another message in a commit's place."""
    true = repo.commit("True")
    repo.git("switch", "-q", "--orphan", "x")
    false = repo.commit("False")
    repo.git("switch", "-q", "main")
    repo.git("replace", true, false)
    assert only(source, repo).title == "True"


# People


def test_the_mailmap_names_everybody(source: GitSource, repo: Repository) -> None:
    """Authors, committers, co-authors and taggers appear as the mailmap knows them."""
    old, older = "A. <ada@old.example>", "ada-b <a@older.example>"
    mailmap = "Ada Byron <ada@example.org> <ada@old.example>\nAda Byron <ada@example.org> ada-b <a@older.example>\n"
    repo.commit("Begin", {".mailmap": mailmap}, author=GRACE, committer=old)
    repo.commit(f"Pair\n\nCo-authored-by: {older}", author=GRACE, at=DAY_1 + DAY)
    repo.git("tag", "-a", "-m", "One", "v1", env=who(old, None, DAY_1 + 2 * DAY))
    tag, pair, begin = read(source, repo.path)
    assert [credit.person.email for credit in pair.credits] == [
        "grace@example.org",
        "ada@example.org",
    ]
    assert [credit.role for credit in pair.credits] == [Role.AUTHOR, Role.CO_AUTHOR]
    assert begin.credits[1].person == pair.credits[1].person == tag.credits[0].person


def test_only_the_mailmap_of_the_history_counts(source: GitSource, repo: Repository) -> None:
    """A mailmap named by the repository's configuration is not read."""
    repo.commit()
    (repo.path / "other").write_text("Eve <eve@example.org> <ada@example.org>\n")
    repo.git("config", "mailmap.file", repo.path / "other")
    assert only(source, repo).credits[0].person.name == "Ada Byron"


# Releases


def test_an_annotated_tag_is_a_release(source: GitSource, repo: Repository) -> None:
    """Its date and person are the tag's, its text the annotation, without a signature."""
    oid = repo.commit("Begin")
    text = "Lift off\n\nFirst flight.\nFixes #3\n-----BEGIN PGP SIGNATURE-----\nabc\n-----END PGP SIGNATURE-----\n"
    repo.tag("v1.0", text, at=DAY_1 + DAY)
    found = only(source, repo)
    assert (found.key, found.kind, found.target) == ("release:v1.0", Kind.RELEASE, oid)
    assert (found.title, found.body) == ("v1.0: Lift off", "First flight.\nFixes #3")
    assert found.at == DAY_1 + DAY
    assert [credit.person.name for credit in found.credits] == ["Ada Byron"]
    assert found.references == ("issue:3",)


def test_a_light_tag_is_a_release(source: GitSource, repo: Repository) -> None:
    """Its date is its commit's, and nobody made it."""
    oid = repo.commit("Begin")
    repo.tag("release/1.0")
    (found,) = (a for a in read(source, repo.path) if a.kind is Kind.RELEASE)
    assert (found.key, found.title, found.body) == ("release:release/1.0", "release/1.0", "")
    assert (found.at, found.target, found.credits) == (DAY_1, oid, ())


def test_a_tag_on_a_tag_points_at_the_commit(source: GitSource, repo: Repository) -> None:
    """However many tags stand in between, the target is the commit."""
    oid = repo.commit("Begin")
    repo.tag("inner", "Inner", at=DAY_1 + DAY)
    for n in range(3):
        repo.git(
            "tag",
            "-a",
            "-m",
            "Outer",
            f"outer{n}",
            f"outer{n - 1}" if n else "inner",
            env=who(ADA, None, DAY_1 + DAY),
        )
    assert {a.target for a in read(source, repo.path) if a.kind is Kind.RELEASE} == {oid}


def test_a_tag_without_a_tagger_has_its_commits_date(source: GitSource, repo: Repository) -> None:
    """Very old tags do not say who made them, or when."""
    oid = repo.commit("Begin")
    tag = repo.write("tag", f"object {oid}\ntype commit\ntag v0\n\nOld\n".encode())
    repo.git("update-ref", "refs/tags/v0", tag)
    (found,) = (a for a in read(source, repo.path) if a.kind is Kind.RELEASE)
    assert (found.at, found.title, found.credits) == (DAY_1, "v0: Old", ())


def test_a_tag_on_a_file_is_no_release(source: GitSource, repo: Repository) -> None:
    """Keys and pictures that are kept under a tag were not released."""
    repo.commit("Begin", {"key": "1"})
    repo.tag("light-tree")
    repo.git("tag", "-f", "light-tree", "HEAD^{tree}")
    repo.git("tag", "-a", "-m", "Key", "key", "HEAD:key", env=who(ADA, None, DAY_1))
    repo.git("tag", "-a", "-m", "Key", "key2", "key", env=who(ADA, None, DAY_1))
    assert [a.kind for a in read(source, repo.path)] == [Kind.COMMIT]


def test_releases_outside_the_window_are_left_out(source: GitSource, repo: Repository) -> None:
    """The window is half-open for tags too."""
    repo.commit("Begin")
    for n in range(4):
        repo.tag(f"v{n}", f"V{n}", at=DAY_1 + n * DAY)
    found = read(source, repo.path, Window(DAY_1 + DAY, DAY_1 + 3 * DAY))
    assert [a.oid for a in found] == ["v2", "v1"]


# Which repository it is


def test_a_local_repository_is_identified(source: GitSource, repo: Repository) -> None:
    """Without an origin its name is the folder's, and it has no page."""
    repo.commit()
    (repo.path / "src").mkdir()
    found = source.identify(str(repo.path / "src"))
    assert (found.name, found.source, found.url) == ("rocket", "git", None)
    assert found.location == str(repo.path.resolve())
    assert found.id.startswith("git:")


def test_an_origin_gives_name_and_page(source: GitSource, repo: Repository) -> None:
    """The origin's credentials are left behind."""
    repo.commit()
    repo.git("remote", "add", "origin", "https://ada:s3cr3t@github.com/acme/rocket.git")
    found = source.identify(str(repo.path))
    assert (found.name, found.url) == ("acme/rocket", "https://github.com/acme/rocket")
    assert "s3cr3t" not in repr(found)


def test_clones_of_one_origin_are_one_repository(
    source: GitSource, tmp_path: Path, repo: Repository
) -> None:
    """However the origin is written and wherever the clone is, the id is the same."""
    repo.commit()
    ids = set()
    for n, url in enumerate(("https://github.com/acme/rocket", "git@github.com:Acme/Rocket.git")):
        repo.git("clone", "-q", "--bare", repo.path, tmp_path / f"{n}.git")
        subprocess.run(
            ["git", "-C", tmp_path / f"{n}.git", "config", "remote.origin.url", url], check=True
        )
        ids.add(source.identify(str(tmp_path / f"{n}.git")).id)
    assert len(ids) == 1


def test_an_id_survives_new_commits_and_merged_histories(
    source: GitSource, repo: Repository
) -> None:
    """The id is of the first commit; another project that is merged in does not change it."""
    repo.commit("Begin", {"a": "1"})
    before = source.identify(str(repo.path)).id
    repo.git("switch", "-q", "--orphan", "other")
    repo.commit("Another project", {"b": "1"}, at=DAY_1 - DAY)
    repo.git("switch", "-q", "main")
    repo.git(
        "merge",
        "-q",
        "--allow-unrelated-histories",
        "-m",
        "Merge",
        "other",
        env=who(ADA, None, DAY_1),
    )
    assert source.identify(str(repo.path)).id == before


def test_repositories_without_origin_differ(source: GitSource, tmp_path: Path) -> None:
    """Two folders with the same beginning and no origin are two repositories."""
    ids = set()
    for name in ("one", "two"):
        repo = Repository(tmp_path / name)
        repo.commit("Begin")
        ids.add(source.identify(str(repo.path)).id)
    assert len(ids) == 2


# Notes


def test_a_whole_repository_has_no_notes(source: GitSource, repo: Repository) -> None:
    """Where all is well, nothing is said."""
    repo.commit()
    assert census(source, repo.path).notes == ()


def test_a_detached_head_is_noted(source: GitSource, repo: Repository) -> None:
    """A detached head is read, and said."""
    first = repo.commit("Begin")
    repo.commit("More")
    repo.git("switch", "-q", "--detach", first)
    assert [a.oid for a in read(source, repo.path)] == [first]
    (note,) = census(source, repo.path).notes
    assert "detached" in note
    assert first[:12] in note


@pytest.fixture
def shallow(tmp_path: Path, repo: Repository) -> Path:
    """A clone of the last two of five commits, one a day."""
    for n in range(5):
        repo.commit(str(n), {f"f{n}": "1\n"}, at=DAY_1 + n * DAY)
    repo.git("clone", "-q", "--depth=2", repo.url, tmp_path / "shallow")
    return tmp_path / "shallow"


def test_a_shallow_clone_is_read_and_noted(source: GitSource, shallow: Path) -> None:
    """It is said where history is cut, and whether the window reaches beyond."""
    assert [a.title for a in read(source, shallow)] == ["4", "3"]
    (note,) = census(source, shallow).notes
    assert census(source, shallow).gaps == (note,), "the digest must be partial"
    assert "2026-03-04" in note
    assert "only in part" in note
    (note,) = census(source, shallow, Window(DAY_1 + 4 * DAY, DAY_1 + 5 * DAY)).notes
    assert census(source, shallow, Window(DAY_1 + 4 * DAY, DAY_1 + 5 * DAY)).gaps == ()
    assert "2026-03-04" in note
    assert "only in part" not in note


def test_the_last_commit_of_a_shallow_clone_adds_nothing(source: GitSource, shallow: Path) -> None:
    """Its parents are unknown, so that it must not seem to have added every file there is."""
    newest, oldest = read(source, shallow)
    assert (newest.additions, newest.files_total) == (1, 1)
    assert (oldest.additions, oldest.files_total) == (0, 0)


def test_somebodys_partial_clone_is_read_without_counts(
    source: GitSource, tmp_path: Path, repo: Repository
) -> None:
    """What it lacks is not fetched; files are named, lines not counted, and that is said."""
    repo.commit("Begin", {"a": "1\n", ".mailmap": "Countess <ada@example.org>\n"})
    repo.commit("More", {"a": "1\n2\n"}, at=DAY_1 + DAY)
    repo.git("config", "uploadpack.allowFilter", "true")
    repo.git("clone", "-q", "--bare", "--filter=blob:none", repo.url, tmp_path / "partial.git")
    before = sorted((tmp_path / "partial.git").rglob("*"))
    found = read(source, tmp_path / "partial.git")
    assert [a.files_total for a in found] == [1, 2]
    assert found[0].files == (FileChange("a", None, None),)
    assert "lines are not counted" in census(source, tmp_path / "partial.git").notes[0]
    assert sorted((tmp_path / "partial.git").rglob("*")) == before


def test_a_linked_work_tree_is_read(source: GitSource, tmp_path: Path, repo: Repository) -> None:
    """A second work tree of a repository tells of its own branch."""
    repo.commit("Begin", {"a": "1\n"})
    repo.git("worktree", "add", "-q", "-b", "side", tmp_path / "other")
    subprocess.run(
        ["git", "-C", tmp_path / "other", "commit", "-q", "--allow-empty", "-m", "On the side"],
        env=os.environ | who(ADA, None, DAY_1 + DAY),
        check=True,
    )
    assert [a.title for a in read(source, tmp_path / "other")] == ["On the side", "Begin"]
    assert [a.title for a in read(source, repo.path)] == ["Begin"]


# What cannot be read


def test_what_is_no_repository_is_refused(source: GitSource, tmp_path: Path) -> None:
    """A folder without git and a path that does not exist are named with a remedy."""
    with pytest.raises(SourceError, match="is not a git repository"):
        source.identify(str(tmp_path))
    with pytest.raises(SourceError, match="does not exist"):
        source.identify(str(tmp_path / "nothing"))


def test_an_empty_repository_is_refused(source: GitSource, repo: Repository) -> None:
    """A repository without a commit is named as such."""
    with pytest.raises(SourceError, match="rocket has no commits yet"):
        source.identify(str(repo.path))


def test_a_repository_that_went_away_is_refused(source: GitSource, repo: Repository) -> None:
    """It is an error at each step, not an empty window."""
    repo.commit()
    known = source.identify(str(repo.path))
    repo.path.rename(repo.path.with_name("elsewhere"))
    for step in (
        source.refresh,
        lambda r: source.census(r, ALL),
        lambda r: list(source.activities(r, ALL)),
    ):
        with pytest.raises(SourceError, match="does not exist"):
            step(known)


def test_a_damaged_repository_is_refused(source: GitSource, repo: Repository) -> None:
    """A lost object is an error that says so, never a shorter history."""
    lost = repo.commit("Begin")
    repo.commit("More")
    (repo.path / ".git/objects" / lost[:2] / lost[2:]).unlink()
    with pytest.raises(SourceError, match="is damaged"):
        source.identify(str(repo.path))


def test_a_lost_file_content_is_noticed(source: GitSource, repo: Repository) -> None:
    """A history whose contents are lost ends in an error, not early."""
    repo.commit("Begin", {"a": "1\n"})
    lost = repo.git("rev-parse", "HEAD:a")
    (repo.path / ".git/objects" / lost[:2] / lost[2:]).unlink()
    with pytest.raises(SourceError, match="is damaged"):
        list(source.activities(source.identify(str(repo.path)), ALL))


def test_a_missing_git_is_named(tmp_path: Path, repo: Repository) -> None:
    """Without git on the path the error says what to install."""
    repo.commit()
    source = GitSource(tmp_path / "cache", environment={"PATH": str(tmp_path)})
    with pytest.raises(SourceError, match=r"git is not installed\. Install git"):
        source.identify(str(repo.path))


def test_a_full_disk_is_named(
    source: GitSource, repo: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where not even a small file can be written, the error says that space is needed."""
    repo.commit()

    def full() -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    with pytest.raises(SourceError, match="no disk space is left"):
        source.identify(str(repo.path))


def test_a_git_that_takes_too_long_is_ended(tmp_path: Path, repo: Repository) -> None:
    """A command over its time is killed with what it started, and may be tried again."""
    repo.commit()
    (tmp_path / "bin").mkdir()
    slow = tmp_path / "bin" / "git"
    slow.write_text(f"#!/bin/sh\nsleep 1000 & echo $! > {tmp_path}/pid\nwait\n")
    slow.chmod(0o755)
    path = f"{slow.parent}:/usr/bin:/bin"
    source = GitSource(tmp_path / "cache", environment={"PATH": path}, limits=Limits(seconds=0.5))
    with pytest.raises(Transient, match=r"for more than 0\.5 s"):
        source.identify(str(repo.path))
    started = int((tmp_path / "pid").read_text())
    # The kernel ends a killed process when it gets to it.
    wait_until(lambda: status(started)[0] == "Z", what="the end of what it started")


def test_reading_may_stop_early(source: GitSource, repo: Repository) -> None:
    """Whoever has seen enough closes the stream, and git ends with it."""
    for n in range(5):
        repo.commit(str(n), at=DAY_1 + n * DAY)
    before = len(children())
    stream = source.activities(source.identify(str(repo.path)), ALL)
    assert [a.title for a in islice(stream, 2)] == ["4", "3"]
    assert len(children()) > before
    stream.close()  # type: ignore[attr-defined]
    assert len(children()) == before


def status(pid: int) -> list[str]:
    """What the kernel says of a process after its name: state, parent, …; Z once it has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ["Z", "0"]


def children() -> list[int]:
    """Processes that this one started and that still run."""
    every = (status(int(path.name)) for path in Path("/proc").glob("[0-9]*"))
    return [int(found[1]) for found in every if found[1] == str(os.getpid()) and found[0] != "Z"]
