"""A bucket of S3 that takes an object only with a right signature (AWS's version 4)."""

from __future__ import annotations

import hashlib
import hmac
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEY, SECRET = "AKIDEXAMPLE", "a-secret-of-the-bucket"
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/(?P<scope>[^,]+),\s*"
    r"SignedHeaders=(?P<names>[^,]+),\s*Signature=(?P<signature>\w+)"
)


class _Handler(BaseHTTPRequestHandler):
    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        right = self._signed(hashlib.sha256(body).hexdigest())
        if right:
            self.server.objects[self.path] = body  # type: ignore[attr-defined]
        self.send_response(200 if right else 403)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _signed(self, digest: str) -> bool:
        found = _AUTHORIZATION.fullmatch(self.headers.get("Authorization", ""))
        if not found or found["key"] != KEY or self.headers["x-amz-content-sha256"] != digest:
            return False
        names = found["names"].split(";")
        headers = "".join(f"{name}:{self.headers[name].strip()}\n" for name in names)
        asked = f"PUT\n{self.path}\n\n{headers}\n{found['names']}\n{digest}"
        hashed = hashlib.sha256(asked.encode()).hexdigest()
        stamp = self.headers["x-amz-date"]
        signed = f"AWS4-HMAC-SHA256\n{stamp}\n{found['scope']}\n{hashed}"
        key = f"AWS4{SECRET}".encode()
        for part in found["scope"].split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        return hmac.digest(key, signed.encode(), "sha256").hex() == found["signature"]

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 — the base's name
        del format, args


@contextmanager
def bucket(address: str) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Its URL, and the objects that it has taken."""
    server = ThreadingHTTPServer((address, 0), _Handler)
    server.objects = objects = {}  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://{address}:{server.server_port}/backups", objects
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
