"""No repository, however made, runs a program on the machine that reads it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pytest

from sparky.errors import SourceError
from sparky.model import Kind, Window
from sparky.source import git
from sparky.source.gitrepo import GitSource
from tests.repositories import Repository

ALL = Window(datetime(1970, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))


class Trap(NamedTuple):
    """A way in which a repository runs a program."""

    set_up: Callable[[Repository, str], object]
    """Given a repository with two commits, and a program that leaves a mark."""
    victim: str
    """A plain git command that walks into it, which shows that the trap works."""
    on_terminal: bool = False


def configure(**values: str) -> Callable[[Repository, str], None]:
    """Write the repository's configuration; `{}` stands for the program."""

    def set_up(repo: Repository, program: str) -> None:
        for name, value in values.items():
            repo.git("config", name.replace("__", "."), value.format(program))

    return set_up


def attributes(line: str, **values: str) -> Callable[[Repository, str], None]:
    """Configure what an attribute of all files names."""

    def set_up(repo: Repository, program: str) -> None:
        configure(**values)(repo, program)
        (repo.path / ".git/info").mkdir(exist_ok=True)
        (repo.path / ".git/info/attributes").write_text(f"* {line}\n")
        (repo.path / ".gitattributes").write_text(f"* {line}\n")
        (repo.path / "a").write_text("changed\n")

    return set_up


def partial(**values: str) -> Callable[[Repository, str], None]:
    """Make it a partial clone that lacks a content, with a remote of its own choosing."""

    def set_up(repo: Repository, program: str) -> None:
        configure(
            core__repositoryFormatVersion="1",
            extensions__partialClone="origin",
            remote__origin__promisor="true",
            remote__origin__fetch="+refs/heads/*:refs/remotes/origin/*",
            protocol__ext__allow="always",
            **values,
        )(repo, program)
        lost = repo.git("rev-parse", "HEAD:a")
        (repo.path / ".git/objects" / lost[:2] / lost[2:]).unlink()

    return set_up


def signed(repo: Repository, program: str) -> None:
    """Sign a commit with something that is to be verified by the program."""
    configure(log__showSignature="true", gpg__program="{}")(repo, program)
    tree = repo.git("rev-parse", "HEAD^{tree}")
    people = "\n".join(f"{role} A <a@x> 1772366400 +0000" for role in ("author", "committer"))
    signature = "gpgsig -----BEGIN PGP SIGNATURE-----\n \n abc\n -----END PGP SIGNATURE-----"
    commit = f"tree {tree}\nparent {repo.tip}\n{people}\n{signature}\n\nSigned\n"
    repo.git("update-ref", "refs/heads/main", repo.write("commit", commit.encode()))


def hooks(repo: Repository, program: str) -> None:
    """Put the program into the place of every hook."""
    folder = repo.path / "odd-hooks"
    folder.mkdir()
    for name in ("reference-transaction", "post-index-change", "post-checkout", "pre-auto-gc"):
        (folder / name).symlink_to(program)
    repo.git("config", "core.hooksPath", folder)


def included(repo: Repository, program: str) -> None:
    """Hide a setting in a file that the configuration includes."""
    other = repo.path / "other"
    other.write_text(f"[core]\n\tfsmonitor = {program}\n")
    repo.git("config", "includeIf.gitdir:/**.path", other)


def split_index(repo: Repository, program: str) -> None:
    """Let whoever reads the index ask the program what has changed."""
    configure(core__fsmonitor="{}")(repo, program)
    repo.git("-c", "core.fsmonitor=false", "update-index", "--fsmonitor")


TRAPS = {
    "fsmonitor": Trap(configure(core__fsmonitor="{}"), "status"),
    "fsmonitor in the index": Trap(split_index, "status"),
    "fsmonitor, included": Trap(included, "status"),
    "hooks": Trap(hooks, "update-ref refs/heads/new HEAD"),
    "pager": Trap(configure(core__pager="{}", pager__log="{}"), "log", on_terminal=True),
    "external diff": Trap(configure(diff__external="{}"), "log -p --ext-diff"),
    "diff driver": Trap(attributes("diff=trap", diff__trap__command="{}"), "log -p --ext-diff"),
    "textconv": Trap(attributes("diff=trap", diff__trap__textconv="{}"), "log -p"),
    "clean filter": Trap(attributes("filter=trap", filter__trap__clean="{}"), "add a"),
    "process filter": Trap(attributes("filter=trap", filter__trap__process="{}"), "add a"),
    "smudge filter": Trap(
        attributes("filter=trap", filter__trap__smudge="{}"), "checkout -f HEAD~ -- a"
    ),
    "alias": Trap(configure(alias__lg="!{}"), "lg"),
    "signature": Trap(signed, "log"),
    "upload-pack of a promisor": Trap(
        partial(remote__origin__url="/nowhere", remote__origin__uploadpack="{}"),
        "log --numstat",
    ),
    "ssh command of a promisor": Trap(
        partial(remote__origin__url="git@host:x/y", core__sshCommand="{}"), "log --numstat"
    ),
    "ext transport of a promisor": Trap(partial(remote__origin__url="ext::{} %S"), "log --numstat"),
    "proxy of a promisor": Trap(
        partial(remote__origin__url="git://host/x/y", core__gitProxy="{}"), "log --numstat"
    ),
    "helper of a promisor": Trap(
        partial(remote__origin__url="{}", remote__origin__vcs="ext"), "log --numstat"
    ),
    "askpass of a promisor": Trap(
        partial(remote__origin__url="ssh://host/x", core__sshCommand="{}", core__askPass="{}"),
        "log --numstat",
    ),
}


class Mark(NamedTuple):
    """A program that leaves a file behind when it is run."""

    program: Path
    file: Path


@pytest.fixture
def mark(tmp_path: Path) -> Mark:
    found = Mark(tmp_path / "program", tmp_path / "it-ran")
    found.program.write_text(f"#!/bin/sh\ntouch {found.file}\nexit 1\n")
    found.program.chmod(0o755)
    return found


@pytest.fixture
def repo(tmp_path: Path) -> Repository:
    found = Repository(tmp_path / "rocket")
    found.commit("Begin", {"a": "1\n"})
    found.commit("More", {"a": "2\n"})
    found.tag("v1", "One")
    return found


def read_all(source: GitSource, location: str) -> None:
    """Do everything that a source can do."""
    found = source.identify(location)
    source.refresh(found)
    source.census(found, ALL)
    assert any(a.kind is Kind.COMMIT for a in source.activities(found, ALL))


@pytest.mark.parametrize("name", TRAPS)
def test_a_trap_in_a_local_repository_stays_shut(
    name: str, repo: Repository, mark: Mark, tmp_path: Path
) -> None:
    """Plain git runs the program that the repository names; the source reads on and does not."""
    trap = TRAPS[name]
    trap.set_up(repo, str(mark.program))
    mark.file.unlink(missing_ok=True)
    read_all(GitSource(tmp_path / "cache"), str(repo.path))
    assert not mark.file.exists()
    walk_into(trap, repo.path)
    assert mark.file.exists(), "the trap itself does not work"


def walk_into(trap: Trap, path: Path) -> None:
    """Run git as a person would, for as long as it takes to fail."""
    outside, inside = os.openpty()
    try:
        subprocess.run(
            ["git", "-C", path, *trap.victim.split()],
            stdin=subprocess.DEVNULL,
            stdout=inside if trap.on_terminal else subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )
    finally:
        os.close(inside)
        os.close(outside)


@pytest.mark.parametrize(
    "name",
    ["fsmonitor", "fsmonitor, included", "hooks", "external diff", "alias", "signature"],
)
def test_a_trap_in_a_remote_repository_stays_shut(
    name: str, repo: Repository, mark: Mark, tmp_path: Path
) -> None:
    """What is cloned and fetched from a repository with a trap in it does not run it either."""
    TRAPS[name].set_up(repo, str(mark.program))
    repo.git("config", "uploadpack.allowFilter", "true")
    repo.git("config", "uploadpack.packObjectsHook", str(mark.program))
    mark.file.unlink(missing_ok=True)
    source = GitSource(tmp_path / "cache")
    read_all(source, repo.url)
    read_all(source, repo.url)
    assert not mark.file.exists()


@pytest.mark.parametrize(
    "location",
    [
        "--upload-pack={};",
        "ext::{} %S",
        "fd::0",
        "ssh://-oProxyCommand={}/x",
        "-oProxyCommand={}:x",
        "x@-oProxyCommand={}:x",
        "file://--upload-pack={}",
        "http://127.0.0.1/x",
    ],
)
def test_a_location_runs_nothing(location: str, mark: Mark, tmp_path: Path) -> None:
    """A location that smuggles an option or a command is refused."""
    with pytest.raises(SourceError):
        read_all(GitSource(tmp_path / "cache"), location.format(mark.program))
    assert not mark.file.exists()


def test_an_origin_that_smuggles_is_only_looked_at(
    repo: Repository, mark: Mark, tmp_path: Path
) -> None:
    """The origin in a local repository's configuration is never connected to."""
    repo.git("config", "remote.origin.url", f"ext::{mark.program} %S")
    repo.git("config", "remote.origin.uploadpack", str(mark.program))
    read_all(GitSource(tmp_path / "cache"), str(repo.path))
    assert not mark.file.exists()


def test_submodules_are_left_alone(repo: Repository, mark: Mark, tmp_path: Path) -> None:
    """A submodule with a URL that runs a command is a path among others."""
    modules = (
        f'[submodule "m"]\n\tpath = m\n\turl = ext::{mark.program} %S\n\tupdate = !{mark.program}\n'
    )
    repo.git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},m")
    repo.commit("Add a module", {".gitmodules": modules})
    for location in (str(repo.path), repo.url):
        read_all(GitSource(tmp_path / "cache"), location)
    assert not mark.file.exists()


@pytest.mark.parametrize("place", ["/nonexistent", "../nonexistent", "/"])
def test_an_odd_work_tree_does_not_matter(place: str, repo: Repository, tmp_path: Path) -> None:
    """Nobody goes where `core.worktree` points."""
    repo.git("config", "core.worktree", place)
    read_all(GitSource(tmp_path / "cache"), str(repo.path))


def test_a_repository_of_another_user_is_read(
    repo: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Git refuses a repository that belongs to somebody else; naming its exact folder reads it."""
    stranger = {"GIT_TEST_ASSUME_DIFFERENT_OWNER": "1"}
    plain = subprocess.run(
        ["git", "-C", repo.path, "log"], env=os.environ | stranger, capture_output=True, check=False
    )
    assert b"dubious ownership" in plain.stderr
    monkeypatch.setattr(git, "_KEPT", git._KEPT | stranger.keys())
    source = GitSource(tmp_path / "cache", environment=os.environ | stranger)
    read_all(source, str(repo.path))
    with pytest.raises(SourceError, match="belongs to another user"):
        source.identify(repo.url)


@pytest.fixture
def overheard(tmp_path: Path) -> Path:
    """A folder with a `git` that writes down what it is told, and then does as it is told."""
    real = subprocess.run(["which", "git"], capture_output=True, text=True, check=True).stdout
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "git"
    program.write_text(
        f'#!/bin/sh\nenv >> {folder}/env\necho "$@" >> {folder}/args\nexec {real.strip()} "$@"\n'
    )
    program.chmod(0o755)
    return folder


def outside(overheard: Path) -> Mapping[str, str]:
    """An environment full of what git must not see."""
    return {
        "PATH": f"{overheard}:{os.environ['PATH']}",
        "HOME": "/home/ada",
        "GIT_DIR": "/somewhere/else",
        "GIT_SSH": "/bin/false",
        "GIT_EXTERNAL_DIFF": "/bin/false",
        "GIT_CONFIG_PARAMETERS": "'core.fsmonitor'='/bin/false'",
        "SPARKY_LLM_API_KEY": "s3cr3t",
        "LANG": "de_DE.UTF-8",
    }


def test_git_sees_a_closed_environment(repo: Repository, overheard: Path, tmp_path: Path) -> None:
    """Nothing of the environment outside reaches git but the few names that it needs."""
    read_all(GitSource(tmp_path / "cache", environment=outside(overheard)), str(repo.path))
    seen = (overheard / "env").read_text()
    assert "HOME=/home/ada" in seen
    for name in (
        "GIT_DIR",
        "GIT_SSH=",
        "GIT_EXTERNAL_DIFF",
        "s3cr3t",
        "de_DE",
        "core.fsmonitor'='/bin",
    ):
        assert name not in seen


def test_credentials_reach_only_calls_to_a_remote(
    repo: Repository, overheard: Path, tmp_path: Path
) -> None:
    """A token is in the environment of a fetch, and never in arguments or in the clone."""
    token = {"GIT_ASKPASS": "/bin/false", "TOKEN_FOR_ASKPASS": "t0ken"}
    source = GitSource(tmp_path / "cache", environment=outside(overheard), credentials=token)
    read_all(source, str(repo.path))
    assert "t0ken" not in (overheard / "env").read_text()
    read_all(source, repo.url)
    assert "TOKEN_FOR_ASKPASS=t0ken" in (overheard / "env").read_text()
    assert "t0ken" not in (overheard / "args").read_text()
    kept = [file for file in (tmp_path / "cache").rglob("*") if file.is_file()]
    assert not [file for file in kept if b"t0ken" in file.read_bytes()]
