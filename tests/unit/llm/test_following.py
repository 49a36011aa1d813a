"""A pool keeps to what is configured, while it works."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import pytest

from sparky import wiring
from sparky.errors import Transient, UsageError
from sparky.llm.following import Addresses, Changes, Following
from sparky.llm.seat import Member
from sparky.ports import Prompt
from sparky.settings import child_env, load
from tests.unit.llm.test_router import ASK, Machine, member

NEVER = 3600.0
Roster = dict[str, str]


@contextmanager
def following(roster: Callable[[], Roster]) -> Iterator[tuple[Following, dict[str, Machine]]]:
    """A pool of machines that keeps up when a test says so."""
    machines: dict[str, Machine] = {}

    def make(name: str, made_of: str) -> Member:
        machines[f"{name}/{made_of}"] = machine = Machine(made_of)
        return member(machine, name=name)

    pool = Following(roster, make, every=NEVER)
    try:
        yield pool, machines
    finally:
        pool.close()


def answers(pool: Following, count: int = 8) -> set[str]:
    return {pool.complete(ASK).text for _ in range(count)}


def names(pool: Following) -> set[str]:
    return {seat.member.name for seat in pool.seats()}


def test_an_engine_that_is_added_answers_and_one_that_is_taken_out_does_not() -> None:
    """The next question goes by the new roster."""
    roster = {"one": "a"}
    with following(lambda: dict(roster)) as (pool, _):
        assert answers(pool) == {"by a"}
        roster = {"two": "b"}
        pool.keep_up()
        assert answers(pool) == {"by b"}


def test_an_engine_that_is_made_of_something_else_is_replaced() -> None:
    """A new key or limit at the same address is in force from the next question on."""
    roster = {"one": "a", "two": "b"}
    with following(lambda: dict(roster)) as (pool, machines):
        roster = {"one": "c", "two": "b"}
        pool.keep_up()
        assert {f"{s.member.name}/{s.member.backend.name}" for s in pool.seats()} == {  # type: ignore[attr-defined]
            "one/c",
            "two/b",
        }
        assert set(machines) == {"one/a", "two/b", "one/c"}


def test_what_an_engine_has_begun_it_ends_before_its_connections_are_closed() -> None:
    """Taking an engine out loses no answer."""
    begun, go = Event(), Event()
    roster = {"one": "a"}
    with following(lambda: dict(roster)) as (pool, machines):
        answers(pool, 1)
        machine = machines["one/a"]

        def slow(prompt: Prompt) -> str:
            begun.set()
            assert go.wait(20)
            return "late"

        machine.trouble = slow
        closed = Event()
        machine.close = closed.set  # type: ignore[method-assign]
        with ThreadPoolExecutor(1) as threads:
            answer = threads.submit(pool.complete, ASK)
            assert begun.wait(20)
            roster = {"two": "b"}
            pool.keep_up()
            assert not closed.is_set()
            go.set()
            assert answer.result().text == "late"
        assert closed.is_set()


@pytest.mark.parametrize("error", [UsageError("no TOML"), Transient("no name server")])
def test_a_roster_that_cannot_be_read_changes_nothing(error: Exception) -> None:
    """A slip of the pen in the settings file stops no run."""
    state: list[Roster | Exception] = [{"one": "a"}]

    def roster() -> Roster:
        if isinstance(state[0], Exception):
            raise state[0]
        return state[0]

    with following(roster) as (pool, _):
        nothing: Roster = {}
        for wrong in (error, nothing):
            state[0] = wrong
            pool.keep_up()
            assert names(pool) == {"one"}
        state[0] = {"two": "b"}
        pool.keep_up()
        assert names(pool) == {"two"}


def test_an_engine_that_cannot_be_made_changes_nothing() -> None:
    """A key that no header can hold is a slip of the pen too; the next look follows again, and no
    connection of those looked at before stays open."""
    roster = {"one": "a"}
    closed: list[str] = []

    def make(name: str, made_of: str) -> Member:
        if made_of == "wrong key":
            raise UsageError("the engine's API key has a space")
        machine = Machine(made_of)
        machine.close = lambda: closed.append(made_of)  # type: ignore[method-assign]
        return member(machine, name=name)

    pool = Following(lambda: dict(roster), make, every=NEVER)
    try:
        roster = {"two": "b", "one": "wrong key"}
        pool.keep_up()
        assert names(pool) == {"one"}
        assert closed == ["b"]
        roster = {"one": "c"}
        pool.keep_up()
        assert answers(pool) == {"by c"}
    finally:
        pool.close()


def test_a_name_with_several_addresses_is_as_many_engines() -> None:
    """As `tasks.NAME` of a Swarm; while it does not resolve, those known before stay."""
    known: dict[str, list[str]] = {"tasks.trtllm": ["10.0.1.4", "10.0.1.3", "10.0.1.4", "fd00::1"]}

    def resolve(host: str, port: int) -> list[str]:
        if host not in known:
            raise OSError("no such name")
        return known[host]

    look = Addresses(resolve)
    found = look("http://tasks.trtllm:8355/x")
    assert found == ("http://10.0.1.3:8355/x", "http://10.0.1.4:8355/x", "http://[fd00::1]:8355/x")
    known.clear()
    assert look("http://tasks.trtllm:8355/x") == found
    assert look("http://tasks.other") == ("http://tasks.other",)


def test_a_real_name_is_looked_up() -> None:
    """The system's own resolver tells the addresses."""
    assert "http://127.0.0.1:8000" in Addresses()("http://localhost:8000")


def test_only_a_file_that_changed_is_read_again(tmp_path: Path) -> None:
    """By its inode, time and size; a file that is gone for a moment is no change."""
    path = tmp_path / "sparky.toml"
    path.write_text("a")
    changed = Changes(path)
    assert not changed()
    fresh = tmp_path / "fresh"
    fresh.write_text("b")
    path.unlink()
    assert not changed()
    fresh.replace(path)
    assert changed()
    assert not changed()


def engines(*urls: str, key: str = "k") -> str:
    return "\n".join(f'[[engines]]\nurl = "{url}"\nmodel = "m"\napi_key = "{key}"' for url in urls)


def test_the_engines_of_the_settings_file_are_followed(tmp_path: Path) -> None:
    """In this process and in those that it starts, for as long as the file makes sense."""
    path = tmp_path / "sparky.toml"
    path.write_text(engines("http://a"))
    settings = load({"HOME": str(tmp_path)}, path)
    for known in (settings, load(child_env(settings))):
        path.write_text(engines("http://a"))
        look = wiring.roster(known)
        (before,) = look().values()
        path.write_text(engines("http://a", "http://b", key="other"))
        now = look()
        assert set(now) == {"http://a", "http://b"}
        assert now["http://a"] != before
        path.write_text("[[engines]]\nurl = 1")
        with pytest.raises(UsageError):
            look()
        assert set(look()) == {"http://a", "http://b"}
        path.write_text("log_level = 'info'")
        with pytest.raises(UsageError, match="names no engines"):
            look()


def test_engines_of_the_environment_are_followed_nowhere(tmp_path: Path) -> None:
    """What a person gave a process stays what it was given."""
    path = tmp_path / "sparky.toml"
    path.write_text(engines("http://a"))
    given = '[{"url": "http://b", "model": "m"}]'
    settings = load({"HOME": str(tmp_path), "SPARKY_ENGINES": given}, path)
    assert settings.engines_from is None
    assert [engine.url for engine in settings.engines] == ["http://b"]


def test_every_address_needs_plain_http() -> None:
    """A certificate names no address."""
    given = '[{"url": "https://tasks.x", "model": "m", "every_address": true}]'
    with pytest.raises(UsageError, match="every_address needs a URL that begins with http://"):
        load({"HOME": "/", "SPARKY_ENGINES": given})
