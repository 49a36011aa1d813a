"""The HTTP server: who is asking, may they, what goes wrong, and the answer."""

from __future__ import annotations

import json
import socket
import socketserver
import ssl
import sys
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.github import answer, damage, endpoint, rest, restrepositories
from tests.github.accounting import Accounting, Request
from tests.github.answer import Answer
from tests.github.credentials import Credentials, Refused, Token
from tests.github.endpoint import BadQuery, Query
from tests.github.faults import Fault, Faults, Incoming, What
from tests.github.limits import Limits, Meter, Standing
from tests.github.resolvers import executable
from tests.github.world import World

ANONYMOUS = "anonymous"
ROUTED = (rest, restrepositories)
"""The modules whose import gives the server its routes."""


class Server:
    """A GitHub over a world; `enterprise` puts it under /api as a GitHub Enterprise Server does.

    `limits` are those of GitHub unless given. `lanes` moves the world's clock on by the virtual
    seconds of each request, divided among so many requests at a time; None leaves it alone. With
    `tls` it speaks HTTPS.
    """

    def __init__(
        self,
        world: World,
        *,
        limits: Limits | None = None,
        enterprise: bool = False,
        port: int = 0,
        lanes: int | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.world = world
        self._scheme = "https" if tls else "http"
        self.limits = limits or (Limits.off() if enterprise else Limits())
        self.enterprise = enterprise
        self.lanes = lanes
        self.credentials = Credentials(world)
        self.faults = Faults(world.seed)
        self.accounting = Accounting()
        self.meter = Meter(self.limits, world.clock)
        executable()
        self._http = _Http(("127.0.0.1", port), _Handler)
        if tls is not None:
            self._http.socket = tls.wrap_socket(self._http.socket, server_side=True)
        self._http.github = self
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)

    # ---- Where it is -------------------------------------------------------------------------------

    @property
    def host(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self._http.server_address[1]}"

    @property
    def url(self) -> str:
        """Base of the REST API."""
        return f"{self.host}/api/v3" if self.enterprise else self.host

    @property
    def graphql_url(self) -> str:
        return f"{self.host}/api/graphql" if self.enterprise else f"{self.host}/graphql"

    @property
    def web(self) -> str:
        """Where web pages would be."""
        return self.host if self.enterprise else "https://github.com"

    def start(self) -> Server:
        self._thread.start()
        return self

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    # ---- Who is asking -----------------------------------------------------------------------------

    def token(self, **fields: Any) -> str:
        """A new user's token; fields as of `Token`, such as `owners` or `permissions`."""
        return self.credentials.user(**fields).value

    @property
    def limited(self) -> bool:
        return self.limits.core_per_hour is not None

    def limit(self, token: Token | None, resource: str) -> int | None:
        """How much a token may use of a resource."""
        limits = self.limits
        if resource == "search":
            return limits.search_per_minute
        usual = limits.graphql_per_hour if resource == "graphql" else limits.core_per_hour
        if usual is None:
            return None
        if token is None:
            return 0 if resource == "graphql" else limits.anonymous_per_hour
        return token.points_per_hour or usual

    def standing(self, token: Token | None, resource: str) -> Standing | None:
        who = token.who if token else ANONYMOUS
        return self.meter.standing(who, resource, self.limit(token, resource))

    def drain(self, value: str, remaining: int = 0, resource: str = "graphql") -> None:
        """Leave a token only so many points, as if its owner had used them elsewhere."""
        token = self.credentials.check(value)
        self.meter.drain(token.who, resource, self.limit(token, resource) or 0, remaining)

    # ---- One request -------------------------------------------------------------------------------

    def serve(
        self, method: str, path: str, headers: Any, body: bytes
    ) -> tuple[Answer, Fault | None]:
        """The answer to a request, and the fault that damages it on its way, if any."""
        scheme, _, value = (headers.get("authorization") or "").partition(" ")
        bare, _, query = path.partition("?")
        inner = self._inner(bare)
        if inner is None:
            return answer.message(404, "Not Found"), None
        if inner.startswith("/app/") and method in {"GET", "POST"}:
            return self._as_app(method, inner, query, value, body), None
        token = None
        if scheme:
            try:
                token = self.credentials.check(value)
            except Refused as refused:
                self._note("", "graphql" if inner == "/graphql" else "core", "", Answer(401))
                return answer.message(401, str(refused)), None
        if inner == "/graphql":
            return self._graphql(method, token, body)
        return self._rest(method, inner, query, headers, token, body)

    def _inner(self, path: str) -> str | None:
        """The path as on github.com, or None outside the API."""
        if not self.enterprise:
            return path
        if path == "/api/graphql":
            return "/graphql"
        return path.removeprefix("/api/v3") if path.startswith("/api/v3/") else None

    def _graphql(
        self, method: str, token: Token | None, body: bytes
    ) -> tuple[Answer, Fault | None]:
        if token is None or method != "POST":
            made = answer.message(
                401, "This endpoint requires you to be authenticated.", "/graphql"
            )
            self._note("", "graphql", "", made)
            return made, None
        try:
            query = Query(body, self.limits)
        except BadQuery as error:
            made = self._headed(endpoint.bad(error), token, "graphql")
            self._note(token.who, "graphql", "", made)
            return made, None
        incoming = Incoming("graphql", query.name, token.who, query.variables, query.cost.page)
        limit = self.limit(token, "graphql")

        def run() -> Answer:
            return query.refused() or query.run(self.world, token, self.meter, limit, self.web)

        return self._guarded(incoming, token, 5 if query.mutates else 1, run)

    def _rest(
        self, method: str, path: str, query: str, headers: Any, token: Token | None, body: bytes
    ) -> tuple[Answer, Fault | None]:
        found = rest.find(method, path)
        if found is None:
            return answer.message(404, "Not Found"), None
        name, handler, parts = found
        call = rest.Call(self, token, path, query, body)
        who, limit = token.who if token else ANONYMOUS, self.limit(token, "core")

        def run() -> Answer:
            if path == "/rate_limit":
                return handler(call)
            standing = self.meter.standing(who, "core", limit)
            if limit is not None and standing is not None and standing.remaining <= 0:
                return answer.message(403, f"API rate limit exceeded for user ID {who}.")
            with self.world.lock:
                made = rest.conditional(handler(call, **parts), headers)
            made.seconds = 0.02
            # What has not changed costs nothing.
            made.points = 0 if made.status == 304 else 1
            self.meter.charge(who, "core", limit, made.points)
            return made

        incoming = Incoming("core", name, who, dict(call.query))
        return self._guarded(incoming, token, 1 if method == "GET" else 5, run)

    def _as_app(self, method: str, path: str, query: str, assertion: str, body: bytes) -> Answer:
        found = rest.find(method, path)
        if found is None:
            return answer.message(404, "Not Found")
        name, handler, parts = found
        made = handler(rest.Call(self, None, path, query, body), assertion, **parts)
        self._note("", "app", name, made)
        return made

    def _guarded(
        self, incoming: Incoming, token: Token | None, points: int, run: Any
    ) -> tuple[Answer, Fault | None]:
        """Secondary limits and faults around a request."""
        who, resource, seconds = incoming.who, incoming.resource, 0.0
        broken = self.meter.enter(who, resource, points)
        fault = None
        try:
            if broken is not None:
                made = answer.secondary(self.limits.secondary_status, 60, self._id(who))
            else:
                fault = self.faults.strike(incoming)
                if fault is not None and fault.what is What.HOLD:
                    fault.release.wait()
                    fault = None
                made = damage.instead(fault, self, token, resource) or run()
                if fault is not None:
                    made = damage.spoil(made, fault, self.world.seed + fault.hits)
            seconds = made.seconds
        finally:
            self.meter.leave(who, resource, seconds)
        if self.lanes is not None:
            self.world.clock.advance(seconds=seconds / self.lanes)
        made = self._headed(made, token, resource)
        cut = fault is not None and fault.what is What.RESET
        self._note(who, resource, incoming.name, made, cut=cut)
        return made, fault

    def _id(self, who: str) -> str:
        return f"{zlib.crc32(who.encode()) % 65536:04X}:{len(self.accounting.log):06X}"

    def _headed(self, made: Answer, token: Token | None, resource: str) -> Answer:
        standing = self.standing(token, resource)
        if standing is not None:
            made.headers = standing.headers | made.headers
        return made

    def _note(self, who: str, resource: str, name: str, made: Answer, *, cut: bool = False) -> None:
        self.accounting.add(
            Request(
                who=who,
                resource=resource,
                name=name,
                status=0 if cut else made.status,
                points=made.points,
                nodes=made.nodes,
                seconds=made.seconds,
                bytes=len(made.body),
                errors=made.errors,
            )
        )


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256
    github: Server

    def server_bind(self) -> None:
        """As the base class does, without asking a name server for our name."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has gone is no error; anything else is told as usual."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "github"
    disable_nagle_algorithm = True
    server: _Http

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """The accounting has it all."""

    def do_GET(self) -> None:
        if self.path == "/_local/accounting":
            self._send(answer.as_json(self.server.github.accounting.table()))
        else:
            self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        made, fault = self.server.github.serve(self.command, self.path, self.headers, body)
        what = fault.what if fault is not None else None
        if what is What.RESET:
            self._cut()
        elif what is What.TRUNCATE:
            self._send(made, made.body[: len(made.body) // 2])
            self._cut()
        else:
            self._send(made)

    def _cut(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def _send(self, made: Answer, body: bytes | None = None) -> None:
        """Headers and body in one write; a body given is shorter than its announced length."""
        lines = [f"HTTP/1.1 {made.status} {self.responses.get(made.status, ('',))[0]}"]
        lines += [f"{name}: {value}" for name, value in made.headers.items()]
        if made.status != 304:
            lines.append(f"content-length: {len(made.body)}")
        head = "\r\n".join([*lines, "", ""]).encode()
        self.wfile.write(head + (made.body if body is None else body))


@contextmanager
def serve(world: World, **settings: Any) -> Iterator[Server]:
    """A running server, with the settings of `Server`, stopped at the end."""
    server = Server(world, **settings).start()
    try:
        yield server
    finally:
        server.stop()


def dump(server: Server) -> str:
    """The accounting as text, for people."""
    return json.dumps(server.accounting.table(), indent=2)
