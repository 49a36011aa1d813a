"""An engine in a process of its own, to be killed, slowed down or wedged: `engine.py ADDRESS PORT NAME`.

It says 200 at /health whatever happens, and gives each prompt its own text back with its name.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SECONDS = 0.05
"""What an answer takes."""
SLOW = 20
"""How many times that a slow one takes."""


class Engine(ThreadingHTTPServer):
    """What is asked of it, how it is, and how much it does at once."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: str, port: int, name: str) -> None:
        super().__init__((address, port), _Handler)
        self.name = name
        self.state = "well"
        self.answered = self.now = self.most = 0
        self.lock = threading.Lock()

    def think(self) -> None:
        """Take the time of an answer; for ever when wedged."""
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        try:
            if self.state == "wedged":
                threading.Event().wait()
            time.sleep(SECONDS * (SLOW if self.state == "slow" else 1))
        finally:
            with self.lock:
                self.now -= 1
                self.answered += 1


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Engine

    def do_GET(self) -> None:
        if self.path == "/figures":
            self._send({"answered": self.server.answered, "most": self.server.most})
        elif self.path == "/v1/models":
            card = {"id": "stand-in", "object": "model", "owned_by": "tensorrt_llm"}
            self._send({"object": "list", "data": [card]})
        else:
            self._send({"headers": {k.lower(): v for k, v in self.headers.items()}})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/state":
            self.server.state = body["state"]
            return self._send({})
        self.server.think()
        said = body["messages"][-1]["content"]
        message = {"role": "assistant", "content": f"{self.server.name}: {said}"}
        return self._send(
            {
                "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8},
            }
        )

    def _send(self, body: Any) -> None:
        raw = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 — the base's name
        del format, args


if __name__ == "__main__":
    Engine(sys.argv[1], int(sys.argv[2]), sys.argv[3]).serve_forever()
