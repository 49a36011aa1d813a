"""Repositories found, imported, exported and listed, as a user does it at a terminal or in a pipe."""

from __future__ import annotations

import io
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from sparky.cli import main
from tests.github import Limits, Server, World
from tests.github.fixture import Serving, serving
from tests.servers import Servers

__all__ = ["serving"]

ORG = "org-0"


class Said(NamedTuple):
    """What a user sees of a command that has ended."""

    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[list[str]]:
        return [line.split("\t") for line in self.out.splitlines()]


Sparky = Callable[..., Said]


@pytest.fixture
def world() -> World:
    return World(seed=6, repositories=60, organizations=1)


@pytest.fixture
def github(world: World, serving: Serving) -> Server:
    return serving(world, enterprise=True, limits=Limits.off())


@pytest.fixture
def sparky(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    servers: Servers,
    database: str,
    github: Server,
) -> Sparky:
    """Runs `sparky` with a token for the local GitHub, on an empty database, in an empty folder."""
    for name, value in {
        "SPARKY_CONFIG": "/dev/null",
        "SPARKY_STATE_DIR": str(tmp_path / "state"),
        "SPARKY_CACHE_DIR": str(tmp_path / "cache"),
        "SPARKY_DATABASE_URL": database,
        "SPARKY_BROKER_URL": servers.broker_url,
        "SPARKY_GITHUB_URL": github.host,
        "SPARKY_GITHUB_TOKEN": github.token(),
    }.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    def call(*arguments: str) -> Said:
        code = main.run(arguments)
        captured = capsys.readouterr()
        return Said(code, captured.out, captured.err)

    return call


def test_a_discovery_says_what_it_would_do_does_it_and_does_it_once(
    sparky: Sparky, world: World
) -> None:
    owned = world.owned(world.accounts[ORG])
    wanted = {one.full_name for one in owned if not one.fork and one.archived_at is None}
    tried = sparky("repos", "discover", "--org", ORG, "--group", "core", "--dry-run")
    assert (tried.code, {row[0] for row in tried.rows}) == (0, wanted)
    assert {row[1] for row in tried.rows} == {"new"}
    assert tried.err.endswith("dry run, nothing was changed\n")
    assert sparky("repos", "list").out == sparky("groups", "list").out == ""

    assert sparky("repos", "discover", "--org", ORG, "--group", "core").out == tried.out
    assert {row[0] for row in sparky("repos", "list").rows} == wanted
    assert sparky("groups", "list").out == f"core\t{len(wanted)}\n"

    again = sparky("repos", "discover", "--org", ORG, "--group", "core")
    assert {row[1] for row in again.rows} == {"known"}
    assert again.err.startswith(f"0 new, {len(wanted)} followed already; left out: ")


def test_every_one_is_chosen_or_counted_as_left_out(sparky: Sparky, world: World) -> None:
    options = ("--language", "go", "--name", "a*", "--name", "*-1*", "--min-size", "1KB", "--json")
    found = json.loads(sparky("repos", "discover", "--org", ORG, *options).out)
    owned = world.owned(world.accounts[ORG])
    assert len(found["repositories"]) + sum(found["left_out"].values()) == len(owned)
    assert found["repositories"]
    for one in found["repositories"]:
        assert one["language"] == "Go"
        assert one["name"].startswith(f"{ORG}/a") or "-1" in one["name"]
        assert (one["archived"], one["fork"]) == (False, False)


def test_accounts_and_topics_are_put_together_and_one_that_fails_makes_it_partial(
    sparky: Sparky, world: World
) -> None:
    user = next(one.owner.login for one in world if one.owner.typename == "User")
    found = sparky("repos", "discover", "--org", ORG, "--user", user, "--org", "nobody", "--json")
    owners = {one["name"].partition("/")[0] for one in json.loads(found.out)["repositories"]}
    assert (found.code, owners) == (3, {ORG, user})
    assert "there is no account nobody on GitHub" in found.err

    assert sparky("repos", "discover", "--topic", "http").code == 0
    assert sparky("repos", "discover", "--org", "nobody").code == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "nobody says where to look"),
        (("--user", ORG), "org-0 is an organization"),
        (("--topic", "a b"), "is not a topic"),
        (("--org", ORG, "--group", "a b"), "is not a name for a group"),
        (("--org", ORG, "--pushed-since", "once"), "'once' is not a date"),
        (("--org", ORG, "--max-size", "much"), "much is not a size"),
    ],
)
def test_a_wrong_discovery_changes_nothing(
    sparky: Sparky, arguments: tuple[str, ...], message: str
) -> None:
    said = sparky("repos", "discover", *arguments)
    assert (said.code, said.out) == (2, "")
    assert message in said.err
    assert sparky("repos", "list").out == ""


def test_without_a_credential_it_is_told_what_to_set(
    sparky: Sparky, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SPARKY_GITHUB_TOKEN")
    said = sparky("repos", "discover", "--org", ORG)
    assert (said.code, "SPARKY_GITHUB_TOKEN_FILE" in said.err) == (2, True)


@pytest.mark.parametrize("ending", ["csv", "yaml", "txt"])
def test_what_is_exported_imports_the_same(
    sparky: Sparky, servers: Servers, github: Server, ending: str
) -> None:
    """On another machine: the same repositories, by id or name, in the same groups; and once."""
    sparky("repos", "discover", "--org", ORG, "--group", "core", "--name", "a*")
    sparky("repos", "discover", "--org", ORG, "--group", "web", "--name", "*-1*")
    before = sparky("repos", "list").rows
    assert sparky("repos", "export", f"all.{ending}").code == 0
    text = Path(f"all.{ending}").read_text()
    form = {"txt": "list"}.get(ending, ending)
    assert sparky("repos", "export", "--format", form).out == text

    servers.empty()
    github.accounting.reset()
    imported = sparky("repos", "import", f"all.{ending}")
    assert (imported.code, len(imported.rows)) == (0, len(before))
    graphql = [one.name for one in github.accounting.log if one.resource == "graphql"]
    assert graphql == ["Named" if ending == "txt" else "Listed"]
    kept = slice(0, 5) if ending == "txt" else slice(0, 6)
    after = sparky("repos", "list").rows
    assert [row[kept] for row in after] == [row[kept] for row in before]
    again = sparky("repos", "import", f"all.{ending}")
    assert again.err == f"0 new, {len(before)} followed already\n"
    assert sparky("repos", "list").rows == after


def test_an_export_of_a_group_has_that_group_alone(sparky: Sparky) -> None:
    sparky("repos", "discover", "--org", ORG)
    sparky("repos", "discover", "--org", ORG, "--group", "web", "--name", "a*")
    exported = sparky("repos", "export", "--group", "web").out.splitlines()
    listed = sparky("repos", "list", "--group", "web").rows
    assert len(exported) - 1 == len(listed) < len(sparky("repos", "list").rows)
    assert sparky("repos", "export", "--group", "none").code == 2


def test_the_id_counts_where_a_name_has_changed(sparky: Sparky, world: World) -> None:
    """The file names the old place: the repository is followed where it is now."""
    one = next(iter(world.owned(world.accounts[ORG])))
    old = f"{ORG}/{one.name}"
    world.rename(one, "another")
    Path("some.csv").write_text(f"location,id\n{old},{one.id}\n")
    assert sparky("repos", "import", "some.csv").rows[0][0] == f"{ORG}/another"


def test_lines_that_lead_nowhere_are_told_and_the_others_imported(
    sparky: Sparky, world: World, github: Server, tmp_path: Path
) -> None:
    one = next(one for one in world.owned(world.accounts[ORG]) if not one.private)
    subprocess.run(["git", "init", "-q", str(tmp_path / "rocket")], check=True)
    who = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
    commit = ("commit", "-q", "--allow-empty", "-m", "Start")
    subprocess.run(["git", "-C", str(tmp_path / "rocket"), *who, *commit], check=True)
    Path("some.csv").write_text(
        "location,groups,id\n"
        f"{github.host}/{one.full_name},core,\n"
        f"{github.host}/{ORG}/nothing,core,\n"
        f"{tmp_path}/rocket,space,\n"
        f"{tmp_path}/nowhere,,\n"
        f"{ORG}/gone,,R_nothing\n"
    )
    said = sparky("repos", "import", "some.csv", "--group", "all")
    assert said.code == 3, said.err
    assert {row[0] for row in said.rows} == {one.full_name, "rocket"}
    problems = [line for line in said.err.splitlines() if line.startswith("error: ")]
    reason = "is not there any more, or no credential may read it"
    assert problems[0] == f"error: line 3: {github.host}/{ORG}/nothing {reason}"
    assert problems[1].startswith(f"error: line 5: {tmp_path}/nowhere does not exist")
    assert problems[2] == f"error: line 6: {ORG}/gone {reason}"
    groups = dict(row for row in sparky("groups", "list").rows)
    assert groups == {"all": "2", "core": "1", "space": "1"}


def test_a_broken_file_imports_nothing(sparky: Sparky, world: World) -> None:
    Path("some.csv").write_text(f"location,groups\n{next(iter(world)).full_name},core\n,x\n")
    said = sparky("repos", "import", "some.csv")
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("error: line 3: there is no location\nhint: Nothing was imported")
    assert sparky("repos", "list").out == ""


def test_a_file_that_is_none_is_refused(sparky: Sparky, tmp_path: Path) -> None:
    Path("latin.csv").write_bytes(b"location\nacme/a\nacme/\xe9\n")
    Path("some.docx").write_text("acme/a\n")
    assert "line 3: latin.csv is not in UTF-8" in sparky("repos", "import", "latin.csv").err
    assert "Give --format" in sparky("repos", "import", "some.docx").err
    for name in ("nothing.csv", str(tmp_path)):
        assert sparky("repos", "import", name).code == 2


def test_a_list_comes_from_a_pipe(
    sparky: Sparky, world: World, github: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = sorted(one.full_name for one in world.owned(world.accounts[ORG]))[:3]
    piped = "".join(f"{github.host}/{name}\n" for name in names).encode()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(piped)))
    said = sparky("repos", "import", "-", "--dry-run")
    assert [row[0] for row in said.rows] == names
    assert sparky("repos", "list").out == ""


def test_an_id_of_github_needs_a_credential(
    sparky: Sparky, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SPARKY_GITHUB_TOKEN")
    Path("some.csv").write_text("location,id\nacme/a,R_1\n")
    said = sparky("repos", "import", "some.csv")
    assert said.code == 1
    assert "line 2: acme/a is known by its id on GitHub" in said.err
