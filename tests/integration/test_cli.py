"""The commands around a run, on a real database and a real broker."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from sparky.cli import main
from sparky.services import remove
from sparky.store import schema
from sparky.store.gateway import Gateway
from tests import factories
from tests.servers import Servers


class Outcome(NamedTuple):
    """What a user sees of a command that has ended."""

    code: int
    out: str
    err: str


Sparky = Callable[..., Outcome]


@pytest.fixture
def sparky(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    servers: Servers,
    database: str,
) -> Iterator[Sparky]:
    """Runs `sparky` with these arguments on an empty database; removes what that started."""
    for name, value in {
        "SPARKY_CONFIG": "/dev/null",
        "SPARKY_STATE_DIR": str(tmp_path / "state"),
        "SPARKY_CACHE_DIR": str(tmp_path / "cache"),
        "SPARKY_DATABASE_URL": database,
        "SPARKY_BROKER_URL": servers.broker_url,
    }.items():
        monkeypatch.setenv(name, value)

    def call(*arguments: str) -> Outcome:
        code = main.run(arguments)
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    yield call
    remove(tmp_path / "state")


@pytest.fixture
def store(database: str) -> Iterator[Gateway]:
    with closing(Gateway.open(database)) as gateway:
        yield gateway


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A git repository with one commit."""
    path = tmp_path / "rocket"
    commands = (
        ["init", "-q", str(path)],
        ["-C", str(path), "-c", "user.name=Ada", "-c", "user.email=ada@example.org", "commit", "-q",
         "--allow-empty", "-m", "Start"],
    )  # fmt: skip
    for command in commands:
        subprocess.run(["git", *command], check=True)
    return path


def command_lines() -> Iterator[str]:
    """What every process of this machine was started with."""
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # It has ended meanwhile.
            yield process.read_bytes().replace(b"\0", b" ").decode(errors="replace")


class TestRepos:
    def test_a_repository_is_followed_listed_and_forgotten(
        self, sparky: Sparky, checkout: Path
    ) -> None:
        added = sparky("repos", "add", str(checkout))
        assert (added.code, added.out) == (0, "")
        assert added.err.startswith("following rocket (")

        name, source, location, *_ = sparky("repos", "list").out.split("\t")
        assert (name, source, location) == ("rocket", "git", str(checkout))
        (listed,) = json.loads(sparky("repos", "list", "--json").out)
        assert listed["name"] == "rocket"

        assert sparky("repos", "remove", "rocket").code == 0
        empty = sparky("repos", "list")
        assert (empty.code, empty.out) == (0, "")
        assert "`sparky repos add SOURCE`" in empty.err

    def test_what_cannot_be_read_does_not_keep_others_out(
        self, sparky: Sparky, checkout: Path, tmp_path: Path
    ) -> None:
        outcome = sparky("repos", "add", str(tmp_path / "nothing"), str(checkout))
        assert outcome.code == 3
        assert "error: " in outcome.err
        assert "nothing" in outcome.err
        assert len(sparky("repos", "list").out.splitlines()) == 1

    def test_when_none_can_be_read_it_failed(self, sparky: Sparky, tmp_path: Path) -> None:
        assert sparky("repos", "add", str(tmp_path / "nothing")).code == 1

    def test_one_that_was_only_run_is_listed_when_all_are_asked_for(
        self, sparky: Sparky, store: Gateway
    ) -> None:
        store.add_repo(factories.repo(), tracked=False)
        assert sparky("repos", "list").out == ""
        assert sparky("repos", "list", "--all").out.startswith("acme/rocket\t")

    @pytest.mark.parametrize(
        "command", [["repos", "remove"], ["digests", "show"], ["digests", "list"]]
    )
    def test_an_unknown_name_suggests_the_nearest(
        self, sparky: Sparky, store: Gateway, command: list[str]
    ) -> None:
        store.add_repo(factories.repo())
        outcome = sparky(*command, "acme/roket")
        assert outcome.code == 2
        assert outcome.err == (
            "error: there is no repository acme/roket\nhint: Did you mean acme/rocket?\n"
        )


class TestDigests:
    @pytest.fixture(autouse=True)
    def _two_revisions(self, store: Gateway) -> None:
        first = factories.digest()
        store.add_repo(first.repo)
        store.put_digest(first)
        store.put_digest(replace(first, headline="The fuel gauge is right again."))

    def test_the_list_has_the_newest_first(self, sparky: Sparky) -> None:
        revisions = [line.split("\t")[3] for line in sparky("digests", "list").out.splitlines()]
        assert revisions == ["2", "1"]

    def test_the_list_can_be_shortened(self, sparky: Sparky) -> None:
        assert len(sparky("digests", "list", "acme/rocket", "--limit", "1").out.splitlines()) == 1

    def test_the_list_as_json_names_window_and_status(self, sparky: Sparky) -> None:
        newest, _ = json.loads(sparky("digests", "list", "--json").out)
        window = factories.digest().window
        assert newest["repo"]["name"] == "acme/rocket"
        assert newest["window"] == {
            "since": window.since.isoformat(),
            "until": window.until.isoformat(),
        }
        assert (newest["revision"], newest["status"]) == (2, "done")

    def test_the_latest_revision_is_shown_unless_another_is_asked_for(self, sparky: Sparky) -> None:
        latest = json.loads(sparky("digests", "show", "acme/rocket", "--format", "json").out)
        assert latest["headline"] == "The fuel gauge is right again."
        asked = sparky("digests", "show", "acme/rocket", "--revision", "1", "-f", "json")
        assert json.loads(asked.out)["headline"] == factories.digest().headline

    def test_a_digest_is_shown_as_markdown_and_as_html(self, sparky: Sparky) -> None:
        markdown = sparky("digests", "show", "acme/rocket").out
        html = sparky("digests", "show", "acme/rocket", "-f", "html").out
        assert "The fuel gauge is right again." in markdown
        assert "<h1" in html

    def test_a_digest_is_explained_by_the_activities_that_it_cites(
        self, sparky: Sparky, store: Gateway
    ) -> None:
        digest = factories.digest()
        store.replace_activities(digest.repo.id, digest.window, iter([factories.commit(1)]))
        outcome = sparky("digests", "show", "acme/rocket", "--explain")
        assert f"  commit {factories.oid(1)[:12]}: {factories.commit(1).title}\n" in outcome.out
        assert sparky("digests", "show", "acme/rocket", "--explain", "-f", "json").code == 2

    def test_a_revision_that_is_not_there_is_told(self, sparky: Sparky) -> None:
        outcome = sparky("digests", "show", "acme/rocket", "--revision", "9")
        assert outcome.code == 2
        assert "there is no digest of revision 9 of acme/rocket" in outcome.err

    def test_a_forgotten_repositorys_digests_are_gone(self, sparky: Sparky) -> None:
        sparky("repos", "remove", "acme/rocket")
        outcome = sparky("digests", "list")
        assert (outcome.code, outcome.out) == (0, "")
        assert "`sparky run SOURCE`" in outcome.err


class TestDatabase:
    def test_the_schema_goes_down_and_up_again(self, sparky: Sparky, database: str) -> None:
        try:
            down = sparky("db", "downgrade", "base", "--yes")
            assert (down.code, schema.current(database)) == (0, None)
            assert f"from schema {schema.head()} to none" in down.err

            status = sparky("db", "status")
            assert status.code == 1
            assert status.out == f"database: none\nneeded:   {schema.head()}\n"
            assert "Run `sparky db upgrade`" in status.err

            refused = sparky("repos", "list")
            assert refused.code == 1
            assert "`sparky db upgrade`" in refused.err
        finally:
            up = sparky("db", "upgrade")
        assert (up.code, schema.current(database)) == (0, schema.head())
        assert f"from none to {schema.head()}" in up.err.replace("schema ", "")
        assert "already" in sparky("db", "upgrade").err
        assert sparky("db", "status").code == 0

    def test_a_downgrade_asks_first(self, sparky: Sparky, database: str) -> None:
        outcome = sparky("db", "downgrade", "base")
        assert outcome.code == 2
        assert "Give --yes if it is meant" in outcome.err
        assert schema.current(database) == schema.head()

    @pytest.mark.parametrize("answer", ["n", ""])
    def test_a_downgrade_that_is_not_confirmed_changes_nothing(
        self, sparky: Sparky, database: str, monkeypatch: pytest.MonkeyPatch, answer: str
    ) -> None:
        keyboard = io.StringIO(f"{answer}\n")
        monkeypatch.setattr(keyboard, "isatty", lambda: True)
        monkeypatch.setattr(sys, "stdin", keyboard)
        outcome = sparky("db", "downgrade", "base")
        assert outcome.code == 1
        assert outcome.err.endswith("nothing was changed\n")
        assert schema.current(database) == schema.head()

    def test_a_revision_that_does_not_exist_is_told(self, sparky: Sparky, database: str) -> None:
        assert sparky("db", "downgrade", "9999", "--yes").code == 1
        assert schema.current(database) == schema.head()


class TestDoctor:
    def health(self, sparky: Sparky) -> dict[str, dict[str, str]]:
        report = json.loads(sparky("doctor", "--json").out)
        return {finding["part"]: finding for finding in report["findings"]}

    def test_servers_that_answer_are_well(self, sparky: Sparky) -> None:
        health = self.health(sparky)
        assert health["database"]["health"] == "ok"
        assert f"schema {schema.head()}" in health["database"]["what"]
        assert health["broker"]["health"] == "ok"
        assert "Valkey 9" in health["broker"]["what"]

    def test_a_database_without_tables_fails_with_the_command_that_makes_them(
        self, sparky: Sparky, database: str
    ) -> None:
        schema.downgrade(database, "base")
        try:
            finding = self.health(sparky)["database"]
        finally:
            schema.upgrade(database)
        assert finding["health"] == "fail"
        assert "`sparky db upgrade`" in finding["remedy"]

    def test_the_embedded_engine_is_started_and_writes(
        self, sparky: Sparky, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SPARKY_CACHE_DIR", str(Path.home() / ".cache/sparky"))
        monkeypatch.setenv("SPARKY_LLM_MODEL", "smollm2-135m-instruct")
        outcome = sparky("doctor", "--engine")
        lines = {line[5:].partition(":")[0]: line for line in outcome.out.splitlines()}
        assert lines["weights"].endswith("with the right hash")
        assert lines["engine"].startswith("ok   engine: llama.cpp with smollm2-135m-instruct, ")
        assert lines["writing"].startswith("ok   writing: ")
        assert outcome.code == 0

    def test_what_is_not_configured_is_started_checked_and_stopped(
        self, sparky: Sparky, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.delenv("SPARKY_DATABASE_URL")
        monkeypatch.delenv("SPARKY_BROKER_URL")
        health = self.health(sparky)
        state = str(tmp_path / "state")
        for part in ("database", "broker"):
            assert health[part]["health"] == "ok"
        assert f"schema {schema.head()}" in health["database"]["what"]
        assert [line for line in command_lines() if state in line] == []
