"""The way to an engine: deadlines hold, failures have types, secrets stay secret."""

import json
import logging
import socket
import socketserver
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from sparky.errors import BadAnswer, EngineError, Throttled, Transient, UsageError
from sparky.llm.wire import LARGEST, Timeouts, Wire
from tests.engines.raw import STREAM, Behaviour, raw_server, reset, until_gone
from tests.engines.server import Reply, Request, StandIn

KEY = "sk-very-secret"
NOW = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)


def event(value: object) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def answer(url: str, **options: Any) -> list[Mapping[str, Any]]:
    """All parts of an answer."""
    wire = Wire(url, **options)
    try:
        with wire.stream("/chat", {"a": 1}, wire.deadline()) as parts:
            return list(parts)
    finally:
        wire.close()


class Fixed(StandIn):
    """Gives the same reply to everything."""

    def __init__(self, reply: Reply) -> None:
        super().__init__()
        self.reply = reply

    def answer(self, request: Request) -> Reply:
        return self.reply


class Ticker:
    """Seconds that pass only when a test lets them."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


# ---- what comes through


def test_parts_come_as_they_are_sent() -> None:
    """Events, comments and the end mark are told apart; what follows the mark is not read."""
    parts = [b": ping\n\n", event({"n": 1}), b'event: x\ndata: {"n": 2}\r\n\r\n']
    rest = [b"data: [DONE]\n\n", event({"n": 3})]
    with Fixed(Reply(parts=[*parts, *rest], kind="text/event-stream")) as server:
        assert answer(server.url) == [{"n": 1}, {"n": 2}]


def test_an_event_may_come_in_pieces() -> None:
    """A part that the network cuts, even inside a character, is put together."""
    whole = event({"text": "Zürich 🦊"})
    with Fixed(Reply(parts=[bytes([byte]) for byte in whole])) as server:
        assert answer(server.url) == [{"text": "Zürich 🦊"}]


def test_one_object_is_an_answer_too() -> None:
    """A server that does not stream is understood."""
    with Fixed(Reply(body={"n": 1})) as server:
        assert answer(server.url) == [{"n": 1}]


def test_many_questions_use_one_connection() -> None:
    """A thousand counts do not open a thousand connections."""
    accepted = []

    def behave(connection: socket.socket) -> None:
        accepted.append(1)
        while True:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            if not connection.recv(1 << 16):
                return

    with raw_server(behave) as url:
        wire = Wire(url)
        for _ in range(50):
            wire.ask("GET", "/x")
        wire.close()
    assert len(accepted) == 1


def test_an_idle_connection_that_the_server_closed_costs_no_question() -> None:
    """A connection that ends in the moment of its reuse is no failure of the engine."""
    accepted = []

    def behave(connection: socket.socket) -> None:
        accepted.append(1)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        connection.recv(1 << 16)  # the next question, which is never answered

    with raw_server(behave) as url:
        wire = Wire(url)
        assert [wire.ask("POST", "/x", {"a": 1}).ok for _ in range(5)] == [True] * 5
        wire.close()
    assert len(accepted) == 5


def test_a_server_that_dies_of_a_question_is_asked_no_third_time() -> None:
    """Over a connection of its own, an end without an answer is a failure."""
    accepted = []

    def behave(connection: socket.socket) -> None:
        accepted.append(1)
        if len(accepted) == 1:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            connection.recv(1 << 16)

    with raw_server(behave) as url:
        wire = Wire(url)
        assert wire.ask("GET", "/x").ok
        with pytest.raises(Transient, match="broke the connection off"):
            wire.ask("POST", "/x", {"a": 1})
        wire.close()
    assert len(accepted) == 2


def test_many_answers_use_one_connection() -> None:
    """A stream is read to its end, so that the next question needs no new connection."""
    accepted = []

    class Streaming(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            accepted.append(1)
            length = 0
            while line := self.rfile.readline():
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
                if line == b"\r\n":
                    self.rfile.read(length)
                    self.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                    for part in (event({"n": 1}), b"data: [DONE]\n\n"):
                        self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
                    self.wfile.write(b"0\r\n\r\n")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Streaming) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        wire = Wire(f"http://127.0.0.1:{server.server_address[1]}")
        for _ in range(20):
            with wire.stream("/x", {}, wire.deadline()) as parts:
                assert list(parts) == [{"n": 1}]
        wire.close()
        server.shutdown()
    assert len(accepted) == 1


def test_an_answer_without_its_last_bytes_is_whole() -> None:
    """A server that says that it is done, and then breaks off, has answered."""

    def behave(connection: socket.socket) -> None:
        part = event({"n": 1}) + b"data: [DONE]\n\n"
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        connection.sendall(head + b"%x\r\n%s\r\n" % (len(part), part))

    with raw_server(behave) as url:
        assert answer(url) == [{"n": 1}]


# ---- deadlines


def test_silence_before_the_first_token_ends_the_call() -> None:
    """A server that accepts and never answers is given up."""
    timeouts = Timeouts(first=0.2)
    with raw_server(until_gone) as url, pytest.raises(Transient, match=r"silent for 0\.2 s"):
        answer(url, timeouts=timeouts)


def test_silence_between_tokens_ends_the_call() -> None:
    """A server that stops in the middle is given up, sooner than before the first token."""

    def behave(connection: socket.socket) -> None:
        connection.sendall(STREAM + event({"n": 1}))
        until_gone(connection)

    with raw_server(behave) as url, pytest.raises(Transient, match=r"silent for 0\.2 s"):
        answer(url, timeouts=Timeouts(idle=0.2))


def test_pings_are_no_tokens() -> None:
    """A wedged server that keeps its connection warm is silent all the same."""
    clock, heard = Ticker(), threading.Event()

    def behave(connection: socket.socket) -> None:
        connection.sendall(STREAM + event({"n": 1}))
        heard.wait(10)
        while True:
            clock.seconds = min(clock.seconds + 20, 80)
            connection.sendall(b": ping\n\n")

    with raw_server(behave) as url:
        wire = Wire(url, now=clock)

        def hear() -> None:
            with wire.stream("/chat", {}, wire.deadline()) as parts:
                assert next(parts) == {"n": 1}
                heard.set()
                next(parts)

        with pytest.raises(Transient, match="silent for 60 s"):
            hear()
        wire.close()


def test_a_steady_trickle_cannot_outlive_the_total() -> None:
    """Each token comes in time, and the call still ends."""
    clock = Ticker()

    def behave(connection: socket.socket) -> None:
        connection.sendall(STREAM)
        while True:
            clock.seconds += 20
            connection.sendall(event({"n": 1}))

    with (
        raw_server(behave) as url,
        pytest.raises(Transient, match="no complete answer within 900 s"),
    ):
        answer(url, now=clock)


def test_a_trickle_of_headers_cannot_either() -> None:
    """The deadline holds before the answer begins."""
    clock = Ticker()

    def behave(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        while True:
            clock.seconds = min(clock.seconds + 20, 400)
            connection.sendall(b"X-Wait: 1\r\n")
            time.sleep(0.005)

    with raw_server(behave) as url, pytest.raises(Transient, match="silent for 300 s"):
        answer(url, now=clock)


def test_a_question_about_the_server_has_a_deadline_of_its_own() -> None:
    """A probe does not wait as long as an answer may take."""
    wire = Wire("http://127.0.0.1:1", timeouts=Timeouts(probe=0.2))
    with raw_server(until_gone) as url:
        wire = Wire(url, timeouts=Timeouts(probe=0.2))
        with pytest.raises(Transient, match=r"within 0\.2 s"):
            wire.ask("GET", "/health")
        wire.close()


def test_leaving_an_answer_closes_the_connection() -> None:
    """The server learns that nobody listens, and can stop writing."""
    gone = threading.Event()

    def behave(connection: socket.socket) -> None:
        connection.sendall(STREAM + event({"n": 1}))
        until_gone(connection)
        gone.set()

    with raw_server(behave) as url:
        wire = Wire(url)
        with wire.stream("/chat", {}, wire.deadline()) as parts:
            assert next(parts) == {"n": 1}
        assert gone.wait(10)
        wire.close()


# ---- failures of the network


def _cut(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")


def _reset_in_answer(connection: socket.socket) -> None:
    part = event({"n": 1})
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    connection.sendall(b"%x\r\n%s\r\n" % (len(part), part))
    reset(connection)


def _says(data: bytes) -> Behaviour:
    return lambda connection: connection.sendall(data)


@pytest.mark.parametrize(
    "behave",
    [
        pytest.param(lambda connection: None, id="closed at once"),
        pytest.param(reset, id="reset at once"),
        pytest.param(_cut, id="closed within the body"),
        pytest.param(_reset_in_answer, id="reset within the answer"),
        pytest.param(_says(b"SSH-2.0-OpenSSH_9.2\r\n"), id="another protocol"),
        pytest.param(_says(STREAM + b"data: {oops\n\n"), id="no JSON"),
        pytest.param(_says(STREAM + b"data: [1, 2]\n\n"), id="no object"),
        pytest.param(_says(STREAM + b"data: \xff\xfe\n\n"), id="no text"),
    ],
)
def test_a_broken_connection_can_be_tried_again(behave: Behaviour) -> None:
    """Whatever a dying server does, the call fails in the way that is tried again."""
    with raw_server(behave) as url, pytest.raises(Transient) as caught:
        answer(url)
    assert url in str(caught.value)


def test_nobody_listening_can_be_tried_again() -> None:
    """A server that is not there yet may come; the message says where it was looked for."""
    with raw_server(reset) as url:
        pass
    with pytest.raises(Transient, match="cannot be reached") as caught:
        answer(url)
    assert url in str(caught.value)
    assert "SPARKY_LLM_URL" in caught.value.remedy


def test_an_endless_answer_is_cut_off() -> None:
    """Memory does not grow with what a runaway engine writes."""
    part = event({"text": "x" * (1 << 20)})
    with (
        Fixed(Reply(parts=[part] * ((LARGEST >> 20) + 1))) as server,
        pytest.raises(BadAnswer, match="longer than 8 MiB"),
    ):
        answer(server.url)


# ---- failures that the server tells


def test_a_server_may_ask_to_wait() -> None:
    """Retry-After is counted from the clock that is passed in."""
    reply = Reply(429, {"error": "slow down"}, headers={"Retry-After": "7"})
    with Fixed(reply) as server, pytest.raises(Throttled) as caught:
        answer(server.url, clock=lambda: NOW)
    assert caught.value.until == NOW + timedelta(seconds=7)


def test_an_error_in_the_middle_of_an_answer_is_an_error() -> None:
    """The status was 200 when it began; what the server then says counts."""
    error = {"error": {"code": 400, "message": "This model's maximum context length is 9 tokens"}}
    reply = Reply(parts=[event({"n": 1}), event(error)])
    with Fixed(reply) as server, pytest.raises(EngineError, match="maximum context length"):
        answer(server.url)


def test_redirects_are_not_followed() -> None:
    """Neither a prompt nor a key goes where the user did not send it."""
    with Fixed(Reply(body={"n": 1})) as other:
        reply = Reply(307, headers={"Location": f"{other.url}/chat"})
        with Fixed(reply) as server, pytest.raises(EngineError, match="redirects"):
            answer(server.url, api_key=KEY)
        assert other.requests == []


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine on this machine is reached although a proxy is set for everything."""
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with Fixed(Reply(body={"n": 1})) as server:
        assert answer(server.url) == [{"n": 1}]


# ---- TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key and self-signed certificate of 127.0.0.1, in one file."""
    folder = tmp_path_factory.mktemp("tls")
    key, cert = folder / "key.pem", folder / "cert.pem"
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject]
    subprocess.run([*command, "-keyout", key, "-out", cert], check=True, capture_output=True)
    both = folder / "both.pem"
    both.write_bytes(key.read_bytes() + cert.read_bytes())
    return both


@pytest.fixture
def tls_url(certificate: Path) -> Iterator[str]:
    """A server whose certificate nobody signed."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"n": 1}')

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 — the base's name
            del format, args

    class Server(HTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            """A client that trusts nobody is no error of the server."""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with Server(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"https://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_certificate_that_nobody_signed_is_refused(tls_url: str) -> None:
    """Trying again would not help, so the user is told what to do."""
    with pytest.raises(EngineError, match="self-signed certificate") as caught:
        answer(tls_url, api_key=KEY)
    assert "SSL_CERT_FILE" in caught.value.remedy


def test_a_certificate_that_is_trusted_is_used(tls_url: str, certificate: Path) -> None:
    """An authority of one's own works."""
    assert answer(tls_url, tls=ssl.create_default_context(cafile=certificate)) == [{"n": 1}]


def test_tls_to_a_server_without_it_is_told_apart() -> None:
    """https instead of http in the URL is the user's to mend."""
    with Fixed(Reply()) as server, pytest.raises(EngineError, match="TLS"):
        answer(server.url.replace("http:", "https:"))


# ---- secrets and settings


def test_the_key_is_sent_and_shown_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    """Not in an error, even where the server repeats it; not in a repr; not in a log."""
    caplog.set_level(logging.DEBUG)
    reply = Reply(401, {"error": f"Incorrect API key provided: {KEY}"})
    with Fixed(reply) as server:
        wire = Wire(server.url, api_key=KEY)
        with pytest.raises(EngineError) as caught:
            wire.get("/v1/models")
        wire.close()
        assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert KEY not in f"{caught.value!r} {caught.value} {wire!r} {caplog.text}"
    assert "SPARKY_LLM_API_KEY" in caught.value.remedy


@pytest.mark.parametrize("key", ["two words", "line\nend", "naïve", "tab\there"])
def test_a_key_that_cannot_be_sent_is_refused(key: str) -> None:
    """A key file with a stray character is the user's to mend, and is not shown."""
    with pytest.raises(UsageError, match="API key") as caught:
        Wire("http://127.0.0.1:1", api_key=key)
    assert key not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    ["", "gpu:8000", "ftp://gpu", "http://", "http://gpu:x", "http://me:pw@gpu", "http://[::1"],
)
def test_a_url_that_cannot_be_used_is_refused(url: str) -> None:
    """The user is told what a URL looks like; a password in it is not shown."""
    with pytest.raises(UsageError) as caught:
        Wire(url)
    assert caught.value.remedy
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("http://gpu:8000", "http://gpu:8000"),
        ("http://gpu:8000/", "http://gpu:8000"),
        ("http://gpu:8000/v1", "http://gpu:8000"),
        ("https://gate/team/v1/", "https://gate/team"),
    ],
)
def test_a_url_may_end_in_v1(url: str, base: str) -> None:
    """Both forms that users know of such a server's address mean the same."""
    wire = Wire(url)
    assert wire.url == base
    wire.close()
