"""The services that Sparky starts itself: real ones, started, shared, killed and started again."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from sparky.errors import ServiceError
from sparky.services import Endpoints, Wanted, attach, remove
from sparky.services.weights import ensure

CACHE = Path("~/.cache/sparky").expanduser()
PATIENCE = 60.0
"""Seconds after which something that should have ended counts as hung."""

NOTHING = Wanted(postgres=False, valkey=False, llama=None)
DATABASE = Wanted(postgres=True, valkey=False, llama=None)
BROKER = Wanted(postgres=False, valkey=True, llama=None)
BOTH = Wanted(postgres=True, valkey=True, llama=None)

CLIENT = """
import json, os, signal, sys, time
from pathlib import Path
from sparky.services import Wanted, attach

# Whoever started the tests may ignore it, and a child inherits that.
signal.signal(signal.SIGINT, signal.default_int_handler)
state, postgres, valkey, llama, name, fork = json.loads(sys.argv[1])
say = lambda **words: print(json.dumps(words), flush=True)
wanted = Wanted(postgres=postgres, valkey=valkey, llama=Path(llama) if llama else None)
with attach(Path(state), wanted, model_name=name, on_event=lambda event: say(event=event)) as ends:
    if fork and os.fork() == 0:
        sys.stdin.close()
        time.sleep(600)
    say(database_url=ends.database_url, llm_url=ends.llm_url, llm_api_key=ends.llm_api_key)
    sys.stdin.read()
say(left=True)
"""


class Client:
    """A process of its own, in a group of its own, that attaches and stays until told to leave."""

    def __init__(self, state: Path, wanted: Wanted, *, name: str = "", fork: bool = False) -> None:
        llama = str(wanted.llama) if wanted.llama else None
        asked = [str(state), wanted.postgres, wanted.valkey, llama, name, fork]
        self.process = subprocess.Popen(
            [sys.executable, "-c", CLIENT, json.dumps(asked)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def hears(self) -> dict[str, Any]:
        """The next thing it says."""
        assert self.process.stdout
        words: dict[str, Any] = json.loads(self.process.stdout.readline())
        return words

    def endpoints(self) -> dict[str, Any]:
        """What it got, after the events of the start."""
        while "event" in (words := self.hears()):
            pass
        return words

    def leave(self) -> None:
        """Tell it to leave, and wait until it has."""
        assert self.process.stdin
        self.process.stdin.close()
        assert self.hears() == {"left": True}
        assert self.process.wait(PATIENCE) == 0

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        with self.process:
            pass


@pytest.fixture
def state() -> Iterator[Path]:
    """A state folder whose services are stopped and whose files are removed after the test."""
    folder = Path(tempfile.mkdtemp(prefix="sparky-test-")) / "state"
    yield folder
    for pid in keeper_of(folder):
        with watched([pid]) as ended:
            os.kill(pid, signal.SIGTERM)
            ended()
    remove(folder)
    shutil.rmtree(folder.parent)


@pytest.fixture
def client(state: Path) -> Iterator[Callable[..., Client]]:
    """Start clients that end with the test at the latest."""
    with contextlib.ExitStack() as stack:

        def start(wanted: Wanted, **options: Any) -> Client:
            return stack.enter_context(contextlib.closing(Client(state, wanted, **options)))

        yield start


@pytest.fixture(scope="session")
def small_model() -> Path:
    """The weights of the smallest model, fetched once into the user's cache."""
    return ensure(
        "smollm2-135m-instruct", cache=CACHE, path=None, sha256=None, on_progress=lambda _: None
    )


def processes() -> dict[int, int]:
    """Every process and its parent."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                after_name = (entry / "stat").read_text().rpartition(")")[2].split()
                if after_name[0] != "Z":
                    parents[int(entry.name)] = int(after_name[1])
    return parents


def descendants(pid: int) -> set[int]:
    parents = processes()
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {pid}


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except (FileNotFoundError, ProcessLookupError):  # ended meanwhile
        return ""


def keeper_of(state: Path) -> set[int]:
    """The keeper of a state folder, if one lives."""
    return {
        pid
        for pid in processes()
        if command_line(pid).rstrip().endswith(f"sparky.services.keeper {state}")
    }


def family_of(state: Path) -> set[int]:
    """The keeper and all that it has started."""
    keepers = keeper_of(state)
    return keepers | {pid for keeper in keepers for pid in descendants(keeper)}


@contextlib.contextmanager
def watched(pids: Iterable[int]) -> Iterator[Callable[[], None]]:
    """Hold on to processes that live; the function waits until they have all ended."""
    handles = []
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):  # one of those that come and go
            handles.append(os.pidfd_open(pid))

    def ended() -> None:
        for handle in handles:
            readable, _, _ = select.select([handle], [], [], PATIENCE)
            assert readable, "a process lives on"

    try:
        yield ended
    finally:
        for handle in handles:
            os.close(handle)


def connect(database_url: str | None) -> psycopg.Connection:
    assert database_url
    return psycopg.connect(database_url.replace("+psycopg", ""), connect_timeout=10)


def valkey(broker_url: str | None) -> redis.Redis:
    assert broker_url
    path = broker_url.removeprefix("redis+socket://").partition("?")[0]
    return redis.Redis(
        unix_socket_path=path,
        retry=Retry(ConstantBackoff(0.05), 200),
        retry_on_error=[redis.exceptions.ConnectionError],
    )


def ask(ends: Endpoints, path: str, **body: Any) -> httpx.Response:
    return httpx.post(
        f"{ends.llm_url}{path}",
        json=body,
        headers={"Authorization": f"Bearer {ends.llm_api_key}"},
        timeout=PATIENCE,
    )


def test_all_three_answer_and_have_ended_when_the_block_does(
    state: Path, small_model: Path
) -> None:
    wanted = Wanted(postgres=True, valkey=True, llama=small_model)
    with attach(state, wanted, model_name="small") as ends:
        with connect(ends.database_url) as connection:
            row = connection.execute("SELECT current_user, '[1,2]'::vector <-> '[1,4]'").fetchone()
            assert row == ("sparky", 2.0)
        assert valkey(ends.broker_url).ping()
        schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
        answer = ask(
            ends,
            "/v1/chat/completions",
            messages=[{"role": "user", "content": "A number?"}],
            max_tokens=40,
            response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": schema}},
        ).json()
        assert isinstance(json.loads(answer["choices"][0]["message"]["content"])["n"], int)
        assert answer["usage"]["completion_tokens"] > 0
        assert answer["model"] == "small"
        assert ask(ends, "/tokenize", content="one two").json()["tokens"]
        logs = "".join(path.read_text() for path in (state / "logs").iterdir())
        assert "A number?" not in logs
        pids = family_of(state)
        assert len(pids) > 4
        watch = contextlib.ExitStack()
        ended = watch.enter_context(watched(pids))
    with watch:
        ended()
    assert not keeper_of(state)
    assert not list((state / "run").iterdir())


def test_only_this_user_can_open_what_it_keeps(state: Path) -> None:
    with attach(state, BOTH) as ends:
        assert ends.database_url
        sockets = {Path(ends.database_url.partition("?host=")[2]) / ".s.PGSQL.5432"}
        sockets |= {state / "run" / "valkey.sock", state / "run" / "keeper.sock"}
        for path in sockets:
            assert stat.S_ISSOCK(path.stat().st_mode)
            assert path.parent.stat().st_mode & 0o077 == 0
            assert path.stat().st_mode & 0o077 == 0, path
        kept = [*(state / "logs").iterdir(), state / "keeper.lock", state / "run", state / "logs"]
        database = (state / "postgres").resolve()
        kept += [state, database, *database.rglob("*")]
        open_to_others = [path for path in kept if path.lstat().st_mode & 0o077]
        assert open_to_others == []
        # Nothing listens on the network.
        for pid in family_of(state):
            inodes = {str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()}
            assert not inodes & listening_inodes()


def listening_inodes() -> set[str]:
    """The TCP sockets of this machine that listen, as /proc names them."""
    rows = [
        row.split()
        for table in ("tcp", "tcp6")
        for row in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
    ]
    return {f"socket:[{row[9]}]" for row in rows if row[3] == "0A"}


def test_the_engine_listens_on_loopback_and_wants_its_key(state: Path, small_model: Path) -> None:
    with attach(state, Wanted(postgres=False, valkey=False, llama=small_model)) as ends:
        assert ends.llm_url
        assert ends.llm_url.startswith("http://127.0.0.1:")
        assert httpx.get(f"{ends.llm_url}/v1/models").status_code == httpx.codes.UNAUTHORIZED
        assert ask(ends, "/tokenize", content="x").status_code == httpx.codes.OK
        assert ends.llm_api_key
        assert ends.llm_api_key not in repr(ends)
        assert [pid for pid in processes() if ends.llm_api_key in command_line(pid)] == []
        logs = "".join(path.read_text() for path in (state / "logs").iterdir())
        assert ends.llm_api_key not in logs


def test_two_clients_share_one_set_until_the_second_has_left(
    state: Path, client: Callable[..., Client]
) -> None:
    first, second = client(BOTH), client(BOTH)
    assert first.endpoints() == second.endpoints()
    assert len(keeper_of(state)) == 1
    with watched(family_of(state)) as ended:
        first.leave()
        with attach(state, BOTH) as ends:
            connect(ends.database_url).close()
        second.leave()
        ended()


def test_another_model_gets_a_server_of_its_own(
    client: Callable[..., Client], small_model: Path
) -> None:
    wanted = Wanted(postgres=False, valkey=False, llama=small_model)
    one, two = client(wanted, name="one"), client(wanted, name="two")
    urls = {one.endpoints()["llm_url"], two.endpoints()["llm_url"]}
    assert len(urls) == 2


@pytest.mark.parametrize("fork", [False, True], ids=["alone", "survived by a fork"])
def test_a_killed_client_leaves_nothing_running(
    state: Path, client: Callable[..., Client], fork: bool
) -> None:
    victim = client(BROKER if fork else BOTH, fork=fork)
    victim.endpoints()
    with watched(family_of(state)) as ended:
        victim.process.kill()
        ended()


@pytest.mark.parametrize(
    ("number", "wanted"), [(signal.SIGINT, BOTH), (signal.SIGTERM, BROKER)], ids=["INT", "TERM"]
)
def test_a_signal_to_the_clients_group_stops_everything(
    state: Path, client: Callable[..., Client], number: signal.Signals, wanted: Wanted
) -> None:
    victim = client(wanted)
    victim.endpoints()
    with watched(family_of(state)) as ended:
        os.killpg(victim.process.pid, number)
        ended()


def test_a_killed_keeper_takes_its_services_along_and_no_row_is_lost(
    state: Path, client: Callable[..., Client], small_model: Path
) -> None:
    first = client(Wanted(postgres=True, valkey=True, llama=small_model))
    with connect(first.endpoints()["database_url"]) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    with watched(family_of(state)) as ended:
        (keeper,) = keeper_of(state)
        os.kill(keeper, signal.SIGKILL)
        ended()
    with attach(state, BOTH) as ends, connect(ends.database_url) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)
        assert valkey(ends.broker_url).ping()


def test_all_killed_at_once_start_again(state: Path, client: Callable[..., Client]) -> None:
    first = client(BOTH)
    with connect(first.endpoints()["database_url"]) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    family = family_of(state)
    with watched(family) as ended:
        for pid in family:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        ended()
    with attach(state, BOTH) as ends, connect(ends.database_url) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)


@pytest.mark.parametrize("victim", ["keeper", "client"])
def test_a_start_that_is_killed_while_it_makes_the_database_is_made_anew(
    state: Path, client: Callable[..., Client], victim: str
) -> None:
    first = client(DATABASE)
    assert first.hears() == {"event": "making the database"}
    with watched(family_of(state)) as ended:
        (keeper,) = keeper_of(state)
        os.kill(keeper if victim == "keeper" else first.process.pid, signal.SIGKILL)
        ended()
    home = (state / "postgres").resolve()
    assert not (home / "data").exists()
    with attach(state, DATABASE) as ends, connect(ends.database_url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert [path.name for path in home.iterdir() if path.name.startswith("new-")] == []


def test_stale_files_never_block(state: Path) -> None:
    with attach(state, DATABASE):
        pass
    # As a machine leaves them that lost its power: the process ids belong to others by now.
    (state / "keeper.lock").write_text(f"{os.getpid()}\n")
    for name in ("keeper.sock", "valkey.sock", ".s.PGSQL.5432"):
        with socket.socket(socket.AF_UNIX) as stale:
            stale.bind(str(state / "run" / name))
    data = (state / "postgres").resolve() / "data"
    lines = [str(os.getpid()), str(data), "1700000000", "5432", "", "", "0 0", "ready"]
    (data / "postmaster.pid").write_text("\n".join(lines) + "\n")
    with attach(state, BOTH) as ends:
        connect(ends.database_url).close()
        assert valkey(ends.broker_url).ping()


def test_clients_that_come_while_the_last_one_leaves_are_served(state: Path) -> None:
    code = f"""
from pathlib import Path
from sparky.services import Wanted, attach
for _ in range(12):
    with attach(Path({str(state)!r}), Wanted(postgres=False, valkey=True, llama=None)) as ends:
        assert ends.broker_url
"""
    racers = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(3)]
    assert [racer.wait(4 * PATIENCE) for racer in racers] == [0, 0, 0]
    assert not keeper_of(state)


def test_a_service_that_dies_is_started_again_at_the_same_address(
    state: Path, small_model: Path
) -> None:
    with attach(state, Wanted(postgres=False, valkey=True, llama=small_model)) as ends:
        broker = valkey(ends.broker_url)
        broker.ping()
        for pid in family_of(state) - keeper_of(state):
            with watched([pid]) as ended:
                os.kill(pid, signal.SIGKILL)
                ended()
        assert broker.ping()
        transport = httpx.HTTPTransport(retries=9)
        with httpx.Client(transport=transport, timeout=PATIENCE) as http:
            until = time.monotonic() + PATIENCE
            while http.get(f"{ends.llm_url}/health").status_code != httpx.codes.OK:
                assert time.monotonic() < until, "still loading the model"


def test_weights_that_are_no_model_are_named_and_nothing_keeps_running(
    state: Path, tmp_path: Path
) -> None:
    weights = tmp_path / "noise.gguf"
    weights.write_bytes(b"not a model" * 1000)
    with (
        pytest.raises(ServiceError, match=r"llama\.cpp did not start with .*noise\.gguf.*magic"),
        attach(state, Wanted(postgres=False, valkey=True, llama=weights)),
    ):
        pass
    assert not keeper_of(state)


def test_a_database_of_another_postgres_is_refused_and_left_alone(state: Path) -> None:
    with attach(state, DATABASE):
        pass
    version = (state / "postgres").resolve() / "data" / "PG_VERSION"
    version.write_text("19\n")
    with (
        pytest.raises(ServiceError, match=r"made by Postgres 19, and this .* Postgres 18.*move"),
        attach(state, DATABASE),
    ):
        pass
    assert version.read_text() == "19\n"


def test_a_folder_in_the_databases_place_is_left_alone(state: Path) -> None:
    with attach(state, DATABASE):
        pass
    data = (state / "postgres").resolve() / "data"
    shutil.rmtree(data)
    data.mkdir()
    (data / "precious").touch()
    with pytest.raises(ServiceError, match="not a Postgres database"), attach(state, DATABASE):
        pass
    assert (data / "precious").exists()


def test_a_deep_or_odd_state_folder_works(state: Path) -> None:
    odd = state / ("x" * 120) / 'with, "odd" ün%20 names'
    try:
        with attach(odd, BOTH) as ends:
            connect(ends.database_url).close()
            assert valkey(ends.broker_url).ping()
            assert not list(odd.rglob("*.sock"))
    finally:
        remove(odd)


def test_a_file_in_the_place_of_the_state_folder_is_named(state: Path) -> None:
    state.parent.mkdir(exist_ok=True)
    state.touch()
    with pytest.raises(ServiceError, match=f"state folder {state}"), attach(state, BROKER):
        pass
    state.unlink()


def test_a_stopped_keeper_is_named_with_the_way_out(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sparky.services.client.HELLO_SECONDS", 0.2)
    with attach(state, BROKER):
        (keeper,) = keeper_of(state)
        os.kill(keeper, signal.SIGSTOP)
        try:
            with pytest.raises(ServiceError, match=f"kill -9 {keeper}"), attach(state, BROKER):
                pass
        finally:
            os.kill(keeper, signal.SIGCONT)


def test_nothing_is_removed_while_it_is_used_and_everything_after(state: Path) -> None:
    with attach(state, BOTH):
        home = (state / "postgres").resolve()
        with pytest.raises(ServiceError, match="in use"):
            remove(state)
    remove(state)
    assert not home.exists()
    assert not state.exists()


def test_who_wants_nothing_starts_nothing(state: Path) -> None:
    with attach(state, NOTHING) as ends:
        assert ends == Endpoints()
    assert not state.exists()
