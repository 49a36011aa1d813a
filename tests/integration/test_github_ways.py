"""The ways to GitHub's data: through proxies, by own certificates, by git where it is cheaper."""

from __future__ import annotations

import ipaddress
import select
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from bench.history import write_history
from sparky.errors import Transient
from sparky.model import Kind, Window
from tests.github import Limits, World
from tests.github.clock import START
from tests.github.fixture import Serving, serving
from tests.integration.github_world import busy, fetch, keys, night, reading, true_keys

__all__ = ["serving"]


@pytest.fixture
def world() -> World:
    return World(seed=4, repositories=40)


# ---- Proxies and certificates ----------------------------------------------------------------------


@dataclass
class Proxy:
    """A proxy that tunnels, and remembers where to and what went through."""

    targets: list[str] = field(default_factory=list)
    traffic: bytearray = field(default_factory=bytearray)
    url: str = ""


@contextmanager
def proxy() -> Iterator[Proxy]:
    made = Proxy()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            method, target, _ = self.rfile.readline().decode().split()
            while self.rfile.readline().strip():
                pass
            made.targets.append(f"{method} {target}")
            host, _, port = target.partition(":")
            with socket.create_connection((host, int(port))) as behind:
                self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
                pump(self.connection, behind, made.traffic)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False

    with Server(("127.0.0.1", 0), Handler) as server:
        made.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield made
        finally:
            server.shutdown()
            thread.join()


def pump(one: socket.socket, other: socket.socket, traffic: bytearray) -> None:
    """Carry bytes both ways until one side is silent for good."""
    while True:
        for ready in select.select([one, other], [], [])[0]:
            data = ready.recv(65536)
            if not data:
                return
            traffic += data
            (other if ready is one else one).sendall(data)


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate of our own, for 127.0.0.1, that no machine knows."""

    context: ssl.SSLContext
    file: Path


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "our own")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    file = tmp_path / "authority.pem"
    file.write_bytes(certificate.public_bytes(Encoding.PEM))
    private = tmp_path / "key.pem"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, private)
    return Authority(context, file)


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment without the proxies and certificates of this machine."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_queries_go_through_the_proxy_and_trust_the_authority_of_the_environment(
    world: World,
    serving: Serving,
    database: str,
    authority: Authority,
    environment: pytest.MonkeyPatch,
) -> None:
    """The proxy sees where to, and nothing of what is asked or as whom."""
    github = serving(world, tls=authority.context)
    repository, window = busy(world), night(world)
    with proxy() as between:
        environment.setenv("HTTPS_PROXY", between.url)
        environment.setenv("SSL_CERT_FILE", str(authority.file))
        with reading(github, database) as reader:
            assert keys(reader, repository, window) == true_keys(repository, window)
        place = github.host.removeprefix("https://")
        assert between.targets
        assert set(between.targets) == {f"CONNECT {place}"}
        assert b"nameWithOwner" not in between.traffic
        assert not any(token.encode() in between.traffic for token in github.credentials.tokens)


def test_hosts_without_proxy_are_asked_directly(
    world: World, serving: Serving, database: str, environment: pytest.MonkeyPatch
) -> None:
    github = serving(world)
    repository, window = busy(world), night(world)
    with proxy() as between:
        environment.setenv("HTTP_PROXY", between.url)
        environment.setenv("NO_PROXY", "127.0.0.1")
        with reading(github, database) as reader:
            assert keys(reader, repository, window) == true_keys(repository, window)
        assert between.targets == []


def test_a_certificate_that_nobody_vouches_for_is_refused(
    world: World,
    serving: Serving,
    database: str,
    authority: Authority,
    environment: pytest.MonkeyPatch,
) -> None:
    """No request is sent, and the error says where to look."""
    github = serving(world, tls=authority.context)
    with reading(github, database) as reader, pytest.raises(Transient) as caught:
        fetch(reader, busy(world), night(world))
    assert "the connection to GitHub failed" in caught.value.message
    assert "proxy" in caught.value.remedy
    assert github.accounting.log == []


# ---- Servers of one's own --------------------------------------------------------------------------


@pytest.mark.parametrize("shows_zero", [False, True])
def test_an_own_server_without_limits_is_read_as_it_comes(
    world: World, serving: Serving, database: str, shows_zero: bool
) -> None:
    """Under /api, with no limit or with one of 0 of 0: nobody waits for points."""
    github = serving(world, enterprise=True, limits=replace(Limits.off(), shows_zero=shows_zero))
    repository, window = busy(world), night(world)
    with reading(github, database) as reader:
        assert github.graphql_url.endswith("/api/graphql")
        assert keys(reader, repository, window) == true_keys(repository, window)
        assert {one.limit for one in reader.budget.standings()} == {None}


# ---- Commits by git --------------------------------------------------------------------------------


def test_commits_come_by_git_where_there_are_many_and_a_quiet_night_asks_for_nothing(
    serving: Serving, database: str, tmp_path: Path
) -> None:
    """The ledger says which way and why; pull requests and issues still come from GitHub."""
    path = tmp_path / "engine.git"
    write_history(path, 60)
    world = World(seed=6, repositories=0, organizations=1, git=[path])
    (repository,) = world
    github = serving(world)
    window = Window(START - timedelta(days=4000), START)
    options: dict[str, Any] = {"git": tmp_path / "cache", "by_git": 50}
    with reading(github, database, **options) as reader:
        census, found = fetch(reader, repository, window)
        assert sorted(a.key for a in found) == true_keys(repository, window)
        count = len(repository.history.commits)
        assert census.notes[0] == (
            f"Commits came by git, since there are {count} in the window and git is quicker."
        )
        assert census.gaps == ()
        assert census.expected[Kind.COMMIT] == count
        assert any(a.kind is Kind.PULL_REQUEST for a in found)
        world.clock.advance(hours=24)
        github.accounting.reset()
        quiet = Window(START, world.clock.now())
        census, found = fetch(reader, repository, quiet)
        assert (sum(census.expected.values()), found, census.notes) == (0, [], ())
    assert github.accounting.points() == 0
